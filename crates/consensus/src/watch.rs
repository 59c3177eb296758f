//! Watch channels: tokio's. Those wake whoever waits in a random order; the ones of the simulation, in which the same seed
//! must give the same run, wake them in the order in which they came.

#[cfg(test)]
pub(crate) use crate::simulation::watch::{Receiver, Sender, channel};
#[cfg(not(test))]
pub(crate) use tokio::sync::watch::{Receiver, Sender, channel};
