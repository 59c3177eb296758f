//! The schema, one statement a file, the same steps for both databases. Released files never change; new steps
//! come after.
//!
//! A version opens a database that later versions wrote as long as they say that it may: steps only add, and columns that
//! are added have a default. A step that earlier versions cannot live with is followed by one that raises
//! `node.reader_min` to its own number; a version that ends before it refuses to start.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{PgPool, SqlSafeStr};

use crate::error::StoreError;

/// One step: its name and its text.
type Step = (&'static str, &'static str);

macro_rules! steps {
    ($database:literal, $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../migrations/", $database, "/", $name, ".sql")))),+]
    };
}

pub(crate) const SQLITE: &[Step] = steps![
    "sqlite",
    "0001_node",
    "0002_node_row",
    "0003_part",
    "0004_group_head",
    "0005_account",
    "0006_mailbox",
    "0007_subscription",
    "0008_message",
    "0009_summary",
    "0010_tombstone",
    "0011_tombstone_by_modseq",
    "0012_staged",
    "0013_instance",
    "0014_record",
    "0015_tenant",
    "0016_tenant_by_name",
    "0017_domain",
    "0018_domain_by_tenant",
    "0019_placement",
    "0020_placement_by_tenant",
    "0021_address",
    "0022_address_by_account",
    "0023_mailbox_deleting",
    "0024_staged_first",
    "0025_cluster_node",
    "0026_cluster_shard",
    "0027_head_next_node",
    "0028_head_next_group",
    "0029_head_voters_per_shard",
    "0030_node_reader_min",
    "0031_account_place",
    "0032_account_place_shard",
    "0033_account_place_epoch",
    "0034_account_place_pages",
    "0035_account_place_cursor",
    "0036_account_move",
    "0037_head_digest",
];

const POSTGRES: &[Step] = steps![
    "postgres",
    "0001_node",
    "0002_node_row",
    "0003_part",
    "0004_group_head",
    "0005_account",
    "0006_mailbox",
    "0007_subscription",
    "0008_message",
    "0009_summary",
    "0010_tombstone",
    "0011_tombstone_by_modseq",
    "0012_staged",
    "0013_instance",
    "0014_record",
    "0015_tenant",
    "0016_tenant_by_name",
    "0017_domain",
    "0018_domain_by_tenant",
    "0019_placement",
    "0020_placement_by_tenant",
    "0021_address",
    "0022_address_by_account",
    "0023_crash_canary",
    "0024_mailbox_deleting",
    "0025_staged_first",
    "0026_cluster_node",
    "0027_cluster_shard",
    "0028_head_next_node",
    "0029_head_next_group",
    "0030_head_voters_per_shard",
    "0031_node_reader_min",
    "0032_account_place",
    "0033_account_place_shard",
    "0034_account_place_epoch",
    "0035_account_place_pages",
    "0036_account_place_cursor",
    "0037_account_move",
    "0038_head_digest",
];

/// Whether `node.reader_min` is there; a new database has no tables.
const SQLITE_KNOWS: &str = "SELECT count(*) FROM pragma_table_info('node') WHERE name = 'reader_min'";
const POSTGRES_KNOWS: &str = "SELECT count(*) FROM information_schema.columns WHERE table_schema = current_schema() \
                              AND table_name = 'node' AND column_name = 'reader_min'";
const READER_MIN: &str = "SELECT reader_min FROM node";

/// Brings a SQLite file up to date. Blocks.
///
/// # Errors
/// [`StoreError::LaterVersion`], or what goes wrong with the schema.
pub(crate) fn sqlite(connection: &mut Connection) -> Result<(), StoreError> {
    let knows: i64 = connection.query_row(SQLITE_KNOWS, [], |row| row.get(0))?;
    if knows > 0 {
        check(connection.query_row(READER_MIN, [], |row| row.get(0))?, SQLITE)?;
    }
    run_sqlite(connection, SQLITE)
}

/// Where both databases note which steps they have seen.
const SQLITE_NOTES: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
)";

/// As sqlx does it for Postgres: each step in a transaction with its note, and none whose text has changed since.
fn run_sqlite(connection: &mut Connection, steps: &'static [Step]) -> Result<(), StoreError> {
    connection.execute_batch(SQLITE_NOTES)?;
    // Not those of later versions: this one may live with them.
    let sql = "SELECT version, checksum, success FROM _sqlx_migrations WHERE version <= ?1";
    let mut select = connection.prepare(sql)?;
    let noted = select.query_map([steps.len() as i64], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
    let noted: BTreeMap<i64, (Vec<u8>, bool)> = noted?.collect::<Result<_, _>>()?;
    drop(select);
    for step in migrations(steps) {
        match noted.get(&step.version) {
            Some((_, false)) => return Err(failed(MigrateError::Dirty(step.version))),
            Some((checksum, true)) if *checksum != *step.checksum => {
                return Err(failed(MigrateError::VersionMismatch(step.version)));
            }
            Some(_) => continue,
            None => {}
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step.sql.as_str())?;
        let note = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                    VALUES (?1, ?2, TRUE, ?3, -1)";
        transaction.execute(note, (step.version, &*step.description, &*step.checksum))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Brings a Postgres database up to date, under an advisory lock.
///
/// # Errors
/// As [`sqlite()`].
pub(crate) async fn postgres(pool: &PgPool) -> Result<(), StoreError> {
    let knows: i64 = sqlx::query_scalar(POSTGRES_KNOWS).fetch_one(pool).await?;
    if knows > 0 {
        check(sqlx::query_scalar(READER_MIN).fetch_one(pool).await?, POSTGRES)?;
    }
    migrator(POSTGRES).run(pool).await.map_err(failed)
}

fn check(needs: i64, ours: &[Step]) -> Result<(), StoreError> {
    let ours = ours.len() as i64;
    if needs > ours { Err(StoreError::LaterVersion { needs, ours }) } else { Ok(()) }
}

fn failed(error: MigrateError) -> StoreError {
    StoreError::Schema(Box::new(error))
}

fn migrations(steps: &'static [Step]) -> impl Iterator<Item = Migration> {
    steps.iter().zip(1..).map(|((name, sql), version)| {
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed(*name), kind, sql.into_sql_str(), false)
    })
}

fn migrator(steps: &'static [Step]) -> Migrator {
    let mut migrator = Migrator::with_migrations(migrations(steps).collect());
    // Steps of later versions that this one may live with.
    migrator.set_ignore_missing(true);
    migrator
}

#[cfg(all(test, feature = "testing"))]
mod tests;
