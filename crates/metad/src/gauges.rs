//! What operators see of a node's raft groups and their log. Read when somebody asks for the metrics: nothing is kept,
//! and a node that is gone says nothing more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use buzon_types::id::NodeId;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::groups::{Groups, LogStatus, ReplicaStatus};

/// Two elections could have passed by then (DESIGN §6), and far more heartbeats.
const MAJORITY_HEARD_MAX: Duration = Duration::from_secs(4);

/// Registers them. Only for as long as the groups live: the registry holds no node open.
pub(crate) fn observe(meter: &Meter, groups: &Arc<dyn Groups>) {
    replicas(
        meter,
        groups,
        "buzon.raft.leader",
        "Whether this replica leads its group, and a majority has agreed lately: 1 or 0",
        |status, node| u64::from(leads(status, node)),
    );
    replicas(meter, groups, "buzon.raft.term", "The raft term: each election begins one", |status, _| {
        status.term
    });
    replicas(
        meter,
        groups,
        "buzon.raft.log.index",
        "Last entry in the replica's log, counted from 1",
        |status, _| status.last_log.0,
    );
    replicas(
        meter,
        groups,
        "buzon.raft.applied.index",
        "Last entry that the replica has applied: what it answers",
        |status, _| status.applied.0,
    );
    replicas(
        meter,
        groups,
        "buzon.raft.rows.index",
        "Last entry that is in the replica's rows, which follow in the database",
        |status, _| status.rows.0,
    );
    replicas(
        meter,
        groups,
        "buzon.raft.proposals",
        "Proposals that wait for a majority and for apply",
        |status, _| status.proposals as u64,
    );
    replicas(
        meter,
        groups,
        "buzon.raft.quarantined",
        "Whether the replica's rows are not those of the majority, so that it serves nobody: 1 or 0",
        |status, _| status.in_quarantine.into(),
    );
    counter(meter, groups, "buzon.log.entries", "{entry}", "Entries written to the log", |log| {
        log.written.entries
    });
    counter(meter, groups, "buzon.log.written", "By", "Bytes of entries written to the log", |log| {
        log.written.bytes
    });
    counter(
        meter,
        groups,
        "buzon.log.fsyncs",
        "{fsync}",
        "Batches written to the log, each with one fsync",
        |log| log.written.fsyncs,
    );
    fsync_time(meter, groups);
    bytes(meter, groups, "buzon.log.size", "What the log takes of its disk", |it| it.log()?.bytes);
    let of_cache = "What the rows take that all groups of the node hold in memory";
    bytes(meter, groups, "buzon.meta.cache.size", of_cache, |it| it.cache_bytes());
}

/// A leader that is cut off goes on believing that it leads; operators must not.
fn leads(status: &ReplicaStatus, node: NodeId) -> bool {
    status.leader == Some(node) && status.majority_heard.is_some_and(|ago| ago < MAJORITY_HEARD_MAX)
}

/// One series for each group.
fn replicas(
    meter: &Meter,
    groups: &Arc<dyn Groups>,
    name: &'static str,
    description: &'static str,
    read: impl Fn(&ReplicaStatus, NodeId) -> u64 + Send + Sync + 'static,
) {
    let groups = Arc::downgrade(groups);
    meter
        .u64_observable_gauge(name)
        .with_description(description)
        .with_callback(move |observer| {
            let Some(groups) = groups.upgrade() else { return };
            for replica in groups.groups() {
                let group = KeyValue::new("group", replica.id().to_string());
                observer.observe(read(&replica.status(), groups.node()), &[group]);
            }
        })
        .build();
}

fn counter(
    meter: &Meter,
    groups: &Arc<dyn Groups>,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    read: impl Fn(&LogStatus) -> u64 + Send + Sync + 'static,
) {
    let groups = Arc::downgrade(groups);
    meter
        .u64_observable_counter(name)
        .with_unit(unit)
        .with_description(description)
        .with_callback(move |observer| {
            if let Some(log) = log(&groups) {
                observer.observe(read(&log), &[]);
            }
        })
        .build();
}

fn fsync_time(meter: &Meter, groups: &Arc<dyn Groups>) {
    let groups = Arc::downgrade(groups);
    meter
        .f64_observable_counter("buzon.log.fsync")
        .with_unit("s")
        .with_description("Time that batches took to be written and synced; by their number, the mean")
        .with_callback(move |observer| {
            if let Some(log) = log(&groups) {
                observer.observe(log.written.fsync_time.as_secs_f64(), &[]);
            }
        })
        .build();
}

/// A size of the node's.
fn bytes(
    meter: &Meter,
    groups: &Arc<dyn Groups>,
    name: &'static str,
    what: &'static str,
    read: impl Fn(&dyn Groups) -> Option<u64> + Send + Sync + 'static,
) {
    let groups = Arc::downgrade(groups);
    meter
        .u64_observable_gauge(name)
        .with_unit("By")
        .with_description(what)
        .with_callback(move |observer| {
            if let Some(bytes) = groups.upgrade().and_then(|groups| read(&*groups)) {
                observer.observe(bytes, &[]);
            }
        })
        .build();
}

fn log(groups: &Weak<dyn Groups>) -> Option<LogStatus> {
    groups.upgrade()?.log()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leader_that_a_majority_agrees_with_is_one() {
        let me = NodeId(1);
        let status = |leader, heard| ReplicaStatus {
            leader: Some(NodeId(leader)),
            majority_heard: heard,
            ..Default::default()
        };
        assert!(leads(&status(1, Some(Duration::ZERO)), me));
        assert!(leads(&status(1, Some(MAJORITY_HEARD_MAX - Duration::from_millis(1))), me));
        assert!(!leads(&status(1, Some(MAJORITY_HEARD_MAX)), me));
        assert!(!leads(&status(1, None), me));
        assert!(!leads(&status(2, Some(Duration::ZERO)), me));
    }
}
