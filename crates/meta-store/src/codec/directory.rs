//! Tenants, domains, placements and addresses. The order of columns is that of `table`.

use buzon_model::row::{AddressRow, DomainRow, PlacementRow, PlacementState, TenantLimits, TenantRow};
use buzon_types::address::Domain;
use buzon_types::id::{AccountId, Epoch, GroupId, TenantId};
use bytes::Bytes;

use super::{address, address_from, bytes, corrupt, narrow, text, time, unsigned};
use crate::cell::{Cells, Rows};
use crate::error::StoreError;

pub(crate) fn put_tenant(rows: &mut Rows, row: &TenantRow) {
    rows.row()
        .unsigned(row.id.0)
        .bytes(Bytes::copy_from_slice(row.name.as_bytes()))
        .int_or_null(row.limits.accounts_max.map(u64::cast_signed))
        .unsigned(row.accounts)
        .unsigned(row.domains)
        .int(row.created_at.0);
}

pub(crate) fn tenant(cells: &dyn Cells) -> Result<TenantRow, StoreError> {
    let name = std::str::from_utf8(bytes(cells, 1, "tenant.name")?).map_err(|_| corrupt("tenant.name"))?;
    Ok(TenantRow {
        id: TenantId(unsigned(cells, 0, "tenant.id")?),
        name: name.to_owned(),
        limits: TenantLimits { accounts_max: cells.int(2)?.map(i64::cast_unsigned) },
        accounts: unsigned(cells, 3, "tenant.accounts")?,
        domains: unsigned(cells, 4, "tenant.domains")?,
        created_at: time(cells, 5, "tenant.created_at")?,
    })
}

pub(crate) fn put_domain(rows: &mut Rows, row: &DomainRow) {
    rows.row().text(row.domain.as_str()).unsigned(row.tenant.0).unsigned(row.addresses);
}

pub(crate) fn domain(cells: &dyn Cells) -> Result<DomainRow, StoreError> {
    Ok(DomainRow {
        domain: Domain::new(text(cells, 0, "domain.domain")?).map_err(|_| corrupt("domain.domain"))?,
        tenant: TenantId(unsigned(cells, 1, "domain.tenant")?),
        addresses: unsigned(cells, 2, "domain.addresses")?,
    })
}

pub(crate) fn put_placement(rows: &mut Rows, row: &PlacementRow) {
    rows.row()
        .unsigned(row.account.0)
        .unsigned(row.tenant.0)
        .text(row.address.local())
        .text(row.address.domain().as_str())
        .unsigned(row.shard.0)
        .unsigned(row.epoch.0)
        .int(row.state as u8)
        .int(row.created_at.0);
}

pub(crate) fn placement(cells: &dyn Cells) -> Result<PlacementRow, StoreError> {
    let state: u8 = narrow(cells, 6, "placement.state")?;
    Ok(PlacementRow {
        account: AccountId(unsigned(cells, 0, "placement.account")?),
        tenant: TenantId(unsigned(cells, 1, "placement.tenant")?),
        address: address(cells, 2, "placement.address")?,
        shard: GroupId(unsigned(cells, 4, "placement.shard")?),
        epoch: Epoch(unsigned(cells, 5, "placement.epoch")?),
        state: PlacementState::from_number(state).ok_or_else(|| corrupt("placement.state"))?,
        created_at: time(cells, 7, "placement.created_at")?,
    })
}

pub(crate) fn put_address(rows: &mut Rows, row: &AddressRow) {
    rows.row().text(row.address.domain().as_str()).text(row.address.local()).unsigned(row.account.0);
}

pub(crate) fn address_row(cells: &dyn Cells) -> Result<AddressRow, StoreError> {
    let (domain, local) = (text(cells, 0, "address.domain")?, text(cells, 1, "address.local")?);
    Ok(AddressRow {
        address: address_from(local, domain, "address")?,
        account: AccountId(unsigned(cells, 2, "address.account")?),
    })
}
