//! Snapshots over wires that break, to databases that are away for a moment, and between versions.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use buzon_meta_store::store::{Exported, Page};
use buzon_model::command::NewMessage;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::SystemFlags;
use buzon_types::id::{MailboxId, MailboxKey};
use buzon_types::time::InternalDate;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::wire::Wire;
use super::*;
use crate::keep::Room;
use crate::pb;
use crate::pb::raft_transport_client::RaftTransportClient;
use crate::pb::snapshot_part::Part;

const SHARD: GroupId = GroupId(1);
/// Four of them make an entry, and about as many a page.
const SUMMARY_BYTES: usize = 240_000;
const ENTRIES: u32 = 36;
/// Pages that are on their way when a wire breaks: in the channel, with gRPC, and one in hand.
const ON_THE_WAY: u64 = 12;

fn options() -> RaftOptions {
    RaftOptions { keep_entries: 0, ..RaftOptions::default() }
}

fn append(number: u32) -> Entry {
    let message = |at: u32| NewMessage {
        flags: SystemFlags::default(),
        keywords: Vec::new(),
        internal_date: InternalDate { seconds: 5, zone_minutes: 0 },
        size: 1,
        body: BodyRef {
            object: ObjectId(u128::from(number) << 32 | u128::from(at)),
            offset: 0,
            length: 1,
            encoding: Encoding::Plain,
            key: KeyId(0),
        },
        summary: Bytes::from(vec![number as u8; SUMMARY_BYTES]),
    };
    let mailbox = MailboxKey { account: AccountId(1), mailbox: MailboxId(1) };
    entry(Command::Shard(ShardCommand::Append { mailbox, messages: (0..4).map(message).collect() }))
}

async fn propose(group: &Group, what: &Entry) -> LogIndex {
    let proposed = group.propose(what).await.unwrap();
    assert!(proposed.outcome.is_ok(), "{proposed:?}");
    proposed.index
}

/// Proposes until a leader takes it.
async fn propose_somewhere(nodes: &[&TestNode], account: u64) -> LogIndex {
    let entry = create_account(AccountId(account));
    loop {
        for node in nodes {
            if let Ok(proposed) = node.node().group(SHARD).unwrap().propose(&entry).await {
                return proposed.index;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Leads a shard with some ten pages and a log that begins after them.
async fn large_leader(node: &mut TestNode, voters: &BTreeMap<NodeId, String>, entries: u32) -> Group {
    let group = node.found(SHARD, voters).await;
    group.wait_for_leader().await.unwrap();
    propose(&group, &create_account(AccountId(1))).await;
    let mut last = LogIndex(0);
    for number in 0..entries {
        last = propose(&group, &append(number)).await;
    }
    group.relieve_log(Room::None).await.unwrap();
    node.wait(|| group.status().purged >= last).await;
    group
}

/// That all applied this and hold the same rows.
async fn agree(nodes: &[&TestNode], last: LogIndex) {
    let mut digests = Vec::new();
    for node in nodes {
        let group = node.node().group(SHARD).unwrap();
        node.wait(|| *group.applied().borrow() >= last).await;
        digests.push(node.digest(SHARD).await);
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
}

/// That a snapshot was read once, and not much more was sent, however often its stream broke.
fn sent_about_once(sender: &Group, breaks: u64) {
    let counts = sender.machine().sessions().counts();
    let (read, sent) = (counts.read.load(Ordering::Relaxed), counts.sent.load(Ordering::Relaxed));
    println!("{read} pages read, {sent} sent, {breaks} breaks");
    assert!((25..=55).contains(&read), "{read} pages were read");
    assert!(
        (read..=read + breaks * ON_THE_WAY).contains(&sent),
        "{read} pages, {sent} sent, {breaks} breaks"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_snapshot_goes_on_where_its_stream_broke() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut leader = TestNode::open(NodeId(1), options()).await;
    let voters = BTreeMap::from([(leader.id, leader.address())]);
    let group = large_leader(&mut leader, &voters, ENTRIES).await;
    let follower = TestNode::open(NodeId(2), options()).await;
    follower.node().start_group(SHARD).await.unwrap();
    let wire = Wire::to(follower.address()).await;
    wire.breaks_after(random.random_range(2_000_000..9_000_000));
    group.add_learner(follower.id, &wire.address()).await.unwrap();
    let mut last = LogIndex(0);
    for breaks in 1..=3 {
        follower.wait(|| wire.broken() == breaks).await;
        // It is written to meanwhile.
        last = propose(&group, &create_account(AccountId(100 + breaks))).await;
        if breaks < 3 {
            wire.breaks_after(random.random_range(2_000_000..9_000_000));
        }
    }
    agree(&[&leader, &follower], last).await;
    sent_about_once(&group, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_a_moment_goes_on_with_its_snapshot() {
    let mut leader = TestNode::open(NodeId(1), options()).await;
    let voters = BTreeMap::from([(leader.id, leader.address())]);
    let group = large_leader(&mut leader, &voters, ENTRIES).await;
    let mut follower = TestNode::open(NodeId(2), options()).await;
    follower.stop().await;
    let flaky = follower.reopen_flaky().await;
    follower.node().start_group(SHARD).await.unwrap();
    // Not even the first one, and then some that are staged although nobody was told.
    flaky.refuse_pages.store(1, Ordering::SeqCst);
    group.add_learner(follower.id, &follower.address()).await.unwrap();
    follower.wait(|| flaky.refuse_pages.load(Ordering::SeqCst) == 0).await;
    let incoming = follower.node().group(SHARD).unwrap();
    let taken = || incoming.machine().incoming().partial().map_or(0, |partial| partial.pages);
    follower.wait(|| taken() > 8).await;
    flaky.forget_pages.store(1, Ordering::SeqCst);
    follower.wait(|| flaky.forget_pages.load(Ordering::SeqCst) == 0).await;
    let last = propose(&group, &create_account(AccountId(101))).await;
    agree(&[&leader, &follower], last).await;
    sent_about_once(&group, 2);
}

/// Two voters, of which the second has lost its database and asks the first over a wire.
async fn puller() -> (TestNode, TestNode, Wire) {
    let mut nodes = [TestNode::open(NodeId(1), options()).await, TestNode::open(NodeId(2), options()).await];
    let wire = Wire::to(nodes[0].address()).await;
    let voters = BTreeMap::from([(NodeId(1), wire.address()), (NodeId(2), nodes[1].address())]);
    let [first, second] = &mut nodes;
    // The one that is reached over the wire leads.
    let (left, right) = tokio::join!(
        async {
            let group = first.found(SHARD, &voters).await;
            group.wait_for_leader().await.unwrap();
            group
        },
        second.found(SHARD, &voters)
    );
    if !left.status().leads {
        right.transfer_leader(NodeId(1)).await.unwrap();
        first.wait(|| left.status().leads).await;
    }
    let group = large_leader(first, &voters, ENTRIES).await;
    let last = group.status().last;
    second.wait(|| *right.applied().borrow() >= last).await;
    right.relieve_log(Room::None).await.unwrap();
    second.wait(|| right.status().purged >= LogIndex(u64::from(ENTRIES))).await;
    drop((left, right, group));
    second.stop().await;
    second.lose_database();
    let [first, second] = nodes;
    (first, second, wire)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulled_snapshot_goes_on_where_its_stream_broke() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (first, mut second, wire) = puller().await;
    second.reopen().await.unwrap();
    wire.breaks_after(random.random_range(2_000_000..9_000_000));
    let node = second.node().clone();
    let starting = tokio::spawn(async move { node.start_group(SHARD).await.map(drop) });
    for breaks in 1..=3 {
        second.wait(|| wire.broken() == breaks).await;
        if breaks < 3 {
            wire.breaks_after(random.random_range(2_000_000..9_000_000));
        }
    }
    starting.await.unwrap().unwrap();
    let sender = first.node().group(SHARD).unwrap();
    let last = propose_somewhere(&[&first, &second], 101).await;
    agree(&[&first, &second], last).await;
    sent_about_once(&sender, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_either_side_begins_anew_and_ends_well() {
    let mut leader = TestNode::open(NodeId(1), options()).await;
    let voters = BTreeMap::from([(leader.id, leader.address())]);
    let group = large_leader(&mut leader, &voters, 12).await;
    let mut follower = TestNode::open(NodeId(2), options()).await;
    follower.node().start_group(SHARD).await.unwrap();
    let wire = Wire::to(follower.address()).await;
    wire.breaks_after(4_000_000);
    group.add_learner(follower.id, &wire.address()).await.unwrap();
    follower.wait(|| wire.broken() == 1).await;
    follower.stop().await;
    follower.reopen().await.unwrap();
    wire.breaks_after(4_000_000);
    follower.node().start_group(SHARD).await.unwrap();
    follower.wait(|| wire.broken() == 2).await;
    drop(group);
    leader.stop().await;
    leader.reopen().await.unwrap();
    let group = leader.node().start_group(SHARD).await.unwrap();
    group.wait_for_leader().await.unwrap();
    let last = propose_somewhere(&[&leader], 101).await;
    agree(&[&leader, &follower], last).await;
}

/// A node whose snapshots are those of versions that knew rows only: it gets, and gives, what it knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_old_gets_rows_only_in_one_stream() {
    let mut leader = TestNode::open(NodeId(1), options()).await;
    let voters = BTreeMap::from([(leader.id, leader.address())]);
    let group = large_leader(&mut leader, &voters, 6).await;
    let mut follower = TestNode::open(NodeId(2), options()).await;
    follower.stop().await;
    follower.is_old_from_now_on();
    follower.reopen().await.unwrap();
    follower.node().start_group(SHARD).await.unwrap();
    group.add_learner(follower.id, &follower.address()).await.unwrap();
    let last = propose(&group, &create_account(AccountId(101))).await;
    agree(&[&leader, &follower], last).await;
    assert_eq!(group.machine().sessions().counts().read.load(Ordering::Relaxed), 0, "as one transaction");

    // And asks as it does: no page of another kind comes, and no session.
    let mut client = RaftTransportClient::connect(format!("http://{}", leader.address())).await.unwrap();
    client = client.max_decoding_message_size(8 << 20);
    let cluster = Bytes::copy_from_slice(&1_u128.to_be_bytes());
    let header = Some(pb::Header { cluster, group: SHARD.0, from: 2, to: 1 });
    let request = pb::FetchSnapshotRequest { header, ..Default::default() };
    let mut parts = client.fetch_snapshot(request).await.unwrap().into_inner();
    let mut pages = Vec::new();
    let end = loop {
        match parts.message().await.unwrap().unwrap().part.unwrap() {
            Part::Page(page) => pages.push(Page(page)),
            Part::End(end) => break end,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end.pages, pages.len() as u64);
    let mut export = leader.store().begin_export(SHARD).await.unwrap();
    let mut expected = Vec::new();
    while let Exported::Page(page) = export.next().await.unwrap() {
        expected.push(page);
    }
    // What nobody writes to is the same in both, but for the head, which comes again at the end.
    expected.pop();
    assert!(pages == expected, "{} and {} pages", pages.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_from_a_member_of_old_too() {
    let (mut first, mut second, _wire) = puller().await;
    first.stop().await;
    first.is_old_from_now_on();
    first.reopen().await.unwrap();
    let sender = first.node().start_group(SHARD).await.unwrap();
    second.reopen().await.unwrap();
    second.node().start_group(SHARD).await.unwrap();
    let last = propose_somewhere(&[&first, &second], 101).await;
    agree(&[&first, &second], last).await;
    assert_eq!(sender.machine().sessions().counts().read.load(Ordering::Relaxed), 0);
}

/// Raft believes the follower to have what its leader promised: less than that is not sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_stand_before_what_was_promised_are_not_sent() {
    let mut leader = TestNode::open(NodeId(1), options()).await;
    leader.stop().await;
    let flaky = leader.reopen_flaky().await;
    let voters = BTreeMap::from([(leader.id, leader.address())]);
    let group = large_leader(&mut leader, &voters, 6).await;
    flaky.exports_behind.store(2, Ordering::SeqCst);
    let follower = TestNode::open(NodeId(2), options()).await;
    let copy = follower.node().start_group(SHARD).await.unwrap();
    let needed = group.status().purged;
    group.add_learner(follower.id, &follower.address()).await.unwrap();
    leader.wait(|| flaky.exports.load(Ordering::SeqCst) == 3).await;
    follower.wait(|| *copy.applied().borrow() > LogIndex(0)).await;
    assert!(*copy.applied().borrow() >= needed);
    let last = propose(&group, &create_account(AccountId(101))).await;
    agree(&[&leader, &follower], last).await;
}

/// A server that restarted may have lost some of the pages that were staged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_begins_anew_when_the_receivers_database_restarts() {
    let mut leader = TestNode::open(NodeId(1), options()).await;
    let voters = BTreeMap::from([(leader.id, leader.address())]);
    let group = large_leader(&mut leader, &voters, 12).await;
    let mut follower = TestNode::open(NodeId(2), options()).await;
    follower.stop().await;
    let flaky = follower.reopen_flaky().await;
    follower.node().start_group(SHARD).await.unwrap();
    let wire = Wire::to(follower.address()).await;
    wire.breaks_after(6_000_000);
    group.add_learner(follower.id, &wire.address()).await.unwrap();
    follower.wait(|| wire.broken() == 1).await;
    flaky.incarnation.fetch_add(1, Ordering::SeqCst);
    let last = propose(&group, &create_account(AccountId(101))).await;
    agree(&[&leader, &follower], last).await;
    assert_eq!(flaky.installs.load(Ordering::SeqCst), 2);
}
