//! Groups on real nodes in one process: log on disk, SQLite, gRPC over loopback.

mod behind;
mod cluster;
mod database;
mod elections;
mod flaky;
mod heartbeats;
mod keep;
mod kept;
mod machine;
mod members;
mod proposals;
mod quarantine;
mod refill;
mod rest;
mod snapshots;
mod storage_suite;
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use buzon_model::command::{Command, CreateAccount, DirectoryCommand, Entry, ShardCommand};
use buzon_model::read::ReadAt;
use buzon_model::reply::{Rejection, Reply};
use buzon_model::row::{Quota, TenantLimits};
use buzon_model::scope::Need;
use buzon_proto::status::WriteOutcome;
use buzon_types::address::Address;
use buzon_types::id::{AccountId, DIRECTORY, Epoch, GroupId, LogIndex, NodeId, TenantId};
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;

use self::cluster::{Cluster, TestNode};
use crate::error::ProposeError;
use crate::group::{Group, Rest};
use crate::node::RaftOptions;

fn entry(command: Command) -> Entry {
    Entry { at: Timestamp(1_000), request: None, command }
}

fn create_tenant(name: &str) -> Entry {
    let limits = TenantLimits { accounts_max: None };
    entry(Command::Directory(DirectoryCommand::CreateTenant { name: name.to_owned(), limits }))
}

async fn tenant_exists(group: &Group, at: ReadAt, name: &str) -> bool {
    let need = [Need::TenantName(name.to_owned())];
    let view = group.read(at, |state| state.missing_of(&need)).await.unwrap();
    view.tenant_named(name).is_some()
}

/// Proposes until a leader takes it; names are unique, so that a repetition is refused.
async fn propose_somewhere(cluster: &Cluster, name: &str) -> LogIndex {
    loop {
        let group = cluster.leader().await;
        match group.propose(&create_tenant(name)).await {
            Ok(proposed) => {
                let expected =
                    matches!(proposed.outcome, Ok(Reply::TenantCreated(_)) | Err(Rejection::TenantExists(_)));
                assert!(expected, "{proposed:?}");
                return proposed.index;
            }
            Err(
                ProposeError::NotLeader { .. } | ProposeError::Discarded { .. } | ProposeError::Stopped(_),
            ) => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_voters_elect_commit_and_hold_the_same_rows() {
    let cluster = Cluster::start(3, RaftOptions::default()).await;
    let mut last = LogIndex(0);
    for number in 0..50 {
        last = propose_somewhere(&cluster, &format!("tenant {number}")).await;
    }
    let leader = cluster.leader().await;
    assert!(tenant_exists(&leader, ReadAt::Linearizable, "tenant 49").await);
    assert!(tenant_exists(&leader, ReadAt::Index(last), "tenant 49").await);
    cluster.wait_applied(last).await;
    assert_eq!(cluster.tenants().await, [50, 50, 50]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_refuses_and_names_the_leader() {
    let cluster = Cluster::start(3, RaftOptions::default()).await;
    propose_somewhere(&cluster, "first").await;
    let leader = cluster.leader().await.leader().unwrap();
    let follower = cluster.nodes().find(|node| node.id != leader.node).unwrap();
    let group = follower.group();
    group.wait_for_leader().await.unwrap();
    let refused = group.propose(&create_tenant("second")).await.unwrap_err();
    assert_eq!((refused.outcome(), refused.leader()), (WriteOutcome::NotApplied, Some(&leader)));
    assert!(group.read(ReadAt::Linearizable, |_| Vec::new()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leader_is_replaced_and_catches_up_by_log() {
    let mut cluster = Cluster::start(3, RaftOptions::default()).await;
    for number in 0..10 {
        propose_somewhere(&cluster, &format!("before {number}")).await;
    }
    let dead = cluster.leader().await.leader().unwrap().node;
    cluster.stop(dead).await;
    let mut last = LogIndex(0);
    for number in 0..10 {
        last = propose_somewhere(&cluster, &format!("after {number}")).await;
    }
    cluster.wait_applied(last).await;
    assert_eq!(cluster.tenants().await, [20, 20]);
    cluster.restart(dead).await;
    cluster.wait_applied(last).await;
    assert_eq!(cluster.tenants().await, [20, 20, 20]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_away_too_long_catches_up_by_snapshot() {
    let options = RaftOptions { snapshot_entries: 20, keep_entries: 0, ..RaftOptions::default() };
    let mut cluster = Cluster::start(3, options).await;
    propose_somewhere(&cluster, "first").await;
    let leader = cluster.leader().await.leader().unwrap().node;
    let away = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    cluster.stop(away).await;
    let mut last = LogIndex(0);
    for number in 0..150 {
        last = propose_somewhere(&cluster, &format!("tenant {number}")).await;
    }
    let group = cluster.leader().await;
    group.snapshot().await.unwrap();
    cluster.wait(|| group.status().purged > LogIndex(100)).await;
    cluster.restart(away).await;
    cluster.wait_applied(last).await;
    assert_eq!(cluster.tenants().await, [151, 151, 151]);
    let returned = cluster.node(away).group();
    // Only a snapshot makes it purge what it never had.
    cluster.wait(|| returned.status().purged > LogIndex(100)).await;
    drop(returned);
    // It goes on by log, and survives a restart, after the snapshot.
    let last = propose_somewhere(&cluster, "after").await;
    cluster.wait_applied(last).await;
    cluster.stop(away).await;
    cluster.restart(away).await;
    cluster.wait_applied(last).await;
    assert_eq!(cluster.tenants().await, [152, 152, 152]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_becomes_a_voter() {
    let mut cluster = Cluster::start(1, RaftOptions::default()).await;
    for number in 0..10 {
        propose_somewhere(&cluster, &format!("tenant {number}")).await;
    }
    let group = cluster.leader().await;
    let (id, address) = cluster.add().await;
    group.add_learner(id, &address).await.unwrap();
    group.wait_caught_up(id).await.unwrap();
    group.set_voters([NodeId(1), id], Rest::Leaves).await.unwrap();
    let last = propose_somewhere(&cluster, "last").await;
    cluster.wait_applied(last).await;
    assert_eq!(cluster.tenants().await, [11, 11]);
    assert_eq!(group.status().members.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_request_applies_once() {
    let cluster = Cluster::start(1, RaftOptions::default()).await;
    let group = cluster.leader().await;
    let instance = InstanceId(7);
    group.propose(&entry(Command::OpenInstance(instance))).await.unwrap();
    let request = Some(RequestId { instance, sequence: 1, acknowledged_below: 0 });
    let create = Entry { request, ..create_tenant("only") };
    let first = group.propose(&create).await.unwrap();
    let second = group.propose(&create).await.unwrap();
    assert_eq!(first.outcome, second.outcome);
    assert!(second.index > first.index);
    assert_eq!(cluster.tenants().await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_of_many_groups_share_fsyncs() {
    const PROPOSERS: u64 = 64;
    const GROUPS: u64 = 16;
    const PROPOSALS: u64 = 20;
    // A very slow disk, so that the processor, which other tests and builds use too, is not what is waited for.
    let mut node = TestNode::open_on_slow_disk(NodeId(1), Duration::from_millis(100)).await;
    let voters = BTreeMap::from([(node.id, node.address())]);
    let mut groups = Vec::new();
    for group in 1..=GROUPS {
        groups.push(node.found(GroupId(group), &voters).await);
    }
    for group in &groups {
        group.wait_for_leader().await.unwrap();
        // The leader's own first entry is applied.
        group.read(ReadAt::Linearizable, |_| Vec::new()).await.unwrap();
    }
    let before = node.node().log_counts();
    let mut proposers = tokio::task::JoinSet::new();
    for proposer in 0..PROPOSERS {
        let group = groups[(proposer % GROUPS) as usize].clone();
        proposers.spawn(async move {
            for number in 0..PROPOSALS {
                let account = AccountId(proposer * PROPOSALS + number + 1);
                let proposed = group.propose(&create_account(account)).await.unwrap();
                assert!(proposed.outcome.is_ok(), "{proposed:?}");
            }
        });
    }
    proposers.join_all().await;
    let after = node.node().log_counts();
    let (entries, fsyncs) = (after.entries - before.entries, after.fsyncs - before.fsyncs);
    assert!(entries >= PROPOSERS * PROPOSALS);
    assert!(entries >= 8 * fsyncs, "{entries} entries in {fsyncs} fsyncs");
}

fn create_account(account: AccountId) -> Entry {
    entry(Command::Shard(ShardCommand::CreateAccount(CreateAccount {
        account,
        tenant: TenantId(1),
        epoch: Epoch(1),
        address: Address::new(&format!("a{account}@example.com")).unwrap(),
        credential: None,
        quota: Quota::default(),
        uid_validity_seed: 1,
    })))
}

#[test]
fn the_directory_is_the_group_that_is_tested() {
    assert_eq!(cluster::GROUP, DIRECTORY);
}
