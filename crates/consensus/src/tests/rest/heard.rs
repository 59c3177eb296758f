//! How long ago a leader heard a majority, awake and at rest.

use openraft::Instant as _;
use openraft::async_runtime::watch::WatchReceiver as _;

use super::*;

/// Less than what the tests wait for; many heartbeats and lists.
const LATELY: Duration = Duration::from_secs(5);

fn heard(group: &Group) -> Option<Duration> {
    group.status().majority_heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_has_not_heard_a_majority_for_longer_and_longer() {
    // Awake, so that openraft's own word is what counts.
    let options = RaftOptions { rest_after: Duration::MAX, ..quick() };
    let mut cluster = Cluster::start(3, options).await;
    propose_somewhere(&cluster, "before").await;
    let group = cluster.leader().await;
    let leader = group.status().leader.unwrap().node;
    cluster.wait(|| heard(&group).is_some_and(|ago| ago < LATELY)).await;
    let others: Vec<NodeId> = cluster.nodes().map(|node| node.id).filter(|id| *id != leader).collect();
    for other in cluster.nodes().filter(|node| node.id != leader) {
        assert_eq!(heard(&other.group()), None, "only a leader is heard");
    }
    // One of three is no loss.
    cluster.stop(others[0]).await;
    let missed = std::time::Instant::now();
    cluster.wait(|| missed.elapsed() > LATELY && heard(&group).is_some_and(|ago| ago < LATELY)).await;
    cluster.stop(others[1]).await;
    cluster.wait(|| heard(&group).is_some_and(|ago| ago > LATELY)).await;
    assert!(group.status().leads, "it believes so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_lists_count_as_heard_and_no_answers_do_not() {
    let (cluster, _, leader) = at_rest(3, steady()).await;
    let node = cluster.node(leader);
    let (group, before) = (node.group(), lists(node));
    // By far longer ago than heartbeats.
    node.wait(|| lists(node) >= before + 2 * LEASE_LISTS).await;
    let asleep = group.raft().metrics().borrow_watched().last_quorum_acked.unwrap().elapsed();
    assert!(heard(&group).unwrap() < asleep, "{asleep:?}");
    cluster.wait(|| group.status().rests && heard(&group).is_some_and(|ago| ago < LATELY)).await;
    // Woken, it has heard them until just now.
    group.propose(&create_tenant("after")).await.unwrap();
    assert!(heard(&group).is_some());
    wait_for_rest(&cluster).await;
    cluster.nodes().filter(|node| node.id != leader).for_each(|node| node.hear_nothing(true));
    cluster.wait(|| heard(&group).is_some_and(|ago| ago > LATELY)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_voter_is_its_own_majority() {
    let (cluster, _, leader) = at_rest(1, quick()).await;
    assert_eq!(heard(&cluster.node(leader).group()), Some(Duration::ZERO));
}
