//! Shards: where their replicas are, and more of them.

use buzon_model::command::cluster::{ClusterCommand, NewShard};
use buzon_model::placement;
use buzon_model::reply::Reply;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, GroupId, NodeId};

use super::Admin;
use super::node::{Now, count};
use super::refusal::{invalid, not_found};
use crate::cluster::balance::{groups_to_change, leaders_to_move, voters_to_change};
use crate::cluster::seen::{members, present};

/// Far more than anybody adds at once.
const ADDED_MAX: u32 = 1024;

pub(super) async fn list(
    admin: &Admin,
    _: pb::ListShardsRequest,
) -> Result<pb::ListShardsResponse, CallError> {
    let now = admin.now().await?;
    let groups = std::iter::once(DIRECTORY).chain(now.wanted.shards.iter().map(|shard| shard.group));
    Ok(pb::ListShardsResponse { shards: groups.map(|group| now.shard(group)).collect() })
}

pub(super) async fn get(admin: &Admin, request: pb::GetShardRequest) -> Result<pb::Shard, CallError> {
    let (now, group) = (admin.now().await?, GroupId(request.group));
    if group != DIRECTORY && !now.wanted.shards.iter().any(|shard| shard.group == group) {
        return Err(not_found("shard", &group.to_string()));
    }
    Ok(now.shard(group))
}

pub(super) async fn add(
    admin: &Admin,
    request: pb::AddShardsRequest,
) -> Result<pb::AddShardsResponse, CallError> {
    if request.count == 0 || request.count > ADDED_MAX {
        return Err(invalid("count", &request.count.to_string(), "must be 1 to 1024"));
    }
    let wanted = admin.wanted().await?;
    let before = request.shards_before as usize;
    if before != 0 && wanted.shards.len() > before {
        let groups = wanted.shards.iter().skip(before).map(|shard| shard.group.0);
        return Ok(pb::AddShardsResponse { groups: groups.collect() });
    }
    let there: Vec<_> = wanted.shards.iter().map(|shard| (shard.group, shard.voters.clone())).collect();
    let voters =
        placement::new_shards(&wanted.nodes, &there, request.count as usize, wanted.voters_per_shard);
    let groups = (wanted.next_group.0..).map(|group| Some(GroupId(group)));
    let new = groups.zip(voters).map(|(group, voters)| NewShard { group, voters }).collect();
    match admin.steer(ClusterCommand::AddShards(new), "shards").await? {
        Reply::ShardsAdded(groups) => {
            Ok(pb::AddShardsResponse { groups: groups.iter().map(|it| it.0).collect() })
        }
        _ => Err(CallError::new(ErrorCode::Internal, "the directory added no shards")),
    }
}

pub(super) async fn rebalance(
    admin: &Admin,
    _: pb::RebalanceRequest,
) -> Result<pb::RebalanceResponse, CallError> {
    let now = admin.now().await?;
    admin.control()?.look_now.notify_one();
    let differing = groups_to_change(&now.wanted, &now.seen);
    Ok(pb::RebalanceResponse {
        shards_to_change: count(differing.max(voters_to_change(&now.wanted).len())),
        leaders_to_move: count(leaders_to_move(&now.wanted, &now.seen).len()),
    })
}

pub(super) async fn refill(
    admin: &Admin,
    request: pb::RefillReplicaRequest,
) -> Result<pb::RefillReplicaResponse, CallError> {
    let (wanted, node) = (admin.wanted().await?, NodeId(request.node));
    let row = present(&wanted.nodes).find(|row| row.id == node);
    let row = row.ok_or_else(|| not_found("node", &node.to_string()))?;
    admin.control()?.peers.refill_group(row.address.as_str(), request.group).await?;
    Ok(pb::RefillReplicaResponse {})
}

impl Now {
    fn shard(&self, group: GroupId) -> pb::Shard {
        let row = self.wanted.shards.iter().find(|shard| shard.group == group);
        let (leader, now) = self.seen.led(group).unzip();
        let replica = |member: &buzon_proto::pb::cluster::v1::Member| {
            let itself = self.seen.replica(NodeId(member.node), group);
            pb::Replica {
                node: member.node,
                votes: member.votes,
                last: itself.map_or(0, |it| it.last),
                applied: itself.map_or(0, |it| it.applied),
                in_quarantine: itself.is_some_and(|it| it.in_quarantine),
            }
        };
        let voters: Vec<NodeId> = match (row, now) {
            (Some(row), _) => row.voters.clone(),
            (None, Some(now)) => members(now, true).into_iter().collect(),
            (None, None) => Vec::new(),
        };
        pb::Shard {
            group: group.0,
            voters_wanted: voters.into_iter().map(|node| node.0).collect(),
            replicas: now.into_iter().flat_map(|now| &now.members).map(replica).collect(),
            leader: leader.map_or(0, |node| node.0),
            term: now.map_or(0, |now| now.term),
            accounts: row.map_or(0, |row| row.accounts),
            feature_level: now.map_or(0, |now| now.feature_level),
        }
    }
}
