//! Keeps up with the cluster's topology: new nodes are found, and groups are asked of the nodes that carry them.
//!
//! Any node answers from its own replica of the directory, so this goes on while the directory has no leader. What
//! comes may be behind; leader hints go before it. Nodes are asked in turn and what is older than what is known is passed over, so
//! that one which was removed, and goes on to tell what it last heard, does no harm.

use std::time::Duration;

use buzon_model::read::{At, ReadAt, Topology};
use buzon_model::row::NodeState;
use buzon_types::id::{DIRECTORY, GroupId, LogIndex, NodeId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::meta::Meta;
use crate::router::Router;
use crate::topology::topology;
use crate::transport::Transport;

/// New nodes and moved groups are learned within this.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Sooner when a group was not where it was looked for, or nothing is known yet; but not more often than this.
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// A node that does not answer by then is passed over.
const ANSWER_MAX: Duration = Duration::from_secs(2);

impl Meta {
    /// Follows the topology in the background until `stop`. Must be called within a tokio runtime.
    pub fn follow_topology(&self, stop: CancellationToken) {
        let meta = self.clone();
        tokio::spawn(async move { stop.run_until_cancelled(follow(&meta)).await });
    }

    /// Waits until the topology of a founded cluster is known.
    pub async fn wait_for_topology(&self) {
        // The sender lives as long as this client.
        let _ = self.inner.topology.subscribe().wait_for(Option::is_some).await;
    }

    /// The newest topology that was heard of.
    pub fn topology(&self) -> Option<At<Topology>> {
        self.inner.topology.borrow().clone()
    }
}

async fn follow(meta: &Meta) {
    let router = &meta.inner.router;
    let mut first = 0;
    loop {
        let looked = Instant::now();
        let known = meta.topology().map_or(LogIndex(0), |known| known.index);
        let nodes: Vec<_> = router.nodes().into_iter().map(|node| (node.address, node.transport)).collect();
        let ask = |at: usize| {
            let (address, transport) = nodes[at].clone();
            async move { ask(&address, transport).await }
        };
        match look(nodes.len(), ask, known, &mut first).await {
            Some(found) => {
                learn(router, &found.value);
                meta.inner.topology.send_if_modified(|known| {
                    let is_newer = known.as_ref().is_none_or(|known| known.index < found.index);
                    if is_newer {
                        *known = Some(found);
                    }
                    is_newer
                });
                let _lost_or_time = tokio::time::timeout(LOOK_EVERY, router.lost()).await;
            }
            None => tracing::debug!("no metadata node tells the topology of a cluster"),
        }
        tokio::time::sleep_until(looked + LOOK_PAUSE).await;
    }
}

/// Asks node after node, beginning after the one that answered last, for a topology that is no older than `known`.
async fn look<F>(
    nodes: usize,
    ask: impl Fn(usize) -> F,
    known: LogIndex,
    first: &mut usize,
) -> Option<At<Topology>>
where
    F: Future<Output = Option<At<Topology>>>,
{
    for step in 0..nodes {
        let at = (*first + step) % nodes;
        if let Some(found) = ask(at).await.filter(|found| found.index >= known) {
            *first = at + 1;
            return Some(found);
        }
    }
    None
}

/// What a node tells, if it knows of a cluster.
async fn ask(address: &str, transport: Transport) -> Option<At<Topology>> {
    match topology(transport, ReadAt::Local, ANSWER_MAX).await {
        Ok(found) => Some(found).filter(|found| found.value.voters_per_shard > 0),
        Err(error) => {
            tracing::debug!(node = address, %error, "ask for the topology");
            None
        }
    }
}

fn learn(router: &Router, topology: &Topology) {
    let present = || topology.nodes.iter().filter(|node| node.state != NodeState::Removed);
    let address = |id: &NodeId| present().find(|node| node.id == *id).map(|node| node.address.to_string());
    let directory = (DIRECTORY, present().map(|node| node.address.to_string()).collect());
    let shards = topology.shards.iter().map(|shard| -> (GroupId, Vec<String>) {
        (shard.group, shard.voters.iter().filter_map(address).collect())
    });
    router.learn(std::iter::once(directory).chain(shards));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(index: u64) -> At<Topology> {
        let value = Topology { nodes: vec![], shards: vec![], voters_per_shard: 3, next_group: GroupId(1) };
        At { index: LogIndex(index), value }
    }

    #[tokio::test]
    async fn a_node_that_stands_still_is_passed_over_once_others_went_on() {
        // Node 0 was removed at index 5; node 2 does not answer.
        let nodes = [Some(5), Some(9), None];
        let (mut first, mut known, mut seen) = (0, LogIndex(0), Vec::new());
        for _ in 0..4 {
            let ask = |at: usize| std::future::ready(nodes[at].map(told));
            let found = look(nodes.len(), ask, known, &mut first).await.unwrap();
            known = known.max(found.index);
            seen.push(found.index.0);
        }
        assert_eq!(seen, [5, 9, 9, 9]);
    }
}
