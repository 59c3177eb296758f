//! SQLite over a disk that fails: the WAL is a pipe, to which nothing can be written at an offset.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use std::path::Path;
use std::sync::Arc;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Applied, Batch, MetaStore};
use buzon_types::id::GroupId;
use bytes::Bytes;
use rusqlite::Connection;

use common::Codec;

const GROUP: GroupId = GroupId(3);

async fn open(path: &Path) -> Arc<dyn MetaStore> {
    Arc::new(SqliteStore::open(path, Arc::new(Codec)).await.unwrap())
}

async fn commit(store: &Arc<dyn MetaStore>, at: u64) -> Result<(), StoreError> {
    let applied = Applied { index: at + 1, log_id: Bytes::from_static(b"id") };
    store
        .commit(Batch {
            group: GROUP,
            expected_index: at,
            applied,
            membership: None,
            changes: &[],
            digest: None,
        })
        .await
}

#[tokio::test]
async fn a_write_that_the_disk_refused_is_told_apart_and_nothing_is_durable_after() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, failing) = (folder.path().join("whole"), folder.path().join("failing"));
    let store = open(&whole).await;
    store.create_group(GROUP).await.unwrap();
    commit(&store, 0).await.unwrap();
    Connection::open(&whole).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    std::fs::copy(&whole, &failing).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("failing-wal")).status();
    assert!(pipe.unwrap().success());

    let store = open(&failing).await;
    assert_eq!(store.head(GROUP).await.unwrap().unwrap().applied.index, 1);
    for _ in 0..2 {
        let error = commit(&store, 1).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk(_)), "{error:?}");
        let error = store.durable_index(GROUP, true).await.unwrap_err();
        assert!(matches!(error, StoreError::Disk(_)), "{error:?}");
    }
    // Nor is anything tried again.
    let cause = std::error::Error::source(&commit(&store, 1).await.unwrap_err()).unwrap().to_string();
    assert!(cause.contains("it failed before"), "{cause}");
    assert_eq!(store.durable_index(GROUP, false).await.unwrap(), 0);
}
