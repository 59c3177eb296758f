//! A group's state as a reader sees it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::MetaStore;
use buzon_model::row::Tombstone;
use buzon_model::state::State;
use buzon_types::id::{GroupId, LogIndex, MailboxKey};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;
use tokio::sync::OwnedRwLockReadGuard;

use super::error::ApplyError;
use super::machine::{Loaded, Machine};
use crate::error::ReadError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The state of a group at one log index, with the rows that were asked for. Entries are not applied while it
/// lives, in this group: look, copy what is needed, drop it. Never hold it over a write to a client, nor over another
/// read of the same group, which would wait for entries that wait for this.
pub struct View {
    machine: Arc<Machine>,
    guard: OwnedRwLockReadGuard<Option<Loaded>, Loaded>,
}

impl Deref for View {
    type Target = State;

    fn deref(&self) -> &State {
        &self.guard.state
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("group", &self.group()).field("index", &self.index()).finish()
    }
}

impl View {
    pub(crate) fn new(machine: Arc<Machine>, guard: OwnedRwLockReadGuard<Option<Loaded>, Loaded>) -> Self {
        Self { machine, guard }
    }

    /// Which group.
    pub fn group(&self) -> GroupId {
        self.machine.group()
    }

    /// The log index of this state: a later read that carries it sees at least as much.
    pub fn index(&self) -> LogIndex {
        LogIndex(self.guard.head.applied.index)
    }

    /// Encoded summaries, ascending by UID, of live messages and tombstones.
    pub async fn summaries(
        &self,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<(Uid, Bytes)>, ReadError> {
        let rows = self.rows().await?.summaries(self.group(), mailbox, uids).await;
        self.checked(rows).await
    }

    /// Tombstones among these UIDs, ascending by UID.
    pub async fn tombstones(&self, mailbox: MailboxKey, uids: &UidSet) -> Result<Vec<Tombstone>, ReadError> {
        let rows = self.rows().await?.tombstones(self.group(), mailbox, uids).await;
        self.checked(rows).await
    }

    /// UIDs expunged after a modseq.
    pub async fn expunged_since(&self, mailbox: MailboxKey, since: ModSeq) -> Result<UidSet, ReadError> {
        let rows = self.rows().await?.expunged_since(self.group(), mailbox, since).await;
        self.checked(rows).await
    }

    /// The database, whose rows are those of this state.
    async fn rows(&self) -> Result<&Arc<dyn MetaStore>, ReadError> {
        self.guard.settle().await.map_err(unavailable)?;
        Ok(self.machine.store())
    }

    /// Rows from a server that restarted may be older than the state.
    async fn checked<T>(&self, rows: Result<T, StoreError>) -> Result<T, ReadError> {
        let rows = rows.map_err(unavailable)?;
        let now = self.machine.store().server_incarnation().await.map_err(unavailable)?;
        if now == self.guard.server {
            Ok(rows)
        } else {
            Err(unavailable(ApplyError::Restarted(self.group())))
        }
    }
}

fn unavailable(error: impl Into<BoxError>) -> ReadError {
    ReadError::Unavailable(error.into())
}
