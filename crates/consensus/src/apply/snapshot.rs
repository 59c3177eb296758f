//! Snapshots: rows of one group on their way from one database to another.
//!
//! Our own snapshot is only the promise to export the rows when it is sent. A received one is staged beside the
//! rows in use and becomes the group's in one transaction. The database is then ahead of the log until openraft
//! purges the log, so what is being installed is noted in the log first.

use std::ops::ControlFlow;
use std::sync::Arc;

use buzon_meta_store::store::{GroupHead, Install};
use prost::Message as _;
use tokio::sync::OwnedMutexGuard;

use super::machine::{ApplyError, Machine, RETRY_AFTER};
use crate::log::group::GroupView;
use crate::pb;
use crate::record::{self, RecordError};

/// What a snapshot is made of.
pub(crate) enum SnapshotData {
    /// The rows of a group of this node, exported when they are sent.
    Rows(Arc<Machine>),
    /// Rows of another node, staged in our database.
    Staged(Staged),
}

/// A received snapshot.
pub(crate) struct Staged {
    pub(crate) install: Arc<dyn Install>,
    pub(crate) head: GroupHead,
    /// Held until the rows are the group's, or nobody wants them.
    pub(crate) turn: InstallTurn,
}

/// The right to stage a snapshot of a group. A second one would drop the rows of the first, which raft may be
/// installing at that moment.
pub(crate) type InstallTurn = OwnedMutexGuard<()>;

impl Machine {
    pub(super) async fn install(&self, snapshot: SnapshotData) -> Result<(), ApplyError> {
        let staged = match snapshot {
            SnapshotData::Staged(staged) => staged,
            SnapshotData::Rows(machine) => self.stage_from(&machine).await?,
        };
        if self.head().await?.applied.index >= staged.head.applied.index {
            return Ok(());
        }
        self.note_installing(&staged.head).await?;
        let mut wait = RETRY_AFTER;
        while let Err(error) = self.try_install(&staged).await {
            self.pause(error, &mut wait).await?;
        }
        self.publish_gap(staged.head.applied.index);
        drop(staged.turn);
        Ok(())
    }

    /// May be repeated, whatever became of the attempt before.
    async fn try_install(&self, staged: &Staged) -> Result<(), ApplyError> {
        let (store, group, needed) = (self.store(), self.group(), staged.head.applied.index);
        let store_error = |error| self.store_error(error);
        let server = store.server_incarnation().await.map_err(store_error)?;
        let mut slot = self.loaded.write().await;
        *slot = None;
        staged.install.finish(staged.head.clone()).await.map_err(store_error)?;
        drop(slot);
        // openraft purges the log once this returns.
        let durable = store.durable_index(group, true).await.map_err(store_error)?;
        if durable < needed {
            // A server that crashed in between has lost it again.
            self.check_server(server).await?;
            return Err(ApplyError::Behind { group, applied: durable, log: needed });
        }
        self.durable.send_replace(durable);
        Ok(())
    }

    /// The turn to stage a snapshot, if no other is being staged or installed.
    pub(crate) fn turn_to_install(&self) -> Option<InstallTurn> {
        Arc::clone(&self.installing).try_lock_owned().ok()
    }

    /// Whether the database is ahead of the log because a snapshot was installed and the log not yet purged.
    pub(super) fn is_installing(&self, view: &GroupView, head: &GroupHead) -> Result<bool, ApplyError> {
        let Some(meta) = view.meta.clone() else { return Ok(false) };
        let installing = pb::GroupMeta::decode(meta).map_err(RecordError::from)?.installing;
        let applied = record::read_applied(&head.applied)?;
        Ok(installing.is_some() && installing.map(record::read_log_id) == applied)
    }

    async fn note_installing(&self, head: &GroupHead) -> Result<(), ApplyError> {
        let Some(log) = self.log() else { return Ok(()) };
        let installing = record::read_applied(&head.applied)?.as_ref().map(record::log_id);
        Ok(log.save_meta(record::encode(&pb::GroupMeta { installing })).await?)
    }

    /// Copies rows between two databases of one process.
    async fn stage_from(&self, source: &Machine) -> Result<Staged, ApplyError> {
        let store_error = |error| self.store_error(error);
        let mut pages = Vec::new();
        let mut visit = |page| {
            pages.push(page);
            ControlFlow::Continue(())
        };
        let head = source.store().export(source.group(), &mut visit).await.map_err(store_error)?;
        let turn = Arc::clone(&self.installing).lock_owned().await;
        let install = self.store().begin_install(self.group()).await.map_err(store_error)?;
        for page in pages {
            install.page(page).await.map_err(store_error)?;
        }
        Ok(Staged { install, head: GroupHead { group: self.group(), ..head }, turn })
    }
}
