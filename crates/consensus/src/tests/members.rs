//! Members come and go, and a node that a group has left forgets it all but its promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buzon_types::id::{GroupId, LogIndex, NodeId};

use super::cluster::{Cluster, GROUP, TestNode};
use super::{create_account, propose_somewhere};
use crate::error::{OpenError, ReadError};
use crate::group::{ChangeError, Group, Member, Rest};
use crate::group_meta;
use crate::keep::Room;
use crate::node::RaftOptions;
use crate::pb;
use crate::pb::raft_transport_client::RaftTransportClient;
use crate::record;
use crate::type_config::LogId;

fn ids(ids: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
    ids.into_iter().map(NodeId).collect()
}

/// Only a snapshot helps who is behind.
fn short_log() -> RaftOptions {
    RaftOptions { keep_entries: 0, ..RaftOptions::default() }
}

async fn propose(cluster: &Cluster, what: &str, count: usize) -> LogIndex {
    let mut last = LogIndex(0);
    for number in 0..count {
        last = propose_somewhere(cluster, &format!("{what} {number}")).await;
    }
    last
}

async fn purge(cluster: &Cluster, through: LogIndex) {
    for node in cluster.nodes().filter(|node| node.node().group(GROUP).is_some()) {
        node.group().relieve_log(Room::None).await.unwrap();
        cluster.wait(|| node.group().status().purged >= through).await;
    }
}

/// Repeats a change at whoever leads.
async fn at_leader<F: Future<Output = Result<(), ChangeError>>>(
    cluster: &Cluster,
    change: impl Fn(Group) -> F,
) {
    while let Err(error) = change(cluster.leader().await).await {
        assert!(matches!(error, ChangeError::NotLeader { .. }), "{error:?}");
        tokio::task::yield_now().await;
    }
}

/// Asks a node for its vote, as a member of an old membership would whose log ends there.
async fn ask_for_vote(node: &TestNode, from: NodeId, last: LogId) -> Result<bool, tonic::Code> {
    let mut client = RaftTransportClient::connect(format!("http://{}", node.address())).await.unwrap();
    let cluster = bytes::Bytes::copy_from_slice(&1_u128.to_be_bytes());
    let header = pb::Header { cluster, group: GROUP.0, from: from.0, to: node.id.0 };
    let request = pb::VoteRequest {
        header: Some(header),
        vote: Some(pb::Vote { term: 100, node: from.0, committed: false }),
        last: Some(record::log_id(&last)),
        // A follower then does not wait for its leader to be silent.
        leadership_transfer: true,
    };
    let answers = [client.pre_vote(request.clone()).await, client.vote(request).await];
    let granted = |answer: Result<tonic::Response<pb::VoteResponse>, tonic::Status>| {
        answer.map(|answer| answer.into_inner().granted).map_err(|status| status.code())
    };
    let [pre, vote] = answers.map(granted);
    assert_eq!(pre, vote);
    vote
}

async fn digests_agree(cluster: &Cluster, nodes: &BTreeSet<NodeId>) {
    let last = propose_somewhere(cluster, "the last one").await;
    let mut digests = Vec::new();
    for node in cluster.nodes().filter(|node| nodes.contains(&node.id)) {
        let mut applied = node.group().applied();
        applied.wait_for(|applied| *applied >= last).await.unwrap();
        digests.push(node.digest(GROUP).await);
    }
    assert_eq!(digests.len(), nodes.len());
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_replaced_forgets_its_rows_and_may_come_back() {
    let mut cluster = Cluster::start(3, short_log()).await;
    let last = propose(&cluster, "before", 30).await;
    cluster.wait_applied(last).await;
    purge(&cluster, last).await;
    let (id, address) = cluster.add().await;
    at_leader(&cluster, |group| {
        let address = address.clone();
        async move { group.add_learner(id, &address).await }
    })
    .await;
    let status = cluster.leader().await.status();
    assert_eq!((status.voters.clone(), status.learners().collect()), (ids([1, 2, 3]), vec![id]));
    let old = status
        .members
        .keys()
        .copied()
        .find(|node| *node != id && Some(*node) != status.leader.as_ref().map(|it| it.node));
    let old = old.unwrap();
    let stay: BTreeSet<NodeId> = ids([1, 2, 3, 4]).into_iter().filter(|node| *node != old).collect();
    for _ in 0..2 {
        // Twice: the second time nothing is left to do.
        at_leader(&cluster, |group| {
            let stay = stay.clone();
            async move {
                group.wait_caught_up(id).await?;
                group.set_voters(stay, Rest::Leaves).await
            }
        })
        .await;
    }
    let entries = cluster.leader().await.status().last;
    at_leader(&cluster, |group| {
        let (stay, gone) = (stay.clone(), [old].into());
        async move {
            group.set_voters(stay, Rest::Leaves).await?;
            group.remove_members(&gone).await
        }
    })
    .await;
    let status = cluster.leader().await.status();
    assert_eq!(
        (status.voters.clone(), status.members.into_keys().collect(), status.last),
        (stay.clone(), stay.clone(), entries)
    );

    // Another group on the same node stays as it is.
    let other = GroupId(7);
    let alone = BTreeMap::from([(old, cluster.node(old).address())]);
    let group = cluster.any(old).found(other, &alone).await;
    group.wait_for_leader().await.unwrap();
    group.propose(&create_account(buzon_types::id::AccountId(1))).await.unwrap();
    let digest = cluster.node(old).digest(other).await;
    let node = cluster.node(old);
    let floor = group_meta::last(&node.node().group_log(GROUP)).await.unwrap().unwrap();
    let before = LogId::new(*floor.committed_leader_id(), floor.index - 1);
    for _ in 0..2 {
        node.node().remove_group(GROUP).await.unwrap();
    }
    assert_eq!((node.store().head(GROUP).await.unwrap(), node.tenants().await), (None, 0));
    assert_eq!(node.digest(other).await, digest);
    assert_eq!(node.node().stored_groups(), [other]);
    assert!(matches!(node.node().start_group(GROUP).await.unwrap_err(), OpenError::Removed(GROUP)));
    // Who was a member once, and lacks what this node acknowledged, does not get its vote.
    assert_eq!(ask_for_vote(node, NodeId(9), before).await, Err(tonic::Code::NotFound));
    digests_agree(&cluster, &stay).await;

    // Nor after a restart, nor when the group comes back.
    drop(group);
    cluster.stop(old).await;
    cluster.any(old).reopen().await.unwrap();
    assert_eq!(cluster.node(old).node().stored_groups(), [other]);
    let sources = cluster.leader().await.status().members;
    cluster.node(old).node().ensure_group(GROUP, &sources).await.unwrap();
    let node = cluster.node(old);
    assert!(*node.group().applied().borrow() >= record::position(&floor));
    assert_eq!(ask_for_vote(node, NodeId(9), before).await, Ok(false));
    let address = node.address();
    at_leader(&cluster, |group| {
        let address = address.clone();
        async move {
            group.add_learner(old, &address).await?;
            group.wait_caught_up(old).await?;
            group.set_voters(ids([1, 2, 3, 4]), Rest::Leaves).await
        }
    })
    .await;
    digests_agree(&cluster, &ids([1, 2, 3, 4])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_comes_back_waits_for_rows_and_votes_for_nobody_before() {
    let mut cluster = Cluster::start(3, short_log()).await;
    let last = propose(&cluster, "before", 10).await;
    cluster.wait_applied(last).await;
    let leader = cluster.leader().await.leader().unwrap().node;
    let back = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    let others: Vec<NodeId> = cluster.nodes().map(|node| node.id).filter(|id| *id != back).collect();
    let sources: BTreeMap<NodeId, String> =
        cluster.nodes().filter(|node| node.id != back).map(|node| (node.id, node.address())).collect();
    cluster.node(back).node().remove_group(GROUP).await.unwrap();
    for id in &others {
        cluster.stop(*id).await;
    }
    let node = cluster.node(back).node().clone();
    // It is nobody whom the log remembers.
    let nobody = BTreeMap::from([(NodeId(8), "127.0.0.1:1".to_owned())]);
    let starting = tokio::spawn(async move { node.ensure_group(GROUP, &nobody).await.map(drop) });
    let waiting = cluster.node(back);
    cluster.wait(|| waiting.node().refilling() == [GROUP]).await;
    let floor = group_meta::purged(&waiting.node().group_log(GROUP)).unwrap().unwrap();
    let before = LogId::new(*floor.committed_leader_id(), floor.index - 1);
    assert_eq!(ask_for_vote(waiting, others[0], before).await, Err(tonic::Code::NotFound));
    // Removed again while it waits, and told to come back once more.
    waiting.node().remove_group(GROUP).await.unwrap();
    assert!(matches!(starting.await.unwrap().unwrap_err(), OpenError::Closed | OpenError::Removed(_)));
    let node = waiting.node().clone();
    let starting = tokio::spawn(async move { node.ensure_group(GROUP, &sources).await.map(drop) });
    for id in &others {
        cluster.restart(*id).await;
    }
    starting.await.unwrap().unwrap();
    digests_agree(&cluster, &ids([1, 2, 3])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_was_cut_off_is_finished_at_the_next_start() {
    let mut cluster = Cluster::start(1, short_log()).await;
    propose(&cluster, "tenant", 10).await;
    let node = cluster.node(NodeId(1));
    let log = node.node().group_log(GROUP);
    // The first step of a removal.
    group_meta::change(&log, |meta| meta.removed = true).await.unwrap();
    drop(log);
    cluster.stop(NodeId(1)).await;
    cluster.any(NodeId(1)).reopen().await.unwrap();
    let node = cluster.node(NodeId(1));
    assert_eq!((node.node().stored_groups().len(), node.tenants().await), (0, 0));
    let view = node.node().group_log(GROUP).view();
    assert!(view.held.is_empty() && view.held.start > 10 && view.vote.is_some(), "{view:?}");
}

/// One call for all of it, and the leader itself may go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_members_are_exchanged_by_one_call_the_leader_among_them() {
    let mut cluster = Cluster::start(3, RaftOptions::default()).await;
    propose(&cluster, "before", 10).await;
    let (four, address) = cluster.add().await;
    let leader = cluster.leader().await.leader().unwrap().node;
    let mut members: BTreeMap<NodeId, Member> = cluster
        .nodes()
        .filter(|node| node.id != leader)
        .map(|node| (node.id, Member { address: node.address(), votes: true }))
        .collect();
    members.insert(four, Member { address, votes: true });
    at_leader(&cluster, |group| {
        let members = members.clone();
        async move { group.set_members(&members).await }
    })
    .await;
    let voters: BTreeSet<NodeId> = members.keys().copied().collect();
    let led = || {
        cluster.nodes().filter(|node| node.id != leader).any(|node| {
            let status = node.group().status();
            status.leads && status.voters == voters && status.members.len() == 3
        })
    };
    cluster.wait(led).await;
    cluster.node(leader).node().remove_group(GROUP).await.unwrap();
    // One of the voters steps back, and the other two are asked again.
    let back = *voters.first().unwrap();
    members.get_mut(&back).unwrap().votes = false;
    let reached =
        |status: &crate::group::GroupStatus| status.learners().eq([back]) && status.voters.len() == 2;
    loop {
        let leading = cluster
            .nodes()
            .filter(|node| node.id != leader)
            .map(TestNode::group)
            .find(|it| it.status().leads);
        let Some(group) = leading else {
            tokio::task::yield_now().await;
            continue;
        };
        if group.set_members(&members).await.is_ok() && reached(&group.status()) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_tells_how_far_its_followers_are() {
    let mut cluster = Cluster::start(3, RaftOptions::default()).await;
    let last = propose(&cluster, "tenant", 5).await;
    let leader = cluster.leader().await;
    let away = cluster
        .nodes()
        .map(|node| node.id)
        .find(|id| Some(*id) != leader.leader().map(|it| it.node))
        .unwrap();
    let matched = |group: &Group, node| group.status().followers[&node].matched;
    cluster
        .wait(|| {
            let followers = leader.status().followers;
            followers.len() == 2 && followers.values().all(|it| it.matched >= last && it.heard.is_some())
        })
        .await;
    assert_eq!(leader.status().followers.len(), 2);
    cluster.stop(away).await;
    let before = matched(&leader, away);
    let last = leader.propose(&super::create_tenant("more")).await.unwrap().index;
    cluster
        .wait(|| leader.status().followers.iter().any(|(node, it)| *node != away && it.matched >= last))
        .await;
    assert_eq!(matched(&leader, away), before);
    let follower = cluster.nodes().map(TestNode::group).find(|group| !group.status().leads).unwrap();
    assert!(follower.status().followers.is_empty());
    let error = follower.remove_members(&[away].into()).await.unwrap_err();
    assert!(matches!(error, ChangeError::NotLeader { leader: Some(_) }), "{error:?}");
}

/// openraft lets the lease of a leader go that hands its group over, whoever is to have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_handed_over_to_a_voter_only() {
    let mut cluster = Cluster::start(3, RaftOptions::default()).await;
    let (learner, address) = cluster.add().await;
    at_leader(&cluster, |group| {
        let address = address.clone();
        async move { group.add_learner(learner, &address).await }
    })
    .await;
    let leader = cluster.leader().await;
    let (node, term) = (leader.leader().unwrap().node, leader.status().term);
    leader.transfer_leader(node).await.unwrap();
    for refused in [learner, NodeId(99)] {
        let error = leader.transfer_leader(refused).await.unwrap_err();
        assert!(matches!(error, ReadError::Unavailable(_)), "{error:?}");
    }
    // It serves on, in the same term.
    leader.propose(&super::create_tenant("after")).await.unwrap();
    let status = leader.status();
    assert_eq!((status.term, status.leads), (term, true));
}

/// openraft goes on with the clients that it has, for as long as the leader leads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stays_follows_a_member_to_its_new_address() {
    // What the machine does beside must not look like a dead leader.
    let election_after = (Duration::from_secs(3), Duration::from_secs(4));
    let mut cluster = Cluster::start(3, RaftOptions { election_after, ..RaftOptions::default() }).await;
    propose(&cluster, "before", 3).await;
    let leader = cluster.leader().await;
    let id = leader.leader().unwrap().node;
    let moved = cluster.nodes().map(|node| node.id).find(|node| *node != id).unwrap();
    cluster.stop(moved).await;
    cluster.any(moved).reopen_elsewhere().await.unwrap();
    cluster.node(moved).node().start_group(GROUP).await.unwrap();
    let address = cluster.node(moved).address();
    // Refused while a majority was not heard lately, which one node alone must answer for.
    at_leader(&cluster, |group| {
        let address = address.clone();
        async move { group.add_learner(moved, &address).await }
    })
    .await;
    // The leader is the same as before, unless this machine was too busy for it.
    let last = propose_somewhere(&cluster, "after").await;
    cluster.wait_applied(last).await;
}
