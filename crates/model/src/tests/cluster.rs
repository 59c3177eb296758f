//! Nodes and shards in the directory, and accounts counted on shards.

use std::collections::BTreeMap;

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, DIRECTORY, Epoch, FeatureLevel, GroupId, Incarnation, NodeId, TenantId};
use buzon_types::node::{NodeAddress, Zone};
use buzon_types::time::Timestamp;
use proptest::prelude::*;

use crate::change::Change;
use crate::command::{
    AddNode, ClusterCommand, Command, DirectoryCommand, FoundCluster, FoundingNode, FoundingShard, NewShard,
};
use crate::limits::{FEATURE_LEVEL_CLUSTER, FEATURE_LEVEL_FIRST};
use crate::reply::{Outcome, Rejection, Reply};
use crate::row::{NodeState, TenantLimits};
use crate::tests::group::*;

const TENANT: TenantId = TenantId(1);

fn address(node: u64) -> NodeAddress {
    NodeAddress::new(&format!("metad-{node}:7071")).unwrap()
}

fn ids(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn founding(nodes: u64, shards: u64, voters: &[u64]) -> FoundCluster {
    let node = |id| FoundingNode {
        id: NodeId(id),
        address: address(id),
        zone: Some(Zone::new("a").unwrap()),
        incarnation: Incarnation(id.into()),
    };
    let shard = |group| FoundingShard { group: GroupId(group), voters: ids(voters) };
    FoundCluster {
        nodes: (1..=nodes).map(node).collect(),
        voters_per_shard: 3,
        shards: (1..=shards).map(shard).collect(),
    }
}

fn add(incarnation: u128, at: u64, replaces: Option<u64>) -> ClusterCommand {
    ClusterCommand::AddNode(AddNode {
        address: address(at),
        zone: None,
        incarnation: Incarnation(incarnation),
        replaces: replaces.map(NodeId),
    })
}

fn set_state(node: u64, state: NodeState) -> ClusterCommand {
    ClusterCommand::SetNodeState { node: NodeId(node), state }
}

fn set_voters(group: u64, voters: &[u64], expected: &[u64]) -> ClusterCommand {
    ClusterCommand::SetShardVoters { group: GroupId(group), voters: ids(voters), expected: ids(expected) }
}

fn new_shard(group: Option<u64>, voters: &[u64]) -> NewShard {
    NewShard { group: group.map(GroupId), voters: ids(voters) }
}

/// Rows are loaded anew for each command.
fn run(group: &mut Group, command: ClusterCommand) -> Outcome {
    group.state.shrink(0);
    let outcome = group.decide(Command::Cluster(command), None).outcome;
    check_counts(group);
    outcome
}

/// Says that a command has nothing to do.
fn run_again(group: &mut Group, command: ClusterCommand) -> Outcome {
    let decision = group.decide(Command::Cluster(command), None);
    assert!(matches!(decision.changes[..], [] | [Change::SetTime(_)]), "{decision:?}");
    decision.outcome
}

fn direct(group: &mut Group, command: DirectoryCommand) -> Outcome {
    group.state.shrink(0);
    let outcome = group.decide(Command::Directory(command), None).outcome;
    check_counts(group);
    outcome
}

/// What rows count is what is there; where nothing is founded nothing is counted.
fn check_counts(group: &Group) {
    for shard in group.rows.shards.values() {
        let placed = group.rows.placements.values().filter(|row| row.shard == shard.group).count();
        assert_eq!(shard.accounts, placed as u64, "accounts of shard {}", shard.group);
    }
}

fn place(name: &str, shard: GroupId) -> DirectoryCommand {
    let address = Address::new(&format!("{name}@x.example")).unwrap();
    DirectoryCommand::PlaceAccount { tenant: TENANT, address, shard }
}

fn raise(group: &mut Group, level: FeatureLevel) {
    group.decide(Command::RaiseFeatureLevel(level), None).outcome.unwrap();
}

fn directory() -> Group {
    let mut group = Group::directory();
    let limits = TenantLimits::default();
    direct(&mut group, DirectoryCommand::CreateTenant { name: "t".into(), limits }).unwrap();
    let domain = Domain::new("x.example").unwrap();
    direct(&mut group, DirectoryCommand::AddDomain { tenant: TENANT, domain }).unwrap();
    group
}

/// Three nodes and two shards.
fn cluster() -> Group {
    let mut group = directory();
    raise(&mut group, FEATURE_LEVEL_CLUSTER);
    let found = ClusterCommand::FoundCluster(founding(3, 2, &[3, 1, 2]));
    assert_eq!(run(&mut group, found), Ok(Reply::Done));
    group
}

#[test]
fn a_group_of_the_first_level_knows_nothing_of_it() {
    let mut group = directory();
    assert_eq!(group.state.feature_level(), FEATURE_LEVEL_FIRST);
    let found = ClusterCommand::FoundCluster(founding(3, 2, &[1]));
    assert_eq!(run(&mut group, found.clone()), Err(Rejection::NotHere));
    assert_eq!(direct(&mut group, place("ana", DIRECTORY)), Err(Rejection::NotHere));
    raise(&mut group, FEATURE_LEVEL_CLUSTER);
    assert_eq!(direct(&mut group, place("ana", DIRECTORY)), Err(Rejection::ClusterNotFounded));
    assert_eq!(run(&mut group, add(9, 9, None)), Err(Rejection::ClusterNotFounded));
    assert_eq!(run(&mut group, found), Ok(Reply::Done));
    let mut shard = Group::shard();
    raise(&mut shard, FEATURE_LEVEL_CLUSTER);
    assert_eq!(run(&mut shard, add(9, 9, None)), Err(Rejection::NotHere));
}

#[test]
fn a_cluster_is_founded_once_and_counts_the_accounts_that_are_there() {
    let mut group = directory();
    for name in ["ana", "ben", "cem"] {
        direct(&mut group, place(name, GroupId(2))).unwrap();
    }
    raise(&mut group, FEATURE_LEVEL_CLUSTER);
    let without = founding(3, 1, &[1]);
    let outcome = run(&mut group, ClusterCommand::FoundCluster(without));
    assert_eq!(outcome, Err(Rejection::NoSuchShard(GroupId(2))), "accounts live there");
    let cluster = founding(3, 2, &[3, 1, 2]);
    run(&mut group, ClusterCommand::FoundCluster(cluster.clone())).unwrap();
    assert_eq!(group.rows.shards[&GroupId(2)].accounts, 3);
    assert_eq!(group.rows.shards[&GroupId(1)].voters, ids(&[1, 2, 3]));
    assert_eq!((group.rows.counters.next_node, group.rows.counters.next_group), (NodeId(4), GroupId(3)));

    // Long after, with everything changed that may change.
    run(&mut group, set_state(3, NodeState::Draining)).unwrap();
    run(&mut group, set_voters(1, &[1], &[1, 2, 3])).unwrap();
    assert_eq!(run_again(&mut group, ClusterCommand::FoundCluster(cluster.clone())), Ok(Reply::Done));
    let mut other = cluster.clone();
    other.nodes[0].incarnation = Incarnation(77);
    assert_eq!(run(&mut group, ClusterCommand::FoundCluster(other)), Err(Rejection::ClusterExists));
    let more = FoundCluster { shards: founding(3, 9, &[1]).shards, ..cluster };
    assert_eq!(run(&mut group, ClusterCommand::FoundCluster(more)), Err(Rejection::ClusterExists));
}

#[test]
fn a_cluster_that_cannot_be_is_not_founded() {
    let mut group = directory();
    raise(&mut group, FEATURE_LEVEL_CLUSTER);
    let good = founding(3, 2, &[1, 2, 3]);
    let with = |change: &dyn Fn(&mut FoundCluster)| {
        let mut cluster = good.clone();
        change(&mut cluster);
        ClusterCommand::FoundCluster(cluster)
    };
    let taken = Rejection::NodeAddressTaken(address(1), NodeId(1));
    for (bad, rejection) in [
        (with(&|it| it.voters_per_shard = 2), Rejection::BadVoters),
        (with(&|it| it.shards[0].voters = ids(&[1, 1])), Rejection::BadVoters),
        (with(&|it| it.shards[0].voters = vec![]), Rejection::BadVoters),
        (with(&|it| it.shards[0].voters = ids(&[4])), Rejection::NoSuchNode(NodeId(4))),
        (with(&|it| it.shards[0].group = GroupId(2)), Rejection::NotHere),
        (with(&|it| it.shards[0].group = DIRECTORY), Rejection::NotHere),
        (with(&|it| it.shards[0].group = GroupId(u64::MAX)), Rejection::NotHere),
        (with(&|it| it.shards.clear()), Rejection::NotHere),
        (with(&|it| it.nodes[0].id = NodeId(0)), Rejection::NotHere),
        (with(&|it| it.nodes[1].id = NodeId(1)), Rejection::NotHere),
        (with(&|it| it.nodes[1].incarnation = Incarnation(1)), Rejection::NotHere),
        (with(&|it| it.nodes[1].address = address(1)), taken),
        (with(&|it| it.nodes.clear()), Rejection::NoSuchNode(NodeId(1))),
    ] {
        assert_eq!(run(&mut group, bad.clone()), Err(rejection), "{bad:?}");
    }
    run(&mut group, ClusterCommand::FoundCluster(good)).unwrap();
}

#[test]
fn a_node_that_comes_again_has_the_id_it_had() {
    let mut group = cluster();
    assert_eq!(run(&mut group, add(40, 4, None)), Ok(Reply::NodeAdded(NodeId(4))));
    assert_eq!(run_again(&mut group, add(40, 4, None)), Ok(Reply::NodeAdded(NodeId(4))));
    assert_eq!(run_again(&mut group, add(2, 2, None)), Ok(Reply::NodeAdded(NodeId(2))), "a founding one");
    assert_eq!(run(&mut group, add(40, 9, None)), Err(Rejection::NodeExists(NodeId(4))));
    let taken = Err(Rejection::NodeAddressTaken(address(4), NodeId(4)));
    assert_eq!(run(&mut group, add(41, 4, None)), taken);
    assert_eq!(run(&mut group, add(41, 4, Some(3))), taken, "it takes another's place, not this one's");
    assert_eq!(run(&mut group, add(41, 5, Some(9))), Err(Rejection::NoSuchNode(NodeId(9))));
}

#[test]
fn a_node_that_lost_its_disk_takes_its_own_place_under_a_new_id() {
    let mut group = cluster();
    let again = add(30, 3, Some(3));
    assert_eq!(run(&mut group, again.clone()), Ok(Reply::NodeAdded(NodeId(4))));
    assert_eq!(group.rows.nodes[&NodeId(3)].state, NodeState::Removed);
    assert!(group.rows.shards.values().all(|row| row.voters == ids(&[1, 2, 4])));
    assert_eq!(run_again(&mut group, again), Ok(Reply::NodeAdded(NodeId(4))));
    // The old disk turns up again.
    assert_eq!(run(&mut group, add(3, 3, None)), Err(Rejection::NodeRemoved(NodeId(3))));
    // It loses its disk once more.
    assert_eq!(run(&mut group, add(31, 3, Some(3))), Err(Rejection::NodeRemoved(NodeId(3))));
    assert_eq!(run(&mut group, add(31, 3, Some(4))), Ok(Reply::NodeAdded(NodeId(5))));
    assert!(group.rows.shards.values().all(|row| row.voters == ids(&[1, 2, 5])));
}

#[test]
fn a_node_is_removed_only_when_nobody_wants_it() {
    let mut group = cluster();
    run(&mut group, add(40, 4, None)).unwrap();
    let removed = set_state(3, NodeState::Removed);
    assert_eq!(run(&mut group, removed.clone()), Err(Rejection::NodeInUse(NodeId(3), GroupId(1))));
    run(&mut group, set_state(3, NodeState::Draining)).unwrap();
    for shard in [1, 2] {
        run(&mut group, set_voters(shard, &[1, 2, 4], &[1, 2, 3])).unwrap();
    }
    run(&mut group, removed.clone()).unwrap();
    assert_eq!(run_again(&mut group, removed), Ok(Reply::Done));
    let is_removed = Err(Rejection::NodeRemoved(NodeId(3)));
    assert_eq!(run(&mut group, set_state(3, NodeState::Active)), is_removed);
    assert_eq!(run(&mut group, set_voters(1, &[1, 2, 3], &[1, 2, 4])), is_removed);
    let elsewhere = ClusterCommand::SetNodeAddress { node: NodeId(3), address: address(9) };
    assert_eq!(run(&mut group, elsewhere), is_removed);
    assert_eq!(run(&mut group, set_state(8, NodeState::Active)), Err(Rejection::NoSuchNode(NodeId(8))));
    run(&mut group, set_state(1, NodeState::Draining)).unwrap();
    run(&mut group, set_state(2, NodeState::Draining)).unwrap();
    assert_eq!(run(&mut group, set_state(4, NodeState::Draining)), Err(Rejection::LastActiveNode(NodeId(4))));
    run(&mut group, set_state(2, NodeState::Active)).unwrap();
}

#[test]
fn a_node_moves_to_an_address_that_is_free() {
    let mut group = cluster();
    let moved = |to| ClusterCommand::SetNodeAddress { node: NodeId(1), address: address(to) };
    assert_eq!(run(&mut group, moved(2)), Err(Rejection::NodeAddressTaken(address(2), NodeId(2))));
    run(&mut group, moved(9)).unwrap();
    assert_eq!(run_again(&mut group, moved(9)), Ok(Reply::Done));
    assert_eq!(run(&mut group, add(1, 9, None)), Ok(Reply::NodeAdded(NodeId(1))));
    run(&mut group, moved(1)).unwrap();
}

#[test]
fn shards_are_added_and_their_voters_changed_by_who_has_seen_them_last() {
    let mut group = cluster();
    let add = |shards: &[NewShard]| ClusterCommand::AddShards(shards.to_vec());
    let named = add(&[new_shard(Some(3), &[1]), new_shard(Some(7), &[2, 1])]);
    let added = |groups: &[u64]| Ok(Reply::ShardsAdded(groups.iter().copied().map(GroupId).collect()));
    assert_eq!(run(&mut group, named.clone()), added(&[3, 7]));
    assert_eq!(run_again(&mut group, named), added(&[3, 7]));
    assert_eq!(run(&mut group, add(&[new_shard(None, &[3]), new_shard(None, &[3])])), added(&[8, 9]));
    assert_eq!(run(&mut group, add(&[new_shard(Some(0), &[3])])), Err(Rejection::NotHere));
    let twice = add(&[new_shard(Some(11), &[3]), new_shard(Some(11), &[3])]);
    assert_eq!(run(&mut group, twice), Err(Rejection::NotHere));
    assert_eq!(run(&mut group, add(&[new_shard(None, &[4])])), Err(Rejection::NoSuchNode(NodeId(4))));
    let many = vec![new_shard(None, &[1]); 4_096];
    assert_eq!(run(&mut group, add(&many)), Err(Rejection::ClusterFull));

    assert_eq!(run(&mut group, set_voters(3, &[2, 1], &[1])), Ok(Reply::Done));
    assert_eq!(run_again(&mut group, set_voters(3, &[1, 2], &[1])), Ok(Reply::Done));
    let changed = Err(Rejection::ShardVotersChanged(GroupId(3)));
    assert_eq!(run(&mut group, set_voters(3, &[3], &[1])), changed);
    assert_eq!(run(&mut group, set_voters(5, &[3], &[1])), Err(Rejection::NoSuchShard(GroupId(5))));
    assert_eq!(run(&mut group, set_voters(3, &[], &[1, 2])), Err(Rejection::BadVoters));
    let per_shard = ClusterCommand::SetVotersPerShard;
    assert_eq!(run(&mut group, per_shard(4)), Err(Rejection::BadVoters));
    assert_eq!(run(&mut group, per_shard(5)), Ok(Reply::Done));
    assert_eq!(run_again(&mut group, per_shard(5)), Ok(Reply::Done));
    assert_eq!(group.rows.counters.voters_per_shard, 5);
}

#[test]
fn accounts_go_to_the_shard_with_the_fewest() {
    let mut group = cluster();
    let placed = |account, shard| {
        Ok(Reply::AccountPlaced { account: AccountId(account), shard: GroupId(shard), epoch: Epoch(1) })
    };
    assert_eq!(direct(&mut group, place("a", DIRECTORY)), placed(1, 1));
    assert_eq!(direct(&mut group, place("b", DIRECTORY)), placed(2, 2));
    assert_eq!(direct(&mut group, place("c", GroupId(1))), placed(3, 1));
    assert_eq!(direct(&mut group, place("d", DIRECTORY)), placed(4, 2));
    assert_eq!(direct(&mut group, place("d", DIRECTORY)), placed(4, 2), "placed before");
    assert_eq!(direct(&mut group, place("e", GroupId(3))), Err(Rejection::NoSuchShard(GroupId(3))));
    for account in [1, 3].map(AccountId) {
        direct(&mut group, DirectoryCommand::BeginDeleteAccount(account)).unwrap();
        direct(&mut group, DirectoryCommand::FinishDeleteAccount(account)).unwrap();
        direct(&mut group, DirectoryCommand::FinishDeleteAccount(account)).unwrap();
    }
    assert_eq!(direct(&mut group, place("e", DIRECTORY)), placed(5, 1));
    run(&mut group, ClusterCommand::AddShards(vec![new_shard(None, &[1])])).unwrap();
    assert_eq!(direct(&mut group, place("f", DIRECTORY)), placed(6, 3));
}

/// Nodes and shards as anybody would write them first.
#[derive(Default)]
struct Naive {
    nodes: BTreeMap<u64, (u64, u128, NodeState)>,
    voters: BTreeMap<u64, Vec<u64>>,
}

impl Naive {
    fn of(group: &Group) -> Self {
        let node = |row: &crate::row::NodeRow| {
            let at = row.address.as_str().trim_start_matches("metad-").trim_end_matches(":7071");
            (row.id.0, (at.parse().unwrap(), row.incarnation.0, row.state))
        };
        let shard = |row: &crate::row::ShardRow| (row.group.0, row.voters.iter().map(|id| id.0).collect());
        Self {
            nodes: group.rows.nodes.values().map(node).collect(),
            voters: group.rows.shards.values().map(shard).collect(),
        }
    }

    fn add(&mut self, incarnation: u128, at: u64, replaces: Option<u64>) -> Option<u64> {
        if let Some((id, node)) = self.nodes.iter().find(|(_, node)| node.1 == incarnation) {
            return (node.2 != NodeState::Removed && node.0 == at).then_some(*id);
        }
        let there = |node: &(u64, u128, NodeState)| node.2 != NodeState::Removed;
        if replaces.is_some_and(|old| !self.nodes.get(&old).is_some_and(there)) {
            return None;
        }
        if self.nodes.iter().any(|(id, node)| there(node) && node.0 == at && Some(*id) != replaces) {
            return None;
        }
        let id = self.nodes.keys().last().unwrap() + 1;
        if let Some(old) = replaces {
            self.nodes.get_mut(&old).unwrap().2 = NodeState::Removed;
            for voters in self.voters.values_mut().filter(|voters| voters.contains(&old)) {
                voters.retain(|voter| *voter != old);
                voters.push(id);
            }
        }
        self.nodes.insert(id, (at, incarnation, NodeState::Active));
        Some(id)
    }

    fn set_state(&mut self, node: u64, to: NodeState) -> bool {
        let Some(&(_, _, now)) = self.nodes.get(&node) else { return false };
        let wanted = self.voters.values().any(|voters| voters.contains(&node));
        let others = self.nodes.iter().any(|(id, it)| *id != node && it.2 == NodeState::Active);
        let fits = now == to
            || (now != NodeState::Removed
                && (to == NodeState::Active || others)
                && !(to == NodeState::Removed && wanted));
        if fits {
            self.nodes.get_mut(&node).unwrap().2 = to;
        }
        fits
    }

    fn set_voters(&mut self, group: u64, voters: &[u64], expected: &[u64]) -> bool {
        let there = |id: &u64| self.nodes.get(id).is_some_and(|node| node.2 != NodeState::Removed);
        let mut sorted = voters.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let is_fit =
            sorted.len() == voters.len() && (1..=5).contains(&voters.len()) && voters.iter().all(there);
        let Some(now) = self.voters.get_mut(&group) else { return false };
        let fits = is_fit && (*now == sorted || now == expected);
        if fits {
            *now = sorted;
        }
        fits
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(u128, u64, Option<u64>),
    State(u64, NodeState),
    /// The last: whether what was looked at is right.
    Voters(u64, Vec<u64>, bool),
    Place(u8, u64),
    Delete(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![Just(NodeState::Active), Just(NodeState::Draining), Just(NodeState::Removed)];
    let voters = prop::collection::vec(1u64..9, 0..6);
    prop_oneof![
        (1u128..12, 1u64..8, prop::option::of(1u64..9)).prop_map(|(it, at, old)| Step::Add(it, at, old)),
        (1u64..9, state).prop_map(|(node, state)| Step::State(node, state)),
        (1u64..5, voters, any::<bool>()).prop_map(|(group, voters, seen)| Step::Voters(group, voters, seen)),
        (0u8..12, 0u64..5).prop_map(|(name, shard)| Step::Place(name, shard)),
        (1u64..9).prop_map(Step::Delete),
    ]
}

proptest! {
    #[test]
    fn random_clusters_are_those_of_the_naive_model(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut group = cluster();
        for step in steps {
            let mut naive = Naive::of(&group);
            match step {
                Step::Add(incarnation, at, replaces) => {
                    let outcome = run(&mut group, add(incarnation, at, replaces));
                    let expected = naive.add(incarnation, at, replaces);
                    prop_assert_eq!(outcome.clone().ok(), expected.map(|id| Reply::NodeAdded(NodeId(id))));
                    if outcome.is_ok() {
                        prop_assert_eq!(run_again(&mut group, add(incarnation, at, replaces)), outcome);
                    }
                }
                Step::State(node, state) => {
                    let outcome = run(&mut group, set_state(node, state));
                    prop_assert_eq!(outcome.is_ok(), naive.set_state(node, state), "{:?}", outcome);
                }
                Step::Voters(shard, voters, seen) => {
                    let now = naive.voters.get(&shard).cloned().unwrap_or_default();
                    let expected = if seen { now } else { vec![8] };
                    let outcome = run(&mut group, set_voters(shard, &voters, &expected));
                    let fits = naive.set_voters(shard, &voters, &expected);
                    prop_assert_eq!(outcome.is_ok(), fits, "{:?}", outcome);
                }
                Step::Place(name, shard) => {
                    let _ = direct(&mut group, place(&format!("u{name}"), GroupId(shard)));
                }
                Step::Delete(account) => {
                    let _ = direct(&mut group, DirectoryCommand::BeginDeleteAccount(AccountId(account)));
                    let _ = direct(&mut group, DirectoryCommand::FinishDeleteAccount(AccountId(account)));
                }
            }
            let after = Naive::of(&group);
            prop_assert_eq!((after.nodes, after.voters), (naive.nodes, naive.voters));
            // A restart finds the same.
            let fresh = crate::state::State::new(DIRECTORY, group.rows.seed());
            prop_assert!(fresh.nodes().eq(group.state.nodes()) && fresh.shards().eq(group.state.shards()));
        }
        prop_assert!(group.rows.time > Timestamp(0));
    }
}
