//! Heartbeats of many groups in few calls.

use std::collections::BTreeMap;
use std::time::Duration;

use buzon_types::id::{GroupId, NodeId};
use tonic::transport::Channel;

use super::cluster::TestNode;
use crate::node::RaftOptions;
use crate::pb;
use crate::pb::heartbeat_answer::Result as Answer;
use crate::pb::raft_transport_client::RaftTransportClient;

/// A node that is not there, and leads all the same.
const LEADER: u64 = 9;
const VOTE: pb::Vote = pb::Vote { term: 7, node: LEADER, committed: true };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_of_many_groups_share_calls() {
    const GROUPS: u64 = 60;
    let mut nodes = Vec::new();
    for id in 1..=2 {
        // At rest there would be none.
        let options = RaftOptions { rest_after: Duration::MAX, ..RaftOptions::default() };
        nodes.push(TestNode::open(NodeId(id), options).await);
    }
    let voters: BTreeMap<_, _> = nodes.iter().map(|node| (node.id, node.address())).collect();
    for id in 1..=GROUPS {
        for node in &mut nodes {
            node.found(GroupId(id), &voters).await;
        }
    }
    for group in nodes.iter().flat_map(|node| node.node().groups()) {
        group.wait_for_leader().await.unwrap();
    }
    let counts = |node: &TestNode| node.node().heartbeat_counts();
    let before: Vec<_> = nodes.iter().map(counts).collect();
    for (node, before) in nodes.iter().zip(before) {
        let leads = node.node().groups().iter().filter(|group| group.status().leads).count() as u64;
        // So few groups may not meet, and have nothing to share.
        if leads < GROUPS / 4 {
            continue;
        }
        node.wait(|| counts(node).heartbeats >= before.heartbeats + 5 * leads).await;
        let (heartbeats, calls) =
            (counts(node).heartbeats - before.heartbeats, counts(node).calls - before.calls);
        assert!(heartbeats >= 2 * calls, "{heartbeats} heartbeats of {leads} groups in {calls} calls");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_not_there_does_not_spoil_the_heartbeats_of_others() {
    let node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    node.node().start_group(GroupId(1)).await.unwrap();
    let answers = all(beats(&node, &[2, 1, 3]).await).await;
    assert!(matches!(&answers[&0], Answer::Refused(why) if why.contains("group 2")), "{answers:?}");
    assert!(matches!(&answers[&2], Answer::Refused(why) if why.contains("group 3")), "{answers:?}");
    let Answer::Answer(answer) = &answers[&1] else { panic!("{answers:?}") };
    assert!(matches!(answer.outcome, Some(pb::append_entries_response::Outcome::Success(_))), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_waits_for_its_disk_does_not_delay_the_heartbeats_of_others() {
    let node = TestNode::open_on_slow_disk(NodeId(1), Duration::ZERO).await;
    for id in 1..=2 {
        node.node().start_group(GroupId(id)).await.unwrap();
    }
    // The vote is stored before the disk becomes slow.
    all(beats(&node, &[1, 2]).await).await;
    node.disk_takes(Duration::from_secs(2));
    let mut client = client(&node).await;
    let append = pb::AppendEntriesRequest {
        header: Some(header(&node, 1)),
        vote: Some(VOTE),
        previous: None,
        entries: vec![pb::Entry {
            log_id: Some(pb::LogId { term: VOTE.term, node: LEADER, index: 0 }),
            payload: Some(pb::entry::Payload::Blank(pb::Empty {})),
        }],
        committed: None,
    };
    let appending = tokio::spawn(async move { client.append_entries(append).await.unwrap() });
    let slow = node.node().group(GroupId(1)).unwrap();
    node.wait(|| slow.status().last.0 == 1).await;
    let mut parts = beats(&node, &[1, 2]).await;
    let first = parts.message().await.unwrap().unwrap();
    let positions: Vec<u32> = first.answers.iter().map(|answer| answer.position).collect();
    assert_eq!(positions, [1], "the idle group's answer comes alone, before the other's disk is done");
    assert_eq!(all(parts).await.into_keys().collect::<Vec<_>>(), [0]);
    appending.await.unwrap();
}

async fn client(node: &TestNode) -> RaftTransportClient<Channel> {
    RaftTransportClient::connect(format!("http://{}", node.address())).await.unwrap()
}

fn header(node: &TestNode, group: u64) -> pb::Header {
    pb::Header { cluster: 1u128.to_be_bytes().to_vec().into(), group, from: LEADER, to: node.id.0 }
}

async fn beats(node: &TestNode, groups: &[u64]) -> tonic::Streaming<pb::HeartbeatsResponse> {
    let heartbeat = |group: &u64| pb::Heartbeat { group: *group, vote: Some(VOTE), ..Default::default() };
    let heartbeats = groups.iter().map(heartbeat).collect();
    let request = pb::HeartbeatsRequest { header: Some(header(node, 0)), heartbeats };
    client(node).await.heartbeats(request).await.unwrap().into_inner()
}

async fn all(mut parts: tonic::Streaming<pb::HeartbeatsResponse>) -> BTreeMap<u32, Answer> {
    let mut answers = BTreeMap::new();
    while let Some(part) = parts.message().await.unwrap() {
        answers.extend(part.answers.into_iter().map(|answer| (answer.position, answer.result.unwrap())));
    }
    answers
}
