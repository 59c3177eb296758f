//! Power cuts at random moments under random work: whatever was acknowledged is there afterwards, in order and
//! without holes; what was not is there as a whole or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buzon_types::id::GroupId;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{open, record};
use crate::log::backend::LogRecord;
use crate::log::group::GroupLog;
use crate::log::options::LogOptions;
use crate::log::shared::SharedLog;
use crate::log::testing::{FaultyFileSystem, Unsynced};

const GROUPS: u64 = 4;

/// What a group's log should hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    /// One past the last entry.
    next: u64,
    entries: Vec<LogRecord>,
    vote: Option<Bytes>,
    purged: Option<Bytes>,
}

/// The states that one group went through since the last cut, and how many of its steps were acknowledged.
struct History {
    states: Vec<Model>,
    acknowledged: Arc<AtomicUsize>,
}

impl Model {
    fn read(view: &crate::log::group::GroupView, entries: Vec<LogRecord>) -> Self {
        let (vote, purged) = (view.vote.clone(), view.purged.clone());
        // Without entries only a purge says where the log goes on.
        let next = if entries.is_empty() && purged.is_none() { 0 } else { view.held.end };
        Self { next, entries, vote, purged }
    }

    fn append(&mut self, random: &mut StdRng) -> Vec<LogRecord> {
        let count = random.random_range(1..6);
        let records: Vec<LogRecord> = (self.next..self.next + count)
            .map(|index| record(index, &"x".repeat(random.random_range(0..600)).replacen('x', "entry", 1)))
            .collect();
        self.entries.extend(records.clone());
        self.next += count;
        records
    }

    fn truncate(&mut self, random: &mut StdRng) -> u64 {
        let first = self.next - self.entries.len() as u64;
        let next = random.random_range(first..=self.next);
        self.entries.truncate((next - first) as usize);
        self.next = if self.entries.is_empty() && self.purged.is_none() { 0 } else { next };
        next
    }

    fn purge(&mut self, random: &mut StdRng) -> (u64, Bytes) {
        let first = self.next - self.entries.len() as u64;
        let beyond = if random.random_ratio(1, 5) { 5 } else { 0 };
        let through = random.random_range(first..=self.next.max(first + 1) - 1 + beyond);
        let id = Bytes::from(format!("id {through}"));
        self.entries.drain(..self.entries.len().min((through + 1 - first) as usize));
        self.next = self.next.max(through + 1);
        self.purged = Some(id.clone());
        (through, id)
    }
}

/// Works until the power goes.
async fn work(log: GroupLog, start: Model, mut random: StdRng) -> History {
    let mut history = History { states: vec![start], acknowledged: Arc::default() };
    loop {
        let mut model = history.states.last().unwrap().clone();
        let step = history.states.len();
        let acknowledged = Arc::clone(&history.acknowledged);
        let acknowledge = move |result: std::io::Result<()>| {
            if result.is_ok() {
                acknowledged.fetch_max(step, Ordering::SeqCst);
            }
        };
        let choice = random.random_range(0..10);
        let done = if choice < 6 {
            let records = model.append(&mut random);
            history.states.push(model);
            // Not waited for: several appends of a group are on their way at a time.
            log.append(records, acknowledge).await
        } else {
            let result = match choice {
                6 | 7 => {
                    let vote = Bytes::from(format!("vote {}", random.random::<u32>()));
                    model.vote = Some(vote.clone());
                    history.states.push(model);
                    log.save_vote(vote).await
                }
                8 => {
                    let next = model.truncate(&mut random);
                    history.states.push(model);
                    log.truncate(next).await
                }
                _ => {
                    let (through, id) = model.purge(&mut random);
                    history.states.push(model);
                    log.purge(through, id).await
                }
            };
            if result.is_ok() {
                acknowledge(Ok(()));
            }
            result
        };
        if done.is_err() {
            return history;
        }
        tokio::task::yield_now().await;
    }
}

async fn recovered(log: &SharedLog, group: u64) -> Model {
    let group = log.group(GroupId(group)).unwrap();
    let entries = group.read(0..u64::MAX, usize::MAX).await.unwrap();
    let view = group.view();
    assert_eq!(entries.len() as u64, view.held.end - view.held.start, "a hole");
    assert!(entries.windows(2).all(|pair| pair[0].index + 1 == pair[1].index), "a hole");
    Model::read(&view, entries)
}

fn check(seed: u64, round: u32, group: u64, history: &History, now: &Model) {
    let acknowledged = history.acknowledged.load(Ordering::SeqCst);
    let possible = &history.states[acknowledged..];
    assert!(
        possible.contains(now),
        "seed {seed}, round {round}, group {group}: after {acknowledged} acknowledged steps of {}:\n{now:?}\nwanted\n{:?}",
        history.states.len() - 1,
        possible.first(),
    );
}

/// Opens the log after some cuts that come while it is being opened.
async fn open_with_cuts(options: &LogOptions, disk: &FaultyFileSystem, random: &mut StdRng) -> SharedLog {
    while random.random_ratio(1, 4) {
        disk.cut_power_quietly_after(random.random_range(0..12));
        if let Ok(log) = open(options, disk) {
            disk.abandon();
            log.close().await;
        }
        disk.lose_power(Unsynced::Torn(random.random())).unwrap();
    }
    open(options, disk).unwrap()
}

async fn cut_and_reopen(seed: u64, rounds: u32) {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions {
        file_bytes: 16 << 10,
        total_bytes: 48 << 10,
        collect_every: Duration::from_millis(2),
        tail_bytes_max: 4 << 10,
        ..super::options(&directory)
    };
    let mut random = StdRng::seed_from_u64(seed);
    let disk = FaultyFileSystem::new();
    let mut expected: Vec<History> = (0..GROUPS)
        .map(|_| History { states: vec![Model::default()], acknowledged: Arc::default() })
        .collect();
    for round in 0..rounds {
        let log = open_with_cuts(&options, &disk, &mut random).await;
        let mut tasks = Vec::new();
        for group in 0..GROUPS {
            let start = recovered(&log, group).await;
            check(seed, round, group, &expected[group as usize], &start);
            let random = StdRng::seed_from_u64(random.random());
            tasks.push(tokio::spawn(work(log.group(GroupId(group)).unwrap(), start, random)));
        }
        disk.cut_power_after(random.random_range(5..300));
        expected.clear();
        for task in tasks {
            expected.push(task.await.unwrap());
        }
        disk.abandon();
        log.close().await;
        drop(log);
        let unsynced = if random.random() { Unsynced::Lost } else { Unsynced::Torn(random.random()) };
        disk.lose_power(unsynced).unwrap();
    }
}

/// Another seed on each run, printed when it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_power_cuts() {
    let rounds = std::env::var("BUZON_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let seed = std::env::var("BUZON_CRASH_SEED").ok().and_then(|text| text.parse().ok());
    cut_and_reopen(seed.unwrap_or_else(rand::random), rounds).await;
}
