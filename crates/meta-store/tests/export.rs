//! Exports beside commits: what is installed is exactly what stood at the index that the export ends with.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::postgres::{PostgresOptions, PostgresStore};
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Applied, Batch, Export, Exported, GroupHead, Install, MetaStore, Page};
use buzon_meta_store::testing::TestPostgres;
use buzon_model::change::Change;
use buzon_model::digest::StateDigest;
use buzon_model::scope::Need;
use buzon_types::id::{AccountId, GroupId};
use buzon_types::time::Timestamp;
use bytes::Bytes;
use futures::FutureExt as _;
use tokio::sync::Semaphore;

use common::check::check;
use common::generate::Generator;
use common::{Codec, Random, long, seed};

const GROUP: GroupId = GroupId(5);

type Store = Arc<dyn MetaStore>;

async fn file(folder: &tempfile::TempDir, name: &str, page_rows: usize) -> Store {
    let store = SqliteStore::open(&folder.path().join(name), Arc::new(Codec)).await.unwrap();
    Arc::new(store.with_pages_of(page_rows))
}

async fn server(options: &PostgresOptions, page_rows: usize) -> Store {
    let store = PostgresStore::connect(options, Arc::new(Codec)).await.unwrap();
    Arc::new(store.with_pages_of(page_rows))
}

async fn commit(store: &Store, at: u64, changes: &[Change]) -> Result<(), StoreError> {
    let applied = Applied { index: at + 1, log_id: Bytes::from((at + 1).to_string()) };
    let digest = Some(StateDigest(u128::from(at)));
    store.commit(Batch { group: GROUP, expected_index: at, applied, membership: None, changes, digest }).await
}

/// A group that is written to, with all batches that it ever got.
struct Writer {
    store: Store,
    generator: Generator,
    batches: Vec<Vec<Change>>,
}

impl Writer {
    async fn new(store: &Store, seed: u64, batches: u64) -> Self {
        store.create_group(GROUP).await.unwrap();
        let (store, generator) = (Arc::clone(store), Generator::new(seed));
        let mut writer = Self { store, generator, batches: Vec::new() };
        for _ in 0..batches {
            writer.write().await;
        }
        writer
    }

    async fn write(&mut self) {
        let changes = self.generator.batch();
        commit(&self.store, self.batches.len() as u64, &changes).await.unwrap();
        self.batches.push(changes);
    }
}

/// The digest of a store that got these batches and nothing else.
async fn digest_of(batches: &[Vec<Change>]) -> u128 {
    let folder = tempfile::tempdir().unwrap();
    let store = file(&folder, "third", 2_000).await;
    store.create_group(GROUP).await.unwrap();
    for (changes, at) in batches.iter().zip(0..) {
        commit(&store, at, changes).await.unwrap();
    }
    store.digest(GROUP).await.unwrap()
}

/// Installs what was exported and holds it against a replay up to the same index.
async fn compare(to: &Store, install: &dyn Install, head: GroupHead, batches: &[Vec<Change>]) {
    let index = head.applied.index;
    assert_eq!(head.applied.log_id, index.to_string().as_bytes());
    install.finish(head).await.unwrap();
    let replayed = digest_of(&batches[..usize::try_from(index).unwrap()]).await;
    assert_eq!(to.digest(GROUP).await.unwrap(), replayed, "at {index} of {}", batches.len());
}

/// The writer goes on between pages, in every place that a seed finds; transactions read a handful of rows.
async fn pages_between_commits(from: &Store, to: &Store, seed: u64) {
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut writer = Writer::new(from, seed, 40).await;
    let mut export = from.begin_export(GROUP).await.unwrap();
    let install = to.begin_install(GROUP).await.unwrap();
    let (until, mut pages, mut ends) = (60 + random.below(60) as usize, 0, random.below(3));
    let head = loop {
        if writer.batches.len() < until && random.chance(20) {
            writer.write().await;
        }
        match export.next().await.unwrap() {
            Exported::Page(page) => {
                install.page(page).await.unwrap();
                pages += 1;
            }
            Exported::End(head) if ends == 0 => break head,
            // It is asked on, as by a sender whose stream broke.
            Exported::End(_) => {
                ends -= 1;
                for _ in 0..random.below(4) {
                    writer.write().await;
                }
            }
        }
    };
    println!("{pages} pages, ends at {} of {} batches", head.applied.index, writer.batches.len());
    assert!(pages > 20, "too few to meet commits");
    let is_last = head.applied.index == writer.batches.len() as u64;
    compare(to, &*install, head, &writer.batches).await;
    if is_last {
        check(&**to, GROUP, &writer.generator.mirror).await;
    }
}

/// The writer goes on while pages are read, not faster than they can be read again.
async fn pages_beside_commits(from: &Store, to: &Store, seed: u64) {
    println!("seed {seed}");
    let mut writer = Writer::new(from, seed, 80).await;
    let due = Arc::new(Semaphore::new(0));
    let mut export = from.begin_export(GROUP).await.unwrap();
    let writing = tokio::spawn({
        let due = Arc::clone(&due);
        async move {
            while let Ok(permit) = due.acquire().await {
                permit.forget();
                writer.write().await;
            }
            writer
        }
    });
    let install = to.begin_install(GROUP).await.unwrap();
    let (mut pages, mut ends) = (0_u32, 0);
    let head = loop {
        if pages.is_multiple_of(4) && pages < 400 {
            due.add_permits(1);
        }
        match export.next().await.unwrap() {
            Exported::Page(page) => {
                install.page(page).await.unwrap();
                pages += 1;
            }
            Exported::End(head) if ends == 3 => break head,
            // It is asked on, as by a sender whose stream broke.
            Exported::End(_) => {
                ends += 1;
                due.add_permits(2);
            }
        }
    };
    due.close();
    let writer = writing.await.unwrap();
    println!("ends at {} of {} batches", head.applied.index, writer.batches.len());
    assert!(head.applied.index > 80, "nothing was written meanwhile");
    compare(to, &*install, head, &writer.batches).await;
}

fn seeds(few: u64, many: u64) -> std::ops::Range<u64> {
    seed()..seed() + if long() { many } else { few }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_is_exported_between_commits_exactly() {
    for seed in seeds(6, 200) {
        let folder = tempfile::tempdir().unwrap();
        let rows = [3, 16, 100][seed as usize % 3];
        pages_between_commits(&file(&folder, "from", rows).await, &file(&folder, "to", 50).await, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_is_exported_beside_commits_exactly() {
    for seed in seeds(3, 30) {
        let folder = tempfile::tempdir().unwrap();
        pages_beside_commits(&file(&folder, "from", 100).await, &file(&folder, "to", 50).await, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_exported_beside_and_between_commits_exactly() {
    let postgres = TestPostgres::start().await;
    for seed in seeds(2, 30) {
        let name = |what: &str| format!("{what}{seed}");
        let [from, to] = [postgres.database(&name("from")).await, postgres.database(&name("to")).await];
        let [left, right] = [postgres.database(&name("left")).await, postgres.database(&name("right")).await];
        pages_between_commits(&server(&from, 16).await, &server(&to, 50).await, seed).await;
        pages_beside_commits(&server(&left, 100).await, &server(&right, 50).await, seed).await;
    }
}

/// What nobody writes to is exported as receivers of old know it: rows, each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_group_is_exported_in_one_transaction_and_in_the_pages_of_old() {
    let folder = tempfile::tempdir().unwrap();
    let from = file(&folder, "from", 100_000).await;
    Writer::new(&from, 3, 12).await;
    let (mut old, mut new) = (Vec::new(), Vec::new());
    let mut visit = |page| {
        old.push(page);
        ControlFlow::Continue(())
    };
    let head = from.export(GROUP, &mut visit).await.unwrap();
    let mut export = from.begin_export(GROUP).await.unwrap();
    while let Exported::Page(page) = export.next().await.unwrap() {
        new.push(page);
    }
    assert_eq!(head.applied.index, 12);
    // The head comes once more at the end, where it is known.
    assert_eq!(new.pop(), new.first().cloned());
    assert_eq!(new.len(), old.len());
    assert!(new == old, "pages differ");
}

/// Postgres can clean up, and SQLite start its WAL anew, while a page is on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transaction_is_open_while_a_page_is_on_its_way() {
    let postgres = TestPostgres::start().await;
    let store = server(&postgres.options(), 100).await;
    let mut writer = Writer::new(&store, 7, 60).await;
    let mut export = store.begin_export(GROUP).await.unwrap();
    let mut pages = 0;
    while let Exported::Page(_) = export.next().await.unwrap() {
        pages += 1;
        // What is undone goes on its way a little after it is dropped.
        let closed = async {
            while postgres.open_transactions().await > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), closed).await.expect("a transaction stays open");
        if pages < 10 {
            writer.write().await;
        }
    }
    assert!(pages > 10, "{pages} pages");
}

async fn to_its_end(export: &mut dyn Export) -> Result<GroupHead, StoreError> {
    loop {
        if let Exported::End(head) = export.next().await? {
            return Ok(head);
        }
    }
}

fn is_over(ended: &Result<GroupHead, StoreError>) -> bool {
    matches!(ended, Err(StoreError::ExportOver { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_ends_with_the_rows_that_it_reads_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(&folder, "rows", 50).await;
    let mut writer = Writer::new(&store, 4, 60).await;
    // A commit that failed may show later.
    let mut export = store.begin_export(GROUP).await.unwrap();
    export.next().await.unwrap();
    commit(&store, 7, &[Change::SetTime(Timestamp(1))]).await.unwrap_err();
    let ended = to_its_end(&mut *export).await;
    assert!(is_over(&ended), "{ended:?}");
    assert!(is_over(&export.next().await.map(|_| unreachable!())));
    // One of the two is dropped in the middle: the other does not care.
    let (mut left, mut right) =
        (store.begin_export(GROUP).await.unwrap(), store.begin_export(GROUP).await.unwrap());
    left.next().await.unwrap();
    drop(left);
    writer.write().await;
    assert_eq!(to_its_end(&mut *right).await.unwrap().applied.index, 61);
    // Other rows take the place of the group's.
    let mut export = store.begin_export(GROUP).await.unwrap();
    let mut other = store.begin_export(GROUP).await.unwrap();
    export.next().await.unwrap();
    let install = store.begin_install(GROUP).await.unwrap();
    let head = loop {
        match other.next().await.unwrap() {
            Exported::Page(page) => install.page(page).await.unwrap(),
            Exported::End(head) => break head,
        }
    };
    install.finish(head).await.unwrap();
    let ended = to_its_end(&mut *export).await;
    assert!(is_over(&ended), "{ended:?}");
    writer.write().await;
    assert_eq!(to_its_end(&mut *store.begin_export(GROUP).await.unwrap()).await.unwrap().applied.index, 62);
}

/// Pages may hold what the server has lost again since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_ends_with_a_restart_of_its_server() {
    let mut postgres = TestPostgres::start().await;
    let store = server(&postgres.options(), 100).await;
    let mut writer = Writer::new(&store, 11, 30).await;
    for pages in [0, 3, 1_000] {
        let mut export = store.begin_export(GROUP).await.unwrap();
        for _ in 0..pages {
            if let Exported::End(_) = export.next().await.unwrap() {
                break;
            }
        }
        store.durable_index(GROUP, true).await.unwrap();
        postgres.crash();
        postgres.resume().await;
        // All connections are whole again before it is asked.
        while store.load(GROUP, &Need::Account(AccountId(1))).await.is_err() {}
        let ended = to_its_end(&mut *export).await;
        assert!(ended.is_err(), "after {pages} pages: {ended:?}");
        assert!(is_over(&to_its_end(&mut *export).await));
        writer.write().await;
    }
}

/// A page that is repeated after an error does nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_page_may_be_repeated_after_an_error() {
    let mut postgres = TestPostgres::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (file(&folder, "from", 200).await, server(&postgres.options(), 200).await);
    let writer = Writer::new(&from, 9, 60).await;
    let mut export = from.begin_export(GROUP).await.unwrap();
    let install = to.begin_install(GROUP).await.unwrap();
    let mut number = 0;
    let head = loop {
        match export.next().await.unwrap() {
            Exported::Page(page) => {
                number += 1;
                if number == 3 {
                    // On the disk, so that nothing before this is lost.
                    to.create_group(GroupId(77)).await.unwrap();
                    to.durable_index(GroupId(77), true).await.unwrap();
                    postgres.crash();
                    install.page(page.clone()).await.unwrap_err();
                    postgres.resume().await;
                }
                install.page(page.clone()).await.unwrap();
                install.page(page).await.unwrap();
            }
            Exported::End(head) => break head,
        }
    };
    assert!(number > 5);
    compare(&to, &*install, head, &writer.batches).await;
}

/// Goes so many steps with a page, and then gives it up; whether it was staged by then.
async fn begun(install: &dyn Install, page: Page, steps: u64) -> bool {
    let mut staging = install.page(page);
    for _ in 0..steps {
        if let Some(staged) = (&mut staging).now_or_never() {
            staged.unwrap();
            return true;
        }
        // The database's thread takes its next step meanwhile; a timer is too coarse for it.
        std::thread::sleep(Duration::from_micros(50));
    }
    false
}

/// Nobody knows then whether it is staged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_given_up_in_the_middle_may_be_repeated() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (file(&folder, "from", 20).await, file(&folder, "to", 200).await);
    let mut writer = Writer::new(&from, seed, 60).await;
    let mut export = from.begin_export(GROUP).await.unwrap();
    let install = to.begin_install(GROUP).await.unwrap();
    let (mut pages, mut given_up) = (0, 0);
    let head = loop {
        match export.next().await.unwrap() {
            Exported::Page(page) => {
                if !begun(&*install, page.clone(), random.below(8)).await {
                    given_up += 1;
                    install.page(page).await.unwrap();
                }
                pages += 1;
                if pages < 100 && random.chance(10) {
                    writer.write().await;
                }
            }
            Exported::End(head) => break head,
        }
    };
    println!("{given_up} of {pages} pages were given up");
    assert!(given_up > 10);
    compare(&to, &*install, head, &writer.batches).await;
}
