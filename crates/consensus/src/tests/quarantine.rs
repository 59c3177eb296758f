//! Replicas that differ are found by their digests, serve nobody, and are mended.

use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Batch, MetaStore};
use buzon_model::change::Change;
use buzon_model::command::DirectoryCommand;
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_types::address::Domain;
use std::sync::Arc;

use super::cluster::{GROUP, Outcomes};
use super::*;
use crate::error::{OpenError, ReadError};

const SOON: Duration = Duration::from_millis(100);

async fn cluster() -> Cluster {
    let options = RaftOptions { compare_every: SOON, ..RaftOptions::default() };
    let cluster = Cluster::start(3, options).await;
    propose(&cluster, &entry(Command::RaiseFeatureLevel(FEATURE_LEVEL_MAX))).await;
    let last = propose_somewhere(&cluster, "first").await;
    cluster.wait_applied(last).await;
    cluster
}

/// Changes the tenant's row, and so the counter in it.
fn add_domain(name: &str) -> Entry {
    let domain = Domain::new(name).unwrap();
    entry(Command::Directory(DirectoryCommand::AddDomain { tenant: TenantId(1), domain }))
}

/// As if a disk or somebody with a client had changed a number in a stopped node's database.
async fn spoil(cluster: &mut Cluster, id: NodeId) {
    cluster.stop(id).await;
    let path = cluster.any(id).database();
    let store = SqliteStore::open(&path, Arc::new(Outcomes)).await.unwrap();
    let mut tenant = store.tenants(None, 1).await.unwrap().remove(0);
    tenant.accounts += 5;
    let applied = store.head(GROUP).await.unwrap().unwrap().applied;
    let batch = Batch {
        group: GROUP,
        expected_index: applied.index,
        applied,
        membership: None,
        changes: &[Change::PutTenant(tenant)],
        digest: None,
    };
    store.commit(batch).await.unwrap();
    store.close().await;
    cluster.restart(id).await;
}

fn followers(cluster: &Cluster, leader: NodeId) -> [NodeId; 2] {
    let others: Vec<NodeId> = cluster.nodes().map(|node| node.id).filter(|id| *id != leader).collect();
    others.try_into().unwrap()
}

async fn wait_quarantined(cluster: &Cluster, id: NodeId) {
    let node = cluster.node(id);
    node.wait(|| node.group().status().quarantine.is_some()).await;
}

async fn propose_domain(cluster: &Cluster, name: &str) -> LogIndex {
    propose(cluster, &add_domain(name)).await
}

/// What may be repeated, until a leader takes it.
async fn propose(cluster: &Cluster, entry: &Entry) -> LogIndex {
    loop {
        match cluster.leader().await.propose(entry).await {
            Ok(proposed) => return proposed.index,
            Err(ProposeError::NotLeader { .. } | ProposeError::Discarded { .. }) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_differs_serves_nobody_until_its_rows_are_replaced() {
    let mut cluster = cluster().await;
    let leader = cluster.leader().await.leader().unwrap().node;
    let [odd, other] = followers(&cluster, leader);
    assert!(matches!(
        cluster.node(odd).node().refill_group(GROUP).await,
        Err(OpenError::NotInQuarantine(GROUP))
    ));
    spoil(&mut cluster, odd).await;
    propose_domain(&cluster, "a.example").await;
    wait_quarantined(&cluster, odd).await;
    for healthy in [leader, other] {
        assert_eq!(cluster.node(healthy).group().status().quarantine, None);
    }
    let read = cluster.node(odd).group().read(ReadAt::Local, |_| Vec::new()).await;
    assert!(matches!(read, Err(ReadError::NotLeader { .. })));

    // It is not made leader, though it is asked to, and though the leader dies.
    cluster.node(leader).group().transfer_leader(odd).await.unwrap();
    for _ in 0..50 {
        assert!(!cluster.node(odd).group().status().leads);
        tokio::time::sleep(SOON / 10).await;
    }
    cluster.stop(leader).await;
    let last = propose_domain(&cluster, "b.example").await;
    assert_eq!(cluster.leader().await.leader().unwrap().node, other);

    // A restart does not mend it.
    cluster.restart(leader).await;
    cluster.stop(odd).await;
    cluster.restart(odd).await;
    assert!(cluster.node(odd).group().status().quarantine.is_some());
    cluster.wait_applied(last).await;

    let group = cluster.node(odd).node().refill_group(GROUP).await.unwrap();
    assert_eq!(group.status().quarantine, None);
    let last = propose_domain(&cluster, "c.example").await;
    cluster.wait_applied(last).await;
    let digests = cluster.digests().await;
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    group.read(ReadAt::Local, |_| Vec::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_differs_steps_down() {
    let mut cluster = cluster().await;
    let leader = cluster.leader().await.leader().unwrap().node;
    let [odd, _] = followers(&cluster, leader);
    spoil(&mut cluster, odd).await;
    propose_somewhere(&cluster, "second").await;
    cluster.node(leader).group().transfer_leader(odd).await.unwrap();
    let node = cluster.node(odd);
    node.wait(|| node.group().status().leads).await;
    propose_domain(&cluster, "a.example").await;
    wait_quarantined(&cluster, odd).await;
    let node = cluster.node(odd);
    node.wait(|| !node.group().status().leads).await;
    propose_domain(&cluster, "b.example").await;
    assert_ne!(cluster.leader().await.leader().unwrap().node, odd);
    assert_eq!(cluster.groups().filter(|group| group.status().quarantine.is_some()).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_differ_neither_is_believed() {
    let mut cluster = cluster().await;
    let leader = cluster.leader().await.leader().unwrap().node;
    let [odd, away] = followers(&cluster, leader);
    spoil(&mut cluster, odd).await;
    cluster.stop(away).await;
    let last = propose_domain(&cluster, "a.example").await;
    cluster.wait_applied(last).await;
    tokio::time::sleep(SOON * 5).await;
    assert!(cluster.groups().all(|group| group.status().quarantine.is_none()));
    cluster.restart(away).await;
    wait_quarantined(&cluster, odd).await;
    assert!(cluster.node(leader).group().status().quarantine.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_go_with_snapshots_and_survive_restarts() {
    let mut cluster = cluster().await;
    let last = propose_domain(&cluster, "a.example").await;
    cluster.wait_applied(last).await;
    let before: Vec<_> = cluster.groups().map(|group| group.machine().digest_at(last)).collect();
    assert!(before[0].is_some() && before.iter().all(|digest| *digest == before[0]), "{before:?}");
    let leader = cluster.leader().await.leader().unwrap().node;
    let [lost, _] = followers(&cluster, leader);
    cluster.stop(lost).await;
    cluster.restart(lost).await;
    let group = cluster.node(lost).group();
    group.read(ReadAt::Local, |_| Vec::new()).await.unwrap();
    assert_eq!(group.machine().digest_at(last), before[0]);
    let last = propose_domain(&cluster, "b.example").await;
    cluster.wait_applied(last).await;
    let after: Vec<_> = cluster.groups().map(|group| group.machine().digest_at(last)).collect();
    assert!(after.iter().all(|digest| *digest == after[0] && *digest != before[0]), "{after:?}");
}
