//! Raft between nodes: all groups of a node share one connection to each peer. See `raft.proto`.

mod addresses;
mod client;
mod heartbeats;
mod peers;
mod server;
mod snapshot;

pub(crate) use self::addresses::Addresses;
pub(crate) use self::client::Network;
pub(crate) use self::heartbeats::Heartbeats;
#[cfg(test)]
pub(crate) use self::heartbeats::LINGER;
pub(crate) use self::peers::Peers;
pub(crate) use self::server::Transport;
pub(crate) use self::snapshot::fetch_snapshot;

/// A message carries at most 4 MiB of entries and then one more of 1 MiB, with some framing.
const MESSAGE_BYTES_MAX: usize = 8 << 20;
