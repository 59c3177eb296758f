//! The disk under a node's log: what is written and what survives are two states, and only a sync makes them the same.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use buzon_types::id::{GroupId, NodeId};
use bytes::Bytes;
use parking_lot::Mutex;

use super::oracle::Oracle;
use super::random::Random;
use super::watch;
use crate::log::LogError;
use crate::log::backend::{LogBackend, LogRecord, Operation, StoredGroup, WriteBatch};
use crate::log::identity::LogOwner;

/// So many entries of a group keep a file of the log alive.
const LONG: usize = 60;

/// See the module. Outlives its node's processes.
pub struct Disk {
    node: NodeId,
    random: Random,
    oracle: Arc<Oracle>,
    state: Mutex<State>,
}

struct State {
    /// What a reader finds.
    written: Stored,
    /// What a power cut leaves for certain.
    synced: Stored,
    unsynced: Vec<WriteBatch>,
    /// What a sync takes, in milliseconds.
    sync_takes: Range<u64>,
    /// The next sync fails.
    fails: bool,
}

#[derive(Clone, Default)]
struct Stored {
    owner: Option<LogOwner>,
    groups: BTreeMap<GroupId, Group>,
}

/// What is stored of one group.
#[derive(Clone, Default)]
pub(crate) struct Group {
    pub(crate) vote: Option<Bytes>,
    committed: Option<Bytes>,
    meta: Option<Bytes>,
    purged: Option<Bytes>,
    /// One past what was purged.
    floor: u64,
    /// Of the first entry.
    start: u64,
    entries: VecDeque<LogRecord>,
}

impl Group {
    pub(crate) fn held(&self) -> Range<u64> {
        if self.entries.is_empty() {
            return self.floor..self.floor;
        }
        self.start..self.start + self.entries.len() as u64
    }

    pub(crate) fn entry(&self, index: u64) -> Option<&LogRecord> {
        self.entries.get(usize::try_from(index.checked_sub(self.start)?).ok()?)
    }

    fn carry_out(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(records) => {
                for record in records {
                    // An append writes over what was truncated.
                    self.entries.truncate(record.index.saturating_sub(self.start) as usize);
                    if self.entries.is_empty() {
                        self.start = record.index;
                    }
                    self.entries.push_back(record.clone());
                }
            }
            Operation::Vote(vote) => self.vote = Some(vote.clone()),
            Operation::Committed(marker) => self.committed = Some(marker.clone()),
            Operation::Meta(meta) => self.meta = Some(meta.clone()),
            Operation::TruncateAfter { next, .. } => {
                self.entries.truncate(next.saturating_sub(self.start) as usize);
            }
            Operation::Purge { through, log_id, .. } => {
                let gone = (through + 1).saturating_sub(self.start).min(self.entries.len() as u64);
                self.entries.drain(..gone as usize);
                self.start += gone;
                self.floor = through + 1;
                self.purged = Some(log_id.clone());
            }
            Operation::Reset { through, log_id } => {
                self.entries.clear();
                self.floor = through + 1;
                self.purged = Some(log_id.clone());
            }
            Operation::Remove => *self = Self::default(),
        }
    }
}

impl Stored {
    fn carry_out(&mut self, batch: &WriteBatch) {
        for (group, operation) in &batch.operations {
            self.groups.entry(*group).or_default().carry_out(operation);
            if matches!(operation, Operation::Remove) {
                self.groups.remove(group);
            }
        }
    }
}

impl Disk {
    pub(crate) fn new(node: NodeId, random: Random, oracle: Arc<Oracle>) -> Arc<Self> {
        let state = State {
            written: Stored::default(),
            synced: Stored::default(),
            unsynced: Vec::new(),
            sync_takes: 0..3,
            fails: false,
        };
        Arc::new(Self { node, random, oracle, state: Mutex::new(state) })
    }

    pub(crate) fn sync_takes(&self, millis: Range<u64>) {
        self.state.lock().sync_takes = millis;
    }

    pub(crate) fn fail_next(&self, fails: bool) {
        self.state.lock().fails = fails;
    }

    /// Looks at what a power cut would leave.
    pub(crate) fn synced<T>(&self, group: GroupId, look: impl FnOnce(&Group) -> T) -> T {
        let state = self.state.lock();
        match state.synced.groups.get(&group) {
            Some(log) => look(log),
            None => look(&Group::default()),
        }
    }

    /// Makes what is written durable, after a while.
    pub(crate) async fn sync(&self) -> Result<(), LogError> {
        let (takes, fails) = {
            let state = self.state.lock();
            (state.sync_takes.clone(), state.fails)
        };
        let takes = self.random.millis(takes);
        if takes > Duration::ZERO {
            tokio::time::sleep(takes).await;
        }
        if fails {
            let source = "a simulated disk".into();
            return Err(LogError::Storage { action: "sync", source });
        }
        let unsynced = {
            let mut state = self.state.lock();
            let unsynced = std::mem::take(&mut state.unsynced);
            unsynced.iter().for_each(|batch| state.synced.carry_out(batch));
            unsynced
        };
        self.tell(unsynced);
        Ok(())
    }

    /// The process is gone. What was not synced is lost, or some of it is not: whole batches, the first ones, since a
    /// batch is one record of the log.
    pub(crate) fn crash(&self) {
        let survive = {
            let mut state = self.state.lock();
            let survive = self.random.below(state.unsynced.len() as u64 + 1) as usize;
            let survive: Vec<_> = state.unsynced.drain(..).take(survive).collect();
            survive.iter().for_each(|batch| state.synced.carry_out(batch));
            state.written = state.synced.clone();
            state.fails = false;
            survive
        };
        self.tell(survive);
    }

    fn tell(&self, synced: Vec<WriteBatch>) {
        for (group, operation) in synced.into_iter().flat_map(|batch| batch.operations) {
            self.oracle.synced(self.node, group, &operation);
        }
    }

    fn long(&self) -> Vec<GroupId> {
        let state = self.state.lock();
        let long = state.written.groups.iter().filter(|(_, group)| group.entries.len() > LONG);
        long.map(|(id, _)| *id).collect()
    }

    /// Looks for groups whose logs have grown long, as the library does for old files.
    pub(crate) fn collect(
        self: &Arc<Self>,
        every: Duration,
        blocking: watch::Sender<Vec<GroupId>>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let disk = Arc::clone(self);
        async move {
            loop {
                tokio::time::sleep(every).await;
                let long = disk.long();
                if !long.is_empty() {
                    blocking.send_replace(long);
                }
            }
        }
    }
}

/// The disk as the shared log sees it.
pub(crate) struct Backend(pub(crate) Arc<Disk>);

impl LogBackend for Backend {
    fn write(&self, batch: &WriteBatch) -> Result<(), LogError> {
        let mut state = self.0.state.lock();
        state.written.carry_out(batch);
        state.unsynced.push(batch.clone());
        Ok(())
    }

    fn entries(&self, group: GroupId, range: Range<u64>) -> Result<Vec<LogRecord>, LogError> {
        let state = self.0.state.lock();
        let stored = state.written.groups.get(&group);
        let found = range.clone().map(|index| stored.and_then(|it| it.entry(index)).cloned());
        let found: Option<Vec<LogRecord>> = found.collect();
        found.ok_or_else(|| LogError::Damaged { group, what: format!("{range:?} is not all there") })
    }

    fn group(&self, group: GroupId) -> Result<StoredGroup, LogError> {
        let stored = self.0.state.lock().written.groups.get(&group).cloned().unwrap_or_default();
        let held = stored.held();
        let Group { vote, committed, meta, purged, .. } = stored;
        Ok(StoredGroup { vote, committed, meta, purged, held })
    }

    fn groups(&self) -> Vec<GroupId> {
        self.0.state.lock().written.groups.keys().copied().collect()
    }

    fn owner(&self) -> Result<Option<LogOwner>, LogError> {
        Ok(self.0.state.lock().written.owner)
    }

    fn claim(&self, owner: &LogOwner) -> Result<(), LogError> {
        let mut state = self.0.state.lock();
        (state.written.owner, state.synced.owner) = (Some(*owner), Some(*owner));
        Ok(())
    }

    fn collect(&self) -> Result<Vec<GroupId>, LogError> {
        Ok(self.0.long())
    }

    fn simulated(&self) -> Option<Arc<Disk>> {
        Some(Arc::clone(&self.0))
    }
}
