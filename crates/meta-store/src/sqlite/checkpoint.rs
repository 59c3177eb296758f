//! Checkpoints at our own time: they bound the WAL and tell what is on the disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buzon_types::id::GroupId;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use super::SqliteOptions;
use super::disk::Disk;
use super::durable::Durable;
use crate::error::StoreError;

/// From this size of the WAL on a checkpoint is begun, beside the writer.
pub(super) const WAL_BYTES_TARGET: u64 = 16 << 20;
/// From this size on the writer waits for one. Only a reader that holds on to an old state, as an export does, lets
/// the WAL grow past it.
const WAL_BYTES_MAX: u64 = 256 << 20;

/// Runs checkpoints, one at a time.
#[derive(Debug)]
pub(super) struct Checkpoint {
    wal: PathBuf,
    wal_bytes_target: u64,
    writer: SqlitePool,
    options: SqliteConnectOptions,
    running: AtomicBool,
    /// The WAL's size after the last checkpoint: while a reader keeps it from starting anew, only growth counts.
    bytes_left: AtomicU64,
    durable: Arc<Mutex<Durable>>,
    disk: Disk,
}

impl Checkpoint {
    pub(super) fn new(
        options: &SqliteOptions,
        writer: SqlitePool,
        connect: SqliteConnectOptions,
        (durable, disk): (Arc<Mutex<Durable>>, Disk),
    ) -> Self {
        let mut wal = options.path.as_os_str().to_owned();
        wal.push("-wal");
        let (running, bytes_left) = (AtomicBool::new(false), AtomicU64::new(0));
        let wal_bytes_target = options.wal_bytes_target;
        let wal = wal.into();
        Self { wal, wal_bytes_target, writer, options: connect, running, bytes_left, durable, disk }
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
        let mut beside = self.options.connect().await?;
        self.pass(&mut beside).await?;
        beside.close().await?;
        let mut writer = self.writer.acquire().await?;
        self.pass(&mut writer).await
    }

    /// What is applied when a pass starts is on the disk when it has moved the whole WAL: it syncs the WAL first,
    /// the database after.
    async fn pass(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let began = self.durable().now();
        let heads = applied(connection).await?;
        let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await?;
        let (busy, frames, moved): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if busy == 0 && frames == moved {
            self.note(began, heads)?;
        }
        Ok(())
    }

    /// Makes all that is applied durable, whatever readers do: a commit under `FULL` fsyncs the WAL.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.acquire().await?;
        self.disk.check()?;
        let began = self.durable().now();
        sqlx::query("PRAGMA synchronous = FULL").execute(&mut *writer).await?;
        let flushed = self.disk.observe(flush_with(&mut writer).await);
        // Left at FULL by an error here, the connection is slow, not wrong.
        let back = sqlx::query("PRAGMA synchronous = NORMAL").execute(&mut *writer).await;
        self.note(began, flushed?)?;
        back?;
        Ok(())
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

async fn flush_with(writer: &mut SqliteConnection) -> Result<Vec<(GroupId, u64)>, StoreError> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let heads = applied(&mut transaction).await?;
    // A commit without a change would write, and sync, nothing.
    sqlx::query("UPDATE node SET flushes = flushes + 1").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(heads)
}

async fn applied(connection: &mut SqliteConnection) -> Result<Vec<(GroupId, u64)>, StoreError> {
    let rows = sqlx::query("SELECT group_id, applied FROM group_head").fetch_all(connection).await?;
    let heads = rows.iter().map(|row| -> Result<_, sqlx::Error> {
        let (group, index): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok((GroupId(group.cast_unsigned()), index.cast_unsigned()))
    });
    Ok(heads.collect::<Result<_, _>>()?)
}
