//! Compares all that a store answers with the mirror, row for row.

use std::collections::{BTreeMap, BTreeSet};

use buzon_meta_store::store::MetaStore;
use buzon_model::row::{MailboxState, MessageRow};
use buzon_model::scope::{AccountLoaded, Loaded, Need};
use buzon_types::id::{AccountId, GroupId, MailboxKey};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;

use super::mirror::Mirror;

pub async fn check(store: &dyn MetaStore, group: GroupId, mirror: &Mirror) {
    check_seed(store, group, mirror).await;
    check_accounts(store, group, mirror).await;
    check_messages(store, group, mirror).await;
    check_staged(store, group, mirror).await;
    check_residue(store, group, mirror).await;
    check_directory(store, group, mirror).await;
}

async fn check_seed(store: &dyn MetaStore, group: GroupId, mirror: &Mirror) {
    let seed = store.seed(group).await.unwrap();
    assert_eq!(
        (seed.time, seed.feature_level, seed.counters),
        (mirror.time, mirror.feature_level, mirror.counters)
    );
    assert_eq!(seed.nodes, mirror.nodes.values().cloned().collect::<Vec<_>>());
    assert_eq!(seed.moves, mirror.moves.values().cloned().collect::<Vec<_>>());
    assert_eq!(seed.shards, mirror.shards.values().cloned().collect::<Vec<_>>());
    let instances: Vec<_> = mirror.instances.iter().map(|(id, (at, mark))| (*id, *at, *mark)).collect();
    assert_eq!(seed.instances, instances);
    let records = mirror
        .records
        .iter()
        .map(|(key, (accounts, outcome))| (key.0, key.1, accounts.clone(), outcome.clone()));
    assert_eq!(seed.records, records.collect::<Vec<_>>());
}

async fn check_accounts(store: &dyn MetaStore, group: GroupId, mirror: &Mirror) {
    for account in (1..=12).map(AccountId) {
        let expected = mirror.accounts.get(&account).map(|row| AccountLoaded {
            row: row.clone(),
            mailboxes: mirror.mailboxes.values().filter(|row| row.key.account == account).cloned().collect(),
            subscriptions: mirror
                .subscriptions
                .keys()
                .filter(|key| key.0 == account)
                .map(|key| key.1.clone())
                .collect(),
        });
        let loaded = store.load(group, &Need::Account(account)).await.unwrap();
        assert_eq!(loaded, Loaded::Account(account, expected.map(Box::new)));
    }
}

async fn check_messages(store: &dyn MetaStore, group: GroupId, mirror: &Mirror) {
    let keys = mirror.messages.keys().chain(mirror.tombstones.keys()).map(|key| key.0);
    let keys: BTreeSet<MailboxKey> = keys.chain(mirror.mailboxes.keys().copied()).collect();
    for key in keys {
        let live: Vec<MessageRow> =
            mirror.messages.iter().filter(|it| it.0.0 == key).map(|it| *it.1).collect();
        let dead: Vec<_> = mirror.tombstones.iter().filter(|it| it.0.0 == key).map(|it| *it.1).collect();
        assert_eq!(store.load(group, &Need::Index(key)).await.unwrap(), Loaded::Index(key, live.clone()));

        let everything = UidSet::from(Uid::MIN..=Uid::MAX);
        let every_third: UidSet = (1..2000).step_by(3).filter_map(Uid::new).collect();
        for uids in [everything, every_third] {
            let summaries = mirror.summaries.iter().filter(|it| it.0.0 == key && uids.contains(it.0.1));
            let summaries: Vec<_> = summaries.map(|it| (it.0.1, it.1.clone())).collect();
            assert_eq!(store.summaries(group, key, &uids).await.unwrap(), summaries, "summaries of {key}");
            let some: Vec<_> = dead.iter().filter(|it| uids.contains(it.message.uid)).copied().collect();
            assert_eq!(store.tombstones(group, key, &uids).await.unwrap(), some, "tombstones of {key}");
        }
        let since = dead.get(dead.len() / 2).map_or(ModSeq::ZERO, |it| it.message.modseq);
        let gone: UidSet =
            dead.iter().filter(|it| it.message.modseq > since).map(|it| it.message.uid).collect();
        assert_eq!(store.expunged_since(group, key, since).await.unwrap(), gone);
        let residue: UidSet =
            live.iter().map(|it| it.uid).chain(dead.iter().map(|it| it.message.uid)).collect();
        let residue: UidSet = residue.iter().take(2000).collect();
        assert_eq!(store.load(group, &Need::Residue(key)).await.unwrap(), Loaded::Residue(key, residue));
    }
}

async fn check_staged(store: &dyn MetaStore, group: GroupId, mirror: &Mirror) {
    let stagings: BTreeSet<_> = mirror.staged.keys().map(|key| (key.0, key.1)).collect();
    for (account, staging) in stagings {
        let rows: Vec<_> = mirror.staged.iter().filter(|it| (it.0.0, it.0.1) == (account, staging)).collect();
        let expected = (rows[0].1.0, rows.iter().map(|it| it.1.1).collect());
        let loaded = store.load(group, &Need::Staging(account, staging)).await.unwrap();
        assert_eq!(loaded, Loaded::Staging(account, staging, Some(expected)));
    }
    let loaded = store.load(group, &Need::Staging(AccountId(1), 999)).await.unwrap();
    assert_eq!(loaded, Loaded::Staging(AccountId(1), 999, None));
}

/// In pages: what is being deleted, and what is staged.
async fn check_residue(store: &dyn MetaStore, group: GroupId, mirror: &Mirror) {
    let deleting = mirror.mailboxes.values().filter(|row| row.state == MailboxState::Deleting);
    let deleting: Vec<_> = deleting.map(|row| row.key).collect();
    let mut found = Vec::new();
    loop {
        let page = store.deleting_mailboxes(group, found.last().copied(), 2).await.unwrap();
        found.extend(page.iter().copied());
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(found, deleting);
    let staged: BTreeSet<_> = mirror.staged.keys().map(|key| (key.0, key.1)).collect();
    let mut found = Vec::new();
    loop {
        let page = store.staged_copies(group, found.last().copied(), 1).await.unwrap();
        found.extend(page.iter().copied());
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(found, staged.into_iter().collect::<Vec<_>>());
}

async fn check_directory(store: &dyn MetaStore, group: GroupId, mirror: &Mirror) {
    let mut counts: BTreeMap<GroupId, u64> = BTreeMap::new();
    mirror.placements.values().for_each(|row| *counts.entry(row.shard).or_default() += 1);
    let loaded = store.load(group, &Need::PlacementCounts).await.unwrap();
    assert_eq!(loaded, Loaded::PlacementCounts(counts));
    for (id, row) in &mirror.tenants {
        let loaded = store.load(group, &Need::Tenant(*id)).await.unwrap();
        assert_eq!(loaded, Loaded::Tenant(*id, Some(row.clone())));
        let loaded = store.load(group, &Need::TenantName(row.name.clone())).await.unwrap();
        assert_eq!(loaded, Loaded::TenantName(row.name.clone(), Some(row.clone())));
    }
    for (domain, row) in &mirror.domains {
        let loaded = store.load(group, &Need::Domain(domain.clone())).await.unwrap();
        assert_eq!(loaded, Loaded::Domain(domain.clone(), Some(row.clone())));
    }
    for (address, row) in &mirror.addresses {
        let loaded = store.load(group, &Need::Address(address.clone())).await.unwrap();
        assert_eq!(loaded, Loaded::Address(address.clone(), Some(row.clone())));
    }
    for (account, row) in &mirror.placements {
        let loaded = store.load(group, &Need::Placement(*account)).await.unwrap();
        assert_eq!(loaded, Loaded::Placement(*account, Some(row.clone())));
        let Loaded::AddressesOf(_, found) = store.load(group, &Need::AddressesOf(*account)).await.unwrap()
        else {
            panic!("not what was asked for")
        };
        let mut found: Vec<_> = found.into_iter().map(|row| row.address).collect();
        found.sort();
        let expected =
            mirror.addresses.values().filter(|row| row.account == *account).map(|row| row.address.clone());
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}
