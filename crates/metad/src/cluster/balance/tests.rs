//! Decisions of the balancer about one shard: when it is founded, who shall vote, which replicas go and which come again.

use buzon_model::row::{NodeRow, NodeState};
use buzon_types::id::Incarnation;
use buzon_types::node::NodeAddress;
use buzon_types::time::Timestamp;

use super::*;

const SHARD: GroupId = GroupId(5);

fn row(id: u64) -> NodeRow {
    NodeRow {
        id: NodeId(id),
        address: NodeAddress::new(&format!("n{id}:1")).unwrap(),
        zone: None,
        state: NodeState::Active,
        incarnation: Incarnation(u128::from(id)),
        added_at: Timestamp::default(),
    }
}

fn wanted(nodes: u64, voters: &[u64]) -> Topology {
    let voters = voters.iter().map(|id| NodeId(*id)).collect();
    Topology {
        nodes: (1..=nodes).map(row).collect(),
        shards: vec![ShardRow { group: SHARD, voters, accounts: 0 }],
        voters_per_shard: 3,
        next_group: GroupId(6),
    }
}

/// A replica whose members are `members`, as a node sees it.
fn replica_of(leader: u64, last: u64, members: &[u64]) -> pb::GroupDescription {
    let member = |id: &u64| pb::Member { node: *id, address: format!("n{id}:1"), votes: true };
    let members = members.iter().map(member).collect();
    pb::GroupDescription { group: SHARD.0, leader, last, members, term: 1, ..Default::default() }
}

fn seen(nodes: &[(u64, Option<pb::GroupDescription>)]) -> Seen {
    let node = |(id, group): &(u64, Option<pb::GroupDescription>)| {
        let groups = group.clone().into_iter().collect();
        let address = format!("n{id}:1");
        (NodeId(*id), pb::NodeDescription { node: *id, address, groups, ..Default::default() })
    };
    nodes.iter().map(node).collect()
}

fn founds(wanted: &Topology, nodes: &[(u64, Option<pb::GroupDescription>)]) -> bool {
    !groups_to_found(wanted, &seen(nodes)).is_empty()
}

#[test]
fn a_shard_is_founded_only_while_nothing_can_be_lost_by_it() {
    let wanted = wanted(4, &[1, 2, 3]);
    assert!(founds(&wanted, &[(1, None), (2, None), (3, None), (4, None)]));
    // A founding that was cut off.
    let cut = Some(replica_of(0, 1, &[1, 2, 3]));
    assert!(founds(&wanted, &[(1, cut.clone()), (2, None), (3, None), (4, None)]));
    // Node 4 does not answer: it may carry the group.
    assert!(!founds(&wanted, &[(1, None), (2, None), (3, None)]));
    // It was led once.
    let led = Some(replica_of(0, 2, &[1, 2, 3]));
    assert!(!founds(&wanted, &[(1, led), (2, cut.clone()), (3, cut), (4, None)]));
    // Founded with others.
    let other = Some(replica_of(0, 1, &[1, 2, 4]));
    assert!(!founds(&wanted, &[(1, other), (2, None), (3, None), (4, None)]));
    // It is led.
    let led = Some(replica_of(1, 1, &[1, 2, 3]));
    assert!(!founds(&wanted, &[(1, led), (2, None), (3, None), (4, None)]));
}

#[test]
fn a_replica_is_removed_only_where_neither_its_leader_nor_the_directory_names_it() {
    let now = |leader| Some(replica_of(leader, 9, &[1, 2, 3]));
    let nodes = |leader| seen(&[(1, now(leader)), (2, now(leader)), (3, now(leader)), (4, now(leader))]);
    assert_eq!(leftovers(&wanted(4, &[1, 2, 3]), &nodes(1)), [(SHARD, "n4:1".to_owned())]);
    // It is about to become a member.
    assert_eq!(leftovers(&wanted(4, &[1, 2, 4]), &nodes(1)), []);
    // Nobody leads: who is a member cannot be told.
    assert_eq!(leftovers(&wanted(4, &[1, 2, 3]), &nodes(0)), []);
}

#[test]
fn voters_of_a_draining_node_go_elsewhere() {
    let mut wanted = wanted(4, &[1, 2, 3]);
    assert_eq!(voters_to_change(&wanted), []);
    wanted.nodes[1].state = NodeState::Draining;
    let ids = |ids: &[u64]| ids.iter().map(|id| NodeId(*id)).collect::<Vec<_>>();
    assert_eq!(voters_to_change(&wanted), [(SHARD, ids(&[1, 2, 3]), ids(&[1, 3, 4]))]);
}

#[test]
fn a_member_without_its_replica_gets_it_again() {
    let now = Some(replica_of(1, 9, &[1, 2, 3]));
    let mut nodes = seen(&[(1, now.clone()), (2, now), (3, None), (4, None)]);
    // Node 3 is about to open: it may have the group.
    assert_eq!(missing(&nodes), []);
    nodes =
        nodes.nodes().map(|(id, node)| (id, pb::NodeDescription { is_open: true, ..node.clone() })).collect();
    let found = missing(&nodes);
    let others = |it: &Vec<pb::Member>| it.iter().map(|it| it.node).collect::<Vec<_>>();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, found[0].1.as_str(), others(&found[0].2)), (SHARD, "n3:1", vec![1, 2]));
}
