//! `buzon ctl domain`.

use anyhow::bail;
use buzon_proto::pb::admin::v1::{AddDomainRequest, ListDomainsRequest, RemoveDomainRequest};
use serde_json::json;

use super::connection::Admin;
use super::output::Output;
use crate::cli::DomainCommand;

pub(super) async fn run(admin: &mut Admin, command: DomainCommand) -> anyhow::Result<Output> {
    match command {
        DomainCommand::Add { tenant, domain } => {
            let added = admin.add_domain(AddDomainRequest { tenant, domain }).await?.into_inner();
            Ok(Output::One(vec![("domain", json!(added.domain)), ("tenant", json!(added.tenant))]))
        }
        DomainCommand::List { tenant } => {
            let rows = list(admin, tenant.unwrap_or_default()).await?;
            Ok(Output::Rows(&["domain", "tenant", "addresses"], rows))
        }
        DomainCommand::Remove { tenant, domain } => {
            let owned = list(admin, tenant.clone()).await?;
            if !owned.iter().any(|row| row[0] == json!(domain.to_lowercase())) {
                bail!(tonic::Status::not_found(format!("tenant {tenant} has no domain {domain}")));
            }
            admin.remove_domain(RemoveDomainRequest { domain: domain.clone() }).await?;
            Ok(Output::Done(format!("domain {domain} is removed")))
        }
    }
}

async fn list(admin: &mut Admin, tenant: String) -> anyhow::Result<Vec<Vec<serde_json::Value>>> {
    let (mut rows, mut page) = (Vec::new(), String::new());
    loop {
        let ask = ListDomainsRequest { tenant: tenant.clone(), page, rows_max: 1000 };
        let answer = admin.list_domains(ask).await?.into_inner();
        rows.extend(
            answer.domains.iter().map(|it| vec![json!(it.domain), json!(it.tenant), json!(it.addresses)]),
        );
        page = answer.next_page;
        if page.is_empty() {
            return Ok(rows);
        }
    }
}
