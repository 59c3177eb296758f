//! `buzon ctl shard` and `buzon ctl rebalance`.

use buzon_proto::pb::admin::v1::{
    AddShardsRequest, GetShardRequest, ListShardsRequest, RebalanceRequest, RefillReplicaRequest, Shard,
};
use serde_json::{Value, json};

use super::connection::Admin;
use super::output::Output;
use crate::cli::ShardCommand;

const COLUMNS: &[&str] =
    &["group", "kind", "leader", "term", "voters", "learners", "voters_wanted", "accounts"];
const REPLICA_COLUMNS: &[&str] = &["node", "role", "leads", "last", "applied", "quarantined"];

pub(super) async fn run(admin: &mut Admin, command: ShardCommand) -> anyhow::Result<Output> {
    match command {
        ShardCommand::List => {
            let shards = admin.list_shards(ListShardsRequest {}).await?.into_inner().shards;
            Ok(Output::Rows(COLUMNS, shards.iter().map(row).collect()))
        }
        ShardCommand::Show { group } => {
            let shard = admin.get_shard(GetShardRequest { group }).await?.into_inner();
            let replica = |it: &buzon_proto::pb::admin::v1::Replica| {
                let role = if it.votes { "voter" } else { "learner" };
                vec![
                    json!(it.node),
                    json!(role),
                    json!(shard.leader == it.node),
                    json!(it.last),
                    json!(it.applied),
                    json!(it.in_quarantine),
                ]
            };
            Ok(Output::Rows(REPLICA_COLUMNS, shard.replicas.iter().map(replica).collect()))
        }
        ShardCommand::Add { count } => {
            let shards = admin.list_shards(ListShardsRequest {}).await?.into_inner().shards;
            // The directory is listed too.
            let shards_before = u32::try_from(shards.len().saturating_sub(1)).unwrap_or(u32::MAX);
            let request = AddShardsRequest { count, shards_before };
            let groups = admin.add_shards(request).await?.into_inner().groups;
            Ok(Output::One(vec![("groups", json!(groups))]))
        }
        ShardCommand::Refill { group, node } => {
            admin.refill_replica(RefillReplicaRequest { group, node }).await?;
            Ok(Output::One(vec![("group", json!(group)), ("node", json!(node)), ("refill", json!("begun"))]))
        }
    }
}

pub(super) async fn rebalance(admin: &mut Admin) -> anyhow::Result<Output> {
    let answer = admin.rebalance(RebalanceRequest {}).await?.into_inner();
    Ok(Output::One(vec![
        ("shards_to_change", json!(answer.shards_to_change)),
        ("leaders_to_move", json!(answer.leaders_to_move)),
    ]))
}

fn row(shard: &Shard) -> Vec<Value> {
    let role = |votes: bool| -> Vec<u64> {
        shard.replicas.iter().filter(|it| it.votes == votes).map(|it| it.node).collect()
    };
    vec![
        json!(shard.group),
        json!(if shard.group == 0 { "directory" } else { "shard" }),
        if shard.leader == 0 { Value::Null } else { json!(shard.leader) },
        json!(shard.term),
        json!(role(true)),
        json!(role(false)),
        json!(shard.voters_wanted),
        json!(shard.accounts),
    ]
}
