//! Keeps replicas where the directory wants them, and leaders evenly spread. Runs on the node that leads the directory.
//!
//! ```text
//! topology (wanted) ─┐
//! Describe (is)     ─┴▶ members that differ: learn, vote, leave ─▶ leaders that pile up: hand over
//! ```
//! Nothing is remembered from one look to the next but whether all was calm: whoever leads the directory next goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use buzon_model::placement::{self, Led};
use buzon_model::read::{ReadAt, Topology};
use buzon_model::row::{NodeRow, NodeState};
use buzon_proto::pb::cluster::v1 as pb;
use buzon_proto::status::CallError;
use buzon_types::id::{DIRECTORY, GroupId, NodeId};
use futures::future::join_all;

use super::peers::Peers;
use crate::directory::topology;
use crate::groups::Groups;
use crate::mail::replica;

/// A node that came back gets its share within a few of these.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// Leaders handed over at a time: each costs its group's clients an election.
const HANDOVERS_MAX: usize = 4;
/// A voter that is behind by more would keep its group waiting.
const BEHIND_MAX: u64 = 100;

/// See the module.
pub struct Balancer {
    groups: Arc<dyn Groups>,
    peers: Peers,
}

/// What the nodes say, of those that answer.
type Seen = BTreeMap<NodeId, pb::NodeDescription>;

impl Balancer {
    /// For this node's groups.
    pub fn new(groups: Arc<dyn Groups>, peers: Peers) -> Self {
        Self { groups, peers }
    }

    /// Looks for ever; the work ends when this is dropped.
    pub async fn run(self) {
        let mut was_calm = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let leads =
                self.groups.group(DIRECTORY).is_some_and(|it| it.status().leader == Some(self.groups.node()));
            was_calm = if leads {
                self.look(was_calm).await.unwrap_or_else(|error| {
                    tracing::debug!(%error, "balance the cluster");
                    false
                })
            } else {
                false
            };
        }
    }

    /// Whether nothing was out of order.
    async fn look(&self, was_calm: bool) -> Result<bool, CallError> {
        let wanted = topology(&*replica(&*self.groups, DIRECTORY)?, ReadAt::Linearizable).await?.value;
        if wanted.voters_per_shard == 0 {
            return Ok(false);
        }
        let seen = self.describe(&wanted.nodes).await;
        if self.move_members(&wanted, &seen).await? {
            return Ok(false);
        }
        let is_calm = is_calm(&wanted, &seen);
        // A look later, so that a node which was away for a moment is not taken for one that came to stay.
        if is_calm && was_calm {
            self.hand_over(&wanted, &seen).await?;
        }
        Ok(is_calm)
    }

    async fn describe(&self, nodes: &[NodeRow]) -> Seen {
        let present = nodes.iter().filter(|node| node.state != NodeState::Removed);
        let asked = present.map(|node| async move {
            let found = self.peers.describe(node.address.as_str()).await.ok()?;
            // Another node may have come to live there.
            (found.node == node.id.0).then_some((node.id, found))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Makes the members of one group as they are wanted; whether there was such a group.
    async fn move_members(&self, wanted: &Topology, seen: &Seen) -> Result<bool, CallError> {
        for (group, members) in members_wanted(wanted, seen) {
            let Some((leader, now)) = led(seen, group) else { continue };
            let same =
                now.members.len() == members.len() && members.iter().all(|it| now.members.contains(it));
            let all_answer = members.iter().all(|it| seen.contains_key(&NodeId(it.node)));
            if same || !all_answer {
                continue;
            }
            tracing::info!(%group, ?members, "the group's members change");
            let known: BTreeSet<u64> = now.members.iter().map(|it| it.node).collect();
            for new in members.iter().filter(|it| !known.contains(&it.node)) {
                self.peers.ensure_group(&new.address, group.0).await?;
            }
            let request = pb::SetMembersRequest { group: group.0, members };
            self.peers.set_members(&seen[&leader].address, request).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn hand_over(&self, wanted: &Topology, seen: &Seen) -> Result<(), CallError> {
        let shards: Vec<Led> = wanted
            .shards
            .iter()
            .map(|shard| shard.group)
            .map(|group| {
                let (leader, now) = led(seen, group).unzip();
                let voters = now.into_iter().flat_map(|it| it.members.iter().filter(|it| it.votes));
                Led { group, voters: voters.map(|it| NodeId(it.node)).collect(), leader }
            })
            .collect();
        let mut handed = 0;
        for (group, to) in placement::leaders(&wanted.nodes, &shards) {
            let Some((from, now)) = led(seen, group).filter(|(from, _)| *from != to) else { continue };
            let applied = of_group(&seen[&to], group).map_or(0, |it| it.applied);
            if applied + BEHIND_MAX < now.applied || handed == HANDOVERS_MAX {
                continue;
            }
            handed += 1;
            tracing::info!(%group, %from, %to, "leadership is handed over");
            self.peers.transfer_leader(&seen[&from].address, group.0, to.0).await?;
        }
        Ok(())
    }
}

/// All nodes answer, and every group has a leader and all its members.
fn is_calm(wanted: &Topology, seen: &Seen) -> bool {
    let present = wanted.nodes.iter().filter(|node| node.state != NodeState::Removed);
    let groups = std::iter::once(DIRECTORY).chain(wanted.shards.iter().map(|shard| shard.group));
    present.clone().all(|node| seen.contains_key(&node.id))
        && groups.into_iter().all(|group| {
            led(seen, group).is_some_and(|(_, now)| {
                now.members
                    .iter()
                    .all(|it| seen.get(&NodeId(it.node)).is_some_and(|it| of_group(it, group).is_some()))
            })
        })
}

/// The members that each group shall have: a shard the voters that the directory names; the directory itself every node, of
/// which some vote.
fn members_wanted(wanted: &Topology, seen: &Seen) -> Vec<(GroupId, Vec<pb::Member>)> {
    let present: Vec<&NodeRow> =
        wanted.nodes.iter().filter(|node| node.state != NodeState::Removed).collect();
    let member = |id: &NodeId, votes| {
        let node = present.iter().find(|node| node.id == *id)?;
        Some(pb::Member { node: id.0, address: node.address.to_string(), votes })
    };
    let mut all: Vec<(GroupId, Vec<pb::Member>)> = wanted
        .shards
        .iter()
        .map(|shard| (shard.group, shard.voters.iter().filter_map(|id| member(id, true)).collect()))
        .collect();
    if let Some((_, now)) = led(seen, DIRECTORY) {
        let voters = now.members.iter().filter(|it| it.votes).map(|it| NodeId(it.node)).collect();
        let voters = placement::voters(&wanted.nodes, &[(DIRECTORY, voters)], wanted.voters_per_shard);
        let voters = voters.into_iter().next().map(|(_, voters)| voters).unwrap_or_default();
        let members = present.iter().filter_map(|node| member(&node.id, voters.contains(&node.id)));
        all.push((DIRECTORY, members.collect()));
    }
    all
}

/// Who leads a group, as the leader itself says, and how it stands there.
fn led(seen: &Seen, group: GroupId) -> Option<(NodeId, &pb::GroupDescription)> {
    seen.iter()
        .find_map(|(id, node)| of_group(node, group).filter(|it| it.leader == id.0).map(|it| (*id, it)))
}

fn of_group(node: &pb::NodeDescription, group: GroupId) -> Option<&pb::GroupDescription> {
    node.groups.iter().find(|it| it.group == group.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, groups: &[(u64, u64)]) -> (NodeId, pb::NodeDescription) {
        let group = |(group, leader): &(u64, u64)| pb::GroupDescription {
            group: *group,
            leader: *leader,
            members: (1..=3)
                .map(|node| pb::Member { node, address: format!("n{node}:1"), votes: true })
                .collect(),
            ..Default::default()
        };
        let groups = groups.iter().map(group).collect();
        (NodeId(id), pb::NodeDescription { node: id, groups, ..Default::default() })
    }

    #[test]
    fn a_leader_is_believed_of_itself_alone() {
        let seen: Seen = [node(1, &[(5, 2)]), node(2, &[(5, 2), (6, 1)]), node(3, &[(5, 1)])].into();
        assert_eq!(led(&seen, GroupId(5)).map(|(id, _)| id), Some(NodeId(2)));
        // Node 1, which shall lead it, does not say so.
        assert_eq!(led(&seen, GroupId(6)).map(|(id, _)| id), None);
    }
}
