//! The shared log: entries and votes of every raft group of this node, durable through one writer and one fsync.
//!
//! ```text
//! GroupLog::append ─┐                        ┌─ callbacks, in queue order
//! GroupLog::vote   ─┼▶ bounded queue ▶ writer ┤
//! GroupLog::purge  ─┘   (one thread)   │     └─ flushed index of each group
//!                                       └▶ LogBackend::write: one batch, one fsync
//! ```
//! The log knows bytes and indexes; what an entry or a vote means is known above (`raft_log`).

pub mod backend;
pub mod group;
pub mod identity;
pub mod options;
mod queue;
pub mod raft_engine;
pub mod shared;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(test)]
mod tests;
mod writer;

use std::io;

use buzon_types::id::GroupId;

/// Why the log cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk or the file system said no. A failed write ends the process; a failed read may be tried again.
    #[error("{action} the raft log")]
    Storage {
        /// What was tried, as a verb.
        action: &'static str,
        /// What came back.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was read cannot have been written by us.
    #[error("the raft log of group {group} is damaged: {what}")]
    Damaged {
        /// Whose log.
        group: GroupId,
        /// What is wrong with it.
        what: String,
    },
    /// The directory holds the log of another cluster, node or incarnation (DESIGN D2).
    #[error("the raft log belongs to {found}, not to {expected}")]
    ForeignLog {
        /// Who opens it.
        expected: identity::LogOwner,
        /// Whose it is.
        found: identity::LogOwner,
    },
    /// Entries that do not continue the log: a fault in the caller, refused before anything is written.
    #[error("entries from {got} on do not continue the log of group {group}, which ends before {next}")]
    Hole {
        /// Whose log.
        group: GroupId,
        /// One past its last entry.
        next: u64,
        /// The index that was offered.
        got: u64,
    },
    /// A write failed before, or the log was closed: nothing is accepted any more.
    #[error("the raft log is closed")]
    Closed,
}

impl From<LogError> for io::Error {
    fn from(error: LogError) -> Self {
        io::Error::other(error)
    }
}
