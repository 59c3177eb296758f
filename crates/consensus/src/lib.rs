//! Raft groups over one shared durable log; apply = load, decide, write.
//!
//! Only this crate names openraft. What it must not know: IMAP, bodies.
//!
//! ```text
//! propose ─▶ raft group ─▶ raft log ─┐                         ┌─▶ apply ─▶ meta-store
//! propose ─▶ raft group ─▶ raft log ─┼─▶ one writer, one fsync ┤
//! propose ─▶ raft group ─▶ raft log ─┘                         └─▶ apply ─▶ meta-store
//! ```

pub mod log;
mod raft_log;
mod record;
mod type_config;

/// The generated raft transport and records; documented in `proto/buzon/raft/v1/raft.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(crate) mod pb {
    tonic::include_proto!("buzon.raft.v1");
}
