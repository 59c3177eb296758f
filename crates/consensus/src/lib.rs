//! Raft groups over one shared durable log; apply = load, decide, write.
//!
//! Only this crate names openraft. What it must not know: IMAP, bodies.
//!
//! ```text
//! propose ─▶ raft group ─▶ raft log ─┐                         ┌─▶ apply ─▶ meta-store
//! propose ─▶ raft group ─▶ raft log ─┼─▶ one writer, one fsync ┤
//! propose ─▶ raft group ─▶ raft log ─┘                         └─▶ apply ─▶ meta-store
//!                  ▲
//!                  └── network: one connection per peer for all groups
//! ```

mod apply;
mod audit;
pub mod error;
pub mod group;
mod group_meta;
mod keep;
pub mod log;
mod network;
pub mod node;
mod pulse;
pub mod quarantine;
mod raft_log;
mod record;
mod refill;
mod rest;
#[cfg(test)]
mod simulation;
mod task;
#[cfg(test)]
mod tests;
mod type_config;
mod watch;

pub use apply::View;

/// The generated raft transport and records; documented in `proto/buzon/raft/v1/raft.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(crate) mod pb {
    tonic::include_proto!("buzon.raft.v1");
}
