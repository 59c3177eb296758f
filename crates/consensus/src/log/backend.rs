//! What the shared log asks of the library below it: narrow, so that the library can be replaced.

use std::ops::Range;

use buzon_types::id::GroupId;
use bytes::Bytes;

use super::LogError;
use super::identity::LogOwner;

/// One entry, encoded by its group. Indexes of a group's log are counted from 0 without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its place in the log of its group.
    pub index: u64,
    /// What it says; opaque here.
    pub bytes: Bytes,
}

/// One step of one group. Steps are carried out in the order of the batch.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Entries that continue the log.
    Append(Vec<LogRecord>),
    /// Replaces the vote.
    Vote(Bytes),
    /// Replaces the committed marker.
    Committed(Bytes),
    /// Replaces what the group's owner keeps beside its log.
    Meta(Bytes),
    /// The log, which held `held`, ends before `next` from now on.
    TruncateAfter {
        /// One past the last entry that stays.
        next: u64,
        /// What the log held.
        held: Range<u64>,
    },
    /// Entries up to and with `through` go; `through` may be past the end (a snapshot was installed).
    Purge {
        /// The last index that goes.
        through: u64,
        /// The id of that entry, kept for later.
        log_id: Bytes,
        /// What the log held.
        held: Range<u64>,
    },
    /// All entries go; the log goes on after `through`, which may be before its old end.
    Reset {
        /// One before the next entry.
        through: u64,
        /// The id of that entry, kept for later.
        log_id: Bytes,
    },
    /// Forgets the group: entries, vote and all.
    Remove,
}

/// Steps of many groups that become durable together, with one fsync.
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    /// In the order in which they take effect.
    pub operations: Vec<(GroupId, Operation)>,
}

/// What is stored of a group besides its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredGroup {
    /// The last vote.
    pub vote: Option<Bytes>,
    /// The last committed marker that reached the disk; it may be behind.
    pub committed: Option<Bytes>,
    /// The group owner's own record.
    pub meta: Option<Bytes>,
    /// The id of the last purged entry.
    pub purged: Option<Bytes>,
    /// The entries that can be read.
    pub held: Range<u64>,
}

/// A durable log of many groups. All methods block: they are called from threads that may.
pub trait LogBackend: Send + Sync + 'static {
    /// Carries out a batch, as a whole or not at all. When it returns, the batch survives a power cut.
    /// Called by one thread at a time. After an error nothing more is written: the caller ends the process.
    fn write(&self, batch: &WriteBatch) -> Result<(), LogError>;

    /// The entries of `range`, all of which must be held. May run beside `write`.
    fn entries(&self, group: GroupId, range: Range<u64>) -> Result<Vec<LogRecord>, LogError>;

    /// What is stored of a group; empty for an unknown one.
    fn group(&self, group: GroupId) -> Result<StoredGroup, LogError>;

    /// Every group that has anything stored.
    fn groups(&self) -> Vec<GroupId>;

    /// Whose log this is; none if it is new.
    fn owner(&self) -> Result<Option<LogOwner>, LogError>;

    /// Makes a new log somebody's. Durable when it returns.
    fn claim(&self, owner: &LogOwner) -> Result<(), LogError>;

    /// Gives files back that hold nothing of value. Returns the groups whose old entries keep files alive:
    /// they should be purged. May run beside `write`.
    fn collect(&self) -> Result<Vec<GroupId>, LogError>;

    /// The disk of a simulation: the log's threads are tasks then. A write is in doubt until it says otherwise.
    #[cfg(test)]
    fn simulated(&self) -> Option<std::sync::Arc<crate::simulation::disk::Disk>> {
        None
    }
}
