//! What the nodes say of themselves when they are asked, of those that answer.

use std::collections::{BTreeMap, BTreeSet};

use buzon_model::row::{NodeRow, NodeState};
use buzon_proto::pb::cluster::v1 as pb;
use buzon_types::id::{GroupId, NodeId};
use futures::future::join_all;

use super::peers::Peers;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    nodes: BTreeMap<NodeId, pb::NodeDescription>,
    /// Where a group has replicas, and at which place among the node's groups: looked up for each group of the cluster.
    replicas: BTreeMap<GroupId, Vec<(NodeId, usize)>>,
}

impl Seen {
    /// Asks all nodes that are not removed, at once.
    pub(crate) async fn ask(peers: &Peers, nodes: &[NodeRow]) -> Self {
        let asked = present(nodes).map(|node| async move {
            let found = peers.describe(node.address.as_str()).await.ok()?;
            // Another node may have come to live there.
            (found.node == node.id.0).then_some((node.id, found))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// What a node says; none if it does not answer.
    pub(crate) fn node(&self, id: NodeId) -> Option<&pb::NodeDescription> {
        self.nodes.get(&id)
    }

    /// All that answer, by id.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &pb::NodeDescription)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Whether every node that is not removed answers.
    pub(crate) fn all_of(&self, nodes: &[NodeRow]) -> bool {
        present(nodes).all(|node| self.nodes.contains_key(&node.id))
    }

    /// Who leads a group, as the leader itself says, and how the group stands there.
    pub(crate) fn led(&self, group: GroupId) -> Option<(NodeId, &pb::GroupDescription)> {
        self.replicas(group).filter(|(id, it)| it.leader == id.0).max_by_key(|(_, it)| it.term)
    }

    /// All replicas of a group.
    pub(crate) fn replicas(&self, group: GroupId) -> impl Iterator<Item = (NodeId, &pb::GroupDescription)> {
        let found = self.replicas.get(&group).into_iter().flatten();
        found.filter_map(|(id, at)| Some((*id, self.nodes.get(id)?.groups.get(*at)?)))
    }

    /// A node's replica of a group.
    pub(crate) fn replica(&self, node: NodeId, group: GroupId) -> Option<&pb::GroupDescription> {
        self.replicas(group).find_map(|(id, it)| (id == node).then_some(it))
    }
}

impl FromIterator<(NodeId, pb::NodeDescription)> for Seen {
    fn from_iter<T: IntoIterator<Item = (NodeId, pb::NodeDescription)>>(nodes: T) -> Self {
        let nodes: BTreeMap<NodeId, pb::NodeDescription> = nodes.into_iter().collect();
        let mut replicas: BTreeMap<GroupId, Vec<(NodeId, usize)>> = BTreeMap::new();
        for (id, node) in &nodes {
            for (at, group) in node.groups.iter().enumerate() {
                replicas.entry(GroupId(group.group)).or_default().push((*id, at));
            }
        }
        Self { nodes, replicas }
    }
}

/// The nodes that are not removed.
pub(crate) fn present(nodes: &[NodeRow]) -> impl Iterator<Item = &NodeRow> + Clone {
    nodes.iter().filter(|node| node.state != NodeState::Removed)
}

/// The members that vote, or that do not.
pub(crate) fn members(group: &pb::GroupDescription, vote: bool) -> BTreeSet<NodeId> {
    group.members.iter().filter(|it| it.votes == vote).map(|it| NodeId(it.node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, groups: &[(u64, u64, u64)]) -> (NodeId, pb::NodeDescription) {
        let group = |(group, leader, term): &(u64, u64, u64)| pb::GroupDescription {
            group: *group,
            leader: *leader,
            term: *term,
            ..Default::default()
        };
        let groups = groups.iter().map(group).collect();
        (NodeId(id), pb::NodeDescription { node: id, groups, ..Default::default() })
    }

    #[test]
    fn a_leader_is_believed_of_itself_alone_and_the_newest_of_two() {
        let nodes = [
            node(1, &[(5, 2, 3), (7, 1, 4)]),
            node(2, &[(5, 2, 3), (6, 1, 3), (7, 2, 5)]),
            node(3, &[(5, 1, 2)]),
        ];
        let seen: Seen = nodes.into_iter().collect();
        let leader = |group| seen.led(GroupId(group)).map(|(id, _)| id);
        assert_eq!(leader(5), Some(NodeId(2)));
        // Node 1, which shall lead it, does not say so.
        assert_eq!(leader(6), None);
        // Node 1 was cut off and has not noticed yet.
        assert_eq!(leader(7), Some(NodeId(2)));
    }
}
