//! Connections, each for one user at a time, who works with it on a thread that may block.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{DatabaseError, StoreError};

/// Statements kept prepared on each connection: all that this crate has, in the sizes that batches come in.
const STATEMENTS_MAX: usize = 256;
/// How long a statement waits for a lock: nobody but our own checkpoint ever holds one.
const BUSY_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a caller waits for a connection before it is told that the database is unavailable.
const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(30);

/// Set on each connection.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF;\
     PRAGMA wal_autocheckpoint = 0;\
     PRAGMA journal_size_limit = 0";

/// A connection as all are: checkpoints run when we say so, since then we know what is on the disk, and the WAL is cut
/// short when it starts anew: its length tells when the next checkpoint is due.
pub(super) fn connect(path: &std::path::Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

/// The one that writes has a cache of 16 MiB instead of 2: what a MOVE of a thousand messages changes fits, and is not written
/// to the WAL before its time, and again.
const WRITER_SETTINGS: &str = "PRAGMA cache_size = -16384";

/// The connection that writes.
pub(super) fn connect_writer(path: &std::path::Path) -> Result<Connection, rusqlite::Error> {
    let connection = connect(path)?;
    connection.execute_batch(WRITER_SETTINGS)?;
    Ok(connection)
}

/// Connections to one file, made when they are needed.
#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    connect: Connect,
    connections_max: u32,
    /// Waited for in order.
    free: Arc<Semaphore>,
    idle: Arc<Idle>,
}

/// How a connection is made.
type Connect = fn(&std::path::Path) -> Result<Connection, rusqlite::Error>;

#[derive(Debug, Default)]
struct Idle(std::sync::Mutex<Vec<Connection>>);

impl Idle {
    fn take(&self) -> Option<Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, connection: Connection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl Pool {
    pub(super) fn new(path: PathBuf, connections_max: u32, connect: Connect) -> Self {
        let free = Arc::new(Semaphore::new(connections_max as usize));
        Self { path, connect, connections_max, free, idle: Arc::default() }
    }

    /// One that is open already.
    pub(super) fn keep(&self, connection: Connection) {
        self.idle.put(connection);
    }

    /// Makes so many that have read the schema. Whoever needs one that could not be made is told then.
    pub(super) async fn make_ready(pool: Weak<Self>, connections: u32) {
        let Some(permit) = pool.upgrade().map(|pool| Arc::clone(&pool.free).acquire_many_owned(connections))
        else {
            return;
        };
        let Ok(permit) = permit.await else { return };
        let make = move || {
            // It may be closed as soon as this is gone.
            let _permit = permit;
            for _ in 0..connections {
                let Some(pool) = pool.upgrade() else { break };
                let connection = (pool.connect)(&pool.path)?;
                connection.query_row("SELECT count(*) FROM node", [], |_| Ok(()))?;
                pool.keep(connection);
            }
            Ok(())
        };
        let _unready = blocking(make).await;
    }

    /// The next connection that is free.
    pub(super) async fn acquire(&self) -> Result<Lease, StoreError> {
        let permit = tokio::time::timeout(ACQUIRE_TIME_MAX, Arc::clone(&self.free).acquire_owned()).await;
        let permit = permit.map_err(|_| StoreError::Unavailable(DatabaseError::Busy))?;
        let permit = permit.map_err(|_| StoreError::Unavailable(DatabaseError::Closed))?;
        let lease = |connection| Lease {
            connection: Some(connection),
            idle: Arc::clone(&self.idle),
            _permit: permit,
        };
        if let Some(connection) = self.idle.take() {
            return Ok(lease(connection));
        }
        let (path, connect) = (self.path.clone(), self.connect);
        Ok(lease(blocking(move || connect(&path).map_err(Into::into)).await?))
    }

    /// Waits until nobody uses a connection, and closes them all.
    pub(super) async fn close(&self) {
        let all = Arc::clone(&self.free).acquire_many_owned(self.connections_max).await;
        self.free.close();
        let idle = Arc::clone(&self.idle);
        // The last one to close a file moves its WAL into it.
        let closed = tokio::task::spawn_blocking(move || while idle.take().is_some() {});
        let _panicked = closed.await;
        drop(all);
    }
}

/// A connection in use. Dropped, it goes back without what was not committed.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Connection>,
    idle: Arc<Idle>,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("only drop takes it")
    }

    /// Works with the connection on another thread, also if nobody waits for it any more.
    pub(super) async fn with<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(Self, T), StoreError> {
        blocking(move || work(self.connection()).map(|done| (self, done))).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // After some errors, a full disk's among them, SQLite has ended the transaction by itself.
        if connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok() {
            self.idle.put(connection);
        }
    }
}

/// Work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is ending.
        Err(_) => Err(StoreError::Unavailable(DatabaseError::Closed)),
    }
}
