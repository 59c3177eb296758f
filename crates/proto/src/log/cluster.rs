//! Commands about nodes and shards.

use buzon_model::command::{AddNode, ClusterCommand, FoundCluster, FoundingNode, FoundingShard, NewShard};
use buzon_types::id::{GroupId, Incarnation, NodeId};

use super::value;
use crate::pb::log::v1 as pb;
use crate::pb::log::v1::command::Command as Kind;
use crate::wire::{self, Wire, WireError};

pub(super) fn to_wire(command: &ClusterCommand) -> Kind {
    match command {
        ClusterCommand::FoundCluster(it) => Kind::FoundCluster(pb::FoundCluster {
            nodes: it.nodes.iter().map(Into::into).collect(),
            voters_per_shard: it.voters_per_shard.into(),
            shards: it.shards.iter().map(Into::into).collect(),
        }),
        ClusterCommand::AddNode(it) => Kind::AddNode(pb::AddNode {
            address: it.address.to_string(),
            zone: wire::zone_text(it.zone.as_ref()),
            incarnation: wire::id_bytes(it.incarnation.0),
            replaces: it.replaces.map_or(0, |node| node.0),
        }),
        ClusterCommand::SetNodeState { node, state } => {
            Kind::SetNodeState(pb::SetNodeState { node: node.0, state: *state as i32 })
        }
        ClusterCommand::SetNodeAddress { node, address } => {
            Kind::SetNodeAddress(pb::SetNodeAddress { node: node.0, address: address.to_string() })
        }
        ClusterCommand::AddShards(shards) => {
            Kind::AddShards(pb::AddShards { shards: shards.iter().map(Into::into).collect() })
        }
        ClusterCommand::SetShardVoters { group, voters, expected } => {
            Kind::SetShardVoters(pb::SetShardVoters {
                group: group.0,
                voters: numbers(voters),
                expected: numbers(expected),
            })
        }
        ClusterCommand::SetVotersPerShard(voters) => Kind::SetVotersPerShard((*voters).into()),
    }
}

/// One of ours, or a command of another file.
pub(super) enum Found {
    Cluster(ClusterCommand),
    Other(Kind),
}

pub(super) fn from_wire(kind: Kind) -> Wire<Found> {
    Ok(Found::Cluster(match kind {
        Kind::FoundCluster(it) => ClusterCommand::FoundCluster(FoundCluster {
            nodes: it.nodes.into_iter().map(FoundingNode::try_from).collect::<Wire<_>>()?,
            voters_per_shard: voters_per_shard(it.voters_per_shard, "found_cluster.voters_per_shard")?,
            shards: it.shards.into_iter().map(Into::into).collect(),
        }),
        Kind::AddNode(it) => ClusterCommand::AddNode(AddNode {
            address: wire::node_address(&it.address, "add_node.address")?,
            zone: wire::zone(&it.zone, "add_node.zone")?,
            incarnation: Incarnation(wire::id(&it.incarnation, "add_node.incarnation")?),
            replaces: (it.replaces != 0).then_some(NodeId(it.replaces)),
        }),
        Kind::SetNodeState(it) => ClusterCommand::SetNodeState {
            node: NodeId(it.node),
            state: value::node_state(it.state, "set_node_state.state")?,
        },
        Kind::SetNodeAddress(it) => ClusterCommand::SetNodeAddress {
            node: NodeId(it.node),
            address: wire::node_address(&it.address, "set_node_address.address")?,
        },
        Kind::AddShards(it) => ClusterCommand::AddShards(it.shards.into_iter().map(Into::into).collect()),
        Kind::SetShardVoters(it) => ClusterCommand::SetShardVoters {
            group: GroupId(it.group),
            voters: nodes(it.voters),
            expected: nodes(it.expected),
        },
        Kind::SetVotersPerShard(voters) => {
            ClusterCommand::SetVotersPerShard(voters_per_shard(voters, "command.set_voters_per_shard")?)
        }
        other => return Ok(Found::Other(other)),
    }))
}

/// Which numbers make sense is for `decide` to say.
fn voters_per_shard(number: u32, field: &'static str) -> Wire<u8> {
    u8::try_from(number).map_err(|_| WireError { field })
}

fn numbers(nodes: &[NodeId]) -> Vec<u64> {
    nodes.iter().map(|node| node.0).collect()
}

fn nodes(numbers: Vec<u64>) -> Vec<NodeId> {
    numbers.into_iter().map(NodeId).collect()
}

impl From<&FoundingNode> for pb::FoundingNode {
    fn from(it: &FoundingNode) -> Self {
        Self {
            id: it.id.0,
            address: it.address.to_string(),
            zone: wire::zone_text(it.zone.as_ref()),
            incarnation: wire::id_bytes(it.incarnation.0),
        }
    }
}

impl TryFrom<pb::FoundingNode> for FoundingNode {
    type Error = WireError;

    fn try_from(it: pb::FoundingNode) -> Wire<Self> {
        Ok(Self {
            id: NodeId(it.id),
            address: wire::node_address(&it.address, "founding_node.address")?,
            zone: wire::zone(&it.zone, "founding_node.zone")?,
            incarnation: Incarnation(wire::id(&it.incarnation, "founding_node.incarnation")?),
        })
    }
}

impl From<&FoundingShard> for pb::FoundingShard {
    fn from(it: &FoundingShard) -> Self {
        Self { group: it.group.0, voters: numbers(&it.voters) }
    }
}

impl From<pb::FoundingShard> for FoundingShard {
    fn from(it: pb::FoundingShard) -> Self {
        Self { group: GroupId(it.group), voters: nodes(it.voters) }
    }
}

impl From<&NewShard> for pb::NewShard {
    fn from(it: &NewShard) -> Self {
        Self { group: it.group.map_or(0, |group| group.0), voters: numbers(&it.voters) }
    }
}

impl From<pb::NewShard> for NewShard {
    fn from(it: pb::NewShard) -> Self {
        Self { group: (it.group != 0).then_some(GroupId(it.group)), voters: nodes(it.voters) }
    }
}
