//! Tenants.

use buzon_model::command::DirectoryCommand;
use buzon_model::read::ReadAt;
use buzon_model::row::{TenantLimits, TenantRow};
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::CallError;

use super::Admin;
use super::find::page_rows;
use super::refusal::invalid;
use crate::groups::cold;

/// As told in admin.proto.
const NAME_BYTES_MAX: usize = 100;

pub(super) async fn create(admin: &Admin, request: pb::CreateTenantRequest) -> Result<pb::Tenant, CallError> {
    let name = request.name;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(allowed) {
        let why = "must be 1 to 100 letters, digits, '-', '_' or '.'";
        return Err(invalid("tenant name", &name, why));
    }
    let limits = request.limits.map(TenantLimits::from).unwrap_or_default();
    admin.direct(DirectoryCommand::CreateTenant { name: name.clone(), limits }, &name).await?;
    Ok(tenant(&admin.tenant_named(&name).await?))
}

pub(super) async fn list(
    admin: &Admin,
    request: pb::ListTenantsRequest,
) -> Result<pb::ListTenantsResponse, CallError> {
    let directory = admin.directory()?;
    directory.read(ReadAt::Linearizable, [], |_| ()).await?;
    let (rows_max, after) = (page_rows(request.rows_max), Some(request.page.as_str()));
    let after = after.filter(|page| !page.is_empty());
    let rows = directory.rows().await?.tenants(after, rows_max).await.map_err(cold)?;
    let is_full = rows.len() == rows_max as usize;
    let next_page = rows.last().filter(|_| is_full).map(|row| row.name.clone()).unwrap_or_default();
    Ok(pb::ListTenantsResponse { tenants: rows.iter().map(tenant).collect(), next_page })
}

pub(super) async fn get(admin: &Admin, request: pb::GetTenantRequest) -> Result<pb::Tenant, CallError> {
    Ok(tenant(&admin.tenant_named(&request.name).await?))
}

pub(super) async fn delete(
    admin: &Admin,
    request: pb::DeleteTenantRequest,
) -> Result<pb::DeleteTenantResponse, CallError> {
    let row = admin.tenant_named(&request.name).await?;
    admin.direct(DirectoryCommand::DeleteTenant(row.id), &row.name).await?;
    Ok(pb::DeleteTenantResponse {})
}

fn tenant(row: &TenantRow) -> pb::Tenant {
    pb::Tenant {
        id: row.id.0,
        name: row.name.clone(),
        limits: Some(row.limits.into()),
        accounts: row.accounts,
        domains: row.domains,
        created_at_ms: row.created_at.0,
    }
}
