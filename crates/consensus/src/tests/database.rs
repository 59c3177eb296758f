//! The rules between log and database (DESIGN D2), on one node.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use buzon_model::read::ReadAt;
use buzon_types::id::{LogIndex, NodeId};
use openraft::storage::{RaftSnapshotBuilder as _, RaftStateMachine as _};
use openraft::type_config::alias::SnapshotOf;
use tokio_stream::wrappers::ReceiverStream;

use super::cluster::{GROUP, TestNode};
use super::flaky::Flaky;
use super::{create_tenant, tenant_exists};
use crate::apply::{Applier, SnapshotData};
use crate::group::Group;
use crate::keep::Room;
use crate::node::RaftOptions;
use crate::pb;
use crate::pb::raft_transport_client::RaftTransportClient;
use crate::type_config::TypeConfig;

async fn lead(node: &mut TestNode) -> Group {
    let voters = BTreeMap::from([(node.id, node.address())]);
    let group = node.found(GROUP, &voters).await;
    group.wait_for_leader().await.unwrap();
    group
}

async fn propose(group: &Group, range: std::ops::Range<u32>) -> LogIndex {
    let mut last = LogIndex(0);
    for number in range {
        let proposed = group.propose(&create_tenant(&format!("tenant {number}"))).await.unwrap();
        assert!(proposed.outcome.is_ok(), "{proposed:?}");
        last = proposed.index;
    }
    last
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// Puts back what `copy` has saved.
fn restore(from: &Path, to: &Path) {
    for file in std::fs::read_dir(to).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    copy(from, to);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_restarts_goes_on() {
    let mut node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let group = lead(&mut node).await;
    propose(&group, 0..20).await;
    drop(group);
    node.stop().await;
    node.reopen().await.unwrap();
    let group = lead(&mut node).await;
    assert!(tenant_exists(&group, ReadAt::Linearizable, "tenant 19").await);
    propose(&group, 20..25).await;
    assert_eq!(node.tenants().await, 25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_lost_its_last_transactions_is_replayed() {
    let mut node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let saved = tempfile::tempdir().unwrap();
    let group = lead(&mut node).await;
    propose(&group, 0..10).await;
    drop(group);
    node.stop().await;
    copy(node.directory.path(), saved.path());
    node.reopen().await.unwrap();
    let group = lead(&mut node).await;
    propose(&group, 10..20).await;
    drop(group);
    node.stop().await;
    restore(saved.path(), node.directory.path());
    node.reopen().await.unwrap();
    let group = lead(&mut node).await;
    assert!(tenant_exists(&group, ReadAt::Linearizable, "tenant 19").await);
    assert_eq!(node.tenants().await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_ahead_of_its_log_refuses_to_start() {
    let mut node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let saved = tempfile::tempdir().unwrap();
    let log = node.directory.path().join("log");
    let group = lead(&mut node).await;
    propose(&group, 0..10).await;
    drop(group);
    node.stop().await;
    copy(&log, saved.path());
    node.reopen().await.unwrap();
    let group = lead(&mut node).await;
    propose(&group, 10..20).await;
    drop(group);
    node.stop().await;
    restore(saved.path(), &log);
    node.reopen().await.unwrap();
    let refused = node.node().start_group(GROUP).await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("its log ends at"), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_log_refuses_to_start() {
    let mut node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let group = lead(&mut node).await;
    propose(&group, 0..3).await;
    drop(group);
    node.stop().await;
    std::fs::remove_dir_all(node.directory.path().join("log")).unwrap();
    let refused = node.reopen().await.unwrap_err();
    assert!(std::error::Error::source(&refused).unwrap().to_string().contains("it was lost"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_lost_before_anything_was_applied_refuses_to_start_however_often() {
    let mut node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    node.node().start_group(GROUP).await.unwrap();
    node.stop().await;
    std::fs::remove_dir_all(node.directory.path().join("log")).unwrap();
    for _ in 0..2 {
        let refused = node.reopen().await.unwrap_err();
        assert!(std::error::Error::source(&refused).unwrap().to_string().contains("it was lost"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_database_of_a_lone_voter_is_refused_and_told_how_to_come_back() {
    let options = RaftOptions { keep_entries: 0, ..RaftOptions::default() };
    let mut node = TestNode::open(NodeId(1), options).await;
    let group = lead(&mut node).await;
    propose(&group, 0..10).await;
    group.relieve_log(Room::None).await.unwrap();
    node.wait(|| group.status().purged > LogIndex(0)).await;
    drop(group);
    node.stop().await;
    node.lose_database();
    node.reopen().await.unwrap();
    let refused = node.node().start_group(GROUP).await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("join them anew"), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_started_twice_at_once_has_one_core() {
    let node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let (one, other) = tokio::join!(node.node().start_group(GROUP), node.node().start_group(GROUP));
    assert!(Arc::ptr_eq(one.unwrap().machine(), other.unwrap().machine()));
}

/// A node over a database that fails on command.
async fn flaky_node(options: RaftOptions) -> (TestNode, Arc<Flaky>) {
    let mut node = TestNode::open(NodeId(1), options).await;
    node.stop().await;
    let flaky = node.reopen_flaky().await;
    (node, flaky)
}

/// The same, and a group that it leads.
async fn flaky(options: RaftOptions) -> (TestNode, Arc<Flaky>, Group) {
    let (mut node, flaky) = flaky_node(options).await;
    let group = lead(&mut node).await;
    (node, flaky, group)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fails_for_a_while_loses_and_doubles_nothing() {
    let (node, flaky, group) = flaky(RaftOptions::default()).await;
    propose(&group, 0..5).await;
    flaky.refuse.store(3, Ordering::SeqCst);
    propose(&group, 5..10).await;
    // Written, but the answer was lost: the same outcome is told, and nothing happens twice.
    flaky.forget.store(2, Ordering::SeqCst);
    propose(&group, 10..15).await;
    flaky.incarnation.store(1, Ordering::SeqCst);
    propose(&group, 15..20).await;
    assert!(tenant_exists(&group, ReadAt::Linearizable, "tenant 19").await);
    assert_eq!(node.tenants().await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_leaves_no_row_that_was_not_checked() {
    let (_node, flaky, group) = flaky(RaftOptions::default()).await;
    let last = propose(&group, 0..1).await;
    let loads = || flaky.loads.load(Ordering::SeqCst);
    flaky.hold_incarnation.store(true, Ordering::SeqCst);
    tokio::select! {
        _ = tenant_exists(&group, ReadAt::Index(last), "nobody") => panic!("the server did not answer"),
        () = flaky.held.notified() => {}
    }
    flaky.hold_incarnation.store(false, Ordering::SeqCst);
    let before = loads();
    assert!(!tenant_exists(&group, ReadAt::Index(last), "nobody").await);
    assert!(loads() > before);
    // A reader who stayed leaves it.
    let before = loads();
    assert!(!tenant_exists(&group, ReadAt::Index(last), "nobody").await);
    assert_eq!(loads(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_kept_while_the_database_has_nothing_on_its_disk() {
    let options = RaftOptions { snapshot_entries: 1_000, keep_entries: 0, ..RaftOptions::default() };
    let (_node, flaky, group) = flaky(options).await;
    let last = propose(&group, 0..10).await;
    flaky.never_durable.store(true, Ordering::SeqCst);
    let mut log = crate::raft_log::RaftLog::new(
        group.machine().log().unwrap().clone(),
        Some(Arc::clone(group.machine())),
    );
    let id = group.machine().head().await.unwrap().applied;
    let id = crate::record::read_applied(&id).unwrap().unwrap();
    openraft::storage::RaftLogStorage::purge(&mut log, id).await.unwrap();
    let held = || group.machine().log().unwrap().view().held;
    assert_eq!(held().start, 0);
    flaky.never_durable.store(false, Ordering::SeqCst);
    openraft::storage::RaftLogStorage::purge(&mut log, id).await.unwrap();
    assert_eq!(held(), last.0..last.0);
}

/// A Postgres that restarted takes back what it had not flushed, and says so by its incarnation only when it is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_waits_for_the_database_and_never_stops_the_group() {
    let (node, flaky, group) = flaky(RaftOptions::default()).await;
    let last = propose(&group, 0..10).await;
    flaky.never_durable.store(true, Ordering::SeqCst);
    let rows = Applier::new(Arc::clone(group.machine()));
    let (mut sent, mut built) = (rows.clone(), rows);
    let sent = tokio::spawn(async move { sent.get_current_snapshot().await });
    let built = tokio::spawn(async move { built.build_snapshot().await });
    group.raft().trigger().snapshot().await.unwrap();
    let before = flaky.flushes.load(Ordering::SeqCst);
    node.wait(|| flaky.flushes.load(Ordering::SeqCst) > before + 9).await;
    assert!(!sent.is_finished() && !built.is_finished());
    flaky.never_durable.store(false, Ordering::SeqCst);
    let (sent, built) = (sent.await.unwrap().unwrap().unwrap(), built.await.unwrap().unwrap());
    // openraft counts entries from 0.
    let ends = [&sent, &built].map(|snapshot| snapshot.meta.last_log_id.unwrap().index + 1);
    assert_eq!(ends, [last.0; 2]);
    propose(&group, 10..12).await;
    assert!(group.status().leads);
}

/// A node, a snapshot of its group and where that ends.
async fn source_of_a_snapshot() -> (TestNode, SnapshotOf<TypeConfig, SnapshotData>, LogIndex) {
    let mut source = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let group = lead(&mut source).await;
    let last = propose(&group, 0..10).await;
    let mut rows = Applier::new(Arc::clone(group.machine()));
    let snapshot = rows.get_current_snapshot().await.unwrap().unwrap();
    (source, snapshot, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_fails_while_a_snapshot_is_installed_is_asked_again() {
    let (_source, snapshot, last) = source_of_a_snapshot().await;
    let (node, flaky) = flaky_node(RaftOptions::default()).await;
    let target = node.node().start_group(GROUP).await.unwrap();
    flaky.refuse_install.store(2, Ordering::SeqCst);
    // Installed, but the answer was lost.
    flaky.forget_install.store(1, Ordering::SeqCst);
    let mut applier = Applier::new(Arc::clone(target.machine()));
    applier.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert_eq!((*target.applied().borrow(), node.tenants().await), (last, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_snapshot_of_a_group_is_refused_while_one_comes_in() {
    let node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let group = node.node().start_group(GROUP).await.unwrap();
    let cluster = bytes::Bytes::copy_from_slice(&1_u128.to_be_bytes());
    let begin = || {
        let header = pb::Header { cluster: cluster.clone(), group: GROUP.0, from: 2, to: 1 };
        let vote = pb::Vote { term: 1, node: 2, committed: true };
        let begin = pb::SnapshotBegin { header: Some(header), vote: Some(vote), session: None };
        pb::SnapshotPart { part: Some(pb::snapshot_part::Part::Begin(begin)) }
    };
    let connect = || RaftTransportClient::connect(format!("http://{}", node.address()));
    let (mut first, mut second) = (connect().await.unwrap(), connect().await.unwrap());
    let (parts, stream) = tokio::sync::mpsc::channel(1);
    parts.send(begin()).await.unwrap();
    let coming = tokio::spawn(async move { first.install_snapshot(ReceiverStream::new(stream)).await });
    node.wait(|| group.machine().turn_to_install().is_none()).await;
    let refused = second.install_snapshot(futures::stream::iter([begin()])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Aborted, "{refused:?}");
    // The first one breaks off: now there is room for another.
    drop(parts);
    coming.await.unwrap().unwrap_err();
    node.wait(|| group.machine().turn_to_install().is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_a_snapshot_and_the_purge_of_the_log_is_mended() {
    let (_source, snapshot, last) = source_of_a_snapshot().await;
    let mut node = TestNode::open(NodeId(2), RaftOptions::default()).await;
    let target = node.node().start_group(GROUP).await.unwrap();
    // Raft knows nothing of it, as if the process had ended before the log was purged.
    let mut applier = Applier::new(Arc::clone(target.machine()));
    applier.install_snapshot(&snapshot.meta, snapshot.snapshot).await.unwrap();
    assert_eq!(target.machine().log().unwrap().view().held, 0..0);
    drop((target, applier));
    node.stop().await;

    node.reopen().await.unwrap();
    let target = node.node().start_group(GROUP).await.unwrap();
    assert_eq!(target.machine().log().unwrap().view().held, last.0..last.0);
    assert_eq!((*target.applied().borrow(), node.tenants().await), (last, 10));
}
