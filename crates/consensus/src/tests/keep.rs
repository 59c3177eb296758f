//! Who holds the log, and who does not.

use std::sync::atomic::Ordering;

use super::*;
use crate::log::options::LogOptions;

/// So few that a test passes them, and a snapshot every few entries.
fn short() -> RaftOptions {
    RaftOptions { snapshot_entries: 20, keep_entries: 5, ..RaftOptions::default() }
}

/// The leader, in whom all believe, and a follower.
async fn pair(cluster: &Cluster) -> (Group, NodeId) {
    propose_somewhere(cluster, "first").await;
    let believed = || {
        let leader = cluster.groups().find(|group| group.status().leads)?;
        let id = leader.leader()?.node;
        let all = cluster.groups().all(|group| group.leader().is_some_and(|leader| leader.node == id));
        let heard = leader.status().followers.values().all(|it| it.heard.is_some());
        (all && heard).then_some((leader, id))
    };
    cluster.wait(|| believed().is_some()).await;
    let (leader, id) = believed().unwrap();
    (leader, cluster.nodes().map(|node| node.id).find(|other| *other != id).unwrap())
}

/// The leader may be without a quorum for a moment.
async fn insist(group: &Group, entry: &Entry) -> LogIndex {
    for _ in 0..500 {
        match group.propose(entry).await {
            Ok(proposed) => return proposed.index,
            Err(ProposeError::NotLeader { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("it leads no more: {:?}", group.status());
}

async fn propose(group: &Group, what: &str, count: u32) -> LogIndex {
    let mut last = LogIndex(0);
    for number in 0..count {
        last = insist(group, &create_tenant(&format!("{what} {number}"))).await;
    }
    last
}

/// A group that has voted and applied notes where it stands, and reads no row for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_a_position_until_it_is_sent() {
    let mut node = TestNode::open(NodeId(1), short()).await;
    node.stop().await;
    let flaky = node.reopen_flaky().await;
    let group = node.found(DIRECTORY, &[(NodeId(1), node.address())].into()).await;
    group.wait_for_leader().await.unwrap();
    let last = propose(&group, "of many", 100).await;
    group.snapshot().await.unwrap();
    node.wait(|| *group.machine().noted().borrow() >= last.0).await;
    assert_eq!(flaky.exports.load(Ordering::SeqCst), 0);
    let other = TestNode::open(NodeId(2), short()).await;
    other.node().start_group(DIRECTORY).await.unwrap();
    group.add_learner(NodeId(2), &other.address()).await.unwrap();
    node.wait(|| flaky.exports.load(Ordering::SeqCst) == 1).await;
}

fn snapshots_sent(group: &Group) -> u64 {
    group.machine().sessions().counts().read.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_slow_but_heard_catches_up_by_log() {
    let cluster = Cluster::start(3, short()).await;
    let (leader, slow) = pair(&cluster).await;
    // What it is sent fails for a moment, and it is behind by far more than is kept: openraft alone would let go.
    cluster.node(slow).hear_nothing(true);
    let last = propose(&leader, "while it hears nothing", 150).await;
    leader.snapshot().await.unwrap();
    cluster.wait(|| leader.machine().noted().borrow().saturating_add(20) > last.0).await;
    assert!(leader.status().purged < LogIndex(20), "{:?}", leader.status().purged);
    cluster.node(slow).disk_takes(Duration::from_millis(20));
    cluster.node(slow).hear_nothing(false);
    cluster.wait_applied(last).await;
    assert_eq!(snapshots_sent(&leader), 0);
    // Nobody needs it any more: it goes without anything being written.
    cluster.wait(|| leader.status().purged > LogIndex(100)).await;
    assert_eq!(cluster.tenants().await, [151; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_not_heard_holds_nothing() {
    let options = RaftOptions { heard_within: Duration::from_secs(2), ..short() };
    let mut cluster = Cluster::start(3, options).await;
    let (leader, silent) = pair(&cluster).await;
    cluster.stop(silent).await;
    let last = propose(&leader, "while it is away", 150).await;
    leader.snapshot().await.unwrap();
    cluster.wait(|| leader.status().purged > LogIndex(100)).await;
    cluster.restart(silent).await;
    cluster.wait_applied(last).await;
    assert!(snapshots_sent(&leader) > 0);
    assert_eq!(cluster.tenants().await, [151; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_is_too_slow_does_not_hold_the_log_without_end() {
    let options = RaftOptions { keep_entries_max: 60, ..short() };
    let cluster = Cluster::start(3, options).await;
    let (leader, slow) = pair(&cluster).await;
    // It takes what it is sent, and answers in time, but never keeps up.
    cluster.node(slow).disk_takes(Duration::from_millis(1_500));
    let before = leader.status().followers[&slow].matched;
    let last = propose(&leader, "faster than its disk", 400).await;
    leader.snapshot().await.unwrap();
    cluster.wait(|| leader.status().purged > LogIndex(last.0 - 100)).await;
    println!("it stood at {before:?}, {:?}", leader.status().followers[&slow]);
    cluster.node(slow).disk_takes(Duration::ZERO);
    cluster.wait_applied(last).await;
    assert!(snapshots_sent(&leader) > 0);
    assert_eq!(cluster.tenants().await, [401; 3]);
}

/// What the log may take before followers are looked at, and what it may take at all: a few hundred entries.
fn small_files(log: &mut LogOptions) {
    log.file_bytes = 8 << 10;
    log.total_bytes = 32 << 10;
    log.bytes_max = 400 << 10;
    log.collect_every = Duration::from_millis(20);
}

/// What the log's compression leaves as it is.
async fn propose_large(group: &Group, count: u32) {
    let proposed = (0..count).map(|_| async {
        let name: String = (0..6).map(|_| format!("{:032x}", rand::random::<u128>())).collect();
        insist(group, &create_tenant(&name)).await
    });
    futures::future::join_all(proposed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_grows_for_a_follower_that_is_slow_but_not_beyond_its_size() {
    let options =
        RaftOptions { keep_entries: 0, heard_within: Duration::from_secs(600), ..RaftOptions::default() };
    let cluster = Cluster::start_with(3, options, small_files).await;
    let (leader, slow) = pair(&cluster).await;
    let node = cluster.node(leader.leader().unwrap().node).node().clone();
    let bytes = || node.log_bytes().unwrap();
    // Without anybody who is slow it stays at its size.
    for _ in 0..40 {
        propose_large(&leader, 20).await;
        assert!(bytes() < 200 << 10, "{} bytes", bytes());
    }
    // Nothing is on its way that it might still take.
    cluster.wait(|| leader.status().followers[&slow].matched == leader.status().last).await;
    cluster.node(slow).hear_nothing(true);
    let needed = leader.status().followers[&slow].matched;
    while bytes() < 250 << 10 {
        propose_large(&leader, 20).await;
        assert!(leader.status().purged <= needed, "{needed:?}: {:?}", leader.status().purged);
    }
    // Time for some looks at its size.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(leader.status().purged <= needed, "{needed:?}: {:?}", leader.status().purged);
    while leader.status().purged <= needed {
        assert!(bytes() < 1 << 20, "{} bytes and still held", bytes());
        propose_large(&leader, 20).await;
    }
    // And stays so; files go while new ones come.
    for _ in 0..20 {
        propose_large(&leader, 20).await;
        assert!(bytes() < 1 << 20, "{} bytes", bytes());
    }
    assert_eq!(snapshots_sent(&leader), 0);
    cluster.node(slow).hear_nothing(false);
    let last = propose(&leader, "last", 1).await;
    cluster.wait_applied(last).await;
    assert!(snapshots_sent(&leader) > 0);
    let tenants = cluster.tenants().await;
    assert!(tenants.windows(2).all(|pair| pair[0] == pair[1]), "{tenants:?}");
}
