//! Keeps replicas where the directory wants them, and leaders evenly spread. Runs on the node that leads the directory.
//!
//! ```text
//! rows of nodes ─ placement ─▶ wanted voters (rows of shards)
//!                                │
//! Describe of every node (is) ───┴▶ new groups: found ─▶ members that differ: learn, vote, leave ─▶ levels
//!                                      ─▶ leaders that pile up: hand over ─▶ replicas of no member: remove
//! ```
//! Nothing is remembered from one look to the next but whether all was calm: whoever leads the directory next goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_client::meta::Meta;
use buzon_model::command::Command;
use buzon_model::command::cluster::ClusterCommand;
use buzon_model::placement::{self, Led, Voters};
use buzon_model::read::{ReadAt, Topology};
use buzon_model::reply::Rejection;
use buzon_model::row::ShardRow;
use buzon_model::state::State;
use buzon_proto::pb::cluster::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, FeatureLevel, GroupId, NodeId};
use futures::future::join_all;
use tokio::sync::Notify;

use super::peers::Peers;
use super::seen::{Seen, members, present};
use crate::admin::call_error;
use crate::directory::topology;
use crate::groups::{Groups, Replica};
use crate::mail::replica;

/// A node that came back gets its share within a few of these.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// After a step that was taken.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Leaders handed over at a time: each costs its group's clients an election.
const HANDOVERS_MAX: usize = 4;
/// Groups whose members change at a time: each may send a whole copy of its rows.
const MOVES_MAX: usize = 4;
/// A voter that is behind by more would keep its group waiting.
const BEHIND_MAX: u64 = 100;

/// See the module.
pub struct Balancer {
    groups: Arc<dyn Groups>,
    peers: Peers,
    meta: Meta,
    look_now: Arc<Notify>,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A step was taken: look again.
    Moved,
    /// Something is out of order that cannot be mended now.
    Restless,
    /// Nothing is out of order.
    Calm,
}

impl Balancer {
    /// For this node's groups; `meta` reaches all groups, `look_now` wakes it.
    pub fn new(groups: Arc<dyn Groups>, peers: Peers, meta: Meta, look_now: Arc<Notify>) -> Self {
        Self { groups, peers, meta, look_now }
    }

    /// Looks for ever; the work ends when this is dropped.
    pub async fn run(self) {
        let mut last = Look::Restless;
        loop {
            let pause = if last == Look::Moved { LOOK_AGAIN } else { LOOK_EVERY };
            // Told or not, it looks.
            let _ = tokio::time::timeout(pause, self.look_now.notified()).await;
            let leads =
                self.groups.group(DIRECTORY).is_some_and(|it| it.status().leader == Some(self.groups.node()));
            last = if leads {
                self.look(last == Look::Calm).await.unwrap_or_else(|error| {
                    tracing::debug!(%error, "balance the cluster");
                    Look::Restless
                })
            } else {
                Look::Restless
            };
        }
    }

    async fn look(&self, was_calm: bool) -> Result<Look, CallError> {
        let directory = replica(&*self.groups, DIRECTORY)?;
        let wanted = topology(&*directory, ReadAt::Linearizable).await?.value;
        if wanted.voters_per_shard == 0 {
            return Ok(Look::Restless);
        }
        let seen = Seen::ask(&self.peers, &wanted.nodes).await;
        self.start_missing(&seen).await;
        let moved = self.found_shards(&wanted, &seen).await?
            || self.move_members(&wanted, &seen).await?
            || change_voters(&*directory, &wanted, &seen).await?
            || self.raise_levels(&*directory, &wanted, &seen).await?;
        if moved {
            return Ok(Look::Moved);
        }
        if !is_calm(&wanted, &seen) {
            return Ok(Look::Restless);
        }
        // A look later, so that a node which was away for a moment is not taken for one that came to stay, and members
        // that are gone are gone for good.
        if was_calm {
            self.hand_over(&wanted, &seen).await?;
            self.remove_leftovers(&wanted, &seen).await?;
        }
        Ok(Look::Calm)
    }

    /// Founds groups that stand in the directory and nowhere else yet.
    async fn found_shards(&self, wanted: &Topology, seen: &Seen) -> Result<bool, CallError> {
        let new = groups_to_found(wanted, seen);
        if !new.is_empty() {
            tracing::info!(groups = ?new.iter().map(|it| it.group).collect::<Vec<_>>(), "new shards are founded");
            self.peers.found_on_voters(&new).await?;
        }
        Ok(!new.is_empty())
    }

    /// Members that have no replica: one was removed by an order that came late, or waits for its rows, which takes its
    /// time and must not keep the rest from being looked at.
    async fn start_missing(&self, seen: &Seen) {
        let steps = missing(seen).into_iter().map(|(group, address, others)| async move {
            let started = self.peers.ensure_group(&address, group.0, others).await;
            tracing::info!(%group, address, ?started, "a member has no replica yet");
        });
        join_all(steps).await;
    }

    /// Makes the members of some groups as they are wanted; whether there was such a group.
    async fn move_members(&self, wanted: &Topology, seen: &Seen) -> Result<bool, CallError> {
        let all = members_wanted(wanted, seen);
        let differing = all.into_iter().filter_map(|(group, members)| {
            let (leader, now) = seen.led(group)?;
            let known: BTreeSet<u64> = now.members.iter().map(|it| it.node).collect();
            let (new, old): (Vec<_>, Vec<_>) =
                members.iter().cloned().partition(|it| !known.contains(&it.node));
            // Who does not answer cannot learn.
            let can = new.iter().all(|it| seen.node(NodeId(it.node)).is_some());
            (!has_members(now, &members) && can)
                .then(|| (seen.node(leader).map(|it| it.address.clone()), group, members, new, old))
        });
        let steps = differing.take(MOVES_MAX).map(|(leader, group, members, new, old)| async move {
            tracing::info!(%group, ?members, "the group's members change");
            for node in new {
                self.peers.ensure_group(&node.address, group.0, old.clone()).await?;
            }
            let request = pb::SetMembersRequest { group: group.0, members };
            self.peers.set_members(&leader.unwrap_or_default(), request).await
        });
        any(join_all(steps).await)
    }

    /// A group does what all groups of the cluster do: new ones, and those that were away while an upgrade was finished.
    async fn raise_levels(
        &self,
        directory: &dyn Replica,
        wanted: &Topology,
        seen: &Seen,
    ) -> Result<bool, CallError> {
        let level = directory.read(ReadAt::Local, [], State::feature_level).await?.value;
        let below = wanted.shards.iter().map(|shard| shard.group).filter(|group| {
            seen.led(*group).is_some_and(|(_, now)| (1..level.0).contains(&now.feature_level))
        });
        let steps = below.map(|group| raise_level(&self.meta, group, level));
        any(join_all(steps).await)
    }

    async fn hand_over(&self, wanted: &Topology, seen: &Seen) -> Result<(), CallError> {
        for (group, from, to) in leaders_to_move(wanted, seen).into_iter().take(HANDOVERS_MAX) {
            tracing::info!(%group, %from, %to, "leadership is handed over");
            let address = seen.node(from).map(|it| it.address.clone()).unwrap_or_default();
            self.peers.transfer_leader(&address, group.0, to.0).await?;
        }
        Ok(())
    }

    /// Replicas that were left behind when their node stopped being a member.
    async fn remove_leftovers(&self, wanted: &Topology, seen: &Seen) -> Result<(), CallError> {
        for (group, address) in leftovers(wanted, seen) {
            tracing::info!(%group, address, "a replica that is no member is removed");
            self.peers.remove_group(&address, group.0).await?;
        }
        Ok(())
    }
}

/// Raises a group's level; never lowers it.
pub(crate) async fn raise_level(meta: &Meta, group: GroupId, level: FeatureLevel) -> Result<(), CallError> {
    let command = Command::RaiseFeatureLevel(level);
    let outcome = meta.propose_repeatable(group, command).await.map_err(call_error)?.1;
    outcome.map(drop).map_err(|rejection| CallError::new(ErrorCode::Precondition, rejection.to_string()))
}

/// Writes down which voters shards shall have from now on, for some of those that shall have others.
async fn change_voters(directory: &dyn Replica, wanted: &Topology, seen: &Seen) -> Result<bool, CallError> {
    let changes = voters_to_change(wanted);
    let can = changes.into_iter().filter(|(group, _, voters)| {
        seen.led(*group).is_some() && voters.iter().all(|voter| seen.node(*voter).is_some())
    });
    let mut changed = false;
    for (group, expected, voters) in can.take(MOVES_MAX) {
        let command = ClusterCommand::SetShardVoters { group, voters, expected };
        match directory.propose(None, Command::Cluster(command)).await?.1 {
            // Or somebody else did.
            Ok(_) | Err(Rejection::ShardVotersChanged(_)) => changed = true,
            Err(rejection) => tracing::warn!(%group, %rejection, "change a shard's voters"),
        }
    }
    Ok(changed)
}

/// Shards that shall have other voters than the directory says: which, from, to.
pub(crate) fn voters_to_change(wanted: &Topology) -> Vec<(GroupId, Voters, Voters)> {
    let before: Vec<(GroupId, Voters)> =
        wanted.shards.iter().map(|shard| (shard.group, shard.voters.clone())).collect();
    let after = placement::voters(&wanted.nodes, &before, wanted.voters_per_shard);
    let both = before.into_iter().zip(after);
    both.filter(|(before, after)| before != after).map(|((group, from), (_, to))| (group, from, to)).collect()
}

/// Leaderships that shall go from one node to another that can take them now.
pub(crate) fn leaders_to_move(wanted: &Topology, seen: &Seen) -> Vec<(GroupId, NodeId, NodeId)> {
    let shards: Vec<Led> = wanted
        .shards
        .iter()
        .map(|shard| {
            let (leader, now) = seen.led(shard.group).unzip();
            let voters = now.map(|now| members(now, true)).unwrap_or_default();
            Led { group: shard.group, voters: voters.into_iter().collect(), leader }
        })
        .collect();
    let moves = placement::leaders(&wanted.nodes, &shards).into_iter();
    moves
        .filter_map(|(group, to)| {
            let (from, now) = seen.led(group).filter(|(from, _)| *from != to)?;
            let applied = seen.replica(to, group).filter(|it| !it.in_quarantine)?.applied;
            (applied + BEHIND_MAX >= now.applied).then_some((group, from, to))
        })
        .collect()
}

/// Groups that nobody has led yet, with the voters they begin with.
///
/// A second founding of a group that lives would be its end, so everybody must answer, and what replicas there are must
/// be the work of a founding with the same voters that was cut off: one entry, and never a leader.
fn groups_to_found(wanted: &Topology, seen: &Seen) -> Vec<pb::NewGroup> {
    if !seen.all_of(&wanted.nodes) {
        return Vec::new();
    }
    let new = wanted.shards.iter().filter(|shard| {
        seen.replicas(shard.group)
            .all(|(_, now)| now.last <= 1 && now.leader == 0 && members(now, true).iter().eq(&shard.voters))
    });
    let group = |shard: &ShardRow| {
        let voters = shard.voters.iter().filter_map(|id| member(wanted, *id, true)).collect();
        pb::NewGroup { group: shard.group.0, voters }
    };
    new.map(group).collect()
}

/// Replicas on nodes that are no members of their groups and shall be none.
fn leftovers(wanted: &Topology, seen: &Seen) -> Vec<(GroupId, String)> {
    let mut found = Vec::new();
    for shard in &wanted.shards {
        let Some((_, now)) = seen.led(shard.group) else { continue };
        let is_member = |id: NodeId| now.members.iter().any(|it| it.node == id.0);
        for (id, _) in seen.replicas(shard.group) {
            if !is_member(id) && !shard.voters.contains(&id) {
                found.extend(seen.node(id).map(|node| (shard.group, node.address.clone())));
            }
        }
    }
    found
}

/// Nodes that are open and lack a group whose leader counts them among its members: which, where, and the other members.
fn missing(seen: &Seen) -> Vec<(GroupId, String, Vec<pb::Member>)> {
    let led = |(id, node): (NodeId, &pb::NodeDescription)| {
        let leading = node.groups.iter().filter(|it| it.leader == id.0).map(|it| GroupId(it.group));
        leading.collect::<Vec<_>>()
    };
    let groups: BTreeSet<GroupId> = seen.nodes().flat_map(led).collect();
    let mut found = Vec::new();
    for group in groups {
        let Some((_, now)) = seen.led(group) else { continue };
        for member in &now.members {
            let id = NodeId(member.node);
            let lacks = seen.node(id).is_some_and(|node| node.is_open) && seen.replica(id, group).is_none();
            if lacks {
                let others = now.members.iter().filter(|it| it.node != member.node).cloned().collect();
                found.push((group, member.address.clone(), others));
            }
        }
    }
    found
}

/// All nodes answer, and every group has a leader and all its members.
fn is_calm(wanted: &Topology, seen: &Seen) -> bool {
    let groups = std::iter::once(DIRECTORY).chain(wanted.shards.iter().map(|shard| shard.group));
    seen.all_of(&wanted.nodes)
        && groups.into_iter().all(|group| {
            seen.led(group).is_some_and(|(_, now)| {
                now.members.iter().all(|it| seen.replica(NodeId(it.node), group).is_some())
            })
        })
}

fn has_members(now: &pb::GroupDescription, wanted: &[pb::Member]) -> bool {
    now.members.len() == wanted.len() && wanted.iter().all(|it| now.members.contains(it))
}

/// How many groups have other members than they shall have, or members at other addresses, or no leader who says.
pub(crate) fn groups_to_change(wanted: &Topology, seen: &Seen) -> usize {
    let is_so = |(group, members): &(GroupId, Vec<pb::Member>)| {
        seen.led(*group).is_some_and(|(_, now)| has_members(now, members))
    };
    members_wanted(wanted, seen).iter().filter(|wanted| !is_so(wanted)).count()
}

/// The members that each group shall have: a shard the voters that the directory names; the directory itself every node, of
/// which some vote.
fn members_wanted(wanted: &Topology, seen: &Seen) -> Vec<(GroupId, Vec<pb::Member>)> {
    let of_shard = |voters: &Voters| voters.iter().filter_map(|id| member(wanted, *id, true)).collect();
    let mut all: Vec<(GroupId, Vec<pb::Member>)> =
        wanted.shards.iter().map(|shard| (shard.group, of_shard(&shard.voters))).collect();
    if let Some((_, now)) = seen.led(DIRECTORY) {
        let voters = members(now, true).into_iter().collect();
        let voters = placement::voters(&wanted.nodes, &[(DIRECTORY, voters)], wanted.voters_per_shard);
        let voters = voters.into_iter().next().map(|(_, voters)| voters).unwrap_or_default();
        let members = present(&wanted.nodes)
            .filter_map(|node| member(wanted, node.id, voters.contains(&node.id)))
            .collect();
        all.push((DIRECTORY, members));
    }
    all
}

fn member(wanted: &Topology, id: NodeId, votes: bool) -> Option<pb::Member> {
    let node = present(&wanted.nodes).find(|node| node.id == id)?;
    Some(pb::Member { node: id.0, address: node.address.to_string(), votes })
}

/// Whether any of the steps was taken; if none was, why.
fn any(steps: Vec<Result<(), CallError>>) -> Result<bool, CallError> {
    let mut failed = None;
    let mut taken = false;
    for step in steps {
        match step {
            Ok(()) => taken = true,
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if !taken => Err(error),
        _ => Ok(taken),
    }
}

#[cfg(test)]
mod tests;
