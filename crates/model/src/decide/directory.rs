//! The directory group: tenants, their domains, which account an address leads to, and the cluster's nodes and shards.

mod account;
mod alias;
pub(super) mod cluster;
mod domain;
mod relocation;
mod tenant;

use buzon_types::address::Domain;
use buzon_types::id::TenantId;
use buzon_types::time::Timestamp;

use crate::command::DirectoryCommand;
use crate::decide::Decided;
use crate::reply::Rejection;
use crate::row::DomainRow;
use crate::state::State;

pub(super) fn decide(state: &State, at: Timestamp, command: &DirectoryCommand) -> Decided {
    match command {
        DirectoryCommand::CreateTenant { name, limits } => tenant::create(state, at, name, *limits),
        DirectoryCommand::SetTenantLimits { tenant, limits } => tenant::set_limits(state, *tenant, *limits),
        DirectoryCommand::DeleteTenant(tenant) => tenant::delete(state, *tenant),
        DirectoryCommand::AddDomain { tenant, domain } => domain::add(state, *tenant, domain),
        DirectoryCommand::RemoveDomain { tenant, domain } => domain::remove(state, *tenant, domain),
        DirectoryCommand::PlaceAccount { tenant, address, shard } => {
            account::place(state, at, *tenant, address, *shard)
        }
        DirectoryCommand::ActivateAccount(account) => account::activate(state, *account),
        DirectoryCommand::BeginDeleteAccount(account) => account::begin_delete(state, *account),
        DirectoryCommand::FinishDeleteAccount(account) => account::finish_delete(state, *account),
        DirectoryCommand::AddAlias { address, account } => alias::add(state, address, *account),
        DirectoryCommand::RemoveAlias { address } => alias::remove(state, address),
        DirectoryCommand::BeginMove { account, to } => relocation::begin(state, at, *account, *to),
        DirectoryCommand::CommitMove(step) => relocation::commit(state, step.account, step.epoch),
        DirectoryCommand::AbortMove(step) => relocation::abort(state, step.account, step.epoch),
        DirectoryCommand::FinishMove(step) => relocation::finish(state, step.account, step.epoch),
    }
}

/// A tenant's own domain; another tenant's does not exist for it (DESIGN promise 6).
fn domain_of<'a>(state: &'a State, tenant: TenantId, domain: &Domain) -> Result<&'a DomainRow, Rejection> {
    state.domain(domain).filter(|row| row.tenant == tenant).ok_or(Rejection::NoSuchDomain)
}
