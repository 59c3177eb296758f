//! Placement held to what it promises, and to all possible placements where there are few.

use buzon_types::id::Incarnation;
use buzon_types::node::{NodeAddress, Zone};
use buzon_types::time::Timestamp;
use proptest::prelude::*;

use super::*;

fn node(id: u64, zone: u8, state: NodeState) -> NodeRow {
    NodeRow {
        id: NodeId(id),
        address: NodeAddress::new(&format!("n{id}:7071")).unwrap(),
        zone: (zone > 0).then(|| Zone::new(&format!("z{zone}")).unwrap()),
        state,
        incarnation: Incarnation(u128::from(id)),
        added_at: Timestamp(0),
    }
}

fn plain(count: u64) -> Vec<NodeRow> {
    (1..=count).map(|id| node(id, 0, NodeState::Active)).collect()
}

fn shards(voters: &[&[u64]]) -> Vec<(GroupId, Voters)> {
    let ids = |voters: &&[u64]| voters.iter().map(|id| NodeId(*id)).collect();
    (1..).map(GroupId).zip(voters.iter().map(ids)).collect()
}

fn loads(nodes: &[NodeRow], placed: &[(GroupId, Voters)]) -> Vec<usize> {
    let active = nodes.iter().filter(|row| row.state == NodeState::Active);
    let load = |row: &NodeRow| placed.iter().filter(|(_, voters)| voters.contains(&row.id)).count();
    active.map(load).collect()
}

/// Voters that have to be brought somewhere.
fn moves(before: &[(GroupId, Voters)], after: &[(GroupId, Voters)]) -> usize {
    let new = |(before, after): (&(GroupId, Voters), &(GroupId, Voters))| {
        after.1.iter().filter(|id| !before.1.contains(id)).count()
    };
    before.iter().zip(after).map(new).sum()
}

/// How close voters stand: pairs in one zone.
fn crowding(nodes: &[NodeRow], voters: &Voters) -> usize {
    let zone = |id: &NodeId| nodes.iter().find(|row| row.id == *id).and_then(|row| row.zone.as_ref());
    let pairs = voters.iter().enumerate().flat_map(|(at, a)| voters[..at].iter().map(move |b| (a, b)));
    pairs.filter(|(a, b)| zone(a).is_some() && zone(a) == zone(b)).count()
}

fn squares(loads: &[usize]) -> usize {
    loads.iter().map(|load| load * load).sum()
}

#[test]
fn a_new_cluster_is_spread_over_nodes_and_zones() {
    let nodes: Vec<_> = (1..=6).map(|id| node(id, (id as u8 - 1) / 2 + 1, NodeState::Active)).collect();
    let placed = new_shards(&nodes, &[], 16, 3);
    let placed: Vec<_> = (1..).map(GroupId).zip(placed).collect();
    assert!(placed.iter().all(|(_, voters)| voters.len() == 3 && crowding(&nodes, voters) == 0));
    assert_eq!(loads(&nodes, &placed), [8; 6]);
}

#[test]
fn a_drained_node_is_emptied_and_the_others_stay() {
    let mut nodes = plain(4);
    let before = shards(&[&[1, 2, 3], &[1, 2, 4], &[1, 3, 4], &[2, 3, 4]]);
    assert_eq!(voters(&nodes, &before, 3), before);
    nodes[0].state = NodeState::Draining;
    let after = voters(&nodes, &before, 3);
    assert!(after.iter().all(|(_, voters)| *voters == [2, 3, 4].map(NodeId)));
    nodes[1].state = NodeState::Draining;
    let after = voters(&nodes, &before, 3);
    assert!(after.iter().all(|(_, voters)| *voters == [3, 4].map(NodeId)), "fewer than shall be: {after:?}");
    nodes.iter_mut().for_each(|row| row.state = NodeState::Draining);
    assert_eq!(voters(&nodes, &before, 3), before, "there is nowhere to go");
}

#[test]
fn a_new_node_takes_its_share_and_no_more() {
    let before = shards(&[&[1u64, 2, 3][..]; 16]);
    let after = voters(&plain(4), &before, 3);
    assert_eq!(loads(&plain(4), &after), [12; 4]);
    assert_eq!(moves(&before, &after), 12);
}

#[test]
fn more_or_fewer_voters_are_wanted() {
    let before = shards(&[&[1], &[2]]);
    let three = voters(&plain(3), &before, 3);
    assert!(three.iter().all(|(_, voters)| *voters == [1, 2, 3].map(NodeId)));
    let one = voters(&plain(3), &three, 1);
    assert!(one.iter().all(|(_, voters)| voters.len() == 1));
    assert_eq!(moves(&three, &one), 0);
    assert!(loads(&plain(3), &one).iter().all(|load| *load <= 1));
}

#[test]
fn leaders_are_spread_and_leave_drained_nodes() {
    let mut nodes = plain(3);
    let led = |leaders: &[Option<u64>]| -> Vec<Led> {
        let shard = |(group, leader): (u64, &Option<u64>)| Led {
            group: GroupId(group),
            voters: [1, 2, 3].map(NodeId).to_vec(),
            leader: leader.map(NodeId),
        };
        (1..).zip(leaders).map(shard).collect()
    };
    let of = |nodes: &[NodeRow], leaders: &[Option<u64>]| -> Vec<u64> {
        super::leaders(nodes, &led(leaders)).into_iter().map(|(_, leader)| leader.0).collect()
    };
    assert_eq!(of(&nodes, &[Some(1), Some(2), Some(3), Some(3)]), [1, 2, 3, 3], "in order already");
    let mut spread = of(&nodes, &[Some(1); 6]);
    spread.sort_unstable();
    assert_eq!(spread, [1, 1, 2, 2, 3, 3]);
    assert_eq!(of(&nodes, &[Some(1), Some(2), None]), [1, 2, 3]);
    nodes[2].state = NodeState::Draining;
    assert_eq!(of(&nodes, &[Some(1), Some(2), Some(3), Some(3)]), [1, 2, 1, 2]);
    nodes.iter_mut().for_each(|row| row.state = NodeState::Draining);
    assert!(of(&nodes, &[Some(1)]).is_empty());
}

fn states() -> impl Strategy<Value = NodeState> {
    prop_oneof![5 => Just(NodeState::Active), 1 => Just(NodeState::Draining), 1 => Just(NodeState::Removed)]
}

fn cluster(
    nodes_max: u64,
    zones_max: u8,
    shards_max: usize,
) -> impl Strategy<Value = (Vec<NodeRow>, Vec<(GroupId, Voters)>, u8)> {
    let nodes = prop::collection::vec((0..=zones_max, states()), 1..=nodes_max as usize);
    let voters = prop::collection::btree_set(1..=nodes_max + 1, 0..=5usize);
    let voters = prop::collection::vec(voters, 0..=shards_max);
    (nodes, voters, prop_oneof![Just(1u8), Just(3), Just(5)]).prop_map(|(nodes, voters, per_shard)| {
        let nodes = (1..).zip(nodes).map(|(id, (zone, state))| node(id, zone, state)).collect();
        let ids = |ids: std::collections::BTreeSet<u64>| ids.into_iter().map(NodeId).collect();
        (nodes, (1..).map(GroupId).zip(voters.into_iter().map(ids)).collect(), per_shard)
    })
}

/// All ways to choose `count` of these.
fn choices(of: &[NodeId], count: usize) -> Vec<Voters> {
    let Some((first, rest)) = of.split_first() else {
        return if count == 0 { vec![vec![]] } else { vec![] };
    };
    let mut all = choices(rest, count);
    if count > 0 {
        all.extend(choices(rest, count - 1).into_iter().map(|rest| [vec![*first], rest].concat()));
    }
    all
}

/// All placements, each with its squares of loads and its moves; shards only as crowded as they must be.
fn all_placements(nodes: &[NodeRow], before: &[(GroupId, Voters)], count: usize) -> Vec<(usize, usize)> {
    let active: Vec<NodeId> = active(nodes).into_iter().collect();
    let all = choices(&active, count.min(active.len()));
    let least = all.iter().map(|voters| crowding(nodes, voters)).min().unwrap();
    let fit: Vec<_> = all.into_iter().filter(|voters| crowding(nodes, voters) == least).collect();
    let mut placements: Vec<Vec<(GroupId, Voters)>> = vec![vec![]];
    for (group, _) in before {
        let with = |so_far: &Vec<(GroupId, Voters)>, voters: &Voters| {
            [so_far.clone(), vec![(*group, voters.clone())]].concat()
        };
        placements =
            placements.iter().flat_map(|so_far| fit.iter().map(move |voters| with(so_far, voters))).collect();
    }
    placements.iter().map(|it| (squares(&loads(nodes, it)), moves(before, it))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn shards_have_different_active_nodes_and_what_is_in_order_stays(
        (nodes, before, per_shard) in cluster(9, 4, 24)
    ) {
        let after = voters(&nodes, &before, per_shard);
        let active = active(&nodes);
        prop_assume!(!active.is_empty());
        for (_, voters) in &after {
            prop_assert_eq!(voters.len(), usize::from(per_shard).min(active.len()));
            prop_assert!(voters.is_sorted_by(|a, b| a < b) && voters.iter().all(|id| active.contains(id)));
            let all = choices(&active.iter().copied().collect::<Vec<_>>(), voters.len());
            let least = all.iter().map(|it| crowding(&nodes, it)).min().unwrap();
            prop_assert_eq!(crowding(&nodes, voters), least, "as far apart as can be");
        }
        prop_assert_eq!(&voters(&nodes, &after, per_shard), &after, "nothing more to do");
    }

    #[test]
    fn without_zones_loads_differ_by_one_at_most((nodes, before, per_shard) in cluster(9, 0, 24)) {
        let loads = loads(&nodes, &voters(&nodes, &before, per_shard));
        prop_assume!(!loads.is_empty());
        prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
    }

    #[test]
    fn leaders_differ_by_one_at_most_where_all_vote_everywhere(
        leaders in prop::collection::vec(prop::option::of(1u64..6), 0..40),
        count in 1u64..6,
    ) {
        let nodes = plain(count);
        let all: Voters = nodes.iter().map(|row| row.id).collect();
        let led: Vec<Led> = (1..)
            .zip(&leaders)
            .map(|(group, leader)| Led { group: GroupId(group), voters: all.clone(), leader: leader.map(NodeId) })
            .collect();
        let chosen = super::leaders(&nodes, &led);
        prop_assert_eq!(chosen.len(), led.len());
        let loads = all.iter().map(|id| chosen.iter().filter(|(_, leader)| leader == id).count());
        let loads: Vec<usize> = loads.collect();
        prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{:?}", loads);
        let again: Vec<Led> = led
            .iter()
            .zip(&chosen)
            .map(|(led, (_, leader))| Led { leader: Some(*leader), ..led.clone() })
            .collect();
        prop_assert_eq!(super::leaders(&nodes, &again), chosen);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn of_all_placements_it_is_one_of_the_evenest((nodes, before, per_shard) in cluster(5, 3, 3)) {
        let after = voters(&nodes, &before, per_shard);
        prop_assume!(!active(&nodes).is_empty());
        let all = all_placements(&nodes, &before, per_shard.into());
        let evenest = all.iter().map(|it| it.0).min().unwrap();
        prop_assert_eq!(squares(&loads(&nodes, &after)), evenest);
        let fewest = all.iter().filter(|it| it.0 == evenest).map(|it| it.1).min().unwrap();
        prop_assert!(moves(&before, &after) <= fewest + MORE_MOVES_MAX, "{} for {}", moves(&before, &after), fewest);
    }
}

/// By which the plan may miss the fewest moves: it decides shard by shard.
const MORE_MOVES_MAX: usize = 1;
