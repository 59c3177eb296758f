//! Rows are written behind the log, and nobody can tell, except by the database (decision 0016).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::MetaStore as _;
use buzon_model::command::NewMessage;
use buzon_model::read::EventKind;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::SystemFlags;
use buzon_types::id::{MailboxId, MailboxKey};
use buzon_types::time::InternalDate;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use super::cluster::Outcomes;
use super::flaky::Flaky;
use super::*;
use crate::error::ReadError;

const SHARD: GroupId = GroupId(1);
const INBOX: MailboxKey = MailboxKey { account: AccountId(1), mailbox: MailboxId(1) };
/// What nobody waits for is not over within this.
const A_WHILE: Duration = Duration::from_millis(300);

fn append(summary_bytes: usize) -> Entry {
    let message = NewMessage {
        flags: SystemFlags::default(),
        keywords: Vec::new(),
        internal_date: InternalDate { seconds: 5, zone_minutes: 0 },
        size: 1,
        body: BodyRef { object: ObjectId(1), offset: 0, length: 1, encoding: Encoding::Plain, key: KeyId(0) },
        summary: Bytes::from(vec![7; summary_bytes]),
    };
    entry(Command::Shard(ShardCommand::Append { mailbox: INBOX, messages: vec![message] }))
}

async fn propose(group: &Group, what: &Entry) -> LogIndex {
    let proposed = group.propose(what).await.unwrap();
    assert!(proposed.outcome.is_ok(), "{proposed:?}");
    proposed.index
}

/// A node that leads a shard with an account whose INBOX is in memory.
async fn leader() -> (TestNode, Arc<Flaky>, Group) {
    let mut node = TestNode::open(NodeId(1), RaftOptions::default()).await;
    node.stop().await;
    let flaky = node.reopen_flaky().await;
    let group = found(&mut node).await;
    propose(&group, &create_account(INBOX.account)).await;
    propose(&group, &append(1)).await;
    group.rows().await.unwrap();
    (node, flaky, group)
}

async fn found(node: &mut TestNode) -> Group {
    let voters = BTreeMap::from([(node.id, node.address())]);
    let group = node.found(SHARD, &voters).await;
    group.wait_for_leader().await.unwrap();
    group
}

/// How many messages a linearizable reader sees.
async fn messages(group: &Group) -> u32 {
    let need = [Need::Index(INBOX)];
    let view = group.read(ReadAt::Linearizable, |state| state.missing_of(&need)).await.unwrap();
    view.mailbox(INBOX).unwrap().row.counters.messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_readers_do_not_wait_for_rows_and_readers_of_rows_do() {
    let (_node, flaky, group) = leader().await;
    let commits = || flaky.loads_at_commit.lock().len();
    let gate = flaky.gate.lock().await;
    let before = commits();
    for _ in 0..50 {
        propose(&group, &append(1)).await;
    }
    assert_eq!(messages(&group).await, 51);
    let status = group.status();
    assert!(status.rows.0 + 50 == status.applied.0, "{status:?}");
    let all = UidSet::from(Uid::MIN..=Uid::MAX);
    let view = group.read(ReadAt::Linearizable, |_| Vec::new()).await.unwrap();
    assert!(tokio::time::timeout(A_WHILE, view.summaries(INBOX, &all)).await.is_err());
    assert!(tokio::time::timeout(A_WHILE, group.rows()).await.is_err());
    drop((gate, view));
    let found = group.rows().await.unwrap().summaries(SHARD, INBOX, &all).await.unwrap();
    assert_eq!(found.len(), 51);
    assert_eq!(group.status().rows, group.status().applied);
    assert!(commits() <= before + 2, "{} transactions for 50 entries", commits() - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_behind_is_bounded() {
    let (_node, flaky, group) = leader().await;
    let gate = flaky.gate.lock().await;
    let appending = async {
        for _ in 0..40 {
            propose(&group, &append(100_000)).await;
        }
    };
    let mut appending = std::pin::pin!(appending);
    let applied = || group.applied().borrow().0;
    let mut before = 0;
    while applied() > before {
        before = applied();
        assert!(tokio::time::timeout(A_WHILE, appending.as_mut()).await.is_err());
    }
    assert!((10..20).contains(&before), "{before} entries, of 100 kB most of them, are in memory alone");
    drop(gate);
    appending.await;
    assert_eq!(messages(&group).await, 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_and_never_written_is_replayed() {
    let (mut node, flaky, group) = leader().await;
    let gate = flaky.gate.lock().await;
    for _ in 0..5 {
        propose(&group, &append(1)).await;
    }
    drop(group);
    flaky.refuse.store(u64::MAX, Ordering::SeqCst);
    let opens = async { drop(gate) };
    tokio::join!(node.stop(), opens);
    node.reopen().await.unwrap();
    assert_eq!(messages(&found(&mut node).await).await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_database_that_takes_nothing_nobody_is_served() {
    let (_node, flaky, group) = leader().await;
    let gate = flaky.gate.lock().await;
    propose(&group, &append(1)).await;
    flaky.refuse.store(u64::MAX, Ordering::SeqCst);
    let opens = async { drop(gate) };
    let (rows, ()) = tokio::join!(group.rows(), opens);
    assert!(rows.is_err());
    let read = group.read(ReadAt::Local, |_| Vec::new()).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    flaky.refuse.store(0, Ordering::SeqCst);
    propose(&group, &append(1)).await;
    assert_eq!(messages(&group).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_follow_after_a_failure_though_nobody_uses_the_group() {
    let (_node, flaky, group) = leader().await;
    let gate = flaky.gate.lock().await;
    flaky.refuse.store(1, Ordering::SeqCst);
    let last = propose(&group, &append(1)).await;
    drop(gate);
    let follow = async {
        while flaky.inner.head(SHARD).await.unwrap().unwrap().applied.index < last.0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), follow).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_writes_what_is_behind() {
    let (mut node, flaky, group) = leader().await;
    let gate = flaky.gate.lock().await;
    let last = propose(&group, &append(1)).await;
    drop(group);
    let opens = async {
        tokio::time::sleep(A_WHILE).await;
        drop(gate);
    };
    tokio::join!(node.stop(), opens);
    let store = SqliteStore::open(&node.database(), Arc::new(Outcomes)).await.unwrap();
    assert_eq!(store.head(SHARD).await.unwrap().unwrap().applied.index, last.0);
    store.close().await;
}

/// The events of what happened come when it is decided, once, whatever becomes of the rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_told_once_whatever_becomes_of_a_commit() {
    let (_node, flaky, group) = leader().await;
    let mut events = group.events();
    let mut indexes = Vec::new();
    // Written, but the answer was lost; then not written, so that it is replayed.
    for fails in [&flaky.forget, &flaky.refuse] {
        fails.store(1, Ordering::SeqCst);
        let gate = flaky.gate.lock().await;
        indexes.push(propose(&group, &append(1)).await);
        let opens = async { drop(gate) };
        let (rows, ()) = tokio::join!(group.rows(), opens);
        assert!(rows.is_err());
        indexes.push(propose(&group, &append(1)).await);
        group.rows().await.unwrap();
    }
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(told.iter().all(|event| matches!(event.kind, EventKind::Mailbox(..))), "{told:?}");
    assert_eq!(told.iter().map(|event| event.index).collect::<Vec<_>>(), indexes);
}
