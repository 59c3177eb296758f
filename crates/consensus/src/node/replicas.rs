//! Groups come to a node and go from it, while it runs.
//!
//! What a node once acknowledged must not be forgotten with the rows: a candidate of an old membership that lacks it could
//! get the node's vote, and committed entries would be gone. So of a group that goes, vote and the last entry's id stay in
//! the log; and one that comes back has rows at or past that entry before its core, which votes, starts.

use std::collections::BTreeMap;
use std::sync::Arc;

use buzon_types::id::{GroupId, NodeId};

use super::Node;
use crate::error::OpenError;
use crate::group::Group;
use crate::group_meta;
use crate::log::group::GroupLog;
use crate::pb;
use crate::quarantine::{self, Quarantine};
use crate::record;

impl Node {
    /// Starts a replica of a group that this node carries, or shall carry from now on: it waits for the group's leader to
    /// make it a member. If the group was here before, its rows come from one of `sources` (or of the members that
    /// its log remembers) first, however long that takes; [`Node::refilling`] tells. Safe to repeat, also with other
    /// sources while it waits.
    ///
    /// # Errors
    /// As [`Node::start_group`].
    pub async fn ensure_group(
        &self,
        id: GroupId,
        sources: &BTreeMap<NodeId, String>,
    ) -> Result<Group, OpenError> {
        if let Some(group) = self.group(id) {
            return Ok(group);
        }
        let log = self.inner.log.group(id)?;
        // Before the turn, which a start that waits for rows holds: it looks here again.
        self.note_sources(&log, sources).await?;
        let turn = Arc::clone(self.inner.starting.lock().entry(id).or_default());
        let _turn = turn.lock().await;
        if self.is_removed(id)? {
            self.finish_removal(&log).await?;
            group_meta::change(&log, |meta| meta.removed = false).await?;
            self.note_sources(&log, sources).await?;
        }
        self.start_in_turn(id).await
    }

    /// Ends a group on this node: its core stops, its rows and log go; others are not touched. What must outlive them
    /// stays, so that the group may come back ([`Node::ensure_group`]). The caller has seen to it that no membership
    /// names this node any more: one that still does counts on a member that answers nothing. Safe to repeat; goes on
    /// by itself when the node is opened again.
    ///
    /// # Errors
    /// When log or database fail. The group does not start again.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), OpenError> {
        let log = self.inner.log.group(id)?;
        if !self.inner.log.stored_groups().contains(&id) && self.inner.store.head(id).await?.is_none() {
            return Ok(());
        }
        group_meta::change(&log, |meta| meta.removed = true).await?;
        if let Some(stop) = self.inner.stops.lock().get(&id) {
            stop.cancel();
        }
        let turn = Arc::clone(self.inner.starting.lock().entry(id).or_default());
        let _turn = turn.lock().await;
        group_meta::change(&log, |meta| meta.removed = true).await?;
        let group = self.inner.groups.lock().remove(&id);
        if let Some(group) = group {
            group.shutdown().await;
            group.machine().close().await;
        }
        self.finish_removal(&log).await
    }

    /// Replaces the rows of a group that is in quarantine here by another member's. Its core stops meanwhile: to the
    /// others this node is down. Returns once the group runs again, however long that takes; what was begun goes on when
    /// the node is opened again.
    ///
    /// # Errors
    /// [`OpenError::NotInQuarantine`], else as [`Node::start_group`].
    pub async fn refill_group(&self, id: GroupId) -> Result<Group, OpenError> {
        let turn = Arc::clone(self.inner.starting.lock().entry(id).or_default());
        let _turn = turn.lock().await;
        let log = self.inner.log.group(id)?;
        let noted = quarantine::noted(&log);
        let noted = noted.map_err(|error| OpenError::Group { group: id, source: error.into() })?;
        let quarantine = noted.ok_or(OpenError::NotInQuarantine(id))?;
        quarantine::note(&log, Some(&Quarantine { refill: true, ..quarantine })).await?;
        if let Some(stop) = self.inner.stops.lock().get(&id) {
            stop.cancel();
        }
        let group = self.inner.groups.lock().remove(&id);
        if let Some(group) = group {
            group.shutdown().await;
            group.machine().close().await;
        }
        self.start_in_turn(id).await
    }

    /// Whether a group was removed from this node.
    pub(super) fn is_removed(&self, id: GroupId) -> Result<bool, OpenError> {
        let meta = group_meta::read(&self.inner.log.group(id)?);
        Ok(meta.map_err(|error| OpenError::Group { group: id, source: error.into() })?.removed)
    }

    /// What a crash cut off.
    pub(super) async fn finish_removals(&self) -> Result<(), OpenError> {
        for id in self.inner.log.stored_groups() {
            if self.is_removed(id)? {
                self.finish_removal(&self.inner.log.group(id)?).await?;
            }
        }
        Ok(())
    }

    /// Nothing happens if all is gone.
    async fn finish_removal(&self, log: &GroupLog) -> Result<(), OpenError> {
        let group = log.group();
        self.inner.store.remove_group(group).await?;
        let last = group_meta::last(log).await;
        let last = last.map_err(|error| OpenError::Group { group, source: error.into() })?;
        if let Some(last) = last.filter(|_| !log.view().held.is_empty()) {
            log.reset(last.index, record::encode(&record::log_id(&last))).await?;
        }
        Ok(())
    }

    async fn note_sources(
        &self,
        log: &GroupLog,
        sources: &BTreeMap<NodeId, String>,
    ) -> Result<(), OpenError> {
        // A log that begins at the beginning needs nobody's rows.
        if sources.is_empty() || log.view().purged.is_none() && !self.is_removed(log.group())? {
            return Ok(());
        }
        let member =
            |(node, address): (&NodeId, &String)| pb::Member { node: node.0, address: address.clone() };
        let sources = sources.iter().map(member).collect();
        Ok(group_meta::change(log, |meta| meta.sources = sources).await?)
    }
}
