//! Snapshots: rows of one group on their way from one database to another.
//!
//! Our own snapshot is only the promise to export the rows when it is sent. A received one is staged beside the
//! rows in use and becomes the group's in one transaction. The database is then ahead of the log until openraft
//! purges the log, so what is being installed is noted in the log first.

use std::ops::ControlFlow;
use std::sync::Arc;

use buzon_meta_store::store::{GroupHead, Install};
use openraft::entry::RaftEntry as _;
use tokio::sync::OwnedMutexGuard;

use super::error::ApplyError;
use super::loading::RETRY_AFTER;
use super::machine::Machine;
use crate::group_meta;
use crate::record;
use crate::type_config::LogId;

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
        self.install_staged(staged).await
    }

    /// The same wherever the rows stand now, which may be where no log helps them.
    pub(crate) async fn install_staged(&self, staged: Staged) -> Result<(), ApplyError> {
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
        // What was on its way is over before other rows take the place.
        let turn = self.writing.lock().await;
        self.points.lock().forget();
        staged.install.finish(staged.head.clone()).await.map_err(store_error)?;
        drop((slot, turn));
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
    pub(super) fn is_installing(&self, head: &GroupHead) -> Result<bool, ApplyError> {
        let Some(log) = self.log() else { return Ok(false) };
        let installing = group_meta::read(log)?.installing.map(record::read_log_id);
        // What is purged was installed long ago.
        let is_new = installing.is_some() && installing > group_meta::purged(log)?;
        Ok(is_new && installing == record::read_applied(&head.applied)?)
    }

    /// Makes the log go on where rows that came from elsewhere stand, if it does not fit them: before a core starts.
    pub(crate) async fn fit_log(&self) -> Result<(), ApplyError> {
        let Some(log) = self.log() else { return Ok(()) };
        let head = self.head().await?;
        let Some(applied) = record::read_applied(&head.applied)? else { return Ok(()) };
        let found = self.log_id_at(applied.index).await?;
        if found == Some(applied) {
            return Ok(());
        }
        if !self.is_installing(&head)? {
            return Err(ApplyError::Forked { group: self.group(), index: head.applied.index });
        }
        // Either the log ends before the rows, or it went another way, which then was never committed.
        tracing::info!(group = %self.group(), ?found, ?applied, "the log goes on where the snapshot ends");
        Ok(log.reset(applied.index, record::encode(&record::log_id(&applied))).await?)
    }

    /// The id of an entry that the log has, or that it was purged up to.
    async fn log_id_at(&self, index: u64) -> Result<Option<LogId>, ApplyError> {
        let Some(log) = self.log() else { return Ok(None) };
        let view = log.view();
        if view.held.contains(&index) {
            let read = log.read(index..index + 1, usize::MAX).await?.pop();
            return Ok(read
                .map(|entry| record::decode_entry(entry.bytes))
                .transpose()?
                .map(|it| it.log_id()));
        }
        Ok(group_meta::purged(log)?.filter(|purged| purged.index == index))
    }

    /// Before the rows change: what is coming, and whom to ask if it is lost again.
    async fn note_installing(&self, head: &GroupHead) -> Result<(), ApplyError> {
        let Some(log) = self.log() else { return Ok(()) };
        let installing = record::read_applied(&head.applied)?.as_ref().map(record::log_id);
        let membership = record::decode_stored_membership(head.membership.clone())?;
        let change = group_meta::change(log, |meta| {
            meta.installing = installing;
            meta.membership = Some(record::stored_membership(&membership));
            meta.sources.clear();
        });
        Ok(change.await?)
    }

    /// Before the log is purged, which takes the entries that tell of it: the members that are known.
    pub(crate) async fn note_members(&self) -> Result<(), ApplyError> {
        let Some(log) = self.log() else { return Ok(()) };
        let membership = self.membership.lock().clone();
        if membership.is_empty() {
            return Ok(());
        }
        let membership = record::stored_membership(&record::decode_stored_membership(membership)?);
        Ok(group_meta::change(log, |meta| meta.membership = Some(membership)).await?)
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
