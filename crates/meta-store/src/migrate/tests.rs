//! Databases of earlier and of later versions.

use std::path::Path;
use std::sync::Arc;

use buzon_model::row::DirectoryCounters;
use buzon_model::scope::{Loaded, Need};
use buzon_types::id::{AccountId, DIRECTORY, GroupId, TenantId};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

use super::*;
use crate::postgres::{PostgresOptions, PostgresStore};
use crate::sqlite::SqliteStore;
use crate::store::MetaStore;
use crate::testing::{NoOutcomes, TestPostgres};

/// As many steps as the last version had that knew one node only.
const SQLITE_BEFORE_CLUSTERS: usize = 22;
const POSTGRES_BEFORE_CLUSTERS: usize = 23;

/// A directory at index 7 with three accounts on two shards.
const OLD_ROWS: [&str; 5] = [
    "INSERT INTO part (part, group_id, state) VALUES (1, 0, 1)",
    "UPDATE node SET last_part = 1",
    "INSERT INTO group_head (group_id, part, applied, log_id, membership, time, feature_level, next_tenant, next_account) \
     VALUES (0, 1, 7, '', '', 5, 1, 2, 4)",
    "INSERT INTO placement (part, account, tenant, local, domain, shard, epoch, state, created_at) \
     VALUES (1, 1, 1, 'a', 'x.y', 1, 1, 2, 5), (1, 2, 1, 'b', 'x.y', 1, 1, 2, 5), (1, 3, 1, 'c', 'x.y', 2, 1, 2, 5)",
    "INSERT INTO placement (part, account, tenant, local, domain, shard, epoch, state, created_at) \
     VALUES (9, 1, 1, 'a', 'x.y', 8, 1, 2, 5)",
];

async fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, Arc::new(NoOutcomes)).await
}

async fn connect(options: &PostgresOptions) -> Result<PostgresStore, StoreError> {
    PostgresStore::connect(options, Arc::new(NoOutcomes)).await
}

fn sqlite_file(path: &Path) -> Connection {
    Connection::open(path).expect("open")
}

/// What was there is there, what is new says nothing, and accounts can be counted.
async fn old_rows_are_read(store: &dyn MetaStore) {
    let seed = store.seed(DIRECTORY).await.expect("seed");
    let (next_tenant, next_account) = (TenantId(2), AccountId(4));
    let counters = DirectoryCounters { next_tenant, next_account, ..DirectoryCounters::default() };
    assert_eq!(seed.counters, counters);
    assert!(seed.nodes.is_empty() && seed.shards.is_empty());
    let counts = store.load(DIRECTORY, &Need::PlacementCounts).await.expect("count");
    assert_eq!(counts, Loaded::PlacementCounts([(GroupId(1), 2), (GroupId(2), 1)].into()));
}

#[tokio::test]
async fn a_file_of_the_time_before_clusters_is_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("make a folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let mut file = sqlite_file(&old);
    run_sqlite(&mut file, &SQLITE[..SQLITE_BEFORE_CLUSTERS]).expect("migrate");
    file.execute_batch(&OLD_ROWS.join(";")).expect("write old rows");
    drop(file);
    old_rows_are_read(&open(&old).await.expect("open old")).await;
    drop(open(&new).await.expect("make new"));
    let schema = "SELECT group_concat(name || ' ' || sql, ';') FROM \
                  (SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name)";
    let mut schemas: Vec<String> = Vec::new();
    for path in [old, new] {
        schemas.push(sqlite_file(&path).query_row(schema, [], |row| row.get(0)).expect("read schema"));
    }
    assert_eq!(schemas[0], schemas[1], "step by step is as all at once");
}

#[tokio::test]
async fn a_database_of_the_time_before_clusters_is_brought_up_to_date() {
    let server = TestPostgres::start().await;
    let options = server.database("old").await;
    let pool = PgPool::connect_with(options.connect_options()).await.expect("connect");
    migrator(&POSTGRES[..POSTGRES_BEFORE_CLUSTERS]).run(&pool).await.expect("migrate");
    for sql in OLD_ROWS {
        pool.execute(sql).await.expect("write old rows");
    }
    pool.close().await;
    old_rows_are_read(&connect(&options).await.expect("connect to old")).await;
}

/// Rows that say a later version was here: a step that this one does not know, and whether it may be ignored.
fn later(reader_min: usize) -> [String; 2] {
    [
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9000, 'later', true, '', 0)"
            .to_owned(),
        format!("UPDATE node SET reader_min = {reader_min}"),
    ]
}

fn is_refused(opened: Result<impl Sized, StoreError>, ours: usize) {
    let error = opened.err().expect("a later version's");
    let expected = ours as i64;
    assert!(
        matches!(error, StoreError::LaterVersion { needs, ours } if needs == 9000 && ours == expected),
        "{error:?}"
    );
    assert!(error.to_string().contains("later version"), "{error}");
}

#[tokio::test]
async fn a_file_of_a_later_version_is_opened_only_if_it_allows_it() {
    let folder = tempfile::tempdir().expect("make a folder");
    let path = folder.path().join("rows");
    drop(open(&path).await.expect("make"));
    for (reader_min, is_allowed) in [(SQLITE.len(), true), (9000, false)] {
        let file = sqlite_file(&path);
        file.execute_batch("DELETE FROM _sqlx_migrations WHERE version = 9000").expect("write");
        file.execute_batch(&later(reader_min).join(";")).expect("write");
        drop(file);
        if is_allowed {
            drop(open(&path).await.expect("may be read"));
        } else {
            is_refused(open(&path).await, SQLITE.len());
        }
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_opened_only_if_it_allows_it() {
    let server = TestPostgres::start().await;
    let options = server.database("later").await;
    drop(connect(&options).await.expect("make"));
    for (reader_min, is_allowed) in [(POSTGRES.len(), true), (9000, false)] {
        let mut connection = options.connect_options().connect().await.expect("connect");
        connection.execute("DELETE FROM _sqlx_migrations WHERE version = 9000").await.expect("write");
        for sql in later(reader_min) {
            connection.execute(AssertSqlSafe(sql)).await.expect("write");
        }
        if is_allowed {
            drop(connect(&options).await.expect("may be read"));
        } else {
            is_refused(connect(&options).await, POSTGRES.len());
        }
    }
}
