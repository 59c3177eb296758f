//! What a node says to lists of groups at rest, and which groups it lists.

use std::sync::atomic::Ordering;

use super::*;
use crate::keep::Room;
use crate::record;
use crate::rest::{Standing, follows_at};

/// A node that is not there, and leads all the same.
const LEADER: u64 = 9;
const TERM: u64 = 7;

fn never() -> RaftOptions {
    RaftOptions { rest_after: Duration::MAX, ..steady() }
}

fn header(node: &TestNode, group: u64) -> Option<pb::Header> {
    let cluster = 1u128.to_be_bytes().to_vec().into();
    Some(pb::Header { cluster, group, from: LEADER, to: node.id.0 })
}

/// Whether the node agrees that the group rests there.
async fn agrees(node: &TestNode, vote: pb::Vote, last: pb::LogId) -> bool {
    let mut client = RaftTransportClient::connect(format!("http://{}", node.address())).await.unwrap();
    let groups = vec![pb::RestingGroup { group: GROUP.0, vote: Some(vote), last: Some(last) }];
    let request = pb::RestRequest { header: header(node, 0), groups };
    client.rest(request).await.unwrap().into_inner().awake.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_is_only_agreed_to_where_vote_log_and_rows_stand_as_it_says() {
    let node = TestNode::open(NodeId(1), never()).await;
    let group = node.node().start_group(GROUP).await.unwrap();
    let mut client = RaftTransportClient::connect(format!("http://{}", node.address())).await.unwrap();
    let vote = pb::Vote { term: TERM, node: LEADER, committed: true };
    let ids = [0, 1].map(|index| pb::LogId { term: TERM, node: LEADER, index });
    let blank = |id| pb::Entry { log_id: Some(id), payload: Some(pb::entry::Payload::Blank(pb::Empty {})) };
    let mut append = pb::AppendEntriesRequest {
        header: header(&node, GROUP.0),
        vote: Some(vote),
        previous: None,
        entries: ids.map(blank).to_vec(),
        committed: Some(ids[0]),
    };
    client.append_entries(append.clone()).await.unwrap();
    node.wait(|| group.status().applied == LogIndex(1)).await;
    assert!(!agrees(&node, vote, ids[0]).await, "its log is longer");
    assert!(!agrees(&node, vote, ids[1]).await, "its rows are behind");
    assert!(!group.status().rests);
    append.entries.clear();
    (append.previous, append.committed) = (Some(ids[1]), Some(ids[1]));
    client.append_entries(append).await.unwrap();
    node.wait(|| follows_at(group.raft()).is_some()).await;
    assert!(!agrees(&node, vote, ids[0]).await, "its rows are ahead");
    for other in [pb::Vote { term: TERM + 1, ..vote }, pb::Vote { node: 8, ..vote }] {
        assert!(!agrees(&node, other, ids[1]).await, "it follows somebody else");
    }
    assert!(!group.status().rests);
    assert!(agrees(&node, vote, ids[1]).await);
    assert!(group.status().rests);
    // What the leader sends next wakes it.
    append =
        pb::AppendEntriesRequest { header: header(&node, GROUP.0), vote: Some(vote), ..Default::default() };
    client.append_entries(append).await.unwrap();
    assert!(!group.status().rests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_leaves_a_node_at_rest_is_not_listed_there_and_rests_again_when_it_comes_back() {
    let (mut cluster, term, leader) = at_rest(3, steady()).await;
    let gone = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    let (group, address) = (cluster.node(leader).group(), cluster.node(gone).address());
    group.remove_members(&[gone].into()).await.unwrap();
    let Standing { vote, last } = follows_at_end(&cluster, leader).await;
    let (vote, last) = (record::vote(&vote), record::log_id(&last));
    let node = cluster.any(gone);
    node.node().remove_group(GROUP).await.unwrap();
    assert!(!agrees(node, vote, last).await, "a group that is not there does not rest there");
    // The others do.
    cluster.wait(|| cluster.groups().all(|group| group.status().rests)).await;
    let sources = group.status().members;
    cluster.node(gone).node().ensure_group(GROUP, &sources).await.unwrap();
    group.add_learner(gone, &address).await.unwrap();
    wait_for_rest(&cluster).await;
    assert_eq!(group.status().term, term);
}

/// Where the followers stand once they have all.
async fn follows_at_end(cluster: &Cluster, leader: NodeId) -> Standing {
    let last = cluster.node(leader).group().status().last;
    let stands = || {
        let follower =
            cluster.nodes().find(|node| node.id != leader && node.group().status().last == last)?;
        follows_at(follower.group().raft())
    };
    cluster.wait(|| stands().is_some()).await;
    stands().unwrap()
}

/// Its leader's node lives, and must not list what is not there any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_group_was_removed_at_rest_is_replaced() {
    let (cluster, term, leader) = at_rest(3, quick()).await;
    cluster.node(leader).node().remove_group(GROUP).await.unwrap();
    cluster.wait(|| cluster.groups().any(|group| group.status().leads)).await;
    let group = cluster.leader().await;
    assert!(group.status().term > term);
    group.propose(&create_tenant("after")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_rests_while_a_member_waits_for_its_rows() {
    let options = RaftOptions { keep_entries: 0, ..steady() };
    let (mut cluster, _, leader) = at_rest(3, options).await;
    for node in cluster.nodes() {
        node.group().relieve_log(Room::None).await.unwrap();
        cluster.wait(|| node.group().status().purged >= LogIndex(2)).await;
    }
    let victim = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    cluster.stop(victim).await;
    cluster.any(victim).lose_database();
    let flaky = cluster.any(victim).reopen_flaky().await;
    flaky.hold_pages.store(true, Ordering::SeqCst);
    let node = cluster.node(victim).node().clone();
    let starting = tokio::spawn(async move { node.start_group(GROUP).await.map(drop) });
    flaky.page_held.notified().await;
    assert_eq!(cluster.node(victim).node().refilling(), [GROUP]);
    let node = cluster.node(leader);
    cluster.wait(|| !node.group().status().rests).await;
    // Asked again and again, that member does not agree.
    let before = lists(node);
    node.wait(|| lists(node) >= before + LEASE_LISTS).await;
    assert!(!node.group().status().rests);
    // The held page never comes: the refill is cut off, and begins again.
    starting.abort();
    flaky.hold_pages.store(false, Ordering::SeqCst);
    cluster.node(victim).node().start_group(GROUP).await.unwrap();
    wait_for_rest(&cluster).await;
}
