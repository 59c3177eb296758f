//! Installing a snapshot: rows and position change together or not at all, and no other group is touched.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;

use buzon_meta_store::postgres::PostgresStore;
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Applied, Batch, Exported, GroupHead, MetaStore, Page};
use buzon_meta_store::testing::TestPostgres;
use buzon_types::id::GroupId;
use bytes::Bytes;

use common::check::check;
use common::generate::Generator;
use common::{Codec, Random, seed};

type Store = Arc<dyn MetaStore>;

async fn file(path: &Path) -> Store {
    Arc::new(SqliteStore::open(path, Arc::new(Codec)).await.unwrap().with_pages_of(50))
}

/// A group with random rows; its generator goes on from there.
async fn filled(store: &Store, group: GroupId, seed: u64, batches: u64) -> Generator {
    store.create_group(group).await.unwrap();
    let mut generator = Generator::new(seed);
    write(store, group, &mut generator, 0, batches).await;
    generator
}

async fn write(store: &Store, group: GroupId, generator: &mut Generator, from: u64, batches: u64) {
    for at in from..from + batches {
        let applied = Applied { index: at + 1, log_id: Bytes::from((at + 1).to_string()) };
        let changes = generator.batch();
        let (expected_index, membership, digest) = (at, None, None);
        store
            .commit(Batch { group, expected_index, applied, membership, changes: &changes, digest })
            .await
            .unwrap();
    }
}

async fn exported(store: &Store, group: GroupId) -> (Vec<Page>, GroupHead) {
    let mut export = store.begin_export(group).await.unwrap();
    let mut pages = Vec::new();
    loop {
        match export.next().await.unwrap() {
            Exported::Page(page) => pages.push(page),
            Exported::End(head) => return (pages, head),
        }
    }
}

/// Two groups come in side by side, page by page in turn, while a third is written to; a fourth is left alone.
async fn groups_are_installed_beside_others(from: &Store, to: &Store) {
    let (left, right, written, alone) = (GroupId(1), GroupId(2), GroupId(3), GroupId(4));
    let sources = [filled(from, left, 1, 40).await, filled(from, right, 2, 40).await];
    // In the same database, of which nothing may come along.
    let _other = filled(from, written, 3, 20).await;
    let mut other = filled(to, written, 5, 20).await;
    let still = filled(to, alone, 6, 20).await;
    let _old = filled(to, left, 7, 10).await;
    let (untouched, head) = (to.digest(alone).await.unwrap(), to.head(alone).await.unwrap());
    let (first, second) = (exported(from, left).await, exported(from, right).await);
    let installs = [to.begin_install(left).await.unwrap(), to.begin_install(right).await.unwrap()];
    for at in 0..first.0.len().max(second.0.len()) {
        for (install, (pages, _)) in installs.iter().zip([&first, &second]) {
            if let Some(page) = pages.get(at) {
                install.page(page.clone()).await.unwrap();
            }
        }
        if at < 10 {
            write(to, written, &mut other, 20 + at as u64, 1).await;
        }
    }
    installs[0].finish(first.1.clone()).await.unwrap();
    installs[1].finish(second.1.clone()).await.unwrap();
    for (group, source) in [left, right].into_iter().zip(&sources) {
        check(&**to, group, &source.mirror).await;
        assert_eq!(to.digest(group).await.unwrap(), from.digest(group).await.unwrap());
    }
    check(&**to, written, &other.mirror).await;
    check(&**to, alone, &still.mirror).await;
    assert_eq!(to.digest(alone).await.unwrap(), untouched);
    assert_eq!(to.head(alone).await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_groups_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = TestPostgres::start().await;
    let server = PostgresStore::connect(&postgres.options(), Arc::new(Codec)).await.unwrap();
    let server: Store = Arc::new(server.with_pages_of(50));
    groups_are_installed_beside_others(&file(&folder.path().join("from")).await, &server).await;
    let server = postgres.database("from").await;
    let server: Store = Arc::new(PostgresStore::connect(&server, Arc::new(Codec)).await.unwrap());
    groups_are_installed_beside_others(&server, &file(&folder.path().join("to")).await).await;
}

/// Lets a future go on so often, and drops it then; whether it was done.
async fn wakes(future: impl Future, mut wakes: u64) -> bool {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| {
        if wakes == 0 {
            return Poll::Ready(false);
        }
        wakes -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// Whatever instant the process ends at, the file has the old rows at the old position or the new ones at the new.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_and_position_change_together() {
    let seed = seed();
    println!("seed {seed}");
    let (mut random, group) = (Random(seed), GroupId(1));
    let folder = tempfile::tempdir().unwrap();
    let from = file(&folder.path().join("from")).await;
    let new = filled(&from, group, seed, 40).await;
    let (pages, head) = exported(&from, group).await;
    let (mut given_up, mut flipped) = (0, 0);
    for round in 0..40 {
        let path = folder.path().join(round.to_string());
        let to = file(&path).await;
        let old = filled(&to, group, 8, 5).await;
        let install = to.begin_install(group).await.unwrap();
        for page in &pages {
            install.page(page.clone()).await.unwrap();
        }
        given_up += u32::from(!wakes(install.finish(head.clone()), 1 + random.below(12)).await);
        drop(install);
        to.close().await;
        let to = file(&path).await;
        let found = to.head(group).await.unwrap().unwrap();
        if found.applied.index == 5 {
            check(&*to, group, &old.mirror).await;
        } else {
            flipped += 1;
            assert_eq!(found, head);
            check(&*to, group, &new.mirror).await;
            assert_eq!(to.digest(group).await.unwrap(), from.digest(group).await.unwrap());
        }
    }
    println!("{given_up} of 40 were given up in the middle, {flipped} were there after");
    assert!(given_up > 3 && flipped > 3, "this test shows nothing");
}
