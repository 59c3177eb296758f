//! Upgrades (DESIGN D10): new binaries do what all did before, until an operator says that none goes back.

use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, FeatureLevel, GroupId};

use super::Admin;
use super::node::{Now, count};
use crate::cluster::balance::raise_level;
use crate::cluster::seen::present;

pub(super) async fn status(
    admin: &Admin,
    _: pb::UpgradeStatusRequest,
) -> Result<pb::UpgradeStatusResponse, CallError> {
    let now = admin.now().await?;
    let node = |row: &buzon_model::row::NodeRow| {
        let found = now.seen.node(row.id);
        pb::NodeVersion {
            node: row.id.0,
            reachable: found.is_some(),
            version: found.map(|it| it.version.clone()).unwrap_or_default(),
            level_max: found.map_or(0, |it| it.feature_level_max),
        }
    };
    let groups = now.levels().map(|(group, level)| pb::GroupLevel { group: group.0, level });
    Ok(pb::UpgradeStatusResponse {
        nodes: present(&now.wanted.nodes).map(node).collect(),
        groups: groups.collect(),
        level_possible: now.level_possible().unwrap_or_default(),
    })
}

/// The directory first: whatever is interrupted after that, the balancer finishes.
pub(super) async fn finalize(
    admin: &Admin,
    _: pb::FinalizeUpgradeRequest,
) -> Result<pb::FinalizeUpgradeResponse, CallError> {
    let now = admin.now().await?;
    let level = now.level_possible()?;
    let below: Vec<GroupId> = now.levels().filter(|(_, it)| *it < level).map(|(group, _)| group).collect();
    raise_level(&admin.meta, DIRECTORY, FeatureLevel(level)).await?;
    for group in below.iter().filter(|group| **group != DIRECTORY) {
        raise_level(&admin.meta, *group, FeatureLevel(level)).await?;
    }
    Ok(pb::FinalizeUpgradeResponse { level, groups: count(below.len()) })
}

impl Now {
    /// What every node knows.
    fn level_possible(&self) -> Result<u32, CallError> {
        let mut least = u32::MAX;
        for row in present(&self.wanted.nodes) {
            let Some(node) = self.seen.node(row.id) else {
                let message = format!(
                    "node {} ({}) does not answer: what it knows cannot be told; start it, or remove it",
                    row.id, row.address
                );
                return Err(CallError::new(ErrorCode::Unavailable, message));
            };
            least = least.min(node.feature_level_max);
        }
        Ok(least)
    }

    fn levels(&self) -> impl Iterator<Item = (GroupId, u32)> {
        let groups = std::iter::once(DIRECTORY).chain(self.wanted.shards.iter().map(|shard| shard.group));
        groups.map(|group| (group, self.seen.led(group).map_or(0, |(_, now)| now.feature_level)))
    }
}
