//! Who holds the log, and who does not.

use std::sync::atomic::Ordering;

use super::*;

/// So few that a test passes them, and a snapshot every few entries.
fn short() -> RaftOptions {
    RaftOptions { snapshot_entries: 20, keep_entries: 5, ..RaftOptions::default() }
}

/// The leader and a follower.
async fn pair(cluster: &Cluster) -> (Group, NodeId) {
    propose_somewhere(cluster, "first").await;
    let leader = cluster.leader().await;
    let id = leader.leader().unwrap().node;
    (leader, cluster.nodes().map(|node| node.id).find(|other| *other != id).unwrap())
}

async fn propose(group: &Group, what: &str, count: u32) -> LogIndex {
    let mut last = LogIndex(0);
    for number in 0..count {
        let proposed = group.propose(&create_tenant(&format!("{what} {number}"))).await.unwrap();
        last = proposed.index;
    }
    last
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
