//! Domains.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use buzon_model::command::DirectoryCommand;
use buzon_model::read::ReadAt;
use buzon_model::row::DomainRow;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::CallError;
use buzon_types::id::TenantId;

use super::Admin;
use super::find::{domain, page_rows};
use crate::groups::cold;

pub(super) async fn add(admin: &Admin, request: pb::AddDomainRequest) -> Result<pb::Domain, CallError> {
    let domain = domain(&request.domain)?;
    let tenant = admin.tenant_named(&request.tenant).await?;
    let command = DirectoryCommand::AddDomain { tenant: tenant.id, domain: domain.clone() };
    admin.direct(command, domain.as_str()).await?;
    Ok(answer(&admin.domain_row(&domain).await?, &tenant.name))
}

pub(super) async fn list(
    admin: &Admin,
    request: pb::ListDomainsRequest,
) -> Result<pb::ListDomainsResponse, CallError> {
    let tenant = match request.tenant.as_str() {
        "" => None,
        name => Some(admin.tenant_named(name).await?.id),
    };
    let directory = admin.directory()?;
    directory.read(ReadAt::Linearizable, [], |_| ()).await?;
    let (rows_max, after) = (page_rows(request.rows_max), Some(request.page.as_str()));
    let after = after.filter(|page| !page.is_empty());
    let rows = directory.rows().await?.domains(tenant, after, rows_max).await.map_err(cold)?;
    let is_full = rows.len() == rows_max as usize;
    let next_page = rows.last().filter(|_| is_full).map(|row| row.domain.to_string()).unwrap_or_default();
    let mut names = Names::default();
    let mut domains = Vec::with_capacity(rows.len());
    for row in &rows {
        domains.push(answer(row, names.of(admin, row.tenant).await?));
    }
    Ok(pb::ListDomainsResponse { domains, next_page })
}

pub(super) async fn remove(
    admin: &Admin,
    request: pb::RemoveDomainRequest,
) -> Result<pb::RemoveDomainResponse, CallError> {
    let domain = domain(&request.domain)?;
    let tenant = admin.domain_row(&domain).await?.tenant;
    let what = domain.to_string();
    admin.direct(DirectoryCommand::RemoveDomain { tenant, domain }, &what).await?;
    Ok(pb::RemoveDomainResponse {})
}

fn answer(row: &DomainRow, tenant: &str) -> pb::Domain {
    pb::Domain {
        domain: row.domain.to_string(),
        tenant_id: row.tenant.0,
        tenant: tenant.to_owned(),
        addresses: row.addresses,
    }
}

/// Names of tenants, each asked for once in a page.
#[derive(Default)]
pub(super) struct Names {
    known: HashMap<TenantId, String>,
}

impl Names {
    pub(super) async fn of(&mut self, admin: &Admin, id: TenantId) -> Result<&str, CallError> {
        match self.known.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => Ok(new.insert(admin.tenant(id).await?.name)),
        }
    }
}
