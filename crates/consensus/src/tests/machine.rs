//! One group's state machine without raft around it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Applied, Batch};
use buzon_model::change::Change;
use buzon_model::command::Command;
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_model::scope::Need;
use buzon_types::id::{AccountId, DIRECTORY, FeatureLevel, GroupId, MailboxId, MailboxKey};
use buzon_types::time::Timestamp;
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use openraft::vote::RaftLeaderId as _;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::cluster::Outcomes;
use super::flaky::Flaky;
use super::{create_account, create_tenant};
use crate::apply::budget::{self, Budget};
use crate::apply::{ApplyError, Machine, MachineParts};
use crate::log::shared::FatalHandler;
use crate::type_config::{Entry, LeaderId, LogCommand, LogId};

#[derive(Default)]
struct CountFatal(AtomicU64);

impl FatalHandler for CountFatal {
    fn fatal(&self, _: &(dyn Error + 'static)) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Bench {
    machine: Arc<Machine>,
    flaky: Arc<Flaky>,
    fatal: Arc<CountFatal>,
    _directory: TempDir,
}

async fn bench(cache_bytes_max: usize) -> Bench {
    bench_of(DIRECTORY, cache_bytes_max).await
}

async fn bench_of(group: GroupId, cache_bytes_max: usize) -> Bench {
    bench_within(group, &Budget::new(cache_bytes_max)).await
}

async fn bench_within(group: GroupId, budget: &Arc<Budget>) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("rows.sqlite"), Arc::new(Outcomes)).await.unwrap();
    let (flaky, fatal) = (Arc::new(Flaky::over(Arc::new(store))), Arc::new(CountFatal::default()));
    let machine = Machine::new(MachineParts {
        group,
        store: Arc::clone(&flaky) as _,
        log: None,
        budget: Arc::clone(budget),
        fatal: Arc::clone(&fatal) as _,
        stop: CancellationToken::new(),
    });
    Bench { machine: Arc::new(machine), flaky, fatal, _directory: directory }
}

/// As many commands, each about a row of its own.
fn entries(count: u64) -> Vec<Entry> {
    let entry = |index| {
        let command = buzon_proto::log::encode_entry(&create_tenant(&format!("tenant {index}")));
        Entry::new(LogId::new(LeaderId::new(1, 1), index), EntryPayload::Normal(LogCommand(command)))
    };
    (0..count).map(entry).collect()
}

#[tokio::test]
async fn a_failed_disk_of_the_database_ends_the_process_and_is_not_tried_again() {
    let bench = bench(1 << 20).await;
    bench.flaky.disk_failed.store(true, Ordering::SeqCst);
    bench.machine.apply(&entries(3)).await.unwrap_err();
    assert_eq!(bench.fatal.0.load(Ordering::SeqCst), 1);
    assert_eq!(bench.flaky.loads_at_commit.lock().len(), 1);
}

#[tokio::test]
async fn a_reader_of_more_rows_than_fit_gets_them() {
    let bench = bench_of(GroupId(1), 1).await;
    let account = AccountId(1);
    let command = LogCommand(buzon_proto::log::encode_entry(&create_account(account)));
    let id = LogId::new(LeaderId::new(1, 1), 0);
    bench.machine.apply(&[Entry::new(id, EntryPayload::Normal(command))]).await.unwrap();
    // First the account's rows, then the mailbox's messages.
    let inbox = [Need::Index(MailboxKey { account, mailbox: MailboxId(1) })];
    assert!(bench.machine.look(|state| state.missing_of(&inbox)).await.is_ok());
}

/// A server that restarts may lose a group's very first transaction, under whoever has it in memory.
#[tokio::test]
async fn a_new_group_that_the_database_lost_is_made_anew() {
    let bench = bench(1 << 20).await;
    bench.machine.head().await.unwrap();
    bench.machine.store().remove_group(DIRECTORY).await.unwrap();
    let outcomes = bench.machine.apply(&entries(3)).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Some(Ok(_)))), "{outcomes:?}");
}

#[tokio::test]
async fn a_batch_that_needs_more_rows_than_fit_loads_them_bit_by_bit() {
    let bench = bench(1).await;
    let outcomes = bench.machine.apply(&entries(100)).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Some(Ok(_)))), "{outcomes:?}");
    let loads_at_first_commit = bench.flaky.loads_at_commit.lock()[0];
    assert!(loads_at_first_commit <= 10, "{loads_at_first_commit} loads before anything was written");
}

/// The setting bounds a node, however many groups it has.
#[tokio::test]
async fn groups_share_the_memory_for_rows() {
    const BYTES_MAX: usize = 20_000;
    let budget = Budget::new(BYTES_MAX);
    let mut benches = Vec::new();
    for _ in 0..4 {
        benches.push(bench_within(DIRECTORY, &budget).await);
    }
    let mut alone = 0;
    for (number, bench) in benches.iter().enumerate() {
        bench.machine.apply(&entries(200)).await.unwrap();
        if number == 0 {
            alone = budget.bytes();
        }
    }
    assert!((BYTES_MAX / 2..=BYTES_MAX).contains(&alone), "one that is alone may have most of it: {alone}");
    assert!(budget.bytes() > BYTES_MAX, "nothing is cut down yet: {}", budget.bytes());
    budget::cut(&budget, benches.iter().map(|bench| Arc::clone(&bench.machine)).collect()).await;
    assert!(budget.bytes() <= BYTES_MAX, "{}", budget.bytes());
    assert!(budget.bytes() > BYTES_MAX / 4, "only what is too much goes: {}", budget.bytes());
    drop(benches);
    assert_eq!(budget.bytes(), 0);
}

fn raise_to(level: u32) -> Vec<Entry> {
    let command = Command::RaiseFeatureLevel(FeatureLevel(level));
    let entry = buzon_model::command::Entry { at: Timestamp(1), request: None, command };
    let command = LogCommand(buzon_proto::log::encode_entry(&entry));
    vec![Entry::new(LogId::new(LeaderId::new(1, 1), 0), EntryPayload::Normal(command))]
}

fn names_the_level(error: &ApplyError) -> bool {
    matches!(error, ApplyError::FeatureLevel { level, known, .. } if *level == known + 1)
}

#[tokio::test]
async fn an_entry_of_a_level_that_is_not_known_stops_the_group_before_it_is_applied() {
    let bench = bench(1 << 20).await;
    let error = bench.machine.apply(&raise_to(FEATURE_LEVEL_MAX.0 + 1)).await.unwrap_err();
    assert!(names_the_level(&error), "{error:?}");
    assert!(bench.flaky.loads_at_commit.lock().is_empty(), "nothing is written");
    bench.machine.apply(&raise_to(FEATURE_LEVEL_MAX.0)).await.unwrap();
}

#[tokio::test]
async fn rows_of_a_level_that_is_not_known_are_not_served() {
    let bench = bench(1 << 20).await;
    bench.machine.store().create_group(DIRECTORY).await.unwrap();
    let changes = [Change::SetFeatureLevel(FeatureLevel(FEATURE_LEVEL_MAX.0 + 1))];
    let applied = Applied { index: 1, log_id: Bytes::new() };
    let batch = Batch {
        group: DIRECTORY,
        expected_index: 0,
        applied,
        membership: None,
        changes: &changes,
        digest: None,
    };
    bench.machine.store().commit(batch).await.unwrap();
    let error = bench.machine.head().await.unwrap_err();
    assert!(names_the_level(&error), "{error:?}");
    assert!(error.to_string().contains("run a version of buzon that knows it"), "{error}");
}
