//! A log of the directory: every command taken and refused, then some at random.

use buzon_model::command::*;
use buzon_model::row::{NodeState, TenantLimits};
use buzon_types::address::{Address, Domain};
use buzon_types::id::*;
use buzon_types::node::{NodeAddress, Zone};

use super::script::Script;

use ClusterCommand as C;
use DirectoryCommand as D;

const ACME: TenantId = TenantId(1);
const BETA: TenantId = TenantId(2);
const GAMMA: TenantId = TenantId(3);
/// Commands at random.
const RANDOM: usize = 240;

pub(super) fn script(level: u32) -> Script {
    let mut script = Script::new(DIRECTORY);
    tenants(&mut script);
    accounts(&mut script);
    script.requests(&Command::Directory(create_tenant("late")));
    script.raise(level);
    script.new_leader();
    cluster(&mut script);
    moves(&mut script);
    let purge = ShardCommand::PurgeAccount(AccountId(1));
    script.send(Command::Shard(purge));
    script.now_at_random();
    for _ in 0..RANDOM {
        let command = random(&mut script);
        script.send(command);
        if script.random.below(9) == 0 {
            script.again();
        }
    }
    script.pad();
    script
}

fn all(script: &mut Script, commands: impl IntoIterator<Item = D>) {
    commands.into_iter().for_each(|command| script.send(Command::Directory(command)));
}

fn all_cluster(script: &mut Script, commands: impl IntoIterator<Item = C>) {
    commands.into_iter().for_each(|command| script.send(Command::Cluster(command)));
}

fn limits(accounts_max: u64) -> TenantLimits {
    TenantLimits { accounts_max: (accounts_max > 0).then_some(accounts_max) }
}

fn create_tenant(name: &str) -> D {
    D::CreateTenant { name: name.into(), limits: limits(0) }
}

fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn place(tenant: TenantId, text: &str, shard: u64) -> D {
    D::PlaceAccount { tenant, address: address(text), shard: GroupId(shard) }
}

fn tenants(script: &mut Script) {
    script.send(Command::Directory(create_tenant("acme")));
    script.again();
    all(
        script,
        [
            D::CreateTenant { name: "beta".into(), limits: limits(1) },
            create_tenant("gamma"),
            create_tenant("acme"),
            create_tenant("a\0b"),
            D::SetTenantLimits { tenant: ACME, limits: limits(4) },
            D::SetTenantLimits { tenant: TenantId(99), limits: limits(4) },
            D::DeleteTenant(GAMMA),
            D::DeleteTenant(GAMMA),
            D::AddDomain { tenant: ACME, domain: domain("a.example") },
            D::AddDomain { tenant: ACME, domain: domain("a.example") },
            D::AddDomain { tenant: ACME, domain: domain("bücher.example") },
            D::AddDomain { tenant: BETA, domain: domain("b.example") },
            D::AddDomain { tenant: BETA, domain: domain("a.example") },
            D::RemoveDomain { tenant: BETA, domain: domain("a.example") },
            D::RemoveDomain { tenant: ACME, domain: domain("bücher.example") },
            D::DeleteTenant(ACME),
        ],
    );
}

fn accounts(script: &mut Script) {
    all(
        script,
        [
            place(ACME, "ana@a.example", 1),
            place(ACME, "ana@a.example", 2),
            D::ActivateAccount(AccountId(1)),
            D::ActivateAccount(AccountId(1)),
            place(ACME, "ana@a.example", 1),
            place(ACME, "\"b\\\"ob\"@a.example", 2),
            D::ActivateAccount(AccountId(2)),
            place(ACME, "carl@a.example", 2),
            D::ActivateAccount(AccountId(3)),
            D::FinishDeleteAccount(AccountId(3)),
            D::BeginDeleteAccount(AccountId(3)),
            D::BeginDeleteAccount(AccountId(3)),
            D::ActivateAccount(AccountId(3)),
            D::FinishDeleteAccount(AccountId(3)),
            D::FinishDeleteAccount(AccountId(3)),
            place(BETA, "dora@b.example", 1),
            place(BETA, "eve@b.example", 1),
            place(BETA, "eve@a.example", 1),
            place(ACME, "none@a.example", 0),
            D::AddAlias { address: address("post@a.example"), account: AccountId(1) },
            D::AddAlias { address: address("post@a.example"), account: AccountId(1) },
            D::AddAlias { address: address("post@a.example"), account: AccountId(2) },
            D::AddAlias { address: address("info@a.example"), account: AccountId(2) },
            D::AddAlias { address: address("info@b.example"), account: AccountId(2) },
            D::RemoveAlias { address: address("post@a.example") },
            D::RemoveAlias { address: address("post@a.example") },
            D::RemoveAlias { address: address("ana@a.example") },
            D::RemoveDomain { tenant: ACME, domain: domain("a.example") },
        ],
    );
}

fn founding(shards: &[u64]) -> FoundCluster {
    let nodes = (1..=3).map(|id| FoundingNode {
        id: NodeId(id),
        address: NodeAddress::new(&format!("metad-{id}:7071")).unwrap(),
        zone: (id > 1).then(|| Zone::new("eu-1.a").unwrap()),
        incarnation: Incarnation(u128::from(id) << 64),
    });
    let voters: Vec<NodeId> = (1..=3).map(NodeId).collect();
    let shard = |group: &u64| FoundingShard { group: GroupId(*group), voters: voters.clone() };
    FoundCluster { nodes: nodes.collect(), voters_per_shard: 3, shards: shards.iter().map(shard).collect() }
}

fn add_node(address: &str, incarnation: u128, replaces: Option<u64>) -> C {
    C::AddNode(AddNode {
        address: NodeAddress::new(address).unwrap(),
        zone: None,
        incarnation: Incarnation(incarnation),
        replaces: replaces.map(NodeId),
    })
}

fn new_shard(group: Option<u64>, voters: &[u64]) -> NewShard {
    NewShard { group: group.map(GroupId), voters: nodes(voters) }
}

fn nodes(ids: &[u64]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn set_voters(group: u64, voters: &[u64], expected: &[u64]) -> C {
    C::SetShardVoters { group: GroupId(group), voters: nodes(voters), expected: nodes(expected) }
}

fn cluster(script: &mut Script) {
    script.voters(&[&[1, 2, 3], &[2, 3, 4]]);
    script.voters(&[&[2, 3, 4]]);
    all_cluster(
        script,
        [
            C::SetVotersPerShard(3),
            C::FoundCluster(founding(&[1])),
            C::FoundCluster(founding(&[1, 2])),
            C::FoundCluster(founding(&[2, 1])),
            C::FoundCluster(founding(&[1, 7])),
            add_node("10.0.0.7:7071", 4, None),
            add_node("10.0.0.7:7071", 4, None),
            add_node("10.0.0.8:7071", 4, None),
            add_node("10.0.0.7:7071", 5, None),
            add_node("metad-5:7071", 5, Some(2)),
            add_node("metad-2:7071", 2 << 64, None),
            C::SetNodeState { node: NodeId(4), state: NodeState::Draining },
            C::SetNodeState { node: NodeId(1), state: NodeState::Removed },
            C::SetNodeState { node: NodeId(77), state: NodeState::Active },
            C::SetNodeAddress { node: NodeId(1), address: NodeAddress::new("[2001:db8::1]:7071").unwrap() },
            C::SetNodeAddress { node: NodeId(3), address: NodeAddress::new("metad-5:7071").unwrap() },
            C::AddShards(vec![
                new_shard(Some(9), &[1, 3]),
                new_shard(None, &[4, 1, 5]),
                new_shard(Some(1), &[1]),
            ]),
            C::AddShards(vec![new_shard(None, &[2])]),
            set_voters(9, &[1, 4, 5], &[3, 1]),
            set_voters(9, &[1, 3], &[1, 3]),
            set_voters(9, &[1, 1], &[1, 4, 5]),
            C::SetVotersPerShard(5),
            C::SetVotersPerShard(4),
        ],
    );
    all(
        script,
        [
            place(ACME, "fay@a.example", 0),
            D::ActivateAccount(AccountId(5)),
            place(ACME, "gus@a.example", 8),
            place(ACME, "gus@a.example", 9),
            place(ACME, "one.too.many@a.example", 9),
        ],
    );
}

fn step(account: u64, epoch: u64) -> Step {
    Step { account: AccountId(account), epoch: Epoch(epoch) }
}

fn begin(account: u64, to: u64) -> D {
    D::BeginMove { account: AccountId(account), to: GroupId(to) }
}

fn moves(script: &mut Script) {
    all(
        script,
        [
            begin(1, 9),
            begin(1, 9),
            begin(1, 10),
            D::FinishMove(step(1, 2)),
            D::CommitMove(step(1, 3)),
            D::CommitMove(step(1, 2)),
            D::CommitMove(step(1, 2)),
            D::AbortMove(step(1, 2)),
            D::FinishMove(step(1, 2)),
            begin(1, 9),
            begin(1, 2),
            D::AbortMove(step(1, 3)),
            D::AbortMove(step(1, 3)),
            D::CommitMove(step(1, 3)),
            D::FinishMove(step(1, 3)),
            begin(2, 8),
            begin(4, 9),
            begin(2, 9),
            D::BeginDeleteAccount(AccountId(2)),
        ],
    );
}

/// About few things, so that much of it is taken. The move of account 2 stays pending until then.
fn random(script: &mut Script) -> Command {
    let random = &mut script.random;
    let tenant = TenantId(1 + random.below(3));
    let account = AccountId(1 + random.below(9));
    let shard = [0, 1, 2, 9, 10][random.below(5) as usize];
    let node = 1 + random.below(6);
    let domain = domain(["a.example", "b.example", "c.example"][random.below(3) as usize]);
    let address = Address::new(&format!("u{}@{}", random.below(6), domain.as_str())).unwrap();
    let step = Step { account, epoch: Epoch(1 + random.below(5)) };
    let cluster = |command| Command::Cluster(command);
    Command::Directory(match random.below(28) {
        0 => create_tenant(["acme", "beta", "delta"][random.below(3) as usize]),
        1 => D::SetTenantLimits { tenant, limits: limits(random.below(6)) },
        2 => D::DeleteTenant(tenant),
        3..=4 => D::AddDomain { tenant, domain },
        5 => D::RemoveDomain { tenant, domain },
        6..=9 => D::PlaceAccount { tenant, address, shard: GroupId(shard) },
        10..=12 => D::ActivateAccount(account),
        13 => D::BeginDeleteAccount(account),
        14 => D::FinishDeleteAccount(account),
        15..=16 => D::AddAlias { address, account },
        17 => D::RemoveAlias { address },
        18..=19 => begin(account.0, shard),
        20 => D::CommitMove(step),
        21 => D::AbortMove(step),
        22 => D::FinishMove(step),
        23 => return cluster(add_node(&format!("n{node}:1"), u128::from(random.below(6)), None)),
        24 => {
            let state =
                [NodeState::Active, NodeState::Draining, NodeState::Removed][random.below(3) as usize];
            return cluster(C::SetNodeState { node: NodeId(node), state });
        }
        25 => return cluster(C::AddShards(vec![new_shard(Some(shard), &[node])])),
        26 => return cluster(set_voters(shard, &[node, node + 1], &[node])),
        _ => return cluster(C::SetVotersPerShard(1 + 2 * random.below(3) as u8)),
    })
}
