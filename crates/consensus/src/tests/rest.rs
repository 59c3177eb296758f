//! Groups that rest: what wakes them, and that nothing is lost by it.

mod heard;
mod lists;

use super::cluster::{Cluster, GROUP};
use super::*;
use crate::pb;
use crate::pb::raft_transport_client::RaftTransportClient;
use crate::tests::cluster::TestNode;

/// Rests soon.
const REST_AFTER: Duration = Duration::from_millis(300);
/// More lists than openraft's lease lasts with [`steady`]; after it openraft takes no proposal and grants votes.
const LEASE_LISTS: u64 = 24;

/// Notices a dead leader as soon as usual.
fn quick() -> RaftOptions {
    RaftOptions { rest_after: REST_AFTER, ..RaftOptions::default() }
}

/// For tests in which nobody may be elected: what the machine does beside must not look like a dead leader.
fn steady() -> RaftOptions {
    let election_after = (Duration::from_secs(2), Duration::from_secs(3));
    RaftOptions { rest_after: REST_AFTER, election_after, ..RaftOptions::default() }
}

/// A cluster at rest with one entry, the term in which it rests and who leads.
async fn at_rest(count: u64, options: RaftOptions) -> (Cluster, u64, NodeId) {
    let cluster = Cluster::start(count, options).await;
    propose_somewhere(&cluster, "before").await;
    wait_for_rest(&cluster).await;
    let status = cluster.leader().await.status();
    (cluster, status.term, status.leader.unwrap().node)
}

async fn wait_for_rest(cluster: &Cluster) {
    cluster.wait(|| cluster.nodes().all(|node| node.group().status().rests)).await;
}

fn lists(node: &TestNode) -> u64 {
    node.node().heartbeat_counts().lists
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_nobody_uses_rests_on_all_nodes_without_heartbeats() {
    let (cluster, term, leader) = at_rest(3, steady()).await;
    let node = cluster.node(leader);
    let counts = || node.node().heartbeat_counts();
    // The last heartbeat may still be on its way when all rest.
    let silent = async {
        let mut before = counts();
        loop {
            node.wait(|| lists(node) >= before.lists + 20).await;
            let after = counts();
            if after.heartbeats == before.heartbeats {
                return;
            }
            before = after;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), silent)
        .await
        .expect("a stretch of 20 lists without heartbeats");
    for node in cluster.nodes() {
        let status = node.group().status();
        assert!(status.rests, "{status:?}");
        assert_eq!((status.term, status.leader.unwrap().node), (term, leader));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_voter_rests_and_is_woken_by_a_proposal() {
    let (cluster, term, leader) = at_rest(1, steady()).await;
    let group = cluster.node(leader).group();
    group.propose(&create_tenant("after")).await.unwrap();
    assert_eq!(group.status().term, term);
    assert_eq!(lists(cluster.node(leader)), 0);
    wait_for_rest(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_proposal_and_the_first_read_after_a_rest_succeed() {
    let (cluster, term, leader) = at_rest(3, steady()).await;
    let group = cluster.node(leader).group();
    let (node, before) = (cluster.node(leader), lists(cluster.node(leader)));
    node.wait(|| lists(node) >= before + 2 * LEASE_LISTS).await;
    let proposed = group.propose(&create_tenant("after")).await.unwrap();
    cluster.wait_applied(proposed.index).await;
    wait_for_rest(&cluster).await;
    assert!(tenant_exists(&group, ReadAt::Linearizable, "after").await);
    assert!(!group.status().rests, "a read is a use");
    wait_for_rest(&cluster).await;
    assert!(tenant_exists(&group, ReadAt::Index(proposed.index), "after").await);
    assert_eq!(group.status().term, term);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_while_all_rest_is_replaced() {
    let (mut cluster, term, leader) = at_rest(3, quick()).await;
    cluster.stop(leader).await;
    // Nobody uses the group: the followers must miss the lists by themselves.
    cluster.wait(|| cluster.nodes().any(|node| node.group().status().leads)).await;
    assert!(cluster.leader().await.status().term > term);
    propose_somewhere(&cluster, "after").await;
    cluster.restart(leader).await;
    wait_for_rest(&cluster).await;
    assert_eq!(cluster.tenants().await, [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_group_stopped_at_rest_is_replaced_though_its_node_lives() {
    let (cluster, _, leader) = at_rest(3, quick()).await;
    cluster.node(leader).group().shutdown().await;
    let others = || cluster.nodes().filter(|node| node.id != leader);
    cluster.wait(|| others().any(|node| node.group().status().leads)).await;
    let group = others().map(TestNode::group).find(|group| group.status().leads).unwrap();
    group.propose(&create_tenant("after")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_restarts_while_all_rest_is_replaced_or_elected_again() {
    let (mut cluster, term, leader) = at_rest(3, quick()).await;
    cluster.stop(leader).await;
    cluster.restart(leader).await;
    cluster.wait(|| cluster.nodes().any(|node| node.group().status().leads)).await;
    propose_somewhere(&cluster, "after").await;
    wait_for_rest(&cluster).await;
    assert!(cluster.leader().await.status().term > term);
    assert_eq!(cluster.tenants().await, [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_restarts_while_all_rest_changes_nothing_and_rests_again() {
    let (mut cluster, term, leader) = at_rest(3, steady()).await;
    let follower = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    cluster.stop(follower).await;
    // The others cannot rest while it is away.
    let group = cluster.node(leader).group();
    cluster.wait(|| !group.status().rests).await;
    cluster.restart(follower).await;
    wait_for_rest(&cluster).await;
    for node in cluster.nodes() {
        let status = node.group().status();
        assert_eq!((status.term, status.leader.unwrap().node), (term, leader));
    }
}

/// At rest the leases that openraft refuses votes by have run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_elected_against_a_leader_at_rest_that_is_heard() {
    let (cluster, term, leader) = at_rest(3, steady()).await;
    let (node, before) = (cluster.node(leader), lists(cluster.node(leader)));
    node.wait(|| lists(node) >= before + 2 * LEASE_LISTS).await;
    let candidate = cluster.nodes().map(|node| node.id).filter(|id| *id != leader).max().unwrap();
    let followers = || cluster.nodes().filter(|node| node.id != leader);
    for voter in followers().filter(|node| node.id != candidate).chain([node]) {
        // The first question wakes the leader, whose heartbeats are not answered before the second one.
        followers().for_each(|node| node.hear_nothing(voter.id == leader));
        for pre_vote in [true, false] {
            let answer = ask_for_vote(voter, candidate, term + 1, pre_vote).await;
            assert!(!answer.granted, "{answer:?}");
            assert_eq!(answer.vote.map(|vote| (vote.term, vote.node)), Some((term, leader.0)));
        }
    }
    followers().for_each(|node| node.hear_nothing(false));
    let group = cluster.node(leader).group();
    wait_for_rest(&cluster).await;
    assert_eq!((group.status().term, group.status().leads), (term, true));
}

async fn ask_for_vote(voter: &TestNode, candidate: NodeId, term: u64, pre_vote: bool) -> pb::VoteResponse {
    let address = format!("http://{}", voter.address());
    let mut client = RaftTransportClient::connect(address).await.unwrap();
    let cluster = 1u128.to_be_bytes().to_vec().into();
    let header = pb::Header { cluster, group: GROUP.0, from: candidate.0, to: voter.id.0 };
    let request = pb::VoteRequest {
        header: Some(header),
        vote: Some(pb::Vote { term, node: candidate.0, committed: false }),
        // Nobody has a longer log.
        last: Some(pb::LogId { term, node: candidate.0, index: 1_000 }),
        leadership_transfer: false,
    };
    let answer = if pre_vote { client.pre_vote(request).await } else { client.vote(request).await };
    answer.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_hears_nothing_for_a_while_does_not_depose_its_leader() {
    let (cluster, term, leader) = at_rest(3, steady()).await;
    let deaf = cluster.nodes().find(|node| node.id != leader).unwrap();
    deaf.hear_nothing(true);
    cluster.wait(|| !deaf.group().status().rests).await;
    let group = cluster.node(leader).group();
    cluster.wait(|| !group.status().rests).await;
    deaf.hear_nothing(false);
    wait_for_rest(&cluster).await;
    assert_eq!((group.status().term, group.status().leads), (term, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_at_rest_is_followed_by_another_when_asked_and_the_group_rests_again() {
    let (cluster, term, leader) = at_rest(3, steady()).await;
    let other = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    cluster.node(leader).group().transfer_leader(other).await.unwrap();
    cluster.wait(|| cluster.node(other).group().status().leads).await;
    wait_for_rest(&cluster).await;
    let status = cluster.node(leader).group().status();
    assert_eq!(status.leader.map(|leader| leader.node), Some(other));
    assert!(status.term > term);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_change_at_rest() {
    let (mut cluster, term, leader) = at_rest(3, steady()).await;
    let (id, address) = cluster.add().await;
    let (node, before) = (cluster.node(leader), lists(cluster.node(leader)));
    node.wait(|| lists(node) >= before + 2 * LEASE_LISTS).await;
    let group = node.group();
    group.add_learner(id, &address).await.unwrap();
    // A learner rests with the others.
    wait_for_rest(&cluster).await;
    let gone = cluster.nodes().map(|node| node.id).find(|other| *other != leader && *other != id).unwrap();
    let voters: Vec<NodeId> = cluster.nodes().map(|node| node.id).filter(|other| *other != gone).collect();
    group.set_voters(voters, Rest::Learns).await.unwrap();
    wait_for_rest(&cluster).await;
    let proposed = group.propose(&create_tenant("after")).await.unwrap();
    cluster.wait_applied(proposed.index).await;
    assert_eq!(group.status().term, term);
    assert_eq!(cluster.tenants().await, [2, 2, 2, 2]);
}
