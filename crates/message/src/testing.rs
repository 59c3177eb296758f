//! What tests share, here and of the whole system: a strict reader of what we render, and what must hold of any message.

pub mod grammar;
pub mod invariants;
#[cfg(test)]
mod second_opinion;
#[cfg(test)]
pub(crate) mod steps;
#[cfg(test)]
mod tests;
