//! Tenants, domains, addresses and where accounts live.

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, DIRECTORY, Epoch, GroupId, TenantId};

use crate::command::{Command, DirectoryCommand};
use crate::reply::{Outcome, Rejection, Reply};
use crate::row::{PlacementState, TenantLimits};
use crate::tests::group::*;

const ONE: TenantId = TenantId(1);
const TWO: TenantId = TenantId(2);
const SHARD: GroupId = GroupId(3);

/// Everything is loaded anew for each command: what `missing` asks for must suffice.
fn run(group: &mut Group, command: DirectoryCommand) -> Outcome {
    group.state.shrink(0);
    let outcome = group.decide(Command::Directory(command), None).outcome;
    check(group);
    outcome
}

/// Counters equal what is there.
fn check(group: &Group) {
    let rows = &group.rows;
    for tenant in rows.tenants.values() {
        let accounts = rows.placements.values().filter(|it| it.tenant == tenant.id).count();
        let domains = rows.domains.values().filter(|it| it.tenant == tenant.id).count();
        assert_eq!((tenant.accounts, tenant.domains), (accounts as u64, domains as u64));
    }
    for domain in rows.domains.values() {
        let addresses = rows.addresses.keys().filter(|it| *it.domain() == domain.domain).count();
        assert_eq!(domain.addresses, addresses as u64);
    }
    for address in rows.addresses.values() {
        assert!(
            rows.placements.contains_key(&address.account)
                && rows.domains.contains_key(address.address.domain())
        );
    }
}

fn create_tenant(name: &str) -> DirectoryCommand {
    DirectoryCommand::CreateTenant { name: name.into(), limits: TenantLimits { accounts_max: Some(2) } }
}

fn add_domain(tenant: TenantId, domain_of: &str) -> DirectoryCommand {
    DirectoryCommand::AddDomain { tenant, domain: domain(domain_of) }
}

fn place(tenant: TenantId, address_of: &str) -> DirectoryCommand {
    DirectoryCommand::PlaceAccount { tenant, address: address(address_of), shard: SHARD }
}

fn placed(account: u64) -> Outcome {
    Ok(Reply::AccountPlaced { account: AccountId(account), shard: SHARD, epoch: Epoch(1) })
}

fn domain(text: &str) -> Domain {
    Domain::new(text).unwrap()
}

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn group() -> Group {
    let mut group = Group::directory();
    assert_eq!(run(&mut group, create_tenant("one")), Ok(Reply::TenantCreated(ONE)));
    assert_eq!(run(&mut group, create_tenant("two")), Ok(Reply::TenantCreated(TWO)));
    run(&mut group, add_domain(ONE, "one.example")).unwrap();
    run(&mut group, add_domain(TWO, "two.example")).unwrap();
    group
}

#[test]
fn tenants_have_unique_names_and_ids_that_are_never_used_again() {
    let mut group = group();
    assert_eq!(run(&mut group, create_tenant("one")), Err(Rejection::TenantExists("one".into())));
    assert_eq!(run(&mut group, create_tenant("")), Err(Rejection::NotHere));
    assert_eq!(run(&mut group, create_tenant("a\nb")), Err(Rejection::NotHere));
    assert_eq!(run(&mut group, DirectoryCommand::DeleteTenant(ONE)), Err(Rejection::NotEmpty));
    let remove = DirectoryCommand::RemoveDomain { tenant: ONE, domain: domain("one.example") };
    run(&mut group, remove).unwrap();
    run(&mut group, DirectoryCommand::DeleteTenant(ONE)).unwrap();
    assert_eq!(run(&mut group, DirectoryCommand::DeleteTenant(ONE)), Err(Rejection::NoSuchTenant));
    assert_eq!(run(&mut group, create_tenant("one")), Ok(Reply::TenantCreated(TenantId(3))));
}

#[test]
fn a_domain_has_one_owner() {
    let mut group = group();
    assert_eq!(run(&mut group, add_domain(ONE, "one.example")), Ok(Reply::Done));
    let taken = Err(Rejection::DomainTaken(domain("one.example")));
    assert_eq!(run(&mut group, add_domain(TWO, "one.example")), taken);
    let steal = DirectoryCommand::RemoveDomain { tenant: TWO, domain: domain("one.example") };
    assert_eq!(run(&mut group, steal), Err(Rejection::NoSuchDomain));
    assert_eq!(run(&mut group, add_domain(TenantId(9), "x.example")), Err(Rejection::NoSuchTenant));
    assert_eq!(run(&mut group, place(TWO, "ana@one.example")), Err(Rejection::NoSuchDomain));
}

#[test]
fn an_account_is_placed_once_and_the_step_may_be_repeated() {
    let mut group = group();
    assert_eq!(run(&mut group, place(ONE, "ana@one.example")), placed(1));
    let elsewhere = DirectoryCommand::PlaceAccount {
        tenant: ONE,
        address: address("ana@one.example"),
        shard: GroupId(8),
    };
    assert_eq!(run(&mut group, elsewhere), placed(1), "the shard of the first attempt");
    run(&mut group, DirectoryCommand::ActivateAccount(AccountId(1))).unwrap();
    run(&mut group, DirectoryCommand::ActivateAccount(AccountId(1))).unwrap();
    let taken = Err(Rejection::AddressTaken(address("ana@one.example")));
    assert_eq!(run(&mut group, place(ONE, "ana@one.example")), taken);
    assert_eq!(run(&mut group, place(ONE, "ben@one.example")), placed(2));
    assert_eq!(run(&mut group, place(ONE, "cem@one.example")), Err(Rejection::TenantFull));
    let nowhere =
        DirectoryCommand::PlaceAccount { tenant: TWO, address: address("x@two.example"), shard: DIRECTORY };
    assert_eq!(run(&mut group, nowhere), Err(Rejection::NotHere));
}

#[test]
fn aliases_lead_to_accounts_of_the_domain_s_owner() {
    let mut group = group();
    run(&mut group, place(ONE, "ana@one.example")).unwrap();
    run(&mut group, place(ONE, "ben@one.example")).unwrap();
    let alias = |text: &str, account| DirectoryCommand::AddAlias {
        address: address(text),
        account: AccountId(account),
    };
    let remove = |text: &str| DirectoryCommand::RemoveAlias { address: address(text) };
    assert_eq!(run(&mut group, alias("a@one.example", 1)), Ok(Reply::Done));
    assert_eq!(run(&mut group, alias("a@one.example", 1)), Ok(Reply::Done));
    assert_eq!(
        run(&mut group, alias("a@one.example", 2)),
        Err(Rejection::AddressTaken(address("a@one.example")))
    );
    assert_eq!(
        run(&mut group, place(ONE, "a@one.example")),
        Err(Rejection::AddressTaken(address("a@one.example")))
    );
    assert_eq!(run(&mut group, alias("a@two.example", 1)), Err(Rejection::NoSuchDomain));
    assert_eq!(run(&mut group, alias("b@one.example", 9)), Err(Rejection::NoSuchAccount));
    assert_eq!(run(&mut group, remove("ana@one.example")), Err(Rejection::PrimaryAddress));
    assert_eq!(run(&mut group, remove("a@one.example")), Ok(Reply::Done));
    assert_eq!(run(&mut group, remove("a@one.example")), Err(Rejection::NoSuchAddress));
}

#[test]
fn deleting_an_account_frees_its_addresses_at_the_end() {
    let mut group = group();
    let ana = AccountId(1);
    run(&mut group, place(ONE, "ana@one.example")).unwrap();
    run(&mut group, DirectoryCommand::AddAlias { address: address("a@one.example"), account: ana }).unwrap();
    assert_eq!(run(&mut group, DirectoryCommand::FinishDeleteAccount(ana)), Err(Rejection::NotHere));
    run(&mut group, DirectoryCommand::BeginDeleteAccount(ana)).unwrap();
    run(&mut group, DirectoryCommand::BeginDeleteAccount(ana)).unwrap();
    assert_eq!(group.rows.placements[&ana].state, PlacementState::Deleting);
    assert_eq!(run(&mut group, DirectoryCommand::ActivateAccount(ana)), Err(Rejection::NoSuchAccount));
    assert!(matches!(run(&mut group, place(ONE, "ana@one.example")), Err(Rejection::AddressTaken(_))));
    run(&mut group, DirectoryCommand::FinishDeleteAccount(ana)).unwrap();
    run(&mut group, DirectoryCommand::FinishDeleteAccount(ana)).unwrap();
    assert!(group.rows.addresses.is_empty() && group.rows.placements.is_empty());
    assert_eq!(run(&mut group, place(ONE, "ana@one.example")), placed(2));
}

#[test]
fn warm_rows_decide_as_cold_ones_do() {
    let mut warm = Group::directory();
    let mut cold = Group::directory();
    let steps = [
        create_tenant("t"),
        add_domain(ONE, "d.example"),
        place(ONE, "a@d.example"),
        DirectoryCommand::AddAlias { address: address("b@d.example"), account: AccountId(1) },
        DirectoryCommand::BeginDeleteAccount(AccountId(1)),
        DirectoryCommand::FinishDeleteAccount(AccountId(1)),
        place(ONE, "b@d.example"),
        DirectoryCommand::RemoveDomain { tenant: ONE, domain: domain("d.example") },
        create_tenant("t"),
    ];
    for step in steps {
        let outcome = run(&mut cold, step.clone());
        assert_eq!(warm.decide(Command::Directory(step), None).outcome, outcome);
        assert_eq!(warm.rows, cold.rows);
    }
    assert_eq!(warm.state.addresses_of(AccountId(1)).map(Iterator::count), Some(0));
}
