//! Postgres: a private server beside each metadata node.
//!
//! Commits do not wait for the disk (`synchronous_commit = off`; the server's own `fsync` and `full_page_writes`
//! stay on): the raft log can replay them. What is on the disk is known by comparing positions of the WAL.

mod durable;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use buzon_types::id::GroupId;
use buzon_types::secret::Secret;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

use crate::database::Database;
use crate::engine::Store;
use crate::error::StoreError;
use crate::migrate;
use crate::store::OutcomeCodec;
use durable::Marks;
use session::PostgresSession;

/// Statements kept prepared on each connection: all that this crate has.
const STATEMENTS_MAX: usize = 256;
/// How long a caller waits for a connection, or for a server that is away to come back, before it is told that the
/// database is unavailable. A restart takes a second or two.
const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(10);

/// What every connection runs under.
const SETTINGS: [(&str, &str); 12] = [
    // The log replays what a crash loses.
    ("synchronous_commit", "off"),
    // Every statement of ours walks along keys. A plan made while a table was small must not become a scan of it
    // when it has grown, so plans never depend on sizes, and are made once.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    // Of runs of UIDs nobody knows how long they are when the plan is made: the planner takes each for a ninth of the
    // mailbox, and would rather read all of it, in several processes, or once to compare every row with every run.
    ("max_parallel_workers_per_gather", "0"),
    ("enable_bitmapscan", "off"),
    ("enable_material", "off"),
    ("cpu_operator_cost", "1"),
    ("jit", "off"),
    // Publishing the largest staged copy takes less; a statement that hangs must end.
    ("statement_timeout", "600s"),
    // Nobody thinks between two statements of a transaction.
    ("idle_in_transaction_session_timeout", "60s"),
];

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// A host name, or the folder of a Unix socket when it begins with `/`.
    pub host: String,
    /// The port; of a Unix socket too.
    pub port: u16,
    /// The role; owns the database.
    pub user: String,
    /// Its password, unless the server trusts it.
    pub password: Option<Secret<String>>,
    /// The database, made before.
    pub database: String,
    /// The CA that signed the server's certificate. Without one, TLS is not used with a socket or with loopback,
    /// and elsewhere the server's certificate must be signed by a public CA.
    pub ca: Option<PathBuf>,
    /// Connections at most: one for each group that applies at the same time, and some for readers.
    pub connections_max: u32,
}

impl PostgresOptions {
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            .application_name("buzon")
            .statement_cache_capacity(STATEMENTS_MAX)
            .options(SETTINGS);
        let options = match &self.password {
            Some(password) => options.password(password.expose()),
            None => options,
        };
        match &self.ca {
            Some(ca) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(ca),
            None if self.is_local() => options.ssl_mode(PgSslMode::Disable),
            None => options.ssl_mode(PgSslMode::VerifyFull),
        }
    }

    fn is_local(&self) -> bool {
        let loopback = self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        self.host.starts_with('/') || self.host == "localhost" || loopback
    }
}

/// The store in a Postgres database.
pub type PostgresStore = Store<Postgres>;

/// A Postgres database.
#[derive(Debug)]
pub struct Postgres {
    pool: PgPool,
    marks: Marks,
}

impl Store<Postgres> {
    /// Connects; brings the schema up to date.
    ///
    /// # Errors
    /// If the server cannot be reached, or a later version wrote the database that this one cannot read.
    pub async fn connect(
        options: &PostgresOptions,
        outcomes: Arc<dyn OutcomeCodec>,
    ) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(ACQUIRE_TIME_MAX)
            .connect_with(options.connect_options())
            .await?;
        migrate::postgres(&pool).await?;
        Self::over(Postgres { pool, marks: Marks::default() }, outcomes).await
    }
}

#[async_trait]
impl Database for Postgres {
    type Session = PostgresSession;

    async fn read(&self) -> Result<PostgresSession, StoreError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(PostgresSession::new(self.pool.begin_with(begin).await?))
    }

    async fn write(&self) -> Result<PostgresSession, StoreError> {
        Ok(PostgresSession::new(self.pool.begin().await?))
    }

    async fn committed(&self) {}

    async fn durable_index(&self, group: GroupId, flush: bool) -> Result<u64, StoreError> {
        if flush {
            let index = durable::flush(&self.pool, group).await?;
            return Ok(self.marks.flushed(group, index));
        }
        let position = durable::position(&self.pool, group).await?;
        Ok(self.marks.look(group, position))
    }

    async fn forget(&self, group: GroupId) {
        self.marks.forget(group);
    }

    async fn server_incarnation(&self) -> Result<u64, StoreError> {
        durable::incarnation(&self.pool).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

#[cfg(test)]
mod tests;
