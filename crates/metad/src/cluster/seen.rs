//! What the nodes say of themselves when they are asked, of those that answer.

use std::collections::{BTreeMap, BTreeSet};

use buzon_model::row::{NodeRow, NodeState};
use buzon_proto::pb::cluster::v1 as pb;
use buzon_types::id::{GroupId, NodeId};
use futures::future::join_all;

use super::peers::Peers;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<NodeId, pb::NodeDescription>);

impl Seen {
    /// Asks all nodes that are not removed, at once.
    pub(crate) async fn ask(peers: &Peers, nodes: &[NodeRow]) -> Self {
        let asked = present(nodes).map(|node| async move {
            let found = peers.describe(node.address.as_str()).await.ok()?;
            // Another node may have come to live there.
            (found.node == node.id.0).then_some((node.id, found))
        });
        Self(join_all(asked).await.into_iter().flatten().collect())
    }

    /// What a node says; none if it does not answer.
    pub(crate) fn node(&self, id: NodeId) -> Option<&pb::NodeDescription> {
        self.0.get(&id)
    }

    /// All that answer, by id.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &pb::NodeDescription)> {
        self.0.iter().map(|(id, node)| (*id, node))
    }

    /// Whether every node that is not removed answers.
    pub(crate) fn all_of(&self, nodes: &[NodeRow]) -> bool {
        present(nodes).all(|node| self.0.contains_key(&node.id))
    }

    /// Who leads a group, as the leader itself says, and how the group stands there.
    pub(crate) fn led(&self, group: GroupId) -> Option<(NodeId, &pb::GroupDescription)> {
        self.replicas(group).filter(|(id, it)| it.leader == id.0).max_by_key(|(_, it)| it.term)
    }

    /// All replicas of a group.
    pub(crate) fn replicas(&self, group: GroupId) -> impl Iterator<Item = (NodeId, &pb::GroupDescription)> {
        self.nodes().filter_map(move |(id, node)| Some((id, of_group(node, group)?)))
    }

    /// A node's replica of a group.
    pub(crate) fn replica(&self, node: NodeId, group: GroupId) -> Option<&pb::GroupDescription> {
        of_group(self.node(node)?, group)
    }
}

impl FromIterator<(NodeId, pb::NodeDescription)> for Seen {
    fn from_iter<T: IntoIterator<Item = (NodeId, pb::NodeDescription)>>(nodes: T) -> Self {
        Self(nodes.into_iter().collect())
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

fn of_group(node: &pb::NodeDescription, group: GroupId) -> Option<&pb::GroupDescription> {
    node.groups.iter().find(|it| it.group == group.0)
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
