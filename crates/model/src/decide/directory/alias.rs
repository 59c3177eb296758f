//! More addresses for an account.

use buzon_types::address::Address;
use buzon_types::id::AccountId;

use crate::change::Change;
use crate::decide::Decided;
use crate::decide::directory::domain_of;
use crate::reply::{Rejection, Reply};
use crate::row::{AddressRow, DomainRow, PlacementState};
use crate::state::State;

pub(super) fn add(state: &State, address: &Address, account: AccountId) -> Decided {
    let placement = state.placement(account).filter(|row| row.state != PlacementState::Deleting);
    let placement = placement.ok_or(Rejection::NoSuchAccount)?;
    let domain = domain_of(state, placement.tenant, address.domain())?;
    match state.address(address) {
        Some(row) if row.account == account => return Ok((vec![], Reply::Done)),
        Some(_) => return Err(Rejection::AddressTaken(address.clone())),
        None => {}
    }
    let changes = vec![
        Change::PutDomain(DomainRow { addresses: domain.addresses + 1, ..domain.clone() }),
        Change::PutAddress(AddressRow { address: address.clone(), account }),
    ];
    Ok((changes, Reply::Done))
}

pub(super) fn remove(state: &State, address: &Address) -> Decided {
    let row = state.address(address).ok_or(Rejection::NoSuchAddress)?;
    if state.placement(row.account).is_some_and(|placement| placement.address == *address) {
        return Err(Rejection::PrimaryAddress);
    }
    let mut changes = vec![Change::RemoveAddress(address.clone())];
    if let Some(domain) = state.domain(address.domain()) {
        changes.push(Change::PutDomain(DomainRow { addresses: domain.addresses - 1, ..domain.clone() }));
    }
    Ok((changes, Reply::Done))
}
