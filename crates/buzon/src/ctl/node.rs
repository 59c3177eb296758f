//! `buzon ctl node`.

use std::time::Duration;

use anyhow::{Context, bail};
use buzon_proto::pb::admin::v1::{
    AddNodeRequest, DrainNodeRequest, ListNodesRequest, Node, RemoveNodeRequest, SetNodeAddressRequest,
    UndrainNodeRequest,
};
use buzon_proto::pb::log::v1::NodeState;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::connection::Admin;
use super::output::{Output, time};
use crate::cli::NodeCommand;

const COLUMNS: &[&str] = &[
    "node",
    "address",
    "zone",
    "state",
    "reachable",
    "voters_wanted",
    "replicas",
    "leads",
    "directory",
    "version",
];
/// Between two looks at a node that drains.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(admin: &mut Admin, command: NodeCommand) -> anyhow::Result<Output> {
    match command {
        NodeCommand::List => {
            let nodes = admin.list_nodes(ListNodesRequest {}).await?.into_inner().nodes;
            Ok(Output::Rows(COLUMNS, nodes.iter().map(row).collect()))
        }
        NodeCommand::Add { address, zone, replaces } => {
            let request = AddNodeRequest {
                address,
                zone: zone.unwrap_or_default(),
                replaces: replaces.unwrap_or_default(),
            };
            Ok(one(&admin.add_node(request).await?.into_inner()))
        }
        NodeCommand::Drain { id, allow_fewer_voters, wait, timeout } => {
            let request = DrainNodeRequest { id, allow_fewer_voters };
            let node = admin.drain_node(request).await?.into_inner();
            if !wait {
                return Ok(one(&node));
            }
            Ok(one(&drained(admin, id, Duration::from_secs(timeout)).await?))
        }
        NodeCommand::Undrain { id } => {
            Ok(one(&admin.undrain_node(UndrainNodeRequest { id }).await?.into_inner()))
        }
        NodeCommand::Remove { id, allow_fewer_voters, timeout } => {
            if find(admin, id).await?.state != NodeState::Removed as i32 {
                admin.drain_node(DrainNodeRequest { id, allow_fewer_voters }).await?;
                drained(admin, id, Duration::from_secs(timeout)).await?;
            }
            let node = admin.remove_node(RemoveNodeRequest { id }).await?.into_inner();
            eprintln!("node {id} is removed: stop it and delete its data directory and database");
            Ok(one(&node))
        }
        NodeCommand::SetAddress { id, address } => {
            let request = SetNodeAddressRequest { id, address };
            Ok(one(&admin.set_node_address(request).await?.into_inner()))
        }
    }
}

async fn find(admin: &mut Admin, id: u64) -> anyhow::Result<Node> {
    let nodes = admin.list_nodes(ListNodesRequest {}).await?.into_inner().nodes;
    let found = nodes.into_iter().find(|node| node.id == id);
    Ok(found.ok_or_else(|| tonic::Status::not_found(format!("no such node: {id}")))?)
}

/// Waits until a node carries no shard and does not vote in the directory.
async fn drained(admin: &mut Admin, id: u64, timeout: Duration) -> anyhow::Result<Node> {
    let until = Instant::now() + timeout;
    loop {
        let node = match find(admin, id).await {
            Ok(node) if node.state == NodeState::Active as i32 => {
                bail!("node {id} was made active again meanwhile")
            }
            Ok(node) => node,
            // The node that is asked may be the one that is led away from.
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
        };
        if node.voters_wanted == 0 && node.replicas == 0 && !node.votes_in_directory {
            return Ok(node);
        }
        if Instant::now() >= until {
            let left = format!("node {id} still carries {} shards", node.replicas.max(node.voters_wanted));
            return Err(tonic::Status::deadline_exceeded(left)).context("wait for its replicas to go");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn row(node: &Node) -> Vec<Value> {
    vec![
        json!(node.id),
        json!(node.address),
        text(&node.zone),
        state(node),
        json!(node.reachable),
        json!(node.voters_wanted),
        json!(node.replicas),
        json!(node.leads),
        json!(if node.votes_in_directory { "votes" } else { "follows" }),
        text(&node.version),
    ]
}

fn one(node: &Node) -> Output {
    let mut fields: Vec<(&'static str, Value)> = COLUMNS.iter().copied().zip(row(node)).collect();
    fields.push(("added", time(node.added_at_ms)));
    Output::One(fields)
}

fn state(node: &Node) -> Value {
    match NodeState::try_from(node.state) {
        Ok(NodeState::Active) => json!("active"),
        Ok(NodeState::Draining) => json!("draining"),
        Ok(NodeState::Removed) => json!("removed"),
        Ok(NodeState::Unspecified) | Err(_) => Value::Null,
    }
}

fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}
