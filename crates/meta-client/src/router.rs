//! Which node is asked for a group: the one that last led it, as far as is known.

use std::collections::HashMap;
use std::sync::Arc;

use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::GroupId;
use parking_lot::Mutex;

use crate::transport::Transport;

/// A node by its address (`host:port`, as leader hints name it).
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) address: String,
    pub(crate) transport: Transport,
}

/// The configured nodes and each group's presumed leader.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    nodes: Arc<[Node]>,
    /// An index of `nodes`; one entry for each group of the cluster.
    leaders: Arc<Mutex<HashMap<GroupId, usize>>>,
}

impl Router {
    /// # Panics
    /// Without a node.
    pub(crate) fn new(nodes: Vec<Node>) -> Self {
        assert!(!nodes.is_empty(), "a client has a node to ask");
        Self { nodes: nodes.into(), leaders: Arc::default() }
    }

    /// The node to ask now, and its number for `failed`.
    pub(crate) fn node(&self, group: GroupId) -> (usize, Transport) {
        let at = self.leaders.lock().get(&group).copied().unwrap_or_default();
        (at, self.nodes[at].transport.clone())
    }

    /// Node `at` could not serve the group: follow its hint, else go round. Whether it is worth asking at once.
    pub(crate) fn failed(&self, group: GroupId, at: usize, error: &CallError) -> bool {
        let hinted = error.leader.as_ref().filter(|_| error.code == ErrorCode::NotLeader);
        let known = hinted.and_then(|hint| self.nodes.iter().position(|node| node.address == hint.address));
        let mut leaders = self.leaders.lock();
        let now = leaders.entry(group).or_default();
        // Somebody else may have learned better since.
        if *now == at {
            *now = known.unwrap_or((at + 1) % self.nodes.len());
        }
        known.is_some_and(|known| known != at)
    }
}
