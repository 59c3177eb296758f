//! Keeps up with the cluster's topology: new nodes are found, and groups are asked of the nodes that carry them.
//!
//! Any node answers from its own replica of the directory, so this goes on while the directory has no leader. What
//! comes may be behind; leader hints go before it.

use std::time::Duration;

use buzon_model::read::{At, ReadAt, Topology};
use buzon_model::row::NodeState;
use buzon_types::id::{DIRECTORY, GroupId, NodeId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::meta::Meta;
use crate::router::Router;
use crate::topology::topology;

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
        match look(router, &mut first).await {
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

/// Asks node after node, beginning with the one that answered last.
async fn look(router: &Router, first: &mut usize) -> Option<At<Topology>> {
    let nodes = router.nodes();
    for step in 0..nodes.len() {
        let at = (*first + step) % nodes.len();
        match topology(nodes[at].transport.clone(), ReadAt::Local, ANSWER_MAX).await {
            Ok(found) if found.value.voters_per_shard > 0 => {
                *first = at;
                return Some(found);
            }
            // A node that knows of no cluster yet.
            Ok(_) => {}
            Err(error) => tracing::debug!(node = nodes[at].address, %error, "ask for the topology"),
        }
    }
    None
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
