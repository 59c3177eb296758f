//! One group's state in memory over its rows, moved only by log entries, in order. Rows follow it (`behind`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{GroupHead, MetaStore};
use buzon_model::change::Change;
use buzon_model::command::Entry as Command;
use buzon_model::decide::decide;
use buzon_model::digest::StateDigest;
use buzon_model::event::events;
use buzon_model::limits::FEATURE_LEVEL_DIGEST;
use buzon_model::read::{AccountEvent, EventKind};
use buzon_model::reply::Outcome;
use buzon_model::state::State;
use buzon_types::id::{AccountId, GroupId, LogIndex};
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use tokio::sync::{Notify, RwLock, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::behind::{Decided, Handle};
use super::budget::{Budget, Share};
use super::error::ApplyError;
use super::first_index;
use super::loading::RETRY_AFTER;
use super::partial::Incoming;
use super::points::{self, Point, Points};
use super::rows::LOAD_ROUNDS_MAX;
use super::session::Sessions;
use crate::log::group::GroupLog;
use crate::log::shared::FatalHandler;
use crate::quarantine::Quarantine;
use crate::record;
use crate::type_config::{Entry, StoredMembership};
use crate::watch;

/// Events that a slow listener may be behind; then it is told that there is a gap.
const EVENTS_MAX: usize = 4096;

/// What a machine is made of.
pub(crate) struct MachineParts {
    pub(crate) group: GroupId,
    pub(crate) store: Arc<dyn MetaStore>,
    /// None only in openraft's storage suite, which applies entries that no log holds.
    pub(crate) log: Option<GroupLog>,
    /// What the groups of this node may hold in memory together.
    pub(crate) budget: Arc<Budget>,
    /// What happens when the database's disk fails.
    pub(crate) fatal: Arc<dyn FatalHandler>,
    pub(crate) stop: CancellationToken,
}

/// The state in memory and where it stands, which rows and readers of rows may have to be brought to.
pub(crate) struct Loaded {
    pub(crate) state: State,
    /// As of the last batch that was decided.
    pub(crate) head: GroupHead,
    pub(super) behind: Handle,
    pub(super) share: Share,
    /// After the last entry.
    pub(super) digest: Option<StateDigest>,
    /// Rows may be loaded into this state only while the server is the same.
    pub(super) server: u64,
}

impl Loaded {
    /// Makes room, or says what is in use now.
    pub(super) fn shrink(&mut self) {
        self.state.shrink(self.share.bytes_max());
        self.share.set(self.bytes());
    }

    /// What is in memory of the group.
    pub(super) fn bytes(&self) -> usize {
        self.state.bytes() + self.behind.bytes()
    }

    /// Waits until the rows are those of the state.
    pub(super) async fn settle(&self) -> Result<(), ApplyError> {
        self.behind.settle(self.head.applied.index).await
    }
}

/// See the module.
pub(crate) struct Machine {
    pub(super) parts: MachineParts,
    /// None after a database error, until it is loaded and replayed.
    pub(super) loaded: Arc<RwLock<Option<Loaded>>>,
    /// See [`super::behind::WriteTurn`].
    pub(super) writing: Arc<tokio::sync::Mutex<()>>,
    /// See [`Machine::mend`].
    pub(super) failed: Arc<Notify>,
    /// Until then readers do not try to load what could not be loaded or written; who applies entries has a pause of its
    /// own.
    pub(super) refuses_until: parking_lot::Mutex<Option<Instant>>,
    pub(super) applied: watch::Sender<LogIndex>,
    /// Where the rows stand, at most that far: see [`super::behind`].
    pub(super) rows_at: Arc<AtomicU64>,
    /// What the database has on its disk, as last heard.
    pub(super) durable: watch::Sender<u64>,
    /// The newest membership that was applied, encoded; empty before the first.
    pub(super) membership: parking_lot::Mutex<Bytes>,
    events: broadcast::Sender<AccountEvent>,
    pub(super) points: parking_lot::Mutex<Points>,
    /// Set while the rows are not those of the majority.
    quarantine: watch::Sender<Option<Quarantine>>,
    /// See [`super::snapshot::InstallTurn`].
    pub(super) installing: Arc<tokio::sync::Mutex<()>>,
    /// What came in part.
    pub(super) incoming: Incoming,
    /// What goes to peers.
    sessions: Sessions,
    /// Where the last snapshot was noted.
    noted: watch::Sender<u64>,
}

/// What is decided of a batch, and not told anybody.
#[derive(Default)]
struct Pending {
    decided: Decided,
    points: Vec<Point>,
}

impl Machine {
    pub(crate) fn new(parts: MachineParts) -> Self {
        Self {
            parts,
            loaded: Arc::default(),
            writing: Arc::default(),
            failed: Arc::default(),
            refuses_until: parking_lot::Mutex::default(),
            applied: watch::Sender::new(LogIndex(0)),
            rows_at: Arc::default(),
            durable: watch::Sender::new(0),
            membership: parking_lot::Mutex::default(),
            events: broadcast::Sender::new(EVENTS_MAX),
            points: parking_lot::Mutex::default(),
            quarantine: watch::Sender::new(None),
            installing: Arc::default(),
            incoming: Incoming::default(),
            sessions: Sessions::default(),
            noted: watch::Sender::new(0),
        }
    }

    pub(crate) fn group(&self) -> GroupId {
        self.parts.group
    }

    pub(crate) fn store(&self) -> &Arc<dyn MetaStore> {
        &self.parts.store
    }

    /// Snapshots that are sent to peers.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The snapshot that comes in, or came in part.
    pub(crate) fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Where the last snapshot was noted; raft hears of it a moment later.
    pub(crate) fn noted(&self) -> &watch::Sender<u64> {
        &self.noted
    }

    /// Cancelled when the group stops on this node.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.parts.stop
    }

    pub(crate) fn log(&self) -> Option<&GroupLog> {
        self.parts.log.as_ref()
    }

    /// How far readers can see.
    pub(crate) fn applied(&self) -> watch::Receiver<LogIndex> {
        self.applied.subscribe()
    }

    /// The last entry that is in the rows, as last heard.
    pub(crate) fn rows_at(&self) -> LogIndex {
        LogIndex(self.rows_at.load(Ordering::Relaxed))
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<AccountEvent> {
        self.events.subscribe()
    }

    /// The state digest after an entry, if it is known.
    pub(crate) fn digest_at(&self, index: LogIndex) -> Option<StateDigest> {
        self.points.lock().at(index)
    }

    /// What other replicas can be asked about.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.points.lock().latest().collect()
    }

    /// In what the rows differ from those of the majority, if that was found.
    pub(crate) fn quarantine(&self) -> Option<Quarantine> {
        self.quarantine.borrow().clone()
    }

    /// Nobody is served from these rows from now on, or all are again.
    pub(crate) fn set_quarantine(&self, quarantine: Option<Quarantine>) {
        self.quarantine.send_replace(quarantine);
    }

    /// After its core has stopped: waits for those who still use the rows. Nobody will.
    pub(crate) async fn close(&self) {
        self.parts.stop.cancel();
        let _installs = self.installing.lock().await;
        *self.loaded.write().await = None;
        let _written = self.writing.lock().await;
    }

    /// Up to where the rows are known to be on the database's disk.
    pub(crate) fn durable(&self) -> u64 {
        *self.durable.borrow()
    }

    /// Applies entries that are committed; what each came to. Returns when they are decided, however often the database
    /// fails in between; an error means that a human must look.
    pub(crate) async fn apply(&self, entries: &[Entry]) -> Result<Vec<Option<Outcome>>, ApplyError> {
        // openraft may hand out entries that a majority of others has flushed, but not this node.
        if let Some((log, last)) = self.parts.log.as_ref().zip(entries.last()) {
            log.wait_flushed(last.index()).await?;
        }
        let mut outcomes = vec![None; entries.len()];
        let mut wait = RETRY_AFTER;
        loop {
            match self.try_apply(entries, &mut outcomes).await {
                Err(error) => self.pause(error, &mut wait).await?,
                Ok(()) => return Ok(outcomes),
            }
        }
    }

    async fn try_apply(&self, entries: &[Entry], outcomes: &mut [Option<Outcome>]) -> Result<(), ApplyError> {
        let mut slot = self.loaded.write().await;
        let first = first_index(entries);
        let result = async {
            let loaded = self.ensure_loaded(&mut slot).await?;
            // Behind what is handed out: the database lost transactions, or the node just started.
            self.replay(loaded, first).await?;
            self.apply_to(loaded, entries, outcomes).await
        };
        let result = result.await;
        if result.is_err() {
            *slot = None;
        }
        result
    }

    pub(super) async fn apply_to(
        &self,
        loaded: &mut Loaded,
        entries: &[Entry],
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), ApplyError> {
        let new = |entry: &&Entry| entry.index() >= loaded.head.applied.index;
        let skip = entries.iter().take_while(|entry| !new(entry)).count();
        let (entries, outcomes) = (&entries[skip..], &mut outcomes[skip..]);
        let commands = entries.iter().map(|entry| self.decode(entry));
        let commands: Vec<Option<Command>> = commands.collect::<Result<_, _>>()?;
        loaded.behind.room().await?;
        self.load_ahead(loaded, &commands).await?;
        let mut pending = Pending::default();
        for ((entry, command), outcome) in entries.iter().zip(&commands).zip(outcomes) {
            if let Some(command) = command {
                *outcome = Some(self.decide(loaded, &mut pending, entry.index(), command).await?);
                pending.decided.bytes += entry_bytes(entry);
            } else if let EntryPayload::Membership(membership) = &entry.payload {
                let stored = StoredMembership::new(Some(entry.log_id()), membership.clone());
                pending.decided.membership = Some(record::encode(&record::stored_membership(&stored)));
            }
            pending.decided.applied = Some(record::applied(&entry.log_id()));
            let index = record::position(&entry.log_id());
            if let Some(digest) = loaded.digest.filter(|_| points::is_kept(index)) {
                pending.points.push(Point { index, digest });
            }
        }
        self.hand_over(loaded, pending);
        if self.log().is_none() {
            // Nothing could be decided again.
            loaded.settle().await?;
        }
        loaded.shrink();
        Ok(())
    }

    fn decode(&self, entry: &Entry) -> Result<Option<Command>, ApplyError> {
        let EntryPayload::Normal(command) = &entry.payload else { return Ok(None) };
        let (group, index) = (self.group(), entry.index());
        let decoded = buzon_proto::log::decode_entry(command.0.clone());
        decoded.map(Some).map_err(|source| ApplyError::Undecodable { group, index, source })
    }

    async fn decide(
        &self,
        loaded: &mut Loaded,
        pending: &mut Pending,
        index: u64,
        command: &Command,
    ) -> Result<Outcome, ApplyError> {
        if let buzon_model::command::Command::RaiseFeatureLevel(level) = command.command {
            self.check_feature_level(level)?;
        }
        let mut needs = loaded.state.missing(&command.command);
        if !needs.is_empty() {
            // Rows are loaded as of what was written, so what was decided so far must be.
            self.hand_over(loaded, std::mem::take(pending));
            // Room for them; only once, or rows of this very command would go again.
            loaded.shrink();
            needs = loaded.state.missing(&command.command);
        }
        for _ in 0..LOAD_ROUNDS_MAX {
            if needs.is_empty() {
                break;
            }
            self.load_rows(loaded, &needs).await?;
            needs = loaded.state.missing(&command.command);
        }
        if !needs.is_empty() {
            return Err(ApplyError::Unloadable {
                group: self.group(),
                index,
                need: needs.into_iter().next(),
            });
        }
        let decision = decide(&loaded.state, command);
        loaded.state.absorb(&decision.changes);
        loaded.digest = next_digest(loaded, LogIndex(index + 1), &decision.changes);
        pending.decided.bytes += decision.changes.iter().map(change_bytes).sum::<usize>();
        pending.decided.changes.extend(decision.changes);
        Ok(decision.outcome)
    }

    /// Tells everybody what was decided, and has it written.
    fn hand_over(&self, loaded: &mut Loaded, pending: Pending) {
        let Pending { mut decided, points } = pending;
        let Some(applied) = decided.applied.clone() else { return };
        decided.digest = loaded.digest;
        #[cfg(test)]
        crate::simulation::decided(self.group(), (loaded.head.applied.index, applied.index));
        loaded.head.applied = applied;
        if let Some(digest) = loaded.digest {
            let head = Point { index: LogIndex(loaded.head.applied.index), digest };
            self.points.lock().reached(head, &points);
        }
        if let Some(membership) = &decided.membership {
            *self.membership.lock() = membership.clone();
            loaded.head.membership = membership.clone();
        }
        // What is replayed was told of.
        let is_new = LogIndex(loaded.head.applied.index) > *self.applied.borrow();
        let events = if is_new { events(&decided.changes) } else { Vec::new() };
        loaded.behind.add(decided);
        self.publish(loaded.head.applied.index, events);
    }

    /// Tells readers and listeners how far the state is.
    fn publish(&self, applied: u64, events: Vec<(AccountId, EventKind)>) {
        let (group, index) = (self.group(), LogIndex(applied));
        self.applied.send_if_modified(|applied| {
            let moved = index > *applied;
            *applied = index.max(*applied);
            moved
        });
        for (account, kind) in events {
            // An error means that nobody listens.
            let _ = self.events.send(AccountEvent { group, index, account, kind });
        }
    }

    /// The rows went on without events: listeners must ask for everything again.
    pub(super) fn publish_gap(&self, applied: u64) {
        self.rows_at.store(applied, Ordering::Relaxed);
        self.publish(applied, vec![(AccountId(0), EventKind::Gap)]);
    }

    /// A disk that failed under the database ends the process, as one under the log does: what was told to be written
    /// is unknown, and only a fresh start that reads it again can tell (DESIGN D2).
    pub(crate) fn store_error(&self, error: StoreError) -> ApplyError {
        if let StoreError::Disk(_) = &error {
            self.parts.fatal.fatal(&error);
        }
        ApplyError::Store(self.group(), error)
    }
}

/// About what a change takes beside what its entry brought.
fn change_bytes(change: &Change) -> usize {
    let rows = if let Change::Stage { rows, .. } = change { size_of_val(rows.as_slice()) } else { 0 };
    size_of::<Change>() + rows
}

/// What an entry brings.
fn entry_bytes(entry: &Entry) -> usize {
    if let EntryPayload::Normal(command) = &entry.payload { command.0.len() } else { 0 }
}

/// The digest after a command's entry; the level that has digests begins them.
fn next_digest(loaded: &Loaded, index: LogIndex, changes: &[Change]) -> Option<StateDigest> {
    match loaded.digest {
        Some(digest) => Some(digest.after(index, changes, &buzon_proto::log::encode_outcome)),
        None => (loaded.state.feature_level() >= FEATURE_LEVEL_DIGEST).then(|| StateDigest::first(index)),
    }
}
