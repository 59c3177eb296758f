//! Entries and commands; those of nodes and shards are in `cluster.rs`, those for shards in `shard.rs`.

use buzon_model::command::{Command, DirectoryCommand, Entry, ShardCommand};
use buzon_types::id::{AccountId, FeatureLevel, GroupId, TenantId};
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;

use super::{cluster, shard};
use crate::pb::log::v1 as pb;
use crate::pb::log::v1::command::Command as Kind;
use crate::wire::{self, Wire, WireError};

impl From<&Entry> for pb::Entry {
    fn from(entry: &Entry) -> Self {
        Self {
            at_ms: entry.at.0,
            request: entry.request.map(Into::into),
            command: Some((&entry.command).into()),
        }
    }
}

impl TryFrom<pb::Entry> for Entry {
    type Error = WireError;

    fn try_from(entry: pb::Entry) -> Wire<Self> {
        Ok(Self {
            at: Timestamp(entry.at_ms),
            request: entry.request.map(RequestId::try_from).transpose()?,
            command: wire::convert(entry.command, "entry.command")?,
        })
    }
}

impl From<RequestId> for pb::RequestId {
    fn from(request: RequestId) -> Self {
        Self {
            instance: wire::id_bytes(request.instance.0),
            sequence: request.sequence,
            acknowledged_below: request.acknowledged_below,
        }
    }
}

impl TryFrom<pb::RequestId> for RequestId {
    type Error = WireError;

    fn try_from(request: pb::RequestId) -> Wire<Self> {
        Ok(Self {
            instance: InstanceId(wire::id(&request.instance, "request_id.instance")?),
            sequence: request.sequence,
            acknowledged_below: request.acknowledged_below,
        })
    }
}

impl From<&Command> for pb::Command {
    fn from(command: &Command) -> Self {
        let kind = match command {
            Command::OpenInstance(instance) => Kind::OpenInstance(wire::id_bytes(instance.0)),
            Command::CloseInstance(instance) => Kind::CloseInstance(wire::id_bytes(instance.0)),
            Command::RaiseFeatureLevel(level) => Kind::RaiseFeatureLevel(level.0),
            Command::Directory(command) => directory(command),
            Command::Cluster(command) => cluster::to_wire(command),
            Command::Shard(command) => shard::to_wire(command),
        };
        Self { command: Some(kind) }
    }
}

fn directory(command: &DirectoryCommand) -> Kind {
    match command {
        DirectoryCommand::CreateTenant { name, limits } => {
            Kind::CreateTenant(pb::CreateTenant { name: name.clone(), limits: Some((*limits).into()) })
        }
        DirectoryCommand::SetTenantLimits { tenant, limits } => {
            Kind::SetTenantLimits(pb::SetTenantLimits { tenant: tenant.0, limits: Some((*limits).into()) })
        }
        DirectoryCommand::DeleteTenant(tenant) => Kind::DeleteTenant(tenant.0),
        DirectoryCommand::AddDomain { tenant, domain } => {
            Kind::AddDomain(pb::TenantDomain { tenant: tenant.0, domain: domain.to_string() })
        }
        DirectoryCommand::RemoveDomain { tenant, domain } => {
            Kind::RemoveDomain(pb::TenantDomain { tenant: tenant.0, domain: domain.to_string() })
        }
        DirectoryCommand::PlaceAccount { tenant, address, shard } => Kind::PlaceAccount(pb::PlaceAccount {
            tenant: tenant.0,
            address: address.to_string(),
            shard: shard.0,
        }),
        DirectoryCommand::ActivateAccount(account) => Kind::ActivateAccount(account.0),
        DirectoryCommand::BeginDeleteAccount(account) => Kind::BeginDeleteAccount(account.0),
        DirectoryCommand::FinishDeleteAccount(account) => Kind::FinishDeleteAccount(account.0),
        DirectoryCommand::AddAlias { address, account } => {
            Kind::AddAlias(pb::AddAlias { address: address.to_string(), account: account.0 })
        }
        DirectoryCommand::RemoveAlias { address } => Kind::RemoveAlias(address.to_string()),
        DirectoryCommand::BeginMove { account, to } => {
            Kind::BeginMove(pb::BeginMove { account: account.0, to: to.0 })
        }
        DirectoryCommand::CommitMove(step) => Kind::CommitMove((*step).into()),
        DirectoryCommand::AbortMove(step) => Kind::AbortMove((*step).into()),
        DirectoryCommand::FinishMove(step) => Kind::FinishMove((*step).into()),
    }
}

impl TryFrom<pb::Command> for Command {
    type Error = WireError;

    fn try_from(command: pb::Command) -> Wire<Self> {
        let instance = |bytes, field| wire::id(bytes, field).map(InstanceId);
        match wire::required(command.command, "command.command")? {
            Kind::OpenInstance(bytes) => Ok(Self::OpenInstance(instance(&bytes, "command.open_instance")?)),
            Kind::CloseInstance(bytes) => {
                Ok(Self::CloseInstance(instance(&bytes, "command.close_instance")?))
            }
            Kind::RaiseFeatureLevel(level) => Ok(Self::RaiseFeatureLevel(FeatureLevel(level))),
            kind => match directory_from_wire(kind)? {
                Found::Directory(command) => Ok(Self::Directory(command)),
                Found::Other(kind) => match cluster::from_wire(kind)? {
                    cluster::Found::Cluster(command) => Ok(Self::Cluster(command)),
                    cluster::Found::Other(kind) => shard::from_wire(kind).map(Self::Shard),
                },
            },
        }
    }
}

/// A directory command, or one for `cluster.rs` or `shard.rs`.
enum Found {
    Directory(DirectoryCommand),
    Other(Kind),
}

fn directory_from_wire(kind: Kind) -> Wire<Found> {
    Ok(Found::Directory(match kind {
        Kind::CreateTenant(it) => DirectoryCommand::CreateTenant {
            name: it.name,
            limits: wire::required(it.limits, "create_tenant.limits")?.into(),
        },
        Kind::SetTenantLimits(it) => DirectoryCommand::SetTenantLimits {
            tenant: TenantId(it.tenant),
            limits: wire::required(it.limits, "set_tenant_limits.limits")?.into(),
        },
        Kind::DeleteTenant(tenant) => DirectoryCommand::DeleteTenant(TenantId(tenant)),
        Kind::AddDomain(it) => DirectoryCommand::AddDomain {
            tenant: TenantId(it.tenant),
            domain: wire::domain(&it.domain, "add_domain.domain")?,
        },
        Kind::RemoveDomain(it) => DirectoryCommand::RemoveDomain {
            tenant: TenantId(it.tenant),
            domain: wire::domain(&it.domain, "remove_domain.domain")?,
        },
        Kind::PlaceAccount(it) => DirectoryCommand::PlaceAccount {
            tenant: TenantId(it.tenant),
            address: wire::address(&it.address, "place_account.address")?,
            shard: GroupId(it.shard),
        },
        Kind::ActivateAccount(account) => DirectoryCommand::ActivateAccount(AccountId(account)),
        Kind::BeginDeleteAccount(account) => DirectoryCommand::BeginDeleteAccount(AccountId(account)),
        Kind::FinishDeleteAccount(account) => DirectoryCommand::FinishDeleteAccount(AccountId(account)),
        Kind::AddAlias(it) => DirectoryCommand::AddAlias {
            address: wire::address(&it.address, "add_alias.address")?,
            account: AccountId(it.account),
        },
        Kind::RemoveAlias(address) => {
            DirectoryCommand::RemoveAlias { address: wire::address(&address, "command.remove_alias")? }
        }
        Kind::BeginMove(it) => {
            DirectoryCommand::BeginMove { account: AccountId(it.account), to: GroupId(it.to) }
        }
        Kind::CommitMove(step) => DirectoryCommand::CommitMove(step.into()),
        Kind::AbortMove(step) => DirectoryCommand::AbortMove(step.into()),
        Kind::FinishMove(step) => DirectoryCommand::FinishMove(step.into()),
        other => return Ok(Found::Other(other)),
    }))
}

/// For those who hold a command of one kind.
impl From<&ShardCommand> for pb::Command {
    fn from(command: &ShardCommand) -> Self {
        Self { command: Some(shard::to_wire(command)) }
    }
}
