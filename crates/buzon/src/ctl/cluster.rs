//! `buzon ctl cluster`.

use buzon_proto::pb::cluster::v1::InitClusterRequest;
use buzon_proto::pb::cluster::v1::bootstrap_service_client::BootstrapServiceClient;
use serde_json::{Value, json};

use super::connection;
use super::output::Output;
use crate::cli::{ClusterCommand, Connection};

const COLUMNS: &[&str] = &["node", "address", "zone", "groups", "leads", "version"];

pub(super) async fn run(connection: &Connection, command: ClusterCommand) -> anyhow::Result<Output> {
    let (channel, bearer) = connection::channel(connection).await?;
    let mut bootstrap = BootstrapServiceClient::with_interceptor(channel, bearer);
    let ClusterCommand::Init { nodes, shards, voters } = command;
    let request = InitClusterRequest { nodes, shards, voters: voters.unwrap_or_default() };
    let answer = bootstrap.init_cluster(request).await?.into_inner();
    let rows = answer.nodes.iter().map(|node| {
        let leads = node.groups.iter().filter(|group| group.leader == node.node).count();
        vec![
            json!(node.node),
            json!(node.address),
            if node.zone.is_empty() { Value::Null } else { json!(node.zone) },
            json!(node.groups.len()),
            json!(leads),
            json!(node.version),
        ]
    });
    Ok(Output::Rows(COLUMNS, rows.collect()))
}
