//! Which node is asked for a group: the one that last led it, as far as is known; else one of its members.
//!
//! The client begins with the nodes of its configuration and learns the others from leader hints and from the
//! cluster's topology.

use std::collections::HashMap;
use std::sync::Arc;

use buzon_proto::status::{CallError, ErrorCode};
use buzon_tls::connect::Connector;
use buzon_types::id::GroupId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::transport::Transport;

/// A node by its address (`host:port`, as leader hints name it).
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) address: String,
    pub(crate) transport: Transport,
}

/// The nodes and each group's presumed leader. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Router {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// How nodes are reached that were not known at first; none where all are.
    connector: Option<Connector>,
    known: Mutex<Known>,
    /// A group was asked of a node that could not say who leads it.
    lost: Notify,
}

/// Nodes never leave, so that numbers stay: those that are gone are not asked once the topology says so.
#[derive(Debug)]
struct Known {
    nodes: Vec<Node>,
    /// An index of `nodes`; one entry for each group of the cluster.
    leaders: HashMap<GroupId, usize>,
    /// The nodes with a replica of a group, as the topology has it.
    members: HashMap<GroupId, Vec<usize>>,
}

impl Router {
    /// # Panics
    /// Without a node.
    pub(crate) fn new(nodes: Vec<Node>, connector: Option<Connector>) -> Self {
        assert!(!nodes.is_empty(), "a client has a node to ask");
        let known = Known { nodes, leaders: HashMap::new(), members: HashMap::new() };
        Self { shared: Arc::new(Shared { connector, known: Mutex::new(known), lost: Notify::new() }) }
    }

    /// The node to ask now, and its number for `failed`.
    pub(crate) fn node(&self, group: GroupId) -> (usize, Transport) {
        let known = self.shared.known.lock();
        let member = || known.members.get(&group).and_then(|members| members.first());
        let at = known.leaders.get(&group).or_else(member).copied().unwrap_or_default();
        (at, known.nodes[at].transport.clone())
    }

    /// Node `at` could not serve the group: follow its hint, else go round. Whether it is worth asking at once.
    pub(crate) fn failed(&self, group: GroupId, at: usize, error: &CallError) -> bool {
        let hinted = error.leader.as_ref().filter(|_| error.code == ErrorCode::NotLeader);
        let mut known = self.shared.known.lock();
        let leader = hinted.and_then(|hint| self.shared.find(&mut known, &hint.address));
        let now = known.leaders.get(&group).copied();
        // Somebody else may have learned better since.
        if now.is_none_or(|now| now == at) {
            let next = leader.unwrap_or_else(|| known.after(group, at));
            known.leaders.insert(group, next);
        }
        if leader.is_none() {
            self.shared.lost.notify_one();
        }
        leader.is_some_and(|leader| leader != at)
    }

    /// Which nodes there are, and which of them have a replica of which group.
    pub(crate) fn learn(&self, groups: impl IntoIterator<Item = (GroupId, Vec<String>)>) {
        let mut known = self.shared.known.lock();
        for (group, addresses) in groups {
            let members: Vec<usize> =
                addresses.iter().filter_map(|address| self.shared.find(&mut known, address)).collect();
            if !members.is_empty() {
                known.members.insert(group, members);
            }
        }
    }

    /// All nodes, by number.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.shared.known.lock().nodes.clone()
    }

    /// Waits until a group was not found where it was looked for.
    pub(crate) async fn lost(&self) {
        self.shared.lost.notified().await;
    }
}

impl Shared {
    /// The node at an address; a new one, if it can be reached.
    fn find(&self, known: &mut Known, address: &str) -> Option<usize> {
        if let Some(at) = known.nodes.iter().position(|node| node.address == address) {
            return Some(at);
        }
        let channel = self.connector.as_ref()?.channel(address).ok()?;
        known.nodes.push(Node { address: address.to_owned(), transport: Transport::channel(channel) });
        Some(known.nodes.len() - 1)
    }
}

impl Known {
    /// The next member of the group, or the next node where they are not known.
    fn after(&self, group: GroupId, at: usize) -> usize {
        match self.members.get(&group) {
            Some(members) => {
                let next = members.iter().position(|member| *member == at).map_or(0, |place| place + 1);
                members[next % members.len()]
            }
            None => (at + 1) % self.nodes.len(),
        }
    }
}
