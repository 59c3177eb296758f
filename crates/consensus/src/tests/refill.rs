//! A database that was lost alone is filled again from another member.

use std::sync::atomic::Ordering;

use buzon_types::id::{LogIndex, NodeId};
use openraft::entry::RaftEntry as _;
use openraft::vote::RaftLeaderId as _;

use super::cluster::{Cluster, GROUP};
use super::{create_tenant, propose_somewhere, tenant_exists};
use crate::error::OpenError;
use crate::group_meta;
use crate::keep::Room;
use crate::log::backend::LogRecord;
use crate::node::RaftOptions;
use crate::record;
use crate::type_config::{Entry, LeaderId, LogId};

/// Nothing is kept that is not needed.
fn short_log() -> RaftOptions {
    RaftOptions { keep_entries: 0, ..RaftOptions::default() }
}

/// Three voters whose logs begin after the last of some entries, and one of them, which does not lead.
async fn purged_cluster() -> (Cluster, NodeId, LogIndex) {
    let cluster = Cluster::start(3, short_log()).await;
    let mut last = LogIndex(0);
    for number in 0..30 {
        last = propose_somewhere(&cluster, &format!("tenant {number}")).await;
    }
    cluster.wait_applied(last).await;
    for node in cluster.nodes() {
        node.group().relieve_log(Room::None).await.unwrap();
        cluster.wait(|| node.group().status().purged >= LogIndex(30)).await;
    }
    let leader = cluster.leader().await.leader().unwrap().node;
    let follower = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    (cluster, follower, last)
}

async fn all_agree(cluster: &Cluster, name: &str, tenants: usize) {
    let last = propose_somewhere(cluster, name).await;
    cluster.wait_applied(last).await;
    assert_eq!(cluster.tenants().await, [tenants; 3]);
    let digests = cluster.digests().await;
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_database_is_refilled_from_another_member() {
    let (mut cluster, victim, _) = purged_cluster().await;
    cluster.stop(victim).await;
    cluster.any(victim).lose_database();
    // The others go on meanwhile.
    let last = propose_somewhere(&cluster, "meanwhile").await;
    cluster.restart(victim).await;
    cluster.wait_applied(last).await;
    assert!(cluster.node(victim).node().refilling().is_empty());
    all_agree(&cluster, "after", 32).await;
    // And once more, over the log that the first refill left behind.
    cluster.stop(victim).await;
    cluster.any(victim).lose_database();
    cluster.restart(victim).await;
    all_agree(&cluster, "after the second", 33).await;
    // A leader knows no more than others of what it has lost.
    let leader = cluster.leader().await.leader().unwrap().node;
    cluster.stop(leader).await;
    cluster.any(leader).lose_database();
    cluster.restart(leader).await;
    all_agree(&cluster, "after the leader's", 34).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_database_is_refilled() {
    let cluster = Cluster::start(3, short_log()).await;
    let mut cluster = cluster;
    propose_somewhere(&cluster, "first").await;
    let leader = cluster.leader().await.leader().unwrap().node;
    let victim = cluster.nodes().map(|node| node.id).find(|id| *id != leader).unwrap();
    cluster.stop(victim).await;
    let database = cluster.any(victim).database();
    let saved = std::fs::read(&database).unwrap();
    cluster.restart(victim).await;
    let mut last = LogIndex(0);
    for number in 0..20 {
        last = propose_somewhere(&cluster, &format!("tenant {number}")).await;
    }
    cluster.wait_applied(last).await;
    let group = cluster.node(victim).group();
    group.relieve_log(Room::None).await.unwrap();
    cluster.wait(|| group.status().purged >= LogIndex(20)).await;
    drop(group);
    cluster.stop(victim).await;
    cluster.any(victim).lose_database();
    std::fs::write(&database, saved).unwrap();
    cluster.restart(victim).await;
    all_agree(&cluster, "after", 22).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refill_that_is_cut_off_begins_again() {
    let (mut cluster, victim, last) = purged_cluster().await;
    cluster.stop(victim).await;
    cluster.any(victim).lose_database();
    let flaky = cluster.any(victim).reopen_flaky().await;
    flaky.hold_pages.store(true, Ordering::SeqCst);
    let node = cluster.node(victim).node().clone();
    let starting = tokio::spawn(async move { node.start_group(GROUP).await.map(drop) });
    flaky.page_held.notified().await;
    // Nothing is served before the rows are there.
    assert_eq!(cluster.node(victim).node().refilling(), [GROUP]);
    assert!(cluster.node(victim).node().group(GROUP).is_none());
    drop(flaky);
    cluster.stop(victim).await;
    assert!(matches!(starting.await.unwrap().unwrap_err(), OpenError::Closed));

    cluster.restart(victim).await;
    cluster.wait_applied(last).await;
    all_agree(&cluster, "after", 31).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refill_waits_for_a_member_to_come_back() {
    let (mut cluster, victim, last) = purged_cluster().await;
    let others: Vec<NodeId> = cluster.nodes().map(|node| node.id).filter(|id| *id != victim).collect();
    for id in [victim].iter().chain(&others) {
        cluster.stop(*id).await;
    }
    cluster.any(victim).lose_database();
    cluster.any(victim).reopen().await.unwrap();
    let node = cluster.node(victim).node().clone();
    let starting = tokio::spawn(async move { node.start_group(GROUP).await.map(drop) });
    let node = cluster.node(victim).node();
    cluster.wait(|| node.refilling() == [GROUP]).await;
    // One alone leads nobody, but its rows are as good as any.
    cluster.restart(others[0]).await;
    starting.await.unwrap().unwrap();
    cluster.restart(others[1]).await;
    cluster.wait_applied(last).await;
    all_agree(&cluster, "after", 31).await;
}

/// The rows may stand past the end of the log, and the log may end with entries that were never committed: it goes on
/// where the rows stand, and what the node voted for stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_does_not_lead_to_the_rows_goes_on_after_them() {
    let (mut cluster, victim, last) = purged_cluster().await;
    cluster.stop(victim).await;
    for number in 0..5 {
        propose_somewhere(&cluster, &format!("meanwhile {number}")).await;
    }
    for node in cluster.nodes() {
        node.group().relieve_log(Room::None).await.unwrap();
        cluster.wait(|| node.group().status().purged >= LogIndex(35)).await;
    }
    cluster.any(victim).lose_database();
    cluster.any(victim).reopen().await.unwrap();
    let log = cluster.node(victim).node().group_log(GROUP);
    // What a leader wrote that died before anybody else had it.
    let (from, purged) = (log.view().held.end, group_meta::purged(&log).unwrap().unwrap());
    let lost = (from..from + 20).map(|index| {
        let id = LogId::new(LeaderId::new(purged.committed_leader_id().term, 9), index);
        let entry = Entry::new(id, openraft::EntryPayload::Blank);
        LogRecord { index, bytes: record::encode(&record::entry(&entry)) }
    });
    let (done, durable) = tokio::sync::oneshot::channel();
    log.append(lost.collect(), move |result| done.send(result).unwrap()).await.unwrap();
    durable.await.unwrap().unwrap();
    let vote = log.view().vote;
    assert!(vote.is_some());
    drop(log);
    cluster.node(victim).node().start_group(GROUP).await.unwrap();
    let log = cluster.node(victim).group().machine().log().unwrap().clone();
    assert!(log.view().held.start > last.0, "{:?}", log.view().held);
    all_agree(&cluster, "after", 36).await;
}

/// Between the rows and the log there is a moment in which the rows are ahead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_rows_and_the_log_is_mended() {
    let (mut cluster, victim, last) = purged_cluster().await;
    cluster.stop(victim).await;
    for number in 0..5 {
        propose_somewhere(&cluster, &format!("meanwhile {number}")).await;
    }
    cluster.any(victim).lose_database();
    cluster.any(victim).reopen().await.unwrap();
    // The first half of the start.
    let other = cluster.nodes().find(|node| node.id != victim).unwrap();
    let (id, address) = (other.id, other.address());
    cluster.node(victim).node().only_fetch_rows(GROUP, (id, &address)).await;
    let stood = cluster.node(victim).store().head(GROUP).await.unwrap().unwrap().applied.index;
    assert!(stood > last.0);
    assert!(cluster.node(victim).node().group_log(GROUP).view().held.end < stood);
    cluster.stop(victim).await;

    cluster.restart(victim).await;
    let log = cluster.node(victim).group().machine().log().unwrap().clone();
    assert!(log.view().held.end >= stood);
    all_agree(&cluster, "after", 36).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_of_another_node_is_not_refilled() {
    let (mut cluster, victim, _) = purged_cluster().await;
    let other = cluster.nodes().map(|node| node.id).find(|id| *id != victim).unwrap();
    for id in [victim, other] {
        cluster.stop(id).await;
    }
    let foreign = cluster.any(other).database();
    cluster.any(victim).lose_database();
    std::fs::copy(foreign, cluster.any(victim).directory.path().join("rows.sqlite")).unwrap();
    let refused = cluster.any(victim).reopen().await.unwrap_err();
    let cause = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("belongs to"), "{refused:?}");
}

/// A majority that is left goes on while one node has no rows, and reads see what it wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_serve_while_one_is_refilled() {
    let (mut cluster, victim, _) = purged_cluster().await;
    cluster.stop(victim).await;
    cluster.any(victim).lose_database();
    let flaky = cluster.any(victim).reopen_flaky().await;
    flaky.hold_pages.store(true, Ordering::SeqCst);
    let node = cluster.node(victim).node().clone();
    let starting = tokio::spawn(async move { node.start_group(GROUP).await.map(drop) });
    flaky.page_held.notified().await;
    let serving = || cluster.nodes().filter(|node| node.id != victim).map(super::TestNode::group);
    let leader = serving().find(|group| group.status().leads).unwrap();
    leader.propose(&create_tenant("during")).await.unwrap();
    assert!(tenant_exists(&leader, buzon_model::read::ReadAt::Linearizable, "during").await);
    drop((flaky, leader));
    cluster.stop(victim).await;
    starting.await.unwrap().unwrap_err();
    cluster.restart(victim).await;
    all_agree(&cluster, "after", 32).await;
}
