//! What must not look like a dead leader.

use super::cluster::Cluster;
use super::*;

/// An election begins after five to six seconds of silence: what the machine does beside takes less.
fn steady() -> RaftOptions {
    let election_after = (Duration::from_secs(2), Duration::from_secs(3));
    RaftOptions { election_after, rest_after: Duration::MAX, ..RaftOptions::default() }
}

/// Heartbeats count when they come, not when what came before them is on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_fsync_takes_longer_than_its_patience_begins_no_election() {
    let cluster = Cluster::start(3, steady()).await;
    let first = propose_somewhere(&cluster, "first").await;
    cluster.wait_applied(first).await;
    let status = cluster.leader().await.status();
    let leader = status.leader.unwrap().node;
    let follower = cluster.nodes().find(|node| node.id != leader).unwrap();
    follower.disk_takes(Duration::from_secs(8));
    let group = cluster.node(leader).group();
    let last = group.propose(&create_tenant("second")).await.unwrap().index;
    cluster.wait_applied(last).await;
    follower.disk_takes(Duration::ZERO);
    for group in cluster.groups() {
        let now = group.status();
        assert_eq!((now.term, now.leader.unwrap().node), (status.term, leader));
    }
}
