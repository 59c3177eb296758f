//! How many proposals wait in a group.

use std::collections::BTreeMap;

use super::cluster::GROUP;
use super::*;

/// As in `group::queue`.
const PROPOSALS_MAX: usize = 4_096;
const REFUSED: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_disk_is_slow_refuses_what_its_queue_does_not_hold_and_serves_again() {
    let mut node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    let voters = BTreeMap::from([(node.id, node.address())]);
    let group = node.found(GROUP, &voters).await;
    group.wait_for_leader().await.unwrap();
    group.read(ReadAt::Linearizable, |_| Vec::new()).await.unwrap();
    // Nothing that is proposed from now on is answered before all of it is there.
    node.disk_takes(Duration::from_secs(15));
    let mut proposers = tokio::task::JoinSet::new();
    for number in 0..PROPOSALS_MAX + REFUSED {
        let group = group.clone();
        proposers.spawn(async move { group.propose(&create_tenant(&format!("tenant {number}"))).await });
    }
    for _ in 0..REFUSED {
        let refused = proposers.join_next().await.unwrap().unwrap().unwrap_err();
        assert!(matches!(refused, ProposeError::QueueFull), "{refused:?}");
        assert_eq!((refused.outcome(), refused.leader()), (WriteOutcome::NotApplied, None));
    }
    assert_eq!(group.status().proposals, PROPOSALS_MAX);
    // Who gives up does not make room: the entry is in memory as before.
    proposers.abort_all();
    while proposers.join_next().await.is_some() {}
    assert_eq!(group.status().proposals, PROPOSALS_MAX);
    let refused = group.propose(&create_tenant("one more")).await.unwrap_err();
    assert!(matches!(refused, ProposeError::QueueFull), "{refused:?}");
    node.disk_takes(Duration::ZERO);
    node.wait(|| group.status().proposals == 0).await;
    group.propose(&create_tenant("one more")).await.unwrap();
    assert_eq!(node.tenants().await, PROPOSALS_MAX + 1);
}
