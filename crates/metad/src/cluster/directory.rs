//! The directory's first rows: which nodes there are, and which of them vote in which shard.

use buzon_meta_client::meta::Meta;
use buzon_model::command::Command;
use buzon_model::command::cluster::{ClusterCommand, FoundCluster, FoundingNode, FoundingShard};
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_model::placement;
use buzon_model::reply::Rejection;
use buzon_model::row::{NodeRow, NodeState};
use buzon_proto::pb::cluster::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, GroupId, Incarnation, NodeId};
use buzon_types::node::{NodeAddress, Zone};
use buzon_types::time::Timestamp;

use super::balance::raise_level;
use super::read_id;
use crate::admin::call_error;

/// What a new cluster shall look like.
pub(super) struct Plan {
    nodes: Vec<FoundingNode>,
    shards: Vec<FoundingShard>,
    voters: usize,
}

impl Plan {
    /// Spread over the nodes and their zones.
    pub(super) fn new(
        descriptions: &[pb::NodeDescription],
        shards: u32,
        voters: usize,
    ) -> Result<Self, CallError> {
        let nodes = descriptions.iter().map(founding_node).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<NodeRow> = nodes.iter().map(row).collect();
        let of_shards = placement::new_shards(&rows, &[], shards as usize, voters as u8);
        let shard = |(at, voters)| FoundingShard { group: GroupId(at), voters };
        let shards = (DIRECTORY.0 + 1..).zip(of_shards).map(shard).collect();
        Ok(Self { nodes, shards, voters })
    }

    /// Every node has a replica of the directory; the first ones vote.
    pub(super) fn directory_members(&self) -> Vec<pb::Member> {
        let member = |(at, node): (usize, &FoundingNode)| pb::Member {
            node: node.id.0,
            address: node.address.to_string(),
            votes: at < self.voters,
        };
        self.nodes.iter().enumerate().map(member).collect()
    }

    /// The shards with their voters' addresses.
    pub(super) fn groups(&self) -> Vec<pb::NewGroup> {
        let member = |id: &NodeId| {
            let node = self.nodes.iter().find(|node| node.id == *id)?;
            Some(pb::Member { node: id.0, address: node.address.to_string(), votes: true })
        };
        let group = |shard: &FoundingShard| pb::NewGroup {
            group: shard.group.0,
            voters: shard.voters.iter().filter_map(member).collect(),
        };
        self.shards.iter().map(group).collect()
    }
}

fn founding_node(description: &pb::NodeDescription) -> Result<FoundingNode, CallError> {
    let invalid = |error: &dyn std::fmt::Display| {
        CallError::new(ErrorCode::Invalid, format!("node {}: {error}", description.address))
    };
    let zone = Some(&description.zone).filter(|zone| !zone.is_empty());
    Ok(FoundingNode {
        id: NodeId(description.node),
        address: NodeAddress::new(&description.address).map_err(|error| invalid(&error))?,
        zone: zone.map(|zone| Zone::new(zone).map_err(|error| invalid(&error))).transpose()?,
        incarnation: Incarnation(read_id(&description.incarnation, "incarnation")?),
    })
}

fn row(node: &FoundingNode) -> NodeRow {
    NodeRow {
        id: node.id,
        address: node.address.clone(),
        zone: node.zone.clone(),
        state: NodeState::Active,
        incarnation: node.incarnation,
        added_at: Timestamp::default(),
    }
}

/// Writes the rows, unless they are there; what is to be founded.
pub(super) async fn found_directory(meta: &Meta, plan: Plan) -> Result<Plan, CallError> {
    raise_level(meta, DIRECTORY, FEATURE_LEVEL_MAX).await?;
    let found = FoundCluster {
        nodes: plan.nodes.clone(),
        voters_per_shard: plan.voters as u8,
        shards: plan.shards.clone(),
    };
    let command = Command::Cluster(ClusterCommand::FoundCluster(found));
    match meta.propose(DIRECTORY, command).await.map_err(call_error)?.1 {
        Ok(_) => Ok(plan),
        Err(Rejection::ClusterExists) => {
            let message = "these nodes are a cluster already, founded with other nodes or shards";
            Err(CallError::new(ErrorCode::Precondition, message))
        }
        Err(rejection) => Err(CallError::new(ErrorCode::Invalid, rejection.to_string())),
    }
}
