//! Where accounts live, and the cluster's nodes and shards.

use buzon_model::read::Topology;
use buzon_model::row::{NodeRow, PlacementRow, PlacementState, ShardRow};
use buzon_types::id::{AccountId, Epoch, GroupId, Incarnation, LogIndex, NodeId, TenantId};
use buzon_types::time::Timestamp;

use crate::log::value;
use crate::pb::directory::v1 as pb;
use crate::wire::{self, Wire, WireError};

impl From<&PlacementRow> for pb::Placement {
    fn from(row: &PlacementRow) -> Self {
        Self {
            account: row.account.0,
            tenant: row.tenant.0,
            address: row.address.to_string(),
            shard: row.shard.0,
            epoch: row.epoch.0,
            state: row.state as u32,
            created_at_ms: row.created_at.0,
        }
    }
}

impl TryFrom<pb::Placement> for PlacementRow {
    type Error = WireError;

    fn try_from(it: pb::Placement) -> Wire<Self> {
        let state = u8::try_from(it.state).ok().and_then(PlacementState::from_number);
        Ok(Self {
            account: AccountId(it.account),
            tenant: TenantId(it.tenant),
            address: wire::address(&it.address, "placement.address")?,
            shard: GroupId(it.shard),
            epoch: Epoch(it.epoch),
            state: wire::required(state, "placement.state")?,
            created_at: Timestamp(it.created_at_ms),
        })
    }
}

/// The answer to Topology.
pub fn topology_response(index: LogIndex, topology: &Topology) -> pb::TopologyResponse {
    pb::TopologyResponse {
        index: index.0,
        nodes: topology.nodes.iter().map(Into::into).collect(),
        shards: topology.shards.iter().map(Into::into).collect(),
        voters_per_shard: topology.voters_per_shard.into(),
        next_group: topology.next_group.0,
    }
}

impl TryFrom<pb::TopologyResponse> for Topology {
    type Error = WireError;

    fn try_from(it: pb::TopologyResponse) -> Wire<Self> {
        let voters = u8::try_from(it.voters_per_shard);
        Ok(Self {
            nodes: it.nodes.into_iter().map(NodeRow::try_from).collect::<Wire<_>>()?,
            shards: it.shards.into_iter().map(ShardRow::from).collect(),
            voters_per_shard: voters.map_err(|_| WireError::new("topology_response.voters_per_shard"))?,
            next_group: GroupId(it.next_group),
        })
    }
}

impl From<&NodeRow> for pb::Node {
    fn from(row: &NodeRow) -> Self {
        Self {
            id: row.id.0,
            address: row.address.to_string(),
            zone: wire::zone_text(row.zone.as_ref()),
            state: row.state as i32,
            incarnation: wire::id_bytes(row.incarnation.0),
            added_at_ms: row.added_at.0,
        }
    }
}

impl TryFrom<pb::Node> for NodeRow {
    type Error = WireError;

    fn try_from(it: pb::Node) -> Wire<Self> {
        Ok(Self {
            id: NodeId(it.id),
            address: wire::node_address(&it.address, "node.address")?,
            zone: wire::zone(&it.zone, "node.zone")?,
            state: value::node_state(it.state, "node.state")?,
            incarnation: Incarnation(wire::id(&it.incarnation, "node.incarnation")?),
            added_at: Timestamp(it.added_at_ms),
        })
    }
}

impl From<&ShardRow> for pb::Shard {
    fn from(row: &ShardRow) -> Self {
        let voters = row.voters.iter().map(|node| node.0).collect();
        Self { group: row.group.0, voters, accounts: row.accounts }
    }
}

impl From<pb::Shard> for ShardRow {
    fn from(it: pb::Shard) -> Self {
        let voters = it.voters.into_iter().map(NodeId).collect();
        Self { group: GroupId(it.group), voters, accounts: it.accounts }
    }
}
