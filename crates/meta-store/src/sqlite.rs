//! SQLite: one file, one writer, a few readers.
//!
//! WAL mode with `synchronous = NORMAL`: a commit does not wait for the disk; a power cut may lose the last
//! transactions but never tears one. What is on the disk is known after a checkpoint, or after one commit with
//! `synchronous = FULL`, which fsyncs the whole WAL.

mod checkpoint;
mod disk;
mod durable;
mod found;
mod pool;
mod session;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::database::{Database, Query};
use crate::engine::Store;
use crate::error::StoreError;
use crate::migrate;
use crate::plan::Step;
use crate::store::OutcomeCodec;
use async_trait::async_trait;
use buzon_types::id::GroupId;
use pool::{Pool, blocking, connect, connect_writer};
use session::SqliteSession;

/// Readers at the same time; reads are short.
const READERS_MAX: u32 = 4;
/// Those that are made ready at once: reading the schema takes each a millisecond or two, and the first after a start are in a
/// hurry.
const READERS_READY: u32 = 2;

/// The store in a file.
pub type SqliteStore = Store<Sqlite>;

/// A SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    /// One connection: SQLite knows one writer, and so it is waited for in order, not by retrying.
    writer: Arc<Pool>,
    readers: Arc<Pool>,
    checkpoint: Arc<checkpoint::Checkpoint>,
    disk: disk::Disk,
    /// Indexes known to be on the disk.
    durable: Arc<Mutex<durable::Durable>>,
}

/// Which file, and when it is checkpointed.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file; its WAL lies beside it.
    pub path: PathBuf,
    /// From this size of the WAL on a checkpoint runs.
    pub wal_bytes_target: u64,
}

impl SqliteOptions {
    /// A file with the usual checkpoints.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), wal_bytes_target: checkpoint::WAL_BYTES_TARGET }
    }
}

impl Store<Sqlite> {
    /// Opens a file, or makes it; brings its schema up to date.
    ///
    /// # Errors
    /// If it cannot be opened, or a later version wrote it that this one cannot read.
    pub async fn open(path: &Path, outcomes: Arc<dyn OutcomeCodec>) -> Result<Self, StoreError> {
        Self::open_with(&SqliteOptions::new(path), outcomes).await
    }

    /// As [`Self::open`], with everything said.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(
        options: &SqliteOptions,
        outcomes: Arc<dyn OutcomeCodec>,
    ) -> Result<Self, StoreError> {
        Self::over(Sqlite::open(options).await?, outcomes).await
    }
}

impl Sqlite {
    async fn open(options: &SqliteOptions) -> Result<Self, StoreError> {
        let path = options.path.clone();
        let migrated = blocking(move || {
            let mut connection = connect_writer(&path)?;
            migrate::sqlite(&mut connection)?;
            Ok(connection)
        });
        let migrated = migrated.await?;
        sync_folder(&options.path)?;
        let writer = Arc::new(Pool::new(options.path.clone(), 1, connect_writer));
        writer.keep(migrated);
        let readers = Arc::new(Pool::new(options.path.clone(), READERS_MAX, connect));
        tokio::spawn(Pool::make_ready(Arc::downgrade(&readers), READERS_READY));
        let durable = Arc::new(Mutex::new(durable::Durable::default()));
        let disk = disk::Disk::default();
        let known = (Arc::clone(&durable), disk.clone());
        let checkpoint = checkpoint::Checkpoint::new(options, Arc::clone(&writer), known);
        Ok(Self { writer, readers, checkpoint: Arc::new(checkpoint), disk, durable })
    }
}

/// A new file is on the disk only once its name is.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| StoreError::Unavailable(error.into()))
}

#[async_trait]
impl Database for Sqlite {
    type Session = SqliteSession;

    async fn read(&self) -> Result<SqliteSession, StoreError> {
        // DEFERRED: the view of the database begins with the first statement and lasts to the end.
        let lease = self.disk.observe(self.readers.acquire().await)?;
        Ok(SqliteSession::new(lease, "BEGIN DEFERRED", self.disk.clone()))
    }

    async fn write(&self) -> Result<SqliteSession, StoreError> {
        let lease = self.writer.acquire().await;
        // After the wait for the writer, whose last user may have met the failure.
        self.disk.check()?;
        Ok(SqliteSession::new(self.disk.observe(lease)?, "BEGIN IMMEDIATE", self.disk.clone()))
    }

    /// All of it on the writer's thread: at each change of threads two wait for each other.
    async fn apply(&self, head: Query, steps: Vec<Step>) -> Result<bool, StoreError> {
        let lease = self.writer.acquire().await;
        self.disk.check()?;
        let applied = self.disk.observe(lease)?.with(move |writer| session::apply(writer, &head, &steps));
        let (_, is_applied) = self.disk.observe(applied.await)?;
        Ok(is_applied)
    }

    async fn committed(&self) {
        Arc::clone(&self.checkpoint).consider().await;
    }

    async fn durable_index(&self, group: GroupId, flush: bool) -> Result<u64, StoreError> {
        if flush {
            self.checkpoint.flush().await?;
        }
        Ok(self.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner).index(group))
    }

    async fn forget(&self, group: GroupId) {
        self.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner).forget(group);
    }

    /// SQLite lives and dies with this process.
    async fn server_incarnation(&self) -> Result<u64, StoreError> {
        Ok(1)
    }

    /// One connection after the other: SQLite moves the WAL into the file only for one that closes alone.
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
