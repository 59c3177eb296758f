//! One group's state in memory over its rows, moved only by log entries, in order. Rows follow it (`behind`).

use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{Applied, GroupHead, MetaStore};
use buzon_model::change::Change;
use buzon_model::command::Entry as Command;
use buzon_model::decide::decide;
use buzon_model::digest::StateDigest;
use buzon_model::event::events;
use buzon_model::limits::{FEATURE_LEVEL_DIGEST, FEATURE_LEVEL_MAX};
use buzon_model::read::{AccountEvent, EventKind};
use buzon_model::reply::Outcome;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_types::id::{AccountId, FeatureLevel, GroupId, LogIndex};
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use tokio::sync::{Notify, RwLock, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::behind::{Behind, Decided, Handle, Writer};
use super::budget::{Budget, Share};
use super::first_index;
use super::partial::Incoming;
use super::points::{self, Point, Points};
use super::rows::LOAD_ROUNDS_MAX;
use super::session::Sessions;
use crate::log::LogError;
use crate::log::group::GroupLog;
use crate::log::shared::FatalHandler;
use crate::quarantine::Quarantine;
use crate::record::{self, RecordError};
use crate::type_config::{Entry, StoredMembership};
use crate::watch;

/// The first wait after a database error; doubled up to the longest.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(50);
/// A database that comes back is found within this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);
/// Log read at once for a replay.
const REPLAY_BYTES: usize = 4 << 20;
/// Events that a slow listener may be behind; then it is told that there is a gap.
const EVENTS_MAX: usize = 4096;

/// Why entries cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("use the database of group {0}")]
    Store(GroupId, #[source] StoreError),
    #[error("the database of group {0} restarted")]
    Restarted(GroupId),
    #[error("write rows of group {0} behind its log")]
    NotWritten(GroupId, #[source] Arc<StoreError>),
    #[error("the writer of group {0}'s rows has ended")]
    WriterEnded(GroupId),
    #[error("the database of group {0} has failed a moment ago")]
    JustFailed(GroupId),
    #[error(
        "the database of group {group} stands at {applied}, its log ends at {log}: one of them is not ours"
    )]
    Ahead { group: GroupId, applied: u64, log: u64 },
    #[error(
        "the database of group {group} stands at {applied}, its log begins after {log}: it was lost, or is an old copy"
    )]
    Behind { group: GroupId, applied: u64, log: u64 },
    #[error(
        "the database of group {group} and its log say different things of entry {index}: one of them is not ours"
    )]
    Forked { group: GroupId, index: u64 },
    #[error("entry {index} of group {group} is not known to this version")]
    Undecodable {
        group: GroupId,
        index: u64,
        #[source]
        source: buzon_proto::log::DecodeError,
    },
    #[error(
        "group {group} is at feature level {level}, this version knows levels up to {known}: run a version of buzon that knows it"
    )]
    FeatureLevel { group: GroupId, level: u32, known: u32 },
    #[error(
        "the rows for entry {index} of group {group} cannot be loaded: {need:?} is missing again and again"
    )]
    Unloadable { group: GroupId, index: u64, need: Option<Need> },
    #[error("read a raft record")]
    Record(#[from] RecordError),
    #[error("use the log")]
    Log(#[from] LogError),
    #[error("the group is stopping")]
    Stopping,
}

impl From<ApplyError> for std::io::Error {
    fn from(error: ApplyError) -> Self {
        std::io::Error::other(error)
    }
}

impl ApplyError {
    /// Whether replaying after a while can help.
    fn is_passing(&self) -> bool {
        use StoreError::{AppliedMismatch, Full, NoRows, Unavailable};
        let of_store = |error: &StoreError| {
            matches!(error, Unavailable(_) | Full(_) | AppliedMismatch { .. } | NoRows { .. })
        };
        matches!(self, Self::Restarted(_) | Self::JustFailed(_)) || self.of_store().is_some_and(of_store)
    }

    /// What the database said.
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(_, error) => Some(error),
            Self::NotWritten(_, error) => Some(error),
            _ => None,
        }
    }
}

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
    failed: Arc<Notify>,
    /// Until then readers do not try to load what could not be loaded or written; who applies entries has a pause of its
    /// own.
    refuses_until: parking_lot::Mutex<Option<Instant>>,
    pub(super) applied: watch::Sender<LogIndex>,
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
            if let Err(error) = self.head().await {
                tracing::debug!(group = %self.group(), %error, "rows that were not written");
            }
        }
    }

    /// After its core has stopped: waits for those who still use the rows. Nobody will.
    pub(crate) async fn close(&self) {
        self.parts.stop.cancel();
        let _installs = self.installing.lock().await;
        *self.loaded.write().await = None;
        let _written = self.writing.lock().await;
    }

    /// The same, once.
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
            // A commit whose answer was lost: its events are lost too.
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

    /// The same, at most so often after an error: each attempt reads and replays much, for many who ask again at once.
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
        let writer = Writer { store: Arc::clone(store), fatal, turn, failed };
        let behind = Behind::start(group, head.applied.index, writer);
        let loaded = Loaded { state, head, behind, share: self.parts.budget.share(), digest, server };
        *self.membership.lock() = loaded.head.membership.clone();
        if let Some(digest) = loaded.digest {
            self.points.lock().reached(Point { index: LogIndex(loaded.head.applied.index), digest }, &[]);
        }
        Ok(loaded)
    }

    /// Deciding what a later version decides would make this replica differ from the others (DESIGN D10).
    fn check_feature_level(&self, level: FeatureLevel) -> Result<(), ApplyError> {
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
    async fn replay(&self, loaded: &mut Loaded, until: u64) -> Result<(), ApplyError> {
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

    async fn apply_to(
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
