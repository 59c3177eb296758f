//! Checkpoints at our own time: they bound the WAL and tell what is on the disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buzon_types::id::GroupId;
use rusqlite::{Connection, TransactionBehavior};

use super::SqliteOptions;
use super::disk::Disk;
use super::durable::Durable;
use super::pool::{Pool, blocking, connect};
use crate::error::StoreError;

/// From this size of the WAL on a checkpoint is begun, beside the writer.
pub(super) const WAL_BYTES_TARGET: u64 = 64 << 20;
/// From this size on the writer waits for one. Only a reader that holds on to an old state, as an export does, lets
/// the WAL grow past it.
const WAL_BYTES_MAX: u64 = 256 << 20;

/// Runs checkpoints, one at a time.
#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
    wal: PathBuf,
    wal_bytes_target: u64,
    writer: Arc<Pool>,
    running: AtomicBool,
    /// The WAL's size after the last checkpoint: while a reader keeps it from starting anew, only growth counts.
    bytes_left: AtomicU64,
    durable: Arc<Mutex<Durable>>,
    disk: Disk,
}

impl Checkpoint {
    pub(super) fn new(
        options: &SqliteOptions,
        writer: Arc<Pool>,
        (durable, disk): (Arc<Mutex<Durable>>, Disk),
    ) -> Self {
        let mut wal = options.path.as_os_str().to_owned();
        wal.push("-wal");
        let (running, bytes_left) = (AtomicBool::new(false), AtomicU64::new(0));
        let (path, wal_bytes_target) = (options.path.clone(), options.wal_bytes_target);
        Self { path, wal: wal.into(), wal_bytes_target, writer, running, bytes_left, durable, disk }
    }

    /// Begins a checkpoint if the WAL has grown enough and none is running.
    pub(super) async fn consider(self: Arc<Self>) {
        let bytes = self.wal_bytes();
        let left = self.bytes_left.load(Ordering::Acquire);
        let grown = if bytes < left { bytes } else { bytes - left };
        if grown < self.wal_bytes_target || self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = tokio::spawn(async move {
            match self.disk.observe(self.run().await) {
                Ok(()) => {}
                Err(error @ StoreError::Unavailable(_)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "checkpoint database");
                }
                // Whoever writes next is told.
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "checkpoint database");
                }
            }
            self.bytes_left.store(self.wal_bytes(), Ordering::Release);
            self.running.store(false, Ordering::Release);
        });
        if grown >= WAL_BYTES_MAX {
            let _panicked = task.await;
        }
    }

    fn wal_bytes(&self) -> u64 {
        std::fs::metadata(&self.wal).map_or(0, |metadata| metadata.len())
    }

    /// First beside the writer, which moves most of the WAL; then with the writer held, which moves the rest and
    /// lets the WAL start anew. Without the second step a busy writer would never let it.
    async fn run(&self) -> Result<(), StoreError> {
        self.disk.check()?;
        let path = self.path.clone();
        let began = self.durable().now();
        let heads = blocking(move || pass(&connect(&path)?)).await?;
        self.note(began, heads)?;
        let writer = self.writer.acquire().await?;
        let began = self.durable().now();
        let (writer, heads) = writer.with(|connection| pass(connection)).await?;
        self.note(began, heads)?;
        drop(writer);
        Ok(())
    }

    /// Makes all that is applied durable, whatever readers do: a commit under `FULL` fsyncs the WAL.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let writer = self.writer.acquire().await?;
        self.disk.check()?;
        let began = self.durable().now();
        let flushed = writer.with(|connection| {
            connection.execute_batch("PRAGMA synchronous = FULL")?;
            let flushed = flush_with(connection);
            // Left at FULL by an error here, the connection is slow, not wrong.
            let back = connection.execute_batch("PRAGMA synchronous = NORMAL");
            Ok((flushed?, back))
        });
        let (writer, (heads, back)) = self.disk.observe(flushed.await)?;
        self.note(began, heads)?;
        drop(writer);
        Ok(back?)
    }

    fn note(&self, began: u64, heads: Vec<(GroupId, u64)>) -> Result<(), StoreError> {
        self.disk.check()?;
        self.durable().note(began, heads);
        Ok(())
    }

    fn durable(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is applied when a pass starts is on the disk when it has moved the whole WAL: it syncs the WAL first, the
/// database after. Nothing is known to be if it has not.
fn pass(connection: &Connection) -> Result<Vec<(GroupId, u64)>, StoreError> {
    let heads = applied(connection)?;
    let moved = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (busy, frames, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && frames == moved)
    });
    Ok(if moved? { heads } else { Vec::new() })
}

fn flush_with(connection: &mut Connection) -> Result<Vec<(GroupId, u64)>, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let heads = applied(&transaction)?;
    // A commit without a change would write, and sync, nothing.
    transaction.execute("UPDATE node SET flushes = flushes + 1", [])?;
    transaction.commit()?;
    Ok(heads)
}

fn applied(connection: &Connection) -> Result<Vec<(GroupId, u64)>, StoreError> {
    let mut select = connection.prepare_cached("SELECT group_id, applied FROM group_head")?;
    let heads = select.query_map([], |row| {
        let (group, index): (i64, i64) = (row.get(0)?, row.get(1)?);
        Ok((GroupId(group.cast_unsigned()), index.cast_unsigned()))
    });
    Ok(heads?.collect::<Result<_, _>>()?)
}
