//! Accounts as the directory knows them: placed, activated, taken back. The shard's steps lie between these.

use std::collections::BTreeMap;

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, DIRECTORY, Epoch, GroupId, TenantId};
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::decide::Decided;
use crate::decide::directory::domain_of;
use crate::limits::FEATURE_LEVEL_CLUSTER;
use crate::reply::{Rejection, Reply};
use crate::row::{
    AddressRow, DirectoryCounters, DomainRow, PlacementRow, PlacementState, ShardRow, TenantRow,
};
use crate::state::State;

pub(super) fn place(
    state: &State,
    at: Timestamp,
    id: TenantId,
    address: &Address,
    shard: GroupId,
) -> Decided {
    let tenant = state.tenant(id).ok_or(Rejection::NoSuchTenant)?;
    let domain = domain_of(state, id, address.domain())?;
    if shard == DIRECTORY && state.feature_level() < FEATURE_LEVEL_CLUSTER {
        return Err(Rejection::NotHere);
    }
    if let Some(row) = state.address(address) {
        return placed_before(state, id, row);
    }
    if tenant.limits.accounts_max.is_some_and(|max| tenant.accounts >= max) {
        return Err(Rejection::TenantFull);
    }
    let shard_row = shard_for(state, shard)?;
    let shard = shard_row.map_or(shard, |row| row.group);
    let counters = state.directory_counters();
    let (account, epoch) = (counters.next_account, Epoch(1));
    let address = address.clone();
    let placement = PlacementRow {
        account,
        tenant: id,
        address: address.clone(),
        shard,
        epoch,
        state: PlacementState::Creating,
        created_at: at,
    };
    let mut changes = vec![
        Change::SetDirectoryCounters(DirectoryCounters {
            next_account: AccountId(account.0 + 1),
            ..counters
        }),
        Change::PutTenant(TenantRow { accounts: tenant.accounts + 1, ..tenant.clone() }),
        Change::PutDomain(DomainRow { addresses: domain.addresses + 1, ..domain.clone() }),
        Change::PutPlacement(placement),
        Change::PutAddress(AddressRow { address, account }),
    ];
    changes.extend(shard_row.map(|row| with_accounts(row, row.accounts + 1)));
    Ok((changes, Reply::AccountPlaced { account, shard, epoch }))
}

/// The shard that was asked for, or the one with the fewest accounts. Before the cluster is founded shards have no rows.
fn shard_for(state: &State, asked: GroupId) -> Result<Option<&ShardRow>, Rejection> {
    match (state.is_founded(), asked) {
        (true, DIRECTORY) => Ok(state.shards().min_by_key(|row| (row.accounts, row.group))),
        (true, shard) => state.shard(shard).map(Some).ok_or(Rejection::NoSuchShard(shard)),
        (false, DIRECTORY) => Err(Rejection::ClusterNotFounded),
        (false, _) => Ok(None),
    }
}

fn with_accounts(row: &ShardRow, accounts: u64) -> Change {
    Change::PutShard(ShardRow { accounts, ..row.clone() })
}

/// Somebody who began to make this account and was cut off goes on with it.
fn placed_before(state: &State, tenant: TenantId, row: &AddressRow) -> Decided {
    let taken = || Rejection::AddressTaken(row.address.clone());
    let placement = state.placement(row.account).ok_or_else(taken)?;
    let is_same = placement.tenant == tenant
        && placement.state == PlacementState::Creating
        && placement.address == row.address;
    if !is_same {
        return Err(taken());
    }
    let PlacementRow { account, shard, epoch, .. } = *placement;
    Ok((vec![], Reply::AccountPlaced { account, shard, epoch }))
}

pub(super) fn activate(state: &State, id: AccountId) -> Decided {
    match state.placement(id) {
        Some(row) if row.state == PlacementState::Creating => {
            Ok((vec![put(row, PlacementState::Active)], Reply::Done))
        }
        Some(row) if row.state == PlacementState::Active => Ok((vec![], Reply::Done)),
        _ => Err(Rejection::NoSuchAccount),
    }
}

pub(super) fn begin_delete(state: &State, id: AccountId) -> Decided {
    let row = state.placement(id).ok_or(Rejection::NoSuchAccount)?;
    if row.state == PlacementState::Deleting {
        return Ok((vec![], Reply::Done));
    }
    if let Some(pending) = state.pending_move(id) {
        return Err(Rejection::MovePending(pending.to));
    }
    Ok((vec![put(row, PlacementState::Deleting)], Reply::Done))
}

/// One that is gone already is finished.
pub(super) fn finish_delete(state: &State, id: AccountId) -> Decided {
    let Some(placement) = state.placement(id) else {
        return Ok((vec![], Reply::Done));
    };
    if placement.state != PlacementState::Deleting {
        return Err(Rejection::NotHere);
    }
    let mut changes = Vec::new();
    let mut per_domain: BTreeMap<&Domain, u64> = BTreeMap::new();
    for address in state.addresses_of(id).into_iter().flatten() {
        changes.push(Change::RemoveAddress(address.clone()));
        *per_domain.entry(address.domain()).or_default() += 1;
    }
    for (domain, addresses) in per_domain {
        if let Some(row) = state.domain(domain) {
            changes
                .push(Change::PutDomain(DomainRow { addresses: row.addresses - addresses, ..row.clone() }));
        }
    }
    changes.push(Change::RemovePlacement(id));
    if let Some(row) = state.tenant(placement.tenant) {
        changes.push(Change::PutTenant(TenantRow { accounts: row.accounts - 1, ..row.clone() }));
    }
    changes.extend(state.shard(placement.shard).map(|row| with_accounts(row, row.accounts - 1)));
    Ok((changes, Reply::Done))
}

fn put(row: &PlacementRow, state: PlacementState) -> Change {
    Change::PutPlacement(PlacementRow { state, ..row.clone() })
}
