//! The one thread that writes: it takes all that waits, makes it durable with one fsync, and tells everybody.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use buzon_types::id::GroupId;
use tokio::sync::mpsc;

use super::LogError;
use super::backend::{LogBackend, Operation, WriteBatch};
use super::queue::{Message, Step};
use super::shared::{FatalHandler, Groups, Stats};

/// A batch ends beyond this: more would make the first step wait for the last one's bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// The same for small steps.
const BATCH_STEPS_MAX: usize = 4096;

pub(super) struct Writer {
    pub(super) backend: Arc<dyn LogBackend>,
    pub(super) messages: mpsc::Receiver<Message>,
    pub(super) groups: Arc<Groups>,
    pub(super) stats: Arc<Stats>,
    pub(super) fatal: Arc<dyn FatalHandler>,
    pub(super) tail_bytes_max: usize,
}

impl Writer {
    /// Returns when the log is closed, or after the first write that failed.
    pub(super) fn run(mut self) {
        while let Some(message) = self.messages.blocking_recv() {
            let steps = self.gather(message);
            if let Err(error) = self.write(&steps) {
                self.fail(&error, steps);
                return;
            }
            self.finish(steps);
        }
        self.groups.close();
    }

    /// The same as a task, over the disk of a simulation.
    #[cfg(test)]
    pub(super) async fn run_simulated(mut self, disk: Arc<crate::simulation::disk::Disk>) {
        while let Some(message) = self.messages.recv().await {
            let steps = self.gather(message);
            let written = match self.write(&steps) {
                Ok(()) => disk.sync().await,
                failed => failed,
            };
            if let Err(error) = written {
                // Ends this task too.
                self.fatal.fatal(&error);
                return std::future::pending().await;
            }
            self.finish(steps);
        }
        self.groups.close();
    }

    /// All that waits, in the order of the queue, up to a batch's bounds.
    fn gather(&mut self, first: Message) -> Vec<Step> {
        let (mut steps, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Step(step) => {
                    bytes += bytes_of(&step.operation);
                    steps.push(step);
                }
                // What was queued before is still taken; nothing comes after.
                Message::Stop => self.messages.close(),
            }
            let full = bytes >= BATCH_BYTES_MAX || steps.len() >= BATCH_STEPS_MAX;
            next = if full { None } else { self.messages.try_recv().ok() };
        }
        steps
    }

    fn write(&self, steps: &[Step]) -> Result<(), LogError> {
        if steps.is_empty() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        let mut flushed = BTreeMap::new();
        for step in steps {
            let end = flushed.entry(step.group.id).or_insert_with(|| (&step.group, step.group.flushed()));
            end.1 = flushed_after(end.1, &step.operation);
            batch.operations.push((step.group.id, step.operation.clone()));
        }
        for (id, (group, end)) in flushed {
            if let Some(marker) = group.take_committed(end) {
                batch.operations.push((id, Operation::Committed(marker)));
            }
        }
        let began = Instant::now();
        self.backend.write(&batch)?;
        self.count(&batch.operations, began.elapsed());
        Ok(())
    }

    fn count(&self, operations: &[(GroupId, Operation)], took: Duration) {
        self.stats.fsyncs.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.stats.fsync_nanos.fetch_add(nanos, Ordering::Relaxed);
        for (_, operation) in operations {
            if let Operation::Append(records) = operation {
                self.stats.appends.fetch_add(1, Ordering::Relaxed);
                self.stats.entries.fetch_add(records.len() as u64, Ordering::Relaxed);
                self.stats.bytes.fetch_add(bytes_of(operation) as u64, Ordering::Relaxed);
            }
        }
    }

    fn finish(&self, steps: Vec<Step>) {
        for step in steps {
            let flushed = flushed_after(step.group.flushed(), &step.operation);
            step.group.set_flushed(flushed, self.tail_bytes_max);
            (step.done)(Ok(()));
        }
    }

    /// After a failed write or fsync nobody knows what is on disk: the process ends, nothing is tried again.
    fn fail(&mut self, error: &LogError, steps: Vec<Step>) {
        self.fatal.fatal(error);
        self.messages.close();
        self.groups.close();
        for step in steps {
            (step.done)(Err(io::Error::other("the raft log failed")));
        }
        while let Some(message) = self.messages.blocking_recv() {
            if let Message::Step(step) = message {
                (step.done)(Err(io::Error::other("the raft log failed")));
            }
        }
    }
}

/// One past the last flushed entry, once `operation` is on disk.
fn flushed_after(flushed: u64, operation: &Operation) -> u64 {
    match operation {
        Operation::Append(records) => records.last().map_or(flushed, |last| last.index + 1),
        Operation::TruncateAfter { next, .. } => flushed.min(*next),
        Operation::Purge { through, .. } => flushed.max(through + 1),
        Operation::Reset { through, .. } => through + 1,
        Operation::Remove => 0,
        Operation::Vote(_) | Operation::Committed(_) | Operation::Meta(_) => flushed,
    }
}

fn bytes_of(operation: &Operation) -> usize {
    match operation {
        Operation::Append(records) => records.iter().map(|record| record.bytes.len()).sum(),
        _ => 0,
    }
}
