//! Nodes and shards. What is wanted stands here; whoever leads a group makes it so.
//!
//! No shard ever wants a node that is removed: a node that takes another's place takes it in every shard, in the same
//! entry. So whoever follows the rows never waits for a node that does not come.

use std::collections::BTreeSet;

use buzon_types::id::{DIRECTORY, GroupId, NodeId};
use buzon_types::node::NodeAddress;
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::command::{AddNode, ClusterCommand, FoundCluster, FoundingNode, NewShard};
use crate::decide::Decided;
use crate::limits::{NODES_MAX, SHARDS_MAX, VOTERS_MAX};
use crate::reply::{Rejection, Reply};
use crate::row::{DirectoryCounters, NodeRow, NodeState, ShardRow};
use crate::state::State;

pub(in crate::decide) fn decide(state: &State, at: Timestamp, command: &ClusterCommand) -> Decided {
    if let ClusterCommand::FoundCluster(cluster) = command {
        return if state.is_founded() { found_again(state, cluster) } else { found(state, at, cluster) };
    }
    if !state.is_founded() {
        return Err(Rejection::ClusterNotFounded);
    }
    match command {
        ClusterCommand::FoundCluster(_) => Err(Rejection::ClusterExists),
        ClusterCommand::AddNode(node) => add_node(state, at, node),
        ClusterCommand::SetNodeState { node, state: to } => set_node_state(state, *node, *to),
        ClusterCommand::SetNodeAddress { node, address } => set_node_address(state, *node, address),
        ClusterCommand::AddShards(shards) => add_shards(state, shards),
        ClusterCommand::SetShardVoters { group, voters, expected } => {
            set_shard_voters(state, *group, voters, expected)
        }
        ClusterCommand::SetVotersPerShard(voters) => set_voters_per_shard(state, *voters),
    }
}

fn found(state: &State, at: Timestamp, cluster: &FoundCluster) -> Decided {
    check_voters_per_shard(cluster.voters_per_shard)?;
    if cluster.nodes.len() > NODES_MAX || cluster.shards.len() > SHARDS_MAX {
        return Err(Rejection::ClusterFull);
    }
    let nodes = founding_nodes(at, &cluster.nodes)?;
    let counts = state.placement_counts().expect("missing() asks for them first");
    let mut shards: Vec<ShardRow> = Vec::with_capacity(cluster.shards.len());
    for shard in &cluster.shards {
        let is_node = |id: NodeId| nodes.iter().any(|row| row.id == id);
        let voters =
            checked_voters(
                &shard.voters,
                |id| {
                    if is_node(id) { Ok(()) } else { Err(Rejection::NoSuchNode(id)) }
                },
            )?;
        let accounts = counts.get(&shard.group).copied().unwrap_or(0);
        shards.push(ShardRow { group: shard.group, voters, accounts });
    }
    let groups: BTreeSet<GroupId> = shards.iter().map(|row| row.group).collect();
    let is_bad = groups.len() != shards.len() || groups.first().is_none_or(|first| *first == DIRECTORY);
    if is_bad || nodes.is_empty() {
        return Err(Rejection::NotHere);
    }
    if let Some(group) = counts.iter().find(|(group, count)| **count > 0 && !groups.contains(group)) {
        return Err(Rejection::NoSuchShard(*group.0));
    }
    let last_node = nodes.iter().map(|row| row.id.0).max().unwrap_or(0);
    let last_group = groups.last().map_or(0, |group| group.0);
    let counters = DirectoryCounters {
        next_node: NodeId(last_node.checked_add(1).ok_or(Rejection::NotHere)?),
        next_group: GroupId(last_group.checked_add(1).ok_or(Rejection::NotHere)?),
        voters_per_shard: cluster.voters_per_shard,
        ..state.directory_counters()
    };
    let mut changes = vec![Change::SetDirectoryCounters(counters)];
    changes.extend(nodes.into_iter().map(Change::PutNode));
    changes.extend(shards.into_iter().map(Change::PutShard));
    Ok((changes, Reply::Done))
}

/// Ids, addresses and incarnations that are all different.
fn founding_nodes(at: Timestamp, nodes: &[FoundingNode]) -> Result<Vec<NodeRow>, Rejection> {
    let mut rows: Vec<NodeRow> = Vec::with_capacity(nodes.len());
    let (mut ids, mut addresses, mut incarnations) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for FoundingNode { id, address, zone, incarnation } in nodes {
        if !addresses.insert(address) {
            let other = rows.iter().find(|row| row.address == *address).map_or(*id, |row| row.id);
            return Err(Rejection::NodeAddressTaken(address.clone(), other));
        }
        if *id == NodeId(0) || !ids.insert(*id) || !incarnations.insert(*incarnation) {
            return Err(Rejection::NotHere);
        }
        let (id, address, zone, incarnation) = (*id, address.clone(), zone.clone(), *incarnation);
        rows.push(NodeRow { id, address, zone, state: NodeState::Active, incarnation, added_at: at });
    }
    Ok(rows)
}

/// A repetition: what it made may have been changed since, but it is all there.
fn found_again(state: &State, cluster: &FoundCluster) -> Decided {
    let same_node =
        |it: &FoundingNode| state.node(it.id).is_some_and(|row| row.incarnation == it.incarnation);
    let is_same = cluster.nodes.iter().all(same_node)
        && cluster.shards.iter().all(|shard| state.shard(shard.group).is_some())
        && cluster.voters_per_shard == state.directory_counters().voters_per_shard;
    if is_same { Ok((vec![], Reply::Done)) } else { Err(Rejection::ClusterExists) }
}

fn add_node(state: &State, at: Timestamp, node: &AddNode) -> Decided {
    if let Some(row) = state.nodes().find(|row| row.incarnation == node.incarnation) {
        return added_before(row, node);
    }
    let replaced = match node.replaces {
        Some(id) => Some(present(state, id)?),
        None => None,
    };
    check_address(state, &node.address, replaced.map(|row| row.id))?;
    if state.nodes().len() >= NODES_MAX {
        return Err(Rejection::ClusterFull);
    }
    let counters = state.directory_counters();
    let id = counters.next_node;
    let next_node = NodeId(id.0.checked_add(1).ok_or(Rejection::ClusterFull)?);
    let mut changes = vec![Change::SetDirectoryCounters(DirectoryCounters { next_node, ..counters })];
    if let Some(old) = replaced {
        changes.push(Change::PutNode(NodeRow { state: NodeState::Removed, ..old.clone() }));
    }
    changes.push(Change::PutNode(NodeRow {
        id,
        address: node.address.clone(),
        zone: node.zone.clone(),
        state: NodeState::Active,
        incarnation: node.incarnation,
        added_at: at,
    }));
    if let Some(old) = replaced {
        for shard in state.shards().filter(|shard| shard.voters.contains(&old.id)) {
            let others = shard.voters.iter().copied().filter(|voter| *voter != old.id);
            // Ids only rise, so the new one is the last.
            let voters = others.chain([id]).collect();
            changes.push(Change::PutShard(ShardRow { voters, ..shard.clone() }));
        }
    }
    Ok((changes, Reply::NodeAdded(id)))
}

/// The same disk as before: it has its id already, unless it was told to go.
fn added_before(row: &NodeRow, node: &AddNode) -> Decided {
    if row.state == NodeState::Removed {
        return Err(Rejection::NodeRemoved(row.id));
    }
    if row.address != node.address {
        // Its address is changed by SetNodeAddress; taking it for a new node would give one disk two ids.
        return Err(Rejection::NodeExists(row.id));
    }
    Ok((vec![], Reply::NodeAdded(row.id)))
}

fn set_node_state(state: &State, id: NodeId, to: NodeState) -> Decided {
    let row = state.node(id).ok_or(Rejection::NoSuchNode(id))?;
    if row.state == to {
        return Ok((vec![], Reply::Done));
    }
    present(state, id)?;
    if to == NodeState::Removed
        && let Some(shard) = state.shards().find(|shard| shard.voters.contains(&id))
    {
        return Err(Rejection::NodeInUse(id, shard.group));
    }
    let is_other = |other: &NodeRow| other.id != id && other.state == NodeState::Active;
    if to != NodeState::Active && !state.nodes().any(is_other) {
        return Err(Rejection::LastActiveNode(id));
    }
    Ok((vec![Change::PutNode(NodeRow { state: to, ..row.clone() })], Reply::Done))
}

fn set_node_address(state: &State, id: NodeId, address: &NodeAddress) -> Decided {
    let row = present(state, id)?;
    if row.address == *address {
        return Ok((vec![], Reply::Done));
    }
    check_address(state, address, Some(id))?;
    Ok((vec![Change::PutNode(NodeRow { address: address.clone(), ..row.clone() })], Reply::Done))
}

fn add_shards(state: &State, shards: &[NewShard]) -> Decided {
    let mut counters = state.directory_counters();
    let (mut groups, mut changes) = (Vec::with_capacity(shards.len()), Vec::new());
    let mut new: BTreeSet<GroupId> = BTreeSet::new();
    for shard in shards {
        let group = shard.group.unwrap_or(counters.next_group);
        groups.push(group);
        if state.shard(group).is_some() {
            continue;
        }
        if group == DIRECTORY || !new.insert(group) {
            return Err(Rejection::NotHere);
        }
        let next = group.0.checked_add(1).ok_or(Rejection::NotHere)?;
        counters.next_group = counters.next_group.max(GroupId(next));
        let voters = checked_voters(&shard.voters, |id| present(state, id).map(drop))?;
        changes.push(Change::PutShard(ShardRow { group, voters, accounts: 0 }));
    }
    if state.shards().len() + new.len() > SHARDS_MAX {
        return Err(Rejection::ClusterFull);
    }
    if !changes.is_empty() {
        changes.insert(0, Change::SetDirectoryCounters(counters));
    }
    Ok((changes, Reply::ShardsAdded(groups)))
}

fn set_shard_voters(state: &State, group: GroupId, voters: &[NodeId], expected: &[NodeId]) -> Decided {
    let row = state.shard(group).ok_or(Rejection::NoSuchShard(group))?;
    let voters = checked_voters(voters, |id| present(state, id).map(drop))?;
    if row.voters == voters {
        return Ok((vec![], Reply::Done));
    }
    if !expected.iter().copied().collect::<BTreeSet<_>>().iter().eq(&row.voters) {
        return Err(Rejection::ShardVotersChanged(group));
    }
    Ok((vec![Change::PutShard(ShardRow { voters, ..row.clone() })], Reply::Done))
}

fn set_voters_per_shard(state: &State, voters_per_shard: u8) -> Decided {
    check_voters_per_shard(voters_per_shard)?;
    let counters = state.directory_counters();
    if counters.voters_per_shard == voters_per_shard {
        return Ok((vec![], Reply::Done));
    }
    let counters = DirectoryCounters { voters_per_shard, ..counters };
    Ok((vec![Change::SetDirectoryCounters(counters)], Reply::Done))
}

/// A node that is not removed.
fn present(state: &State, id: NodeId) -> Result<&NodeRow, Rejection> {
    let row = state.node(id).ok_or(Rejection::NoSuchNode(id))?;
    if row.state == NodeState::Removed { Err(Rejection::NodeRemoved(id)) } else { Ok(row) }
}

/// Nobody but `except` is reached there.
fn check_address(state: &State, address: &NodeAddress, except: Option<NodeId>) -> Result<(), Rejection> {
    let is_other = |row: &&NodeRow| row.state != NodeState::Removed && Some(row.id) != except;
    match state.nodes().filter(is_other).find(|row| row.address == *address) {
        Some(row) => Err(Rejection::NodeAddressTaken(address.clone(), row.id)),
        None => Ok(()),
    }
}

/// Ascending, if they are fit to vote.
fn checked_voters(
    voters: &[NodeId],
    check: impl Fn(NodeId) -> Result<(), Rejection>,
) -> Result<Vec<NodeId>, Rejection> {
    let ascending: BTreeSet<NodeId> = voters.iter().copied().collect();
    if ascending.len() != voters.len() || voters.is_empty() || voters.len() > VOTERS_MAX {
        return Err(Rejection::BadVoters);
    }
    ascending.iter().try_for_each(|voter| check(*voter))?;
    Ok(ascending.into_iter().collect())
}

fn check_voters_per_shard(voters: u8) -> Result<(), Rejection> {
    if matches!(voters, 1 | 3 | 5) { Ok(()) } else { Err(Rejection::BadVoters) }
}
