//! Domains: each belongs to one tenant.

use buzon_types::address::Domain;
use buzon_types::id::TenantId;

use crate::change::Change;
use crate::decide::Decided;
use crate::decide::directory::domain_of;
use crate::reply::{Rejection, Reply};
use crate::row::{DomainRow, TenantRow};
use crate::state::State;

pub(super) fn add(state: &State, id: TenantId, domain: &Domain) -> Decided {
    let tenant = state.tenant(id).ok_or(Rejection::NoSuchTenant)?;
    match state.domain(domain) {
        Some(row) if row.tenant == id => return Ok((vec![], Reply::Done)),
        Some(_) => return Err(Rejection::DomainTaken(domain.clone())),
        None => {}
    }
    let tenant = TenantRow { domains: tenant.domains + 1, ..tenant.clone() };
    let row = DomainRow { domain: domain.clone(), tenant: id, addresses: 0 };
    Ok((vec![Change::PutTenant(tenant), Change::PutDomain(row)], Reply::Done))
}

pub(super) fn remove(state: &State, id: TenantId, domain: &Domain) -> Decided {
    let tenant = state.tenant(id).ok_or(Rejection::NoSuchTenant)?;
    let row = domain_of(state, id, domain)?;
    if row.addresses > 0 {
        return Err(Rejection::NotEmpty);
    }
    let tenant = TenantRow { domains: tenant.domains - 1, ..tenant.clone() };
    Ok((vec![Change::RemoveDomain(domain.clone()), Change::PutTenant(tenant)], Reply::Done))
}
