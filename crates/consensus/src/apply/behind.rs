//! Rows behind the log: what is decided and answered goes to the database a moment later, many batches in one
//! transaction (DESIGN D2; decision 0016).
//!
//! ```text
//! decided ─▶ state in memory ─▶ answers, events, readers
//!        └─▶ behind ─▶ a while later, when it is much, or when somebody wants rows ─▶ one SQL transaction
//! ```
//! Nothing is promised by it: until rows are on the database's disk the log has them, which goes only below that. Rows are
//! read, exported and told of once everything before is written. After an error nothing more is written: the state goes
//! with what is left here, and is replayed from where the database stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{Applied, Batch, MetaStore};
use buzon_model::change::Change;
use buzon_model::digest::StateDigest;
use buzon_types::id::GroupId;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::Instant;

use super::error::ApplyError;
use crate::log::shared::FatalHandler;
use crate::watch;

/// How long the first change waits for others: a restart replays as much, and a reader of rows waits for its writing.
const GATHER_FOR: Duration = Duration::from_millis(50);
/// So much is written at once.
const GATHER_BYTES: usize = 256 << 10;
/// Whoever decides waits while there is more than this.
const BEHIND_BYTES_MAX: usize = 1 << 20;

/// The right to write rows of a group: a writer has it until its last transaction is over, so that a state is never loaded
/// while another one's rows are on their way.
pub(super) type WriteTurn = OwnedMutexGuard<()>;

/// What a batch of entries came to.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) changes: Vec<Change>,
    /// Where it ends; none as long as it is nothing.
    pub(super) applied: Option<Applied>,
    pub(super) membership: Option<Bytes>,
    /// After it.
    pub(super) digest: Option<StateDigest>,
    /// About what it takes in memory.
    pub(super) bytes: usize,
}

/// See the module. Of one loaded state.
pub(super) struct Behind {
    group: GroupId,
    queue: Mutex<Queue>,
    /// There is something for the writer to do.
    wake: Notify,
    written: watch::Sender<Written>,
}

#[derive(Default)]
struct Queue {
    decided: Decided,
    /// When it began to wait.
    since: Option<Instant>,
    /// It is much, or somebody waits for it.
    urgent: bool,
    /// Nobody adds any more.
    closed: bool,
}

/// How far the writer is.
#[derive(Debug, Clone)]
struct Written {
    index: u64,
    /// Of what is waiting or being written.
    bytes: usize,
    over: Option<Over>,
}

/// Why nothing more is written.
#[derive(Debug, Clone)]
enum Over {
    Ended,
    Failed(Arc<StoreError>),
}

/// Ends the writing when the state goes.
pub(super) struct Handle(Arc<Behind>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue.lock().closed = true;
        self.0.wake.notify_one();
    }
}

impl std::ops::Deref for Handle {
    type Target = Arc<Behind>;

    fn deref(&self) -> &Arc<Behind> {
        &self.0
    }
}

/// What the writer writes with.
pub(super) struct Writer {
    pub(super) store: Arc<dyn MetaStore>,
    /// What happens when the database's disk fails.
    pub(super) fatal: Arc<dyn FatalHandler>,
    pub(super) turn: WriteTurn,
    /// Told of an error, so that rows follow even if nobody uses the group.
    pub(super) failed: Arc<Notify>,
    /// Where the rows stand, for who watches.
    pub(super) rows_at: Arc<AtomicU64>,
}

impl Behind {
    /// Writes from a position on, in a task of its own, until the handle is dropped.
    pub(super) fn start(group: GroupId, from: u64, writer: Writer) -> Handle {
        writer.rows_at.store(from, Ordering::Relaxed);
        let written = Written { index: from, bytes: 0, over: None };
        let (queue, wake) = (Mutex::default(), Notify::new());
        let behind = Arc::new(Self { group, queue, wake, written: watch::Sender::new(written) });
        crate::task::spawn(write(Arc::clone(&behind), writer));
        Handle(behind)
    }

    /// Adds what comes next.
    pub(super) fn add(&self, decided: Decided) {
        let bytes = decided.bytes;
        self.written.send_if_modified(|written| {
            written.bytes += bytes;
            false
        });
        let mut queue = self.queue.lock();
        let is_first = queue.since.is_none();
        queue.since.get_or_insert_with(Instant::now);
        queue.decided.extend(decided);
        queue.urgent |= queue.decided.bytes >= GATHER_BYTES;
        if is_first || queue.urgent {
            self.wake.notify_one();
        }
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.written.borrow().bytes
    }

    /// Whether the state must be loaded again.
    pub(super) fn has_failed(&self) -> bool {
        self.written.borrow().over.is_some()
    }

    /// Waits until there is room for more.
    pub(super) async fn room(&self) -> Result<(), ApplyError> {
        self.wait(|written| written.bytes <= BEHIND_BYTES_MAX).await
    }

    /// Waits until the rows stand at an index, and has them written without delay.
    pub(super) async fn settle(&self, index: u64) -> Result<(), ApplyError> {
        if self.written.borrow().index < index {
            self.queue.lock().urgent = true;
            self.wake.notify_one();
        }
        self.wait(|written| written.index >= index).await
    }

    async fn wait(&self, wanted: impl Fn(&Written) -> bool) -> Result<(), ApplyError> {
        let mut written = self.written.subscribe();
        let reached = written.wait_for(|written| written.over.is_some() || wanted(written)).await;
        let over = reached.ok().filter(|written| !wanted(written)).and_then(|written| written.over.clone());
        match over {
            None => Ok(()),
            Some(Over::Ended) => Err(ApplyError::WriterEnded(self.group)),
            Some(Over::Failed(error)) => Err(ApplyError::NotWritten(self.group, error)),
        }
    }

    fn end(&self, over: Over) {
        self.written.send_if_modified(|written| {
            let is_first = written.over.is_none();
            written.over.get_or_insert(over);
            is_first
        });
    }

    /// What is to be written now; none when nothing will come any more.
    async fn next(&self) -> Option<Decided> {
        loop {
            let due = {
                let mut queue = self.queue.lock();
                let since = queue.since;
                match since {
                    None if queue.closed => return None,
                    None => {
                        queue.urgent = false;
                        None
                    }
                    Some(since) if queue.urgent || queue.closed || since.elapsed() >= GATHER_FOR => {
                        (queue.urgent, queue.since) = (false, None);
                        return Some(std::mem::take(&mut queue.decided));
                    }
                    Some(since) => Some(since + GATHER_FOR),
                }
            };
            match due {
                None => self.wake.notified().await,
                Some(due) => tokio::select! {
                    biased;
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
            }
        }
    }
}

impl Decided {
    fn extend(&mut self, more: Self) {
        if self.changes.is_empty() {
            self.changes = more.changes;
        } else {
            self.changes.extend(more.changes);
        }
        self.bytes += more.bytes;
        self.applied = more.applied.or(self.applied.take());
        self.membership = more.membership.or(self.membership.take());
        self.digest = more.digest;
    }
}

/// Says that it is over, however that came.
struct Ends(Arc<Behind>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end(Over::Ended);
    }
}

/// The task.
async fn write(behind: Arc<Behind>, writer: Writer) {
    let ends = Ends(behind);
    let behind = &ends.0;
    let mut index = behind.written.borrow().index;
    while let Some(decided) = behind.next().await {
        let bytes = decided.bytes;
        let Some(applied) = decided.applied else { continue };
        let (expected_index, digest) = (index, decided.digest);
        index = applied.index;
        let (group, membership, changes) = (behind.group, decided.membership, decided.changes.as_slice());
        let batch = Batch { group, expected_index, applied, membership, changes, digest };
        if let Err(error) = writer.store.commit(batch).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%group, expected_index, %error, cause, "rows are not written: the state is loaded again");
            if let StoreError::Disk(_) = &error {
                writer.fatal.fatal(&error);
            }
            behind.end(Over::Failed(Arc::new(error)));
            writer.failed.notify_one();
            return;
        }
        writer.rows_at.store(index, Ordering::Relaxed);
        behind.written.send_if_modified(|written| {
            written.index = index;
            written.bytes -= bytes;
            true
        });
    }
    drop(writer.turn);
}
