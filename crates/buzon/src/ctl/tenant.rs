//! `buzon ctl tenant`.

use buzon_proto::pb::admin::v1::{
    CreateTenantRequest, DeleteTenantRequest, GetTenantRequest, ListDomainsRequest, ListTenantsRequest,
    Tenant,
};
use buzon_proto::pb::log::v1::TenantLimits;
use serde_json::json;

use super::connection::Admin;
use super::output::{Output, time};
use crate::cli::TenantCommand;

pub(super) async fn run(admin: &mut Admin, command: TenantCommand) -> anyhow::Result<Output> {
    match command {
        TenantCommand::Create { name, accounts_max } => {
            let limits = Some(TenantLimits { accounts_max });
            let tenant = admin.create_tenant(CreateTenantRequest { name, limits }).await?.into_inner();
            Ok(one(&tenant, &[]))
        }
        TenantCommand::List => {
            let (mut rows, mut page) = (Vec::new(), String::new());
            loop {
                let answer = admin.list_tenants(ListTenantsRequest { page, rows_max: 0 }).await?.into_inner();
                rows.extend(
                    answer
                        .tenants
                        .iter()
                        .map(|it| vec![json!(it.name), json!(it.accounts), json!(it.domains)]),
                );
                page = answer.next_page;
                if page.is_empty() {
                    return Ok(Output::Rows(&["name", "accounts", "domains"], rows));
                }
            }
        }
        TenantCommand::Show { name } => {
            let tenant = admin.get_tenant(GetTenantRequest { name: name.clone() }).await?.into_inner();
            let domains = ListDomainsRequest { tenant: name, page: String::new(), rows_max: 1000 };
            let domains = admin.list_domains(domains).await?.into_inner().domains;
            Ok(one(&tenant, &domains.into_iter().map(|it| it.domain).collect::<Vec<_>>()))
        }
        TenantCommand::Delete { name } => {
            admin.delete_tenant(DeleteTenantRequest { name: name.clone() }).await?;
            Ok(Output::Done(format!("tenant {name} is deleted")))
        }
    }
}

fn one(tenant: &Tenant, domains: &[String]) -> Output {
    Output::One(vec![
        ("name", json!(tenant.name)),
        ("id", json!(tenant.id)),
        ("accounts", json!(tenant.accounts)),
        ("accounts_max", json!(tenant.limits.as_ref().and_then(|it| it.accounts_max))),
        ("domains", json!(domains)),
        ("created", time(tenant.created_at_ms)),
    ])
}
