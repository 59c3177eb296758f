//! Which nodes vote in which shard, and which of them leads it: spread evenly, over zones, with the fewest moves.
//!
//! What is wanted most comes first: voters on nodes that stay; then as many of them as a shard shall have; then
//! each in a zone of its own as far as zones go (a node without a label is a zone by itself); then nodes with the same
//! number of voters, give or take one; and of all that do so, nearly those that move least. What is in order already
//! is left alone.
//!
//! ```text
//! leave: draining, removed ─▶ trim: too many ─▶ fill: too few ─▶ part: two in a zone ─▶ level: unequal loads
//! ```
//! Leveling moves voters along the shortest chain of nodes from a node with most to one with two fewer: in most
//! cases one voter from one to the other, but zones may want several to move up one place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use buzon_types::id::{GroupId, NodeId};

use crate::row::{NodeRow, NodeState};

/// The voters of a shard, ascending.
pub type Voters = Vec<NodeId>;

/// The voters that each shard shall have: as many as `voters_per_shard`, or one on each active node if there are
/// fewer. Where no node is active nothing moves. Answers each of `shards`, in the order given.
pub fn voters(
    nodes: &[NodeRow],
    shards: &[(GroupId, Voters)],
    voters_per_shard: u8,
) -> Vec<(GroupId, Voters)> {
    let Some(mut plan) = Plan::new(nodes, shards, voters_per_shard) else { return shards.to_vec() };
    plan.trim();
    plan.fill();
    plan.part();
    plan.level();
    plan.answer(shards)
}

/// Voters for so many new shards; those that are there stay as they are. None where no node is active.
pub fn new_shards(
    nodes: &[NodeRow],
    shards: &[(GroupId, Voters)],
    count: usize,
    voters_per_shard: u8,
) -> Vec<Voters> {
    let with_new: Vec<(GroupId, Voters)> =
        shards.iter().cloned().chain((0..count).map(|_| (GroupId(0), Vec::new()))).collect();
    let Some(mut plan) = Plan::new(nodes, &with_new, voters_per_shard) else { return Vec::new() };
    for shard in shards.len()..with_new.len() {
        plan.fill_one(shard);
    }
    plan.answer(&with_new).split_off(shards.len()).into_iter().map(|(_, voters)| voters).collect()
}

/// A shard that somebody leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// Which.
    pub group: GroupId,
    /// Who votes in it now.
    pub voters: Voters,
    /// Who leads it now, if that is known.
    pub leader: Option<NodeId>,
}

/// Who shall lead each shard: a voter on an active node, while there is one, evenly spread, with the fewest changes.
pub fn leaders(nodes: &[NodeRow], shards: &[Led]) -> Vec<(GroupId, NodeId)> {
    let active = active(nodes);
    let mut loads: BTreeMap<NodeId, usize> = active.iter().map(|id| (*id, 0)).collect();
    // A shard without an active voter stays out of it.
    let led: Vec<(&Led, Vec<NodeId>)> = shards
        .iter()
        .map(|shard| {
            (shard, shard.voters.iter().copied().filter(|id| active.contains(id)).collect::<Vec<_>>())
        })
        .filter(|(_, able)| !able.is_empty())
        .collect();
    let mut chosen: Vec<Option<NodeId>> =
        led.iter().map(|(shard, able)| shard.leader.filter(|id| able.contains(id))).collect();
    for id in chosen.iter().flatten() {
        *loads.entry(*id).or_default() += 1;
    }
    for (slot, (_, able)) in chosen.iter_mut().zip(&led).filter(|(slot, _)| slot.is_none()) {
        let least = able.iter().copied().min_by_key(|id| (loads.get(id).copied(), *id));
        let least = least.expect("shards without an able voter were left out");
        *slot = Some(least);
        *loads.entry(least).or_default() += 1;
    }
    let mut chosen: Vec<NodeId> = chosen.into_iter().flatten().collect();
    let ways = |chosen: &Vec<NodeId>, from: NodeId| {
        let of_from = chosen.iter().zip(&led).enumerate().filter(|(_, (leader, _))| **leader == from);
        let ways = of_from.flat_map(|(at, (_, (_, able)))| able.iter().map(move |to| (at, *to)));
        ways.filter(|(_, to)| *to != from).collect()
    };
    level(&mut loads, &mut chosen, ways, |chosen, (at, to), _| chosen[at] = to);
    led.iter().zip(chosen).map(|((shard, _), leader)| (shard.group, leader)).collect()
}

fn active(nodes: &[NodeRow]) -> BTreeSet<NodeId> {
    nodes.iter().filter(|row| row.state == NodeState::Active).map(|row| row.id).collect()
}

/// Voters being placed.
struct Plan {
    /// Active nodes with their zones; a node without one has a zone to itself.
    zones: BTreeMap<NodeId, usize>,
    loads: BTreeMap<NodeId, usize>,
    /// As they were, and as they shall be.
    before: Vec<BTreeSet<NodeId>>,
    shards: Vec<BTreeSet<NodeId>>,
    voters: usize,
}

impl Plan {
    fn new(nodes: &[NodeRow], shards: &[(GroupId, Voters)], voters_per_shard: u8) -> Option<Self> {
        let active = active(nodes);
        if active.is_empty() {
            return None;
        }
        let (mut zones, mut labels, mut zone_count) = (BTreeMap::new(), BTreeMap::new(), 0);
        for row in nodes.iter().filter(|row| active.contains(&row.id)) {
            let mut next = || {
                zone_count += 1;
                zone_count - 1
            };
            let zone = match &row.zone {
                Some(label) => *labels.entry(label).or_insert_with(next),
                None => next(),
            };
            zones.insert(row.id, zone);
        }
        let mut loads: BTreeMap<NodeId, usize> = active.iter().map(|id| (*id, 0)).collect();
        let stays = |voters: &Voters| voters.iter().copied().filter(|id| active.contains(id)).collect();
        let shards: Vec<BTreeSet<NodeId>> = shards.iter().map(|(_, voters)| stays(voters)).collect();
        for id in shards.iter().flatten() {
            *loads.entry(*id).or_default() += 1;
        }
        let voters = usize::from(voters_per_shard).clamp(1, active.len());
        Some(Self { zones, loads, before: shards.clone(), shards, voters })
    }

    fn answer(self, shards: &[(GroupId, Voters)]) -> Vec<(GroupId, Voters)> {
        let groups = shards.iter().map(|(group, _)| *group);
        groups.zip(self.shards.into_iter().map(|voters| voters.into_iter().collect())).collect()
    }

    fn load(&self, id: NodeId) -> usize {
        self.loads.get(&id).copied().unwrap_or_default()
    }

    /// How many voters of a shard stand in the zone of a node, itself left out.
    fn neighbours(&self, shard: usize, id: NodeId) -> usize {
        let in_zone = |other: &&NodeId| **other != id && self.zones.get(other) == self.zones.get(&id);
        self.shards[shard].iter().filter(in_zone).count()
    }

    fn add(&mut self, shard: usize, id: NodeId) {
        if self.shards[shard].insert(id) {
            *self.loads.entry(id).or_default() += 1;
        }
    }

    fn remove(&mut self, shard: usize, id: NodeId) {
        if self.shards[shard].remove(&id) {
            *self.loads.entry(id).or_default() -= 1;
        }
    }

    /// Takes voters away from shards that have too many: where zones are crowded, then where nodes have most.
    fn trim(&mut self) {
        for shard in 0..self.shards.len() {
            while self.shards[shard].len() > self.voters {
                let worst = |id: &NodeId| (self.neighbours(shard, *id), self.load(*id), *id);
                let Some(id) = self.shards[shard].iter().copied().max_by_key(worst) else { break };
                self.remove(shard, id);
            }
        }
    }

    fn fill(&mut self) {
        for shard in 0..self.shards.len() {
            self.fill_one(shard);
        }
    }

    /// Gives a shard the voters it lacks: where zones are empty, then where nodes have fewest.
    fn fill_one(&mut self, shard: usize) {
        while self.shards[shard].len() < self.voters {
            let free = self.zones.keys().copied().filter(|id| !self.shards[shard].contains(id));
            let Some(id) = free.min_by_key(|id| (self.neighbours(shard, *id), self.load(*id), *id)) else {
                break;
            };
            self.add(shard, id);
        }
    }

    /// Moves voters out of crowded zones into zones that have at least two fewer.
    fn part(&mut self) {
        for shard in 0..self.shards.len() {
            loop {
                let crowded = |id: &NodeId| (self.neighbours(shard, *id), self.load(*id), *id);
                let Some(from) = self.shards[shard].iter().copied().max_by_key(crowded) else { break };
                let free = self.zones.keys().copied().filter(|id| !self.shards[shard].contains(id));
                let Some(to) = free.min_by_key(|id| (self.neighbours(shard, *id), self.load(*id), *id))
                else {
                    break;
                };
                // From a zone of n + 1 to one of m: better only if m + 1 is less than n + 1.
                if self.neighbours(shard, to) >= self.neighbours(shard, from) {
                    break;
                }
                self.remove(shard, from);
                self.add(shard, to);
            }
        }
    }

    /// Whether a voter of a shard may go from one node to another without standing closer to others than before.
    fn may_move(&self, shard: usize, from: NodeId, to: NodeId) -> bool {
        let voters = &self.shards[shard];
        let same_zone = self.zones.get(&from) == self.zones.get(&to);
        voters.contains(&from)
            && !voters.contains(&to)
            && (same_zone || self.neighbours(shard, to) <= self.neighbours(shard, from))
    }

    /// Ways out of a node: those first that undo or only change what was placed just now, and so are no moves.
    fn ways(&self, from: NodeId) -> Vec<Way> {
        let of_from = (0..self.shards.len()).filter(|shard| self.shards[*shard].contains(&from));
        let all = of_from.flat_map(|shard| self.zones.keys().map(move |to| (shard, *to)));
        let mut ways: Vec<Way> = all.filter(|(shard, to)| self.may_move(*shard, from, *to)).collect();
        ways.sort_by_key(|(shard, to)| {
            let before = &self.before[*shard];
            before.contains(&from) && !before.contains(to)
        });
        ways
    }

    fn level(&mut self) {
        let mut loads = std::mem::take(&mut self.loads);
        let apply = |plan: &mut Self, (shard, to): Way, from: NodeId| {
            plan.shards[shard].remove(&from);
            plan.shards[shard].insert(to);
        };
        level(&mut loads, self, Self::ways, apply);
        self.loads = loads;
    }
}

/// A thing (by its place in a list) that can go from one node to another.
type Way = (usize, NodeId);

/// Moves things from node to node until no chain of moves leads from a node to one that has two fewer.
fn level<S>(
    loads: &mut BTreeMap<NodeId, usize>,
    state: &mut S,
    ways: impl Fn(&S, NodeId) -> Vec<Way>,
    apply: impl Fn(&mut S, Way, NodeId),
) {
    // Ends: each chain makes the sum of the squares of the loads smaller.
    while let Some(chain) = next_chain(loads, &*state, &ways) {
        let (first, last) = (chain[0].1, chain[chain.len() - 1].0.1);
        chain.into_iter().for_each(|(way, from)| apply(state, way, from));
        *loads.entry(first).or_default() -= 1;
        *loads.entry(last).or_default() += 1;
    }
}

/// The shortest chain from one of the fullest nodes that has one.
fn next_chain<S>(
    loads: &BTreeMap<NodeId, usize>,
    state: &S,
    ways: &impl Fn(&S, NodeId) -> Vec<Way>,
) -> Option<Vec<(Way, NodeId)>> {
    let least = loads.values().copied().min()?;
    let mut fullest: Vec<(usize, NodeId)> = loads.iter().map(|(id, load)| (*load, *id)).collect();
    fullest.sort_by_key(|(load, id)| (std::cmp::Reverse(*load), *id));
    let full = fullest.into_iter().take_while(|(load, _)| *load >= least + 2);
    full.into_iter().find_map(|(load, from)| chain_from(from, load, loads, state, ways))
}

fn chain_from<S>(
    start: NodeId,
    load: usize,
    loads: &BTreeMap<NodeId, usize>,
    state: &S,
    ways: &impl Fn(&S, NodeId) -> Vec<Way>,
) -> Option<Vec<(Way, NodeId)>> {
    let mut chains: BTreeMap<NodeId, Vec<(Way, NodeId)>> = BTreeMap::from([(start, Vec::new())]);
    let mut next = VecDeque::from([start]);
    while let Some(from) = next.pop_front() {
        let so_far = chains.get(&from).cloned().unwrap_or_default();
        for way in ways(state, from) {
            // Each thing moves once in a chain: whether it may was looked at before the others moved.
            if chains.contains_key(&way.1) || so_far.iter().any(|(other, _)| other.0 == way.0) {
                continue;
            }
            let chain: Vec<_> = so_far.iter().copied().chain([(way, from)]).collect();
            if loads.get(&way.1).is_some_and(|other| *other + 2 <= load) {
                return Some(chain);
            }
            chains.insert(way.1, chain);
            next.push_back(way.1);
        }
    }
    None
}

#[cfg(test)]
mod tests;
