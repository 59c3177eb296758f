//! Metadata nodes: what is wanted of them stands in the directory, the balancer makes it so.

use std::time::Duration;

use buzon_model::command::Command;
use buzon_model::command::cluster::{AddNode, ClusterCommand};
use buzon_model::read::{ReadAt, Topology};
use buzon_model::reply::Reply;
use buzon_model::row::{NodeRow, NodeState};
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::pb::cluster::v1::{AssignRequest, NodeDescription};
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, Incarnation, NodeId};
use buzon_types::node::{NodeAddress, Zone};
use tokio::time::Instant;

use super::Admin;
use super::refusal::{invalid, not_found, refused};
use crate::cluster::seen::{Seen, members};
use crate::cluster::{Control, id_bytes, read_id};
use crate::directory::topology;

/// A node opens its log and database well within this.
const OPEN_TIME_MAX: Duration = Duration::from_secs(30);
/// Between two looks at it.
const OPEN_PAUSE: Duration = Duration::from_millis(200);

/// The cluster as it is wanted, and as it is.
pub(super) struct Now {
    pub(super) wanted: Topology,
    pub(super) seen: Seen,
}

impl Admin {
    pub(super) fn control(&self) -> Result<&Control, CallError> {
        let alone = || CallError::new(ErrorCode::Precondition, "this server is no cluster");
        self.control.as_ref().ok_or_else(alone)
    }

    pub(super) async fn wanted(&self) -> Result<Topology, CallError> {
        Ok(topology(&*self.directory()?, ReadAt::Linearizable).await?.value)
    }

    pub(super) async fn now(&self) -> Result<Now, CallError> {
        let wanted = self.wanted().await?;
        let seen = Seen::ask(&self.control()?.peers, &wanted.nodes).await;
        Ok(Now { wanted, seen })
    }

    /// A step in the directory about the cluster, which is looked at right after.
    pub(super) async fn steer(&self, command: ClusterCommand, what: &str) -> Result<Reply, CallError> {
        let control = self.control()?;
        let (_, outcome) = self.directory()?.propose(None, Command::Cluster(command)).await?;
        control.look_now.notify_one();
        outcome.map_err(|rejection| refused(&rejection, what))
    }

    async fn set_node_state(&self, id: u64, state: NodeState) -> Result<pb::Node, CallError> {
        let node = NodeId(id);
        self.steer(ClusterCommand::SetNodeState { node, state }, &format!("node {id}")).await?;
        self.node(node).await
    }

    async fn node(&self, id: NodeId) -> Result<pb::Node, CallError> {
        let now = self.now().await?;
        let row = now.wanted.nodes.iter().find(|row| row.id == id);
        row.map(|row| now.node(row)).ok_or_else(|| not_found("node", &id.to_string()))
    }
}

pub(super) async fn list(admin: &Admin, _: pb::ListNodesRequest) -> Result<pb::ListNodesResponse, CallError> {
    let now = admin.now().await?;
    Ok(pb::ListNodesResponse { nodes: now.wanted.nodes.iter().map(|row| now.node(row)).collect() })
}

/// The directory gives the id, then the node takes it; repeated after an interruption it finds the row by the node's
/// incarnation.
pub(super) async fn add(admin: &Admin, request: pb::AddNodeRequest) -> Result<pb::Node, CallError> {
    let control = admin.control()?;
    let address = node_address(&request.address)?;
    // Not asked in vain of a node that cannot decide it.
    admin.wanted().await?;
    let found = control.peers.describe(&request.address).await?;
    check_new(&found, &request.address, control.cluster)?;
    let zone = if request.zone.is_empty() { &found.zone } else { &request.zone };
    let zone = Some(zone).filter(|zone| !zone.is_empty());
    let zone = zone.map(|zone| Zone::new(zone).map_err(|error| invalid("zone", zone, error))).transpose()?;
    let incarnation = Incarnation(read_id(&found.incarnation, "incarnation")?);
    let replaces = Some(NodeId(request.replaces)).filter(|node| node.0 != 0);
    let command = ClusterCommand::AddNode(AddNode { address, zone, incarnation, replaces });
    let Reply::NodeAdded(id) = admin.steer(command, &request.address).await? else {
        return Err(CallError::new(ErrorCode::Internal, "the directory gave no id"));
    };
    let assign = AssignRequest {
        cluster: id_bytes(control.cluster),
        node: id.0,
        incarnation: id_bytes(incarnation.0),
    };
    control.peers.assign(&request.address, assign).await?;
    wait_open(control, &request.address).await?;
    control.look_now.notify_one();
    admin.node(id).await
}

pub(super) async fn drain(admin: &Admin, request: pb::DrainNodeRequest) -> Result<pb::Node, CallError> {
    let wanted = admin.wanted().await?;
    let is_left = |row: &&NodeRow| row.state == NodeState::Active && row.id.0 != request.id;
    let left = wanted.nodes.iter().filter(is_left).count();
    if left < usize::from(wanted.voters_per_shard) && !request.allow_fewer_voters {
        let message = format!(
            "node {}: {left} active nodes would be left, and shards shall have {} voters: add a node first, or allow fewer voters",
            request.id, wanted.voters_per_shard
        );
        return Err(CallError::new(ErrorCode::Precondition, message));
    }
    admin.set_node_state(request.id, NodeState::Draining).await
}

pub(super) async fn undrain(admin: &Admin, request: pb::UndrainNodeRequest) -> Result<pb::Node, CallError> {
    admin.set_node_state(request.id, NodeState::Active).await
}

pub(super) async fn remove(admin: &Admin, request: pb::RemoveNodeRequest) -> Result<pb::Node, CallError> {
    let now = admin.now().await?;
    let id = NodeId(request.id);
    let shards = now.wanted.shards.iter().map(|shard| shard.group);
    // What the directory wants is looked at when the command is decided; here, what is so.
    for group in shards {
        let Some((_, group_now)) = now.seen.led(group) else {
            let message = format!("shard {group} has no leader: whether node {id} may go cannot be told");
            return Err(CallError::new(ErrorCode::Unavailable, message));
        };
        if group_now.members.iter().any(|it| it.node == id.0) {
            let message = format!("node {id} still carries shard {group}: drain it and wait");
            return Err(CallError::new(ErrorCode::Precondition, message));
        }
    }
    if now.votes_in_directory(id) {
        let message = format!("node {id} still votes in the directory: drain it and wait");
        return Err(CallError::new(ErrorCode::Precondition, message));
    }
    admin.set_node_state(request.id, NodeState::Removed).await
}

pub(super) async fn set_address(
    admin: &Admin,
    request: pb::SetNodeAddressRequest,
) -> Result<pb::Node, CallError> {
    let (node, address) = (NodeId(request.id), node_address(&request.address)?);
    admin.steer(ClusterCommand::SetNodeAddress { node, address }, &format!("node {node}")).await?;
    admin.node(node).await
}

impl Now {
    fn node(&self, row: &NodeRow) -> pb::Node {
        let shards = || self.wanted.shards.iter();
        let wanted = shards().filter(|shard| shard.voters.contains(&row.id)).count();
        let led = |leads: bool| {
            let is_there = move |(leader, now): (NodeId, &buzon_proto::pb::cluster::v1::GroupDescription)| {
                if leads { leader == row.id } else { now.members.iter().any(|it| it.node == row.id.0) }
            };
            shards().filter(|shard| self.seen.led(shard.group).is_some_and(is_there)).count()
        };
        let found = self.seen.node(row.id);
        pb::Node {
            id: row.id.0,
            address: row.address.to_string(),
            zone: row.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
            state: row.state as i32,
            added_at_ms: row.added_at.0,
            reachable: found.is_some(),
            version: found.map(|it| it.version.clone()).unwrap_or_default(),
            voters_wanted: count(wanted),
            replicas: count(led(false)),
            leads: count(led(true)),
            votes_in_directory: self.votes_in_directory(row.id),
        }
    }

    fn votes_in_directory(&self, id: NodeId) -> bool {
        self.seen.led(DIRECTORY).is_some_and(|(_, now)| members(now, true).contains(&id))
    }
}

pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn node_address(text: &str) -> Result<NodeAddress, CallError> {
    NodeAddress::new(text).map_err(|error| invalid("address", text, error))
}

fn check_new(found: &NodeDescription, address: &str, cluster: u128) -> Result<(), CallError> {
    let refuse = |message: String| Err(CallError::new(ErrorCode::Precondition, message));
    if found.address != address {
        return refuse(format!(
            "the node at {address} is configured as {}: name it as its cluster.address does",
            found.address
        ));
    }
    if found.node != 0 && found.cluster != id_bytes(cluster) {
        return refuse(format!("the node at {address} belongs to another cluster"));
    }
    Ok(())
}

async fn wait_open(control: &Control, address: &str) -> Result<(), CallError> {
    let until = Instant::now() + OPEN_TIME_MAX;
    loop {
        // A node that takes its identity is away for a moment.
        match control.peers.describe(address).await {
            Ok(node) if node.is_open => return Ok(()),
            Err(error) if Instant::now() >= until => return Err(error),
            Ok(_) if Instant::now() >= until => {
                let message = format!("{address} has its id, but does not open: look at its log");
                return Err(CallError::new(ErrorCode::Unavailable, message));
            }
            _ => tokio::time::sleep(OPEN_PAUSE).await,
        }
    }
}
