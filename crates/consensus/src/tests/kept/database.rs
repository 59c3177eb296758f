//! Database files that earlier versions wrote: opened, brought up to date, and gone on with.

use std::sync::Arc;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{Identity, MetaStore};
use buzon_meta_store::testing::sqlite_steps;
use buzon_model::limits::FEATURE_LEVEL_MAX;

use super::replay::{self, replay};
use super::{DIRECTORY, Kept, SHARD, file};

/// Whose the files are.
const OWNER: Identity = Identity { cluster: 7 << 100, node: 3, incarnation: 9 };

fn kept(level: u32) -> [Kept; 2] {
    [DIRECTORY, SHARD].map(|group| Kept { group, level })
}

/// Adds the file of the schema as it is now, if it is missing.
async fn keep() {
    let name = format!("schema-{}.sqlite", sqlite_steps());
    if !file::is_missing(&name) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.sqlite");
    let store = replay::open(&path).await;
    store.claim(&OWNER).await.unwrap();
    for kept in kept(FEATURE_LEVEL_MAX.0) {
        let machine = replay::machine(kept.group, Arc::clone(&store));
        replay(&machine, &kept.entries()[..kept.middle().await], 1000).await;
        store.durable_index(kept.group, true).await.unwrap();
    }
    store.close().await;
    assert!(!folder.path().join("rows.sqlite-wal").exists(), "all of it is in the file");
    file::add(&name, &std::fs::read(path).unwrap());
}

#[tokio::test]
async fn old_database_files_open_and_go_on() {
    keep().await;
    let files = std::fs::read_dir(file::folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|it| it == "sqlite")) {
        println!("{}", path.display());
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("rows.sqlite");
        std::fs::copy(&path, &copy).unwrap();
        let store = replay::open(&copy).await;
        is_whole(&store).await;
    }
}

async fn is_whole(store: &Arc<dyn MetaStore>) {
    store.claim(&OWNER).await.unwrap();
    let foreign = store.claim(&Identity { node: 4, ..OWNER }).await;
    assert!(matches!(foreign, Err(StoreError::Identity { .. })), "{foreign:?}");
    let level = store.seed(DIRECTORY).await.unwrap().feature_level.0;
    for kept in kept(level) {
        let head = store.head(kept.group).await.unwrap().unwrap();
        let (entries, expected) = (kept.entries(), kept.outcomes().await);
        let machine = replay::machine(kept.group, Arc::clone(store));
        let index = head.applied.index as usize;
        assert_eq!(replay::digest(&machine).await, expected.digests[&index], "{kept:?} at {index}");
        replay(&machine, &entries, 9).await.compare(&expected, &entries, &format!("{kept:?} in an old file"));
    }
}
