//! The node's log: opened once, shared by all its raft groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use buzon_types::id::GroupId;
use parking_lot::Mutex;

use super::LogError;
use super::backend::LogBackend;
use super::group::{GroupLog, GroupState};
use super::identity::LogOwner;
use super::options::LogOptions;
use super::queue::Queue;
use super::writer::Writer;
use crate::watch;

/// What happens when a write or an fsync fails, of the log or of the database.
pub trait FatalHandler: Send + Sync + 'static {
    /// Called from the thread that failed, before anybody is told: once by the log, to which nothing is written
    /// afterwards, and by each group that meets a database whose disk has failed.
    fn fatal(&self, error: &(dyn std::error::Error + 'static));
}

/// Says what happened and ends the process at once: what the disk holds is unknown, and only a fresh start that
/// reads it again can tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct AbortProcess;

impl FatalHandler for AbortProcess {
    fn fatal(&self, error: &(dyn std::error::Error + 'static)) {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        tracing::error!(%error, cause, "the disk failed, ending the process");
        std::process::abort();
    }
}

/// Counted since the log was opened.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) appends: AtomicU64,
    pub(super) entries: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) fsyncs: AtomicU64,
    pub(super) fsync_nanos: AtomicU64,
}

/// What was written since the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCounts {
    /// Appends of all groups.
    pub appends: u64,
    /// Entries in them.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Batches, each with one fsync.
    pub fsyncs: u64,
    /// Time that batches took to be written and synced, all together.
    pub fsync_time: Duration,
}

/// The groups that are in use.
#[derive(Default)]
pub(super) struct Groups(Mutex<BTreeMap<GroupId, Arc<GroupState>>>);

impl Groups {
    pub(super) fn close(&self) {
        for group in self.0.lock().values() {
            group.close();
        }
    }
}

/// See the module. Clones are the same log.
#[derive(Clone)]
pub struct SharedLog {
    backend: Arc<dyn LogBackend>,
    queue: Queue,
    groups: Arc<Groups>,
    stats: Arc<Stats>,
    owner: LogOwner,
    blocking: watch::Receiver<Vec<GroupId>>,
    workers: Arc<Mutex<Option<Workers>>>,
}

/// Who writes, and who gives files back.
enum Workers {
    Threads {
        writer: JoinHandle<()>,
        collector: JoinHandle<()>,
        stop_collector: Sender<()>,
    },
    #[cfg(test)]
    Simulated {
        writer: tokio::task::JoinHandle<()>,
    },
}

impl SharedLog {
    /// Starts the log over `backend` for `owner`, to whom a new log is given.
    ///
    /// # Errors
    /// [`LogError::ForeignLog`] when it is somebody else's. Whether the log may be new is for the caller to know:
    /// ask [`LogBackend::owner`] first and compare with the database (DESIGN D2).
    pub fn start(
        backend: Arc<dyn LogBackend>,
        owner: LogOwner,
        options: &LogOptions,
        fatal: Arc<dyn FatalHandler>,
    ) -> Result<Self, LogError> {
        match backend.owner()? {
            None => backend.claim(&owner)?,
            Some(found) if found == owner => {}
            Some(found) => return Err(LogError::ForeignLog { expected: owner, found }),
        }
        let (queue, messages) = Queue::new();
        let (groups, stats) = (Arc::new(Groups::default()), Arc::new(Stats::default()));
        let writer = Writer {
            backend: Arc::clone(&backend),
            messages,
            groups: Arc::clone(&groups),
            stats: Arc::clone(&stats),
            fatal,
            tail_bytes_max: options.tail_bytes_max,
        };
        let (blocking_sender, blocking) = watch::channel(Vec::new());
        let workers = Workers::start(writer, options.collect_every, blocking_sender)?;
        let workers = Arc::new(Mutex::new(Some(workers)));
        Ok(Self { backend, queue, groups, stats, owner, blocking, workers })
    }

    /// Whose log this is.
    pub fn owner(&self) -> LogOwner {
        self.owner
    }

    /// The group's part of the log; empty if it has none yet.
    pub fn group(&self, id: GroupId) -> Result<GroupLog, LogError> {
        let mut groups = self.groups.0.lock();
        let state = match groups.get(&id) {
            Some(state) => Arc::clone(state),
            None => {
                let state = Arc::new(GroupState::new(id, self.backend.group(id)?));
                groups.insert(id, Arc::clone(&state));
                state
            }
        };
        Ok(GroupLog { state, queue: self.queue.clone(), backend: Arc::clone(&self.backend) })
    }

    /// Every group that has something stored.
    pub fn stored_groups(&self) -> Vec<GroupId> {
        self.backend.groups()
    }

    /// Forgets a group's log and vote; durable when this returns. The caller has stopped the group before.
    pub async fn remove_group(&self, id: GroupId) -> Result<(), LogError> {
        self.group(id)?.remove().await?;
        self.groups.0.lock().remove(&id);
        Ok(())
    }

    /// The groups whose old entries keep files alive, as last seen: they should be purged soon.
    pub fn blocking_groups(&self) -> watch::Receiver<Vec<GroupId>> {
        self.blocking.clone()
    }

    /// What was written so far.
    pub fn counts(&self) -> LogCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogCounts {
            appends: get(&self.stats.appends),
            entries: get(&self.stats.entries),
            bytes: get(&self.stats.bytes),
            fsyncs: get(&self.stats.fsyncs),
            fsync_time: Duration::from_nanos(get(&self.stats.fsync_nanos)),
        }
    }

    /// Writes what waits, then refuses everything. The files are free when the last handle is dropped.
    pub async fn close(&self) {
        self.queue.stop().await;
        let workers = self.workers.lock().take();
        if let Some(workers) = workers {
            workers.end().await;
        }
    }
}

impl Workers {
    fn start(
        writer: Writer,
        every: Duration,
        blocking: watch::Sender<Vec<GroupId>>,
    ) -> Result<Self, LogError> {
        let (files, fatal) = (Arc::clone(&writer.backend), Arc::clone(&writer.fatal));
        #[cfg(test)]
        if let Some(disk) = files.simulated() {
            let writer = crate::task::spawn(writer.run_simulated(Arc::clone(&disk)));
            crate::task::spawn(disk.collect(every, blocking));
            return Ok(Self::Simulated { writer });
        }
        let (stop_collector, stop) = channel();
        Ok(Self::Threads {
            writer: thread("raft-log", move || writer.run())?,
            collector: thread("raft-log-gc", move || {
                collect(files.as_ref(), every, &stop, &blocking, fatal.as_ref());
            })?,
            stop_collector,
        })
    }

    async fn end(self) {
        let (writer, collector, stop_collector) = match self {
            Self::Threads { writer, collector, stop_collector } => (writer, collector, stop_collector),
            #[cfg(test)]
            Self::Simulated { writer } => return drop(writer.await),
        };
        // An error means that the collector has ended already.
        let _ = stop_collector.send(());
        let join = move || {
            for thread in [writer, collector] {
                if thread.join().is_err() {
                    tracing::error!("a thread of the raft log panicked");
                }
            }
        };
        if tokio::task::spawn_blocking(join).await.is_err() {
            tracing::error!("cannot wait for the raft log's threads");
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|error| LogError::Storage { action: "start a thread for", source: error.into() })
}

/// Gives files back now and then, until the log is closed.
fn collect(
    backend: &dyn LogBackend,
    every: Duration,
    stop: &Receiver<()>,
    blocking: &watch::Sender<Vec<GroupId>>,
    fatal: &dyn FatalHandler,
) {
    while stop.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        match backend.collect() {
            Ok(groups) => {
                blocking.send_replace(groups);
            }
            Err(error) => return fatal.fatal(&error),
        }
    }
}
