//! SQLite: one file, one writer, a few readers.
//!
//! WAL mode with `synchronous = NORMAL`: a commit does not wait for the disk; a power cut may lose the last
//! transactions but never tears one. What is on the disk is known after a checkpoint, or after one commit with
//! `synchronous = FULL`, which fsyncs the whole WAL.

mod checkpoint;
mod disk;
mod durable;
mod session;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use buzon_types::id::GroupId;
use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::database::Database;
use crate::engine::Store;
use crate::error::StoreError;
use crate::migrate;
use crate::store::OutcomeCodec;
use session::SqliteSession;

/// Readers at the same time; reads are short, and SQLite's own threads do the work.
const READERS_MAX: u32 = 4;
/// Statements kept prepared on each connection: all that this crate has, in the sizes that batches come in.
const STATEMENTS_MAX: usize = 256;
/// Rows that SQLite's thread reads ahead of whoever takes them: at each of so many the two wait for each other.
const ROWS_AHEAD_MAX: usize = 512;
/// How long a statement waits for a lock: nobody but our own checkpoint ever holds one.
const BUSY_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a caller waits for a connection before it is told that the database is unavailable.
const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(30);

/// The store in a file.
pub type SqliteStore = Store<Sqlite>;

/// A SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    /// One connection: SQLite knows one writer, and so it is waited for in order, not by retrying.
    writer: SqlitePool,
    readers: SqlitePool,
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
        let connect = SqliteConnectOptions::new()
            .filename(&options.path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIME_MAX)
            .statement_cache_capacity(STATEMENTS_MAX)
            .row_buffer_size(ROWS_AHEAD_MAX)
            .foreign_keys(false)
            // Ours decides when, so that it knows what is on the disk.
            .pragma("wal_autocheckpoint", "0")
            // Cut short when it starts anew: its length tells when the next checkpoint is due.
            .pragma("journal_size_limit", "0");
        let pool = |max| SqlitePoolOptions::new().max_connections(max).acquire_timeout(ACQUIRE_TIME_MAX);
        // After some errors, a full disk's among them, SQLite ends a transaction by itself, which sqlx never learns: it
        // would refuse every further one. Such a connection makes room for a new one.
        let writer = pool(1)
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
            .connect_with(connect.clone())
            .await?;
        migrate::sqlite(&writer).await?;
        sync_folder(&options.path)?;
        let readers = pool(READERS_MAX).connect_lazy_with(connect.clone());
        let durable = Arc::new(Mutex::new(durable::Durable::default()));
        let disk = disk::Disk::default();
        let known = (Arc::clone(&durable), disk.clone());
        let checkpoint = checkpoint::Checkpoint::new(options, writer.clone(), connect, known);
        Ok(Self { writer, readers, checkpoint: Arc::new(checkpoint), disk, durable })
    }
}

/// A new file is on the disk only once its name is.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| StoreError::Unavailable(sqlx::Error::Io(error)))
}

#[async_trait]
impl Database for Sqlite {
    type Session = SqliteSession;

    async fn read(&self) -> Result<SqliteSession, StoreError> {
        // DEFERRED: the view of the database begins with the first statement and lasts to the end.
        let transaction = self.disk.observe(self.readers.begin().await.map_err(Into::into))?;
        Ok(SqliteSession::new(transaction, self.disk.clone()))
    }

    async fn write(&self) -> Result<SqliteSession, StoreError> {
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await;
        // After the wait for the writer, whose last user may have met the failure; before the error, which then only
        // says that its transaction was never ended.
        self.disk.check()?;
        let transaction = self.disk.observe(transaction.map_err(Into::into))?;
        Ok(SqliteSession::new(transaction, self.disk.clone()))
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
