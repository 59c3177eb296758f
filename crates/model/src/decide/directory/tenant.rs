//! Tenants.

use buzon_types::id::TenantId;
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::decide::Decided;
use crate::limits::TENANT_NAME_BYTES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::{DirectoryCounters, TenantLimits, TenantRow};
use crate::state::State;

pub(super) fn create(state: &State, at: Timestamp, name: &str, limits: TenantLimits) -> Decided {
    let is_bad = name.is_empty() || name.len() > TENANT_NAME_BYTES_MAX || name.chars().any(char::is_control);
    if is_bad {
        return Err(Rejection::NotHere);
    }
    if state.tenant_named(name).is_some() {
        return Err(Rejection::TenantExists(name.to_owned()));
    }
    let counters = state.directory_counters();
    let id = counters.next_tenant;
    let row = TenantRow { id, name: name.to_owned(), limits, accounts: 0, domains: 0, created_at: at };
    let counters = DirectoryCounters { next_tenant: TenantId(id.0 + 1), ..counters };
    Ok((vec![Change::PutTenant(row), Change::SetDirectoryCounters(counters)], Reply::TenantCreated(id)))
}

pub(super) fn set_limits(state: &State, id: TenantId, limits: TenantLimits) -> Decided {
    let row = state.tenant(id).ok_or(Rejection::NoSuchTenant)?;
    Ok((vec![Change::PutTenant(TenantRow { limits, ..row.clone() })], Reply::Done))
}

pub(super) fn delete(state: &State, id: TenantId) -> Decided {
    let row = state.tenant(id).ok_or(Rejection::NoSuchTenant)?;
    if row.accounts > 0 || row.domains > 0 {
        return Err(Rejection::NotEmpty);
    }
    Ok((vec![Change::RemoveTenant(id)], Reply::Done))
}
