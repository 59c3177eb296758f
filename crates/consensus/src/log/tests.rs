//! The shared log as its groups see it. What survives a power cut is in `crash`.

mod crash;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buzon_types::id::{GroupId, NodeId};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::LogError;
use super::backend::{LogBackend, LogRecord};
use super::group::GroupLog;
use super::identity::LogOwner;
use super::options::LogOptions;
use super::raft_engine::RaftEngineLog;
use super::shared::{FatalHandler, SharedLog};
use super::testing::FaultyFileSystem;

const OWNER: LogOwner = LogOwner { cluster: 1, node: NodeId(1), incarnation: 1 };

/// Counts instead of ending the process.
#[derive(Default)]
struct CountFatal(AtomicU64);

impl FatalHandler for CountFatal {
    fn fatal(&self, _: &(dyn std::error::Error + 'static)) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn options(directory: &tempfile::TempDir) -> LogOptions {
    LogOptions::new(directory.path().join("log"))
}

fn open(options: &LogOptions, disk: &FaultyFileSystem) -> Result<SharedLog, LogError> {
    let backend = RaftEngineLog::open_with(options, &Arc::new(disk.clone()))?;
    SharedLog::start(Arc::new(backend), OWNER, options, Arc::new(CountFatal::default()))
}

fn record(index: u64, text: &str) -> LogRecord {
    LogRecord { index, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

fn records(range: std::ops::Range<u64>) -> Vec<LogRecord> {
    range.map(|index| record(index, &format!("entry {index}"))).collect()
}

async fn append(log: &GroupLog, records: Vec<LogRecord>) {
    let (done, durable) = oneshot::channel();
    log.append(records, move |result| done.send(result).unwrap()).await.unwrap();
    durable.await.unwrap().unwrap();
}

async fn all(log: &GroupLog) -> Vec<LogRecord> {
    log.read(0..u64::MAX, usize::MAX).await.unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = (options(&directory), FaultyFileSystem::new());
    let log = open(&options, &disk).unwrap();
    let group = log.group(GroupId(3)).unwrap();
    append(&group, records(0..10)).await;
    group.save_vote(Bytes::from_static(b"vote")).await.unwrap();
    group.truncate(8).await.unwrap();
    append(&group, vec![record(8, "other 8")]).await;
    group.purge(4, Bytes::from_static(b"id 4")).await.unwrap();
    group.save_committed(7, Bytes::from_static(b"id 7"));
    group.change_meta(|_| Ok(Some(Bytes::from_static(b"meta")))).await.unwrap();
    let (view, entries) = (group.view(), all(&group).await);
    assert_eq!(view.held, 5..9);
    assert_eq!(entries.last().unwrap().bytes, "other 8");
    log.close().await;
    drop((log, group));

    let log = open(&options, &disk).unwrap();
    let group = log.group(GroupId(3)).unwrap();
    assert_eq!((group.view(), all(&group).await), (view, entries));
    assert_eq!(log.stored_groups(), [GroupId(3)]);
}

#[tokio::test]
async fn a_log_that_was_emptied_goes_on_where_it_should() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = (options(&directory), FaultyFileSystem::new());
    let log = open(&options, &disk).unwrap();
    let (snapshot, emptied) = (log.group(GroupId(0)).unwrap(), log.group(GroupId(1)).unwrap());
    append(&snapshot, records(0..10)).await;
    snapshot.purge(20, Bytes::from_static(b"id 20")).await.unwrap();
    append(&emptied, records(0..10)).await;
    emptied.truncate(0).await.unwrap();
    log.close().await;
    drop((log, snapshot, emptied));

    let log = open(&options, &disk).unwrap();
    let (snapshot, emptied) = (log.group(GroupId(0)).unwrap(), log.group(GroupId(1)).unwrap());
    assert_eq!((snapshot.view().held, emptied.view().held), (21..21, 0..0));
    append(&snapshot, records(21..23)).await;
    append(&emptied, records(0..2)).await;
    assert_eq!((all(&snapshot).await, all(&emptied).await), (records(21..23), records(0..2)));
}

#[tokio::test]
async fn a_log_that_is_reset_goes_on_before_its_old_end_and_keeps_its_vote() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = (options(&directory), FaultyFileSystem::new());
    let log = open(&options, &disk).unwrap();
    let group = log.group(GroupId(0)).unwrap();
    append(&group, records(0..10)).await;
    group.save_vote(Bytes::from_static(b"vote")).await.unwrap();
    group.reset(4, Bytes::from_static(b"id 4")).await.unwrap();
    assert_eq!((group.view().held, group.flushed()), (5..5, 5));
    log.close().await;
    drop((log, group));

    let log = open(&options, &disk).unwrap();
    let group = log.group(GroupId(0)).unwrap();
    assert_eq!((group.view().held, all(&group).await.len()), (5..5, 0));
    assert_eq!(group.view().vote.as_deref(), Some(&b"vote"[..]));
    append(&group, vec![record(5, "other 5")]).await;
    log.close().await;
    drop((log, group));

    let log = open(&options, &disk).unwrap();
    let group = log.group(GroupId(0)).unwrap();
    assert_eq!(all(&group).await, [record(5, "other 5")]);
}

#[tokio::test]
async fn entries_that_leave_a_hole_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(&options(&directory), &FaultyFileSystem::new()).unwrap();
    let group = log.group(GroupId(1)).unwrap();
    append(&group, records(0..3)).await;
    for wrong in [records(4..5), records(2..3), vec![record(3, ""), record(5, "")]] {
        let refused = group.append(wrong, |_| panic!("nothing is written")).await;
        assert!(matches!(refused, Err(LogError::Hole { next: 3, .. })), "{refused:?}");
    }
    assert_eq!(all(&group).await, records(0..3));
}

#[tokio::test]
async fn entries_are_read_before_they_are_flushed_and_after_they_left_memory() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions { tail_bytes_max: 1000, ..options(&directory) };
    let log = open(&options, &FaultyFileSystem::new()).unwrap();
    let group = log.group(GroupId(1)).unwrap();
    for from in (0..1000).step_by(10) {
        let (done, _) = oneshot::channel();
        group.append(records(from..from + 10), move |_| done.send(()).unwrap_or(())).await.unwrap();
        assert_eq!(group.read(from..from + 10, usize::MAX).await.unwrap(), records(from..from + 10));
    }
    group.wait_flushed(999).await.unwrap();
    assert_eq!(group.flushed(), 1000);
    assert_eq!(all(&group).await, records(0..1000));
    assert_eq!(group.read(995..2000, usize::MAX).await.unwrap(), records(995..1000));
    assert!(group.read(0..1000, 100).await.unwrap().len() < 1000);
}

#[tokio::test]
async fn somebody_elses_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = (options(&directory), FaultyFileSystem::new());
    let log = open(&options, &disk).unwrap();
    log.close().await;
    drop(log);
    let backend = Arc::new(RaftEngineLog::open_with(&options, &Arc::new(disk)).unwrap());
    assert_eq!(backend.owner().unwrap(), Some(OWNER));
    let other = LogOwner { incarnation: 2, ..OWNER };
    let refused = SharedLog::start(backend, other, &options, Arc::new(CountFatal::default()));
    assert!(matches!(refused.err(), Some(LogError::ForeignLog { found: OWNER, .. })));
}

#[tokio::test]
async fn a_failed_fsync_is_fatal_and_never_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = (options(&directory), FaultyFileSystem::new());
    let backend = Arc::new(RaftEngineLog::open_with(&options, &Arc::new(disk.clone())).unwrap());
    let fatal = Arc::new(CountFatal::default());
    let log = SharedLog::start(backend, OWNER, &options, Arc::clone(&fatal) as _).unwrap();
    let group = log.group(GroupId(1)).unwrap();
    append(&group, records(0..3)).await;
    disk.fail_syncs(true);
    let (done, durable) = oneshot::channel();
    group.append(records(3..4), move |result| done.send(result.is_ok()).unwrap()).await.unwrap();
    assert!(!durable.await.unwrap());
    disk.fail_syncs(false);
    assert!(matches!(group.wait_flushed(3).await, Err(LogError::Closed)));
    assert!(matches!(group.save_vote(Bytes::new()).await, Err(LogError::Closed)));
    assert_eq!(fatal.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_committed_marker_travels_with_the_next_write_and_never_overtakes_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = (options(&directory), FaultyFileSystem::new());
    let log = open(&options, &disk).unwrap();
    let group = log.group(GroupId(1)).unwrap();
    append(&group, records(0..3)).await;
    group.save_committed(7, Bytes::from_static(b"beyond the end"));
    group.save_vote(Bytes::from_static(b"vote")).await.unwrap();
    let fsyncs = log.counts().fsyncs;
    group.save_committed(2, Bytes::from_static(b"within"));
    assert_eq!(log.counts().fsyncs, fsyncs);
    log.close().await;
    drop((log, group));
    let log = open(&options, &disk).unwrap();
    assert_eq!(log.group(GroupId(1)).unwrap().view().committed, None);
}

#[tokio::test]
async fn a_removed_group_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let (options, disk) = (options(&directory), FaultyFileSystem::new());
    let log = open(&options, &disk).unwrap();
    let group = log.group(GroupId(1)).unwrap();
    append(&group, records(0..3)).await;
    group.save_vote(Bytes::from_static(b"vote")).await.unwrap();
    log.remove_group(GroupId(1)).await.unwrap();
    log.close().await;
    drop((log, group));
    let log = open(&options, &disk).unwrap();
    assert_eq!(log.stored_groups(), []);
    let view = log.group(GroupId(1)).unwrap().view();
    assert_eq!((view.held, view.vote), (0..0, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_many_groups_share_fsyncs() {
    const PROPOSERS: u64 = 64;
    const GROUPS: u64 = 16;
    const APPENDS: u64 = 50;
    let directory = tempfile::tempdir().unwrap();
    let options = options(&directory);
    let disk = FaultyFileSystem::new();
    disk.sync_takes(Duration::from_millis(2));
    let log = open(&options, &disk).unwrap();
    let mut proposers = tokio::task::JoinSet::new();
    for proposer in 0..PROPOSERS {
        let group = log.group(GroupId(proposer % GROUPS)).unwrap();
        proposers.spawn(async move {
            for _ in 0..APPENDS {
                let (done, durable) = oneshot::channel();
                let done = Arc::new(parking_lot::Mutex::new(Some(done)));
                loop {
                    // Four proposers share a group and race for its end, as its raft core would not let them.
                    let next = group.view().held.end;
                    let done = Arc::clone(&done);
                    let tell = move |_: std::io::Result<()>| done.lock().take().unwrap().send(()).unwrap();
                    if group.append(vec![record(next, "entry")], tell).await.is_ok() {
                        break;
                    }
                }
                durable.await.unwrap();
            }
        });
    }
    proposers.join_all().await;
    let counts = log.counts();
    assert_eq!(counts.entries, PROPOSERS * APPENDS);
    assert!(counts.appends >= 8 * counts.fsyncs, "{counts:?}");
}

#[tokio::test]
async fn purged_files_are_given_back_and_slow_groups_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let options = LogOptions {
        file_bytes: 16 << 10,
        total_bytes: 64 << 10,
        collect_every: Duration::from_millis(1),
        ..options(&directory)
    };
    let log = open(&options, &FaultyFileSystem::new()).unwrap();
    let (slow, fast) = (log.group(GroupId(1)).unwrap(), log.group(GroupId(2)).unwrap());
    let mut blocking = log.blocking_groups();
    append(&slow, records(0..100)).await;
    let filler = "x".repeat(100);
    let told = loop {
        let next = fast.view().held.end;
        append(&fast, (next..next + 100).map(|index| record(index, &filler)).collect()).await;
        fast.purge(next + 90, Bytes::new()).await.unwrap();
        if blocking.has_changed().unwrap() && blocking.borrow_and_update().contains(&GroupId(1)) {
            break GroupId(1);
        }
        assert!(next < 1_000_000, "never told");
    };
    assert_eq!(told, GroupId(1));
    assert_eq!(all(&slow).await, records(0..100));
}
