//! `kill -9` at random points, of the process that applies batches and of Postgres under a living one: afterwards the
//! database stands at some index, its rows are those of a fresh replay to that index, and applying goes on from there.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::postgres::{PostgresOptions, PostgresStore};
use buzon_meta_store::sqlite::{SqliteOptions, SqliteStore};
use buzon_meta_store::store::{Applied, Batch, MetaStore};
use buzon_meta_store::testing::TestPostgres;
use buzon_model::change::Change;
use buzon_types::id::GroupId;
use bytes::Bytes;
use tokio::sync::watch;

use common::check::check;
use common::generate::Generator;
use common::{Codec, Random, long, seed};

const GROUP: GroupId = GroupId(5);
/// Where the child applies: a file's path, or `postgres` and the folder of a socket.
const CHILD_PLACE: &str = "BUZON_CRASH_PLACE";
const CHILD_SEED: &str = "BUZON_CRASH_SEED";

type Store = Arc<dyn MetaStore>;

/// So small that checkpoints run all the time and crashes fall into them.
async fn open_file(path: &Path) -> Store {
    let options = SqliteOptions { path: path.to_owned(), wal_bytes_target: 64 << 10 };
    Arc::new(SqliteStore::open_with(&options, Arc::new(Codec)).await.unwrap())
}

async fn open_server(options: &PostgresOptions) -> Store {
    Arc::new(PostgresStore::connect(options, Arc::new(Codec)).await.unwrap())
}

async fn commit(store: &Store, at: u64, changes: &[Change]) -> Result<(), StoreError> {
    let applied = Applied { index: at + 1, log_id: Bytes::from((at + 1).to_string()) };
    store
        .commit(Batch { group: GROUP, expected_index: at, applied, membership: None, changes, digest: None })
        .await
}

async fn applied(store: &Store) -> u64 {
    store.head(GROUP).await.unwrap().map_or(0, |head| head.applied.index)
}

/// The same batches once more, without crashes.
struct Replay {
    store: Store,
    generator: Generator,
    index: u64,
    _folder: tempfile::TempDir,
}

impl Replay {
    async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Store =
            Arc::new(SqliteStore::open(&folder.path().join("replay"), Arc::new(Codec)).await.unwrap());
        store.create_group(GROUP).await.unwrap();
        Self { store, generator: Generator::new(seed), index: 0, _folder: folder }
    }

    /// Goes to an index and holds the other's rows against its own.
    async fn compare(&mut self, store: &Store, index: u64) {
        assert!(index >= self.index, "went back from {} to {index}", self.index);
        while self.index < index {
            commit(&self.store, self.index, &self.generator.batch()).await.unwrap();
            self.index += 1;
        }
        assert_eq!(store.digest(GROUP).await.unwrap(), self.store.digest(GROUP).await.unwrap(), "at {index}");
        check(&**store, GROUP, &self.generator.mirror).await;
    }
}

/// Not a test: the process that is killed. Says each index once it is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(place) = std::env::var(CHILD_PLACE) else { return };
    let seed = std::env::var(CHILD_SEED).unwrap().parse().unwrap();
    let store = match place.strip_prefix("postgres:") {
        Some(folder) => open_server(&options_in(folder)).await,
        None => open_file(Path::new(&place)).await,
    };
    store.create_group(GROUP).await.unwrap();
    let done = applied(&store).await;
    let mut generator = Generator::new(seed);
    for at in 0.. {
        let changes = generator.batch();
        if at >= done {
            commit(&store, at, &changes).await.unwrap();
            println!("\ncommitted {}", at + 1);
        }
    }
}

fn options_in(folder: &str) -> PostgresOptions {
    PostgresOptions {
        host: folder.to_owned(),
        port: 5432,
        user: "postgres".to_owned(),
        password: None,
        database: "postgres".to_owned(),
        ca: None,
        connections_max: 4,
    }
}

/// Lets a child apply until it has said so many indexes, and kills it; the last it said.
fn apply_and_kill(place: &str, seed: u64, indexes: u64) -> u64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD_PLACE, place)
        .env(CHILD_SEED, seed.to_string());
    let mut child: Child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut committed = said.by_ref().filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
    let last = committed.by_ref().take(indexes as usize).last();
    child.kill().unwrap();
    child.wait().unwrap();
    committed.last().or(last).expect("the child commits something")
}

fn rounds(few: u64, many: u64) -> u64 {
    if long() { many } else { few }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_survives_the_death_of_its_process() {
    let seed = seed();
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.sqlite");
    let (mut random, mut replay) = (Random(seed), Replay::new(seed).await);
    for _ in 0..rounds(6, 60) {
        let said = apply_and_kill(path.to_str().unwrap(), seed, 1 + random.below(40));
        let store = open_file(&path).await;
        let index = applied(&store).await;
        assert!(index >= said, "said {said}, has {index}");
        replay.compare(&store, index).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_survives_the_death_of_the_process() {
    let seed = seed() + 1;
    println!("seed {seed}");
    let server = TestPostgres::start().await;
    let options = server.options();
    let (mut random, mut replay) = (Random(seed), Replay::new(seed).await);
    for _ in 0..rounds(4, 60) {
        let said = apply_and_kill(&format!("postgres:{}", options.host), seed, 1 + random.below(30));
        let store = open_server(&options).await;
        // The dead process's transaction may still be on its way, to its end or to being undone.
        let index = settled(&store).await;
        assert!(index >= said, "said {said}, has {index}");
        replay.compare(&store, index).await;
    }
}

/// A write of our own waits for that of the dead.
async fn settled(store: &Store) -> u64 {
    store.durable_index(GROUP, true).await.unwrap();
    loop {
        let index = applied(store).await;
        // Locks the head as a batch does: whoever was before us is through.
        match commit(store, index + 1, &[]).await.unwrap_err() {
            StoreError::AppliedMismatch { found, .. } if found == index => return index,
            _ => {}
        }
    }
}

/// What a living process knows when its server dies.
#[derive(Debug, Clone, Copy)]
struct Known {
    committed: u64,
    durable: u64,
}

/// Commits until the server dies.
async fn apply_until_it_dies(store: Store, seed: u64, from: u64, progress: watch::Sender<Known>) {
    let mut generator = Generator::new(seed);
    (0..from).for_each(|_| drop(generator.batch()));
    for at in from.. {
        if commit(&store, at, &generator.batch()).await.is_err() {
            return;
        }
        progress.send_modify(|known| known.committed = at + 1);
        match store.durable_index(GROUP, (at + 1).is_multiple_of(16)).await {
            Ok(durable) => progress.send_modify(|known| known.durable = durable.max(known.durable)),
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_process_survives_the_death_of_postgres() {
    let seed = seed() + 2;
    println!("seed {seed}");
    // The WAL stays in the server's memory as long as can be, so that crashes lose something.
    let mut server = TestPostgres::start_with(&["wal_writer_delay=10000ms", "wal_buffers=16MB"]).await;
    let store = open_server(&server.options()).await;
    store.create_group(GROUP).await.unwrap();
    store.durable_index(GROUP, true).await.unwrap();
    let (mut random, mut replay) = (Random(seed), Replay::new(seed).await);
    let mut lost = 0;
    for round in 0..rounds(6, 60) {
        let (index, incarnation) = (applied(&store).await, store.server_incarnation().await.unwrap());
        let (progress, mut seen) = watch::channel(Known { committed: index, durable: 0 });
        let task = tokio::spawn(apply_until_it_dies(Arc::clone(&store), seed, index, progress));
        let until = index + 1 + random.below(30);
        seen.wait_for(|known| known.committed >= until).await.unwrap();
        if round % 3 == 2 {
            server.crash_one_backend().await;
            task.await.unwrap();
        } else {
            server.crash();
            // It may be waiting for the server to come back, which it would do for long.
            task.abort();
            let _aborted = task.await;
            server.resume().await;
        }
        let known = *seen.borrow();
        server.wait().await;

        assert_ne!(store.server_incarnation().await.unwrap(), incarnation, "a crash must show");
        let index = applied(&store).await;
        assert!(index >= known.durable, "{} was durable, has {index}", known.durable);
        assert!(index <= known.committed + 1, "committed {}, has {index}", known.committed);
        lost += known.committed.saturating_sub(index);
        replay.compare(&store, index).await;
        // Not over the hole: what comes after the lost ones is refused.
        if known.committed > index {
            let error = commit(&store, known.committed, &[]).await.unwrap_err();
            assert!(
                matches!(error, StoreError::AppliedMismatch { found, .. } if found == index),
                "{error:?}"
            );
        }
        assert!(store.durable_index(GROUP, false).await.unwrap() <= index);
    }
    println!("{lost} committed batches were lost and replayed");
    assert!(lost > 0, "no crash lost anything: this test shows nothing");
}
