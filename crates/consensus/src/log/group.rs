//! One group's part of the shared log: what the group sees at once, while the disk follows.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use buzon_types::id::GroupId;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::LogError;
use super::backend::{LogBackend, LogRecord, Operation, StoredGroup};
use super::queue::{Done, Queue};
use super::tail::Tail;
use crate::{task, watch};

/// Entries read from disk in one go; entries are at most 1 MiB, usually a few hundred bytes.
const READ_ENTRIES_MAX: u64 = 256;
/// A read that fails while files are being given back is repeated; a damaged file fails every time.
const READ_ATTEMPTS_MAX: u32 = 3;

/// What the log of a group holds, flushed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// The entries that can be read.
    pub held: Range<u64>,
    /// The id of the last purged entry.
    pub purged: Option<Bytes>,
    /// The last vote.
    pub vote: Option<Bytes>,
    /// The last committed marker.
    pub committed: Option<Bytes>,
    /// The group owner's record.
    pub meta: Option<Bytes>,
}

struct Inner {
    view: GroupView,
    tail: Tail,
    /// Counts truncations and purges, so that a reader sees that it was overtaken.
    generation: u64,
    /// A committed marker that has not gone to the writer: it travels with whatever is written next.
    committed_waits: Option<(u64, Bytes)>,
}

/// Shared by the group's handles and the writer.
pub(super) struct GroupState {
    pub(super) id: GroupId,
    inner: Mutex<Inner>,
    /// One past the last flushed entry; none once the log is closed.
    flushed: watch::Sender<Option<u64>>,
}

impl GroupState {
    pub(super) fn new(id: GroupId, stored: StoredGroup) -> Self {
        let StoredGroup { vote, committed, meta, purged, held } = stored;
        let flushed = watch::Sender::new(Some(held.end));
        let view = GroupView { held, purged, vote, committed, meta };
        let inner = Inner { view, tail: Tail::default(), generation: 0, committed_waits: None };
        Self { id, inner: Mutex::new(inner), flushed }
    }

    /// One past the last flushed entry.
    pub(super) fn flushed(&self) -> u64 {
        self.flushed.borrow().unwrap_or(0)
    }

    /// The waiting committed marker, if the log is durable up to it at `flushed`: a marker beyond the log's end
    /// would be refused after a restart.
    pub(super) fn take_committed(&self, flushed: u64) -> Option<Bytes> {
        let mut inner = self.inner.lock();
        inner.committed_waits.take_if(|(index, _)| *index < flushed).map(|(_, marker)| marker)
    }

    /// Called by the writer when steps are on disk.
    pub(super) fn set_flushed(&self, flushed: u64, tail_bytes_max: usize) {
        self.inner.lock().tail.shrink(flushed, tail_bytes_max);
        self.flushed.send_replace(Some(flushed));
    }

    pub(super) fn close(&self) {
        self.flushed.send_replace(None);
    }
}

/// A group's handle on the shared log. Clones are the same log.
///
/// Steps of one group take effect in the order of the calls; each call changes what [`GroupLog::view`] and
/// [`GroupLog::read`] show before it returns, and the disk in the same order.
#[derive(Clone)]
pub struct GroupLog {
    pub(super) state: Arc<GroupState>,
    pub(super) queue: Queue,
    pub(super) backend: Arc<dyn LogBackend>,
}

impl GroupLog {
    /// Whose log this is.
    pub fn group(&self) -> GroupId {
        self.state.id
    }

    /// What the log holds now, flushed or not.
    pub fn view(&self) -> GroupView {
        self.state.inner.lock().view.clone()
    }

    /// Adds entries. They can be read when this returns; `done` is called from the writer when they are durable.
    ///
    /// # Errors
    /// [`LogError::Hole`] when they do not continue the log, [`LogError::Closed`]. Nothing has happened then.
    pub async fn append(
        &self,
        records: Vec<LogRecord>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), LogError> {
        let bytes = records.iter().map(|record| record.bytes.len()).sum();
        let change = |inner: &mut Inner| {
            let Some((first, last)) = records.first().zip(records.last()) else {
                return Ok(Some(Operation::Append(records)));
            };
            let held = &mut inner.view.held;
            let begins = held.is_empty() && inner.view.purged.is_none();
            let gap = records.windows(2).find(|pair| pair[0].index + 1 != pair[1].index);
            if (first.index != held.end && !begins) || gap.is_some() {
                let got = gap.map_or(first.index, |pair| pair[1].index);
                return Err(LogError::Hole { group: self.state.id, next: held.end, got });
            }
            if begins {
                held.start = first.index;
            }
            held.end = last.index + 1;
            inner.tail.push(&records);
            Ok(Some(Operation::Append(records)))
        };
        self.submit(bytes, change, Box::new(done)).await.map(drop)
    }

    /// Replaces the vote; durable when this returns.
    pub async fn save_vote(&self, vote: Bytes) -> Result<(), LogError> {
        let change = |inner: &mut Inner| {
            inner.view.vote = Some(vote.clone());
            Ok(Some(Operation::Vote(vote)))
        };
        self.submit_and_wait(change).await
    }

    /// Replaces the group owner's record by what `change` makes of it; durable when this returns. Nothing is written
    /// if `change` says so. Changes of others come before or after, never in between.
    pub async fn change_meta(
        &self,
        change: impl FnOnce(Option<Bytes>) -> Result<Option<Bytes>, LogError>,
    ) -> Result<(), LogError> {
        let change = |inner: &mut Inner| match change(inner.view.meta.clone())? {
            None => Ok(None),
            Some(meta) => {
                inner.view.meta = Some(meta.clone());
                Ok(Some(Operation::Meta(meta)))
            }
        };
        self.submit_and_wait(change).await
    }

    /// Notes that entries up to `index` are committed. Costs no fsync: the marker goes to disk with whatever the
    /// group writes next, once the log is flushed that far, so after a restart it may be behind, never ahead.
    pub fn save_committed(&self, index: u64, marker: Bytes) {
        let mut inner = self.state.inner.lock();
        inner.view.committed = Some(marker.clone());
        inner.committed_waits = Some((index, marker));
    }

    /// Removes the entries from `next` on; durable when this returns.
    pub async fn truncate(&self, next: u64) -> Result<(), LogError> {
        let change = |inner: &mut Inner| {
            let held = inner.view.held.clone();
            inner.view.held = held.start.min(next)..held.end.min(next);
            inner.tail.truncate(next);
            inner.generation += 1;
            Ok(Some(Operation::TruncateAfter { next, held }))
        };
        self.submit_and_wait(change).await
    }

    /// Removes the entries up to and with `through`, whose id is `log_id`; `through` may be past the log's end,
    /// which then goes on from there. Durable when this returns.
    pub async fn purge(&self, through: u64, log_id: Bytes) -> Result<(), LogError> {
        let change = |inner: &mut Inner| {
            let held = inner.view.held.clone();
            let floor = through + 1;
            inner.view.held = held.start.max(floor)..held.end.max(floor);
            inner.view.purged = Some(log_id.clone());
            inner.tail.purge(floor);
            inner.generation += 1;
            Ok(Some(Operation::Purge { through, log_id, held }))
        };
        self.submit_and_wait(change).await
    }

    /// Removes all entries; the log goes on after `through`, whose id is `log_id`, wherever it ended before. Vote and
    /// owner's record stay. Durable when this returns. Nobody may be appending or reading what was removed.
    pub async fn reset(&self, through: u64, log_id: Bytes) -> Result<(), LogError> {
        let change = |inner: &mut Inner| {
            inner.view.held = through + 1..through + 1;
            inner.view.purged = Some(log_id.clone());
            inner.tail = Tail::default();
            inner.generation += 1;
            Ok(Some(Operation::Reset { through, log_id }))
        };
        self.submit_and_wait(change).await
    }

    /// Forgets everything that is stored of the group; durable when this returns.
    pub(super) async fn remove(&self) -> Result<(), LogError> {
        let change = |inner: &mut Inner| {
            inner.view = GroupView { held: 0..0, purged: None, vote: None, committed: None, meta: None };
            inner.tail = Tail::default();
            inner.committed_waits = None;
            inner.generation += 1;
            Ok(Some(Operation::Remove))
        };
        self.submit_and_wait(change).await
    }

    /// Waits until the entry at `index` is durable. The index must be in the log and never be truncated
    /// (committed entries are not).
    pub async fn wait_flushed(&self, index: u64) -> Result<(), LogError> {
        let mut flushed = self.state.flushed.subscribe();
        let reached = flushed.wait_for(|end| end.is_none_or(|end| end > index)).await;
        match reached.map(|end| *end) {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => Err(LogError::Closed),
        }
    }

    /// One past the last durable entry.
    pub fn flushed(&self) -> u64 {
        self.state.flushed()
    }

    /// The entries of `range` that the log holds, from its start until `bytes_max` is passed (at least one entry).
    /// From memory if they are recent, else from disk on a blocking thread.
    pub async fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, LogError> {
        let mut attempt = 1;
        loop {
            let plan = self.plan(&range, bytes_max);
            let generation = plan.generation;
            match self.carry_out(plan, bytes_max).await {
                Ok(records) if self.generation() == generation => return Ok(records),
                Ok(_) => {}
                Err(error) if attempt >= READ_ATTEMPTS_MAX && self.generation() == generation => {
                    return Err(error);
                }
                Err(_) => attempt += 1,
            }
        }
    }

    fn plan(&self, range: &Range<u64>, bytes_max: usize) -> ReadPlan {
        let inner = self.state.inner.lock();
        let held = &inner.view.held;
        let start = range.start.max(held.start);
        let end = range.end.min(held.end).max(start);
        let in_memory = inner.tail.first().unwrap_or(held.end).clamp(start, end);
        ReadPlan {
            disk: start..in_memory,
            memory: if in_memory < end { inner.tail.read(in_memory..end, bytes_max) } else { Vec::new() },
            generation: inner.generation,
        }
    }

    async fn carry_out(&self, plan: ReadPlan, bytes_max: usize) -> Result<Vec<LogRecord>, LogError> {
        if plan.disk.is_empty() {
            return Ok(plan.memory);
        }
        let mut records = self.read_disk(plan.disk.clone(), bytes_max).await?;
        let mut bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
        if records.len() as u64 == plan.disk.end - plan.disk.start {
            for record in plan.memory {
                if bytes >= bytes_max {
                    break;
                }
                bytes += record.bytes.len();
                records.push(record);
            }
        }
        Ok(records)
    }

    async fn read_disk(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, LogError> {
        let (backend, group) = (Arc::clone(&self.backend), self.state.id);
        let work = move || {
            let (mut records, mut bytes, mut from) = (Vec::new(), 0, range.start);
            while from < range.end && (records.is_empty() || bytes < bytes_max) {
                let to = range.end.min(from + READ_ENTRIES_MAX);
                let more = backend.entries(group, from..to)?;
                bytes += more.iter().map(|record| record.bytes.len()).sum::<usize>();
                records.extend(more);
                from = to;
            }
            Ok(records)
        };
        let joined = task::blocking(work).await;
        joined.map_err(|error| LogError::Storage { action: "read", source: error.into() })?
    }

    fn generation(&self) -> u64 {
        self.state.inner.lock().generation
    }

    async fn submit_and_wait(
        &self,
        change: impl FnOnce(&mut Inner) -> Result<Option<Operation>, LogError>,
    ) -> Result<(), LogError> {
        let (done, durable) = oneshot::channel();
        let done = move |result: io::Result<()>| {
            // Nobody waits when the caller was cancelled; the step is carried out all the same.
            let _ = done.send(result);
        };
        if !self.submit(0, change, Box::new(done)).await? {
            return Ok(());
        }
        match durable.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(LogError::Closed),
        }
    }

    /// Whether there was something to write.
    async fn submit(
        &self,
        bytes: usize,
        change: impl FnOnce(&mut Inner) -> Result<Option<Operation>, LogError>,
        done: Done,
    ) -> Result<bool, LogError> {
        let slot = self.queue.reserve(bytes).await?;
        // Under the lock, so that the queue has the order in which the view changed.
        let mut inner = self.state.inner.lock();
        let Some(operation) = change(&mut inner)? else { return Ok(false) };
        slot.send(Arc::clone(&self.state), operation, done);
        Ok(true)
    }
}

struct ReadPlan {
    disk: Range<u64>,
    memory: Vec<LogRecord>,
    generation: u64,
}
