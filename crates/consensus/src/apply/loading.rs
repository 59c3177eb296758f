//! A group's state made from its rows and its log: at the start, and after each database error, until the rows stand where
//! readers have seen them (DESIGN D2).
//!
//! ```text
//! none, or not written ─▶ the last writer has ended ─▶ head, seed ─▶ ahead of the log, or before it? no
//!                                                        ─▶ replay to where readers were ─▶ written ─▶ served
//! ```

use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{Applied, GroupHead, MetaStore};
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_model::state::State;
use buzon_types::id::{FeatureLevel, LogIndex};
use bytes::Bytes;
use tokio::time::Instant;

use super::behind::{Behind, Writer};
use super::error::ApplyError;
use super::first_index;
use super::machine::{Loaded, Machine};
use super::points::Point;
use crate::record;
use crate::type_config::Entry;

/// The first wait after a database error; doubled up to the longest.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(50);
/// A database that comes back is found within this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);
/// Log read at once for a replay.
const REPLAY_BYTES: usize = 4 << 20;

impl Machine {
    /// Where the state stands, and its rows with it, however long the database is away.
    pub(crate) async fn head(&self) -> Result<GroupHead, ApplyError> {
        let mut wait = RETRY_AFTER;
        loop {
            match self.try_head().await {
                Err(error) => self.pause(error, &mut wait).await?,
                head => return head,
            }
        }
    }

    /// [`Self::head`], tried once.
    pub(crate) async fn try_head(&self) -> Result<GroupHead, ApplyError> {
        let (behind, head) = self.stands().await?;
        behind.settle(head.applied.index).await?;
        Ok(head)
    }

    /// The database, once its rows are those of the state as it stands now, or later.
    pub(crate) async fn rows(&self) -> Result<&Arc<dyn MetaStore>, ApplyError> {
        self.try_head().await?;
        Ok(self.store())
    }

    /// Where the state stands, and what is to be written of it.
    async fn stands(&self) -> Result<(Arc<Behind>, GroupHead), ApplyError> {
        if let Some(loaded) = self.loaded.read().await.as_ref().filter(|it| !it.behind.has_failed()) {
            return Ok((Arc::clone(&loaded.behind), loaded.head.clone()));
        }
        let mut slot = self.loaded.write().await;
        let loaded = self.loaded_for_reader(&mut slot).await?;
        Ok((Arc::clone(&loaded.behind), loaded.head.clone()))
    }

    /// Makes the database flush, however long it is away; up to where the rows are on its disk.
    pub(crate) async fn flush(&self) -> Result<u64, ApplyError> {
        let mut wait = RETRY_AFTER;
        loop {
            match self.store().durable_index(self.group(), true).await {
                Err(error) => self.pause(self.store_error(error), &mut wait).await?,
                Ok(durable) => {
                    self.durable.send_replace(durable);
                    return Ok(durable);
                }
            }
        }
    }

    /// Where the rows stand, once all of that is on the database's disk: no restart of the server takes it back, as it
    /// may take back what is only in memory here. However long the database is away.
    pub(crate) async fn durable_head(&self) -> Result<GroupHead, ApplyError> {
        let mut wait = RETRY_AFTER;
        loop {
            let head = self.head().await?;
            if self.flush().await? >= head.applied.index {
                return Ok(head);
            }
            // The server has restarted and lost the end, and nobody has noticed: the log has it.
            *self.loaded.write().await = None;
            self.pause(ApplyError::Restarted(self.group()), &mut wait).await?;
        }
    }

    /// Brings rows to where the state stood whenever they could not be written: nobody else may use the group for long. Until
    /// the group stops.
    pub(crate) async fn mend(self: Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.parts.stop.cancelled() => return,
                () = self.failed.notified() => {}
            }
            match self.head().await {
                Ok(_) => {}
                Err(ApplyError::Stopping) => return,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::error!(group = %self.group(), %error, cause, "rows do not follow: have a look");
                }
            }
        }
    }

    /// Waits longer and longer before something is tried again that a database error has stopped; openraft would
    /// stop the group for good. Other errors are handed back.
    pub(super) async fn pause(&self, error: ApplyError, wait: &mut Duration) -> Result<(), ApplyError> {
        if !error.is_passing() {
            return Err(error);
        }
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        if let Some(StoreError::Full(_)) = error.of_store() {
            tracing::error!(group = %self.group(), %error, cause, "nothing is applied until there is room");
        } else {
            tracing::warn!(group = %self.group(), %error, cause, "try again after a database error");
        }
        tokio::select! {
            biased;
            () = self.parts.stop.cancelled() => Err(ApplyError::Stopping),
            () = tokio::time::sleep(*wait) => {
                *wait = (*wait * 2).min(RETRY_AFTER_MAX);
                Ok(())
            }
        }
    }

    /// Loads the state if it is not, and brings it and its rows to where readers have seen it: of a database that takes
    /// nothing nobody is served.
    pub(super) async fn ensure_loaded<'a>(
        &self,
        slot: &'a mut Option<Loaded>,
    ) -> Result<&'a mut Loaded, ApplyError> {
        if slot.as_ref().is_some_and(|loaded| loaded.behind.has_failed()) {
            *slot = None;
        }
        if slot.is_none() {
            let mut loaded = self.load().await?;
            let seen = self.applied.borrow().0;
            // What the rows hold, as at a start, and nobody here was told of.
            let unseen = loaded.head.applied.index > seen;
            self.replay(&mut loaded, seen).await?;
            loaded.settle().await?;
            if unseen {
                self.publish_gap(loaded.head.applied.index);
            }
            *slot = Some(loaded);
        }
        Ok(slot.as_mut().expect("set just above"))
    }

    /// [`Self::ensure_loaded`], at most so often after an error: each attempt reads and replays much, for many who ask again at once.
    pub(super) async fn loaded_for_reader<'a>(
        &self,
        slot: &'a mut Option<Loaded>,
    ) -> Result<&'a mut Loaded, ApplyError> {
        let is_loaded = slot.as_ref().is_some_and(|loaded| !loaded.behind.has_failed());
        if !is_loaded && self.refuses_until.lock().is_some_and(|until| Instant::now() < until) {
            return Err(ApplyError::JustFailed(self.group()));
        }
        let loaded = self.ensure_loaded(slot).await;
        if loaded.is_err() {
            *self.refuses_until.lock() = Some(Instant::now() + RETRY_AFTER);
        }
        loaded
    }

    async fn load(&self) -> Result<Loaded, ApplyError> {
        if self.parts.stop.is_cancelled() {
            // What is read or made from now on may be about to be removed.
            return Err(ApplyError::Stopping);
        }
        let (store, group) = (self.store(), self.group());
        let turn = Arc::clone(&self.writing).lock_owned().await;
        let load = async {
            // First, so that a restart while loading is noticed with the next load.
            let server = store.server_incarnation().await?;
            let head = match store.head(group).await? {
                Some(head) => head,
                None => {
                    store.create_group(group).await?;
                    let applied = Applied::default();
                    GroupHead { group, applied, membership: Bytes::new() }
                }
            };
            let seed = store.seed(group).await?;
            let digest = seed.digest;
            // Read apart: a transaction of which only the answer was lost may have come between them.
            let again = store.head(group).await?.ok_or(StoreError::NoRows { group: group.0 })?;
            if again.applied != head.applied {
                let (expected, found) = (head.applied.index, again.applied.index);
                return Err(StoreError::AppliedMismatch { group: group.0, expected, found });
            }
            Ok((State::new(group, seed), head, digest, server))
        };
        let (state, head, digest, server) = load.await.map_err(|error| self.store_error(error))?;
        self.check_feature_level(state.feature_level())?;
        self.check_against_log(&head)?;
        let (fatal, failed) = (Arc::clone(&self.parts.fatal), Arc::clone(&self.failed));
        let rows_at = Arc::clone(&self.rows_at);
        let writer = Writer { store: Arc::clone(store), fatal, turn, failed, rows_at };
        let behind = Behind::start(group, head.applied.index, writer);
        let loaded = Loaded { state, head, behind, share: self.parts.budget.share(), digest, server };
        *self.membership.lock() = loaded.head.membership.clone();
        if let Some(digest) = loaded.digest {
            self.points.lock().reached(Point { index: LogIndex(loaded.head.applied.index), digest }, &[]);
        }
        Ok(loaded)
    }

    /// Deciding what a later version decides would make this replica differ from the others (DESIGN D10).
    pub(super) fn check_feature_level(&self, level: FeatureLevel) -> Result<(), ApplyError> {
        let (group, known) = (self.group(), FEATURE_LEVEL_MAX);
        if level > known {
            return Err(ApplyError::FeatureLevel { group, level: level.0, known: known.0 });
        }
        Ok(())
    }

    /// A database is never ahead of its log, except between the two steps of installing a snapshot.
    fn check_against_log(&self, head: &GroupHead) -> Result<(), ApplyError> {
        let Some(log) = self.log() else { return Ok(()) };
        if self.is_installing(head)? {
            return Ok(());
        }
        let (view, applied, group) = (log.view(), head.applied.index, self.group());
        if applied > view.held.end {
            return Err(ApplyError::Ahead { group, applied, log: view.held.end });
        }
        if applied < view.held.start {
            return Err(ApplyError::Behind { group, applied, log: view.held.start });
        }
        Ok(())
    }

    /// Applies what the log holds between where `loaded` stands and the entry at `until` (openraft's index).
    pub(super) async fn replay(&self, loaded: &mut Loaded, until: u64) -> Result<(), ApplyError> {
        let Some(log) = self.log() else { return Ok(()) };
        while loaded.head.applied.index < until {
            let records = log.read(loaded.head.applied.index..until, REPLAY_BYTES).await?;
            let entries = records.into_iter().map(|it| record::decode_entry(it.bytes));
            let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
            if first_index(&entries) != loaded.head.applied.index || entries.is_empty() {
                let (group, applied) = (self.group(), loaded.head.applied.index);
                return Err(ApplyError::Behind { group, applied, log: first_index(&entries) });
            }
            let mut outcomes = vec![None; entries.len()];
            self.apply_to(loaded, &entries, &mut outcomes).await?;
        }
        Ok(())
    }
}
