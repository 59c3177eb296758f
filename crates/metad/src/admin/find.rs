//! Things by their names, read linearizably: what a call before made, this one finds.

use buzon_model::read::ReadAt;
use buzon_model::row::{DomainRow, PlacementRow, TenantRow};
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::status::CallError;
use buzon_types::address::{Address, Domain};
use buzon_types::id::TenantId;

use super::Admin;
use super::refusal::{invalid, not_found};
use crate::directory::resolve;

/// Rows in a page unless the caller says otherwise.
const PAGE_ROWS: u32 = 100;
/// Rows in a page at most: far below the transport's message limit.
const PAGE_ROWS_MAX: u32 = 1000;

/// What the caller asked for, within bounds.
pub(super) fn page_rows(asked: u32) -> u32 {
    if asked == 0 { PAGE_ROWS } else { asked.min(PAGE_ROWS_MAX) }
}

pub(super) fn address(text: &str) -> Result<Address, CallError> {
    Address::new(text).map_err(|error| invalid("address", text, error))
}

pub(super) fn domain(text: &str) -> Result<Domain, CallError> {
    Domain::new(text).map_err(|error| invalid("domain", text, error))
}

impl Admin {
    pub(super) async fn tenant_named(&self, name: &str) -> Result<TenantRow, CallError> {
        let needs = [Need::TenantName(name.to_owned())];
        let look = |state: &State| state.tenant_named(name).cloned();
        let found = self.directory()?.read(ReadAt::Linearizable, &needs, look).await?;
        found.value.ok_or_else(|| not_found("tenant", name))
    }

    /// A tenant that some row names.
    pub(super) async fn tenant(&self, id: TenantId) -> Result<TenantRow, CallError> {
        let directory = self.directory()?;
        let look = |state: &State| state.tenant(id).cloned();
        let found = directory.read(ReadAt::Linearizable, [Need::Tenant(id)], look).await?;
        found.value.ok_or_else(|| not_found("tenant", &id.to_string()))
    }

    pub(super) async fn domain_row(&self, domain: &Domain) -> Result<DomainRow, CallError> {
        let needs = [Need::Domain(domain.clone())];
        let look = |state: &State| state.domain(domain).cloned();
        let found = self.directory()?.read(ReadAt::Linearizable, &needs, look).await?;
        found.value.ok_or_else(|| not_found("domain", domain.as_str()))
    }

    /// The account that an address leads to.
    pub(super) async fn placement(&self, address: &Address) -> Result<PlacementRow, CallError> {
        let found = resolve(&*self.directory()?, address, ReadAt::Linearizable).await?;
        found.value.ok_or_else(|| not_found("account", &address.to_string()))
    }

    /// The addresses of an account besides its primary one.
    pub(super) async fn aliases(&self, placement: &PlacementRow) -> Result<Vec<String>, CallError> {
        let needs = [Need::AddressesOf(placement.account)];
        let directory = self.directory()?;
        let found = directory.read(ReadAt::Linearizable, &needs, |state| {
            let addresses = state.addresses_of(placement.account);
            let addresses = addresses.into_iter().flatten();
            addresses.filter(|it| **it != placement.address).map(ToString::to_string).collect()
        });
        Ok(found.await?.value)
    }
}
