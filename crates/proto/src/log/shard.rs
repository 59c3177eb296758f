//! Commands of shards.

use buzon_model::command::{
    CreateAccount, NewMessage, Recipient, ShardCommand, StoreFlags, StoreMode, Transfer,
};
use buzon_types::id::{AccountId, Epoch, MailboxId, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::secret::Secret;

use super::{relocation, value};
use crate::pb::log::v1 as pb;
use crate::pb::log::v1::command::Command as Kind;
use crate::wire::{self, Wire, WireError};

pub(super) fn to_wire(command: &ShardCommand) -> Kind {
    match command {
        ShardCommand::CreateAccount(it) => Kind::CreateAccount(it.into()),
        ShardCommand::DeleteAccount(account) => Kind::DeleteAccount(account.0),
        ShardCommand::PurgeAccount(account) => Kind::PurgeAccount(account.0),
        ShardCommand::SetCredential { account, credential } => Kind::SetCredential(pb::SetCredential {
            account: account.0,
            credential: phc(credential.as_ref()),
        }),
        ShardCommand::SetAccountState { account, state } => {
            Kind::SetAccountState(pb::SetAccountState { account: account.0, state: *state as i32 })
        }
        ShardCommand::SetQuota { account, quota } => {
            Kind::SetQuota(pb::SetQuota { account: account.0, quota: Some((*quota).into()) })
        }
        ShardCommand::CreateMailbox { account, name, special_use, uid_validity_seed } => {
            Kind::CreateMailbox(pb::CreateMailbox {
                account: account.0,
                name: name.to_string(),
                special_use: value::special_use_number(*special_use),
                uid_validity_seed: *uid_validity_seed,
            })
        }
        ShardCommand::DeleteMailbox { account, name } => Kind::DeleteMailbox(named(*account, name)),
        ShardCommand::PurgeMailbox(key) => Kind::PurgeMailbox((*key).into()),
        ShardCommand::RenameMailbox { account, from, to, uid_validity_seed } => {
            Kind::RenameMailbox(pb::RenameMailbox {
                account: account.0,
                from: from.to_string(),
                to: to.to_string(),
                uid_validity_seed: *uid_validity_seed,
            })
        }
        ShardCommand::Subscribe { account, name } => Kind::Subscribe(named(*account, name)),
        ShardCommand::Unsubscribe { account, name } => Kind::Unsubscribe(named(*account, name)),
        ShardCommand::Relocate(step) => relocation::to_wire(step),
        messages => messages_to_wire(messages),
    }
}

/// Those that deal with messages.
fn messages_to_wire(command: &ShardCommand) -> Kind {
    match command {
        ShardCommand::Append { mailbox, messages } => Kind::Append(pb::Append {
            mailbox: Some((*mailbox).into()),
            messages: messages.iter().map(Into::into).collect(),
        }),
        ShardCommand::Deliver { recipients, message } => Kind::Deliver(pb::Deliver {
            recipients: recipients.iter().map(Into::into).collect(),
            message: Some(message.into()),
        }),
        ShardCommand::StoreFlags(it) => Kind::StoreFlags(it.into()),
        ShardCommand::Expunge { mailbox, uids } => {
            Kind::Expunge(pb::Expunge { mailbox: Some((*mailbox).into()), uids: Some(uids.into()) })
        }
        ShardCommand::Copy(transfer) => Kind::Copy(transfer.into()),
        ShardCommand::Move(transfer) => Kind::Move(transfer.into()),
        ShardCommand::StageCopy { staging, transfer } => Kind::StageCopy(pb::StageCopy {
            staging: wire::id_bytes(*staging),
            transfer: Some(transfer.into()),
        }),
        ShardCommand::PublishCopy { account, staging, messages } => Kind::PublishCopy(pb::PublishCopy {
            account: account.0,
            staging: wire::id_bytes(*staging),
            messages: *messages,
        }),
        ShardCommand::DropCopy { account, staging } => {
            Kind::DropCopy(pb::DropCopy { account: account.0, staging: wire::id_bytes(*staging) })
        }
        ShardCommand::ClaimRecent(key) => Kind::ClaimRecent((*key).into()),
        other => unreachable!("to_wire handles {other:?}"),
    }
}

pub(super) fn from_wire(kind: Kind) -> Wire<ShardCommand> {
    Ok(match kind {
        Kind::CreateAccount(it) => ShardCommand::CreateAccount(it.try_into()?),
        Kind::DeleteAccount(account) => ShardCommand::DeleteAccount(AccountId(account)),
        Kind::PurgeAccount(account) => ShardCommand::PurgeAccount(AccountId(account)),
        Kind::SetCredential(it) => ShardCommand::SetCredential {
            account: AccountId(it.account),
            credential: it.credential.map(Secret::new),
        },
        Kind::SetAccountState(it) => ShardCommand::SetAccountState {
            account: AccountId(it.account),
            state: value::account_state(it.state, "set_account_state.state")?,
        },
        Kind::SetQuota(it) => ShardCommand::SetQuota {
            account: AccountId(it.account),
            quota: wire::required(it.quota, "set_quota.quota")?.into(),
        },
        Kind::CreateMailbox(it) => ShardCommand::CreateMailbox {
            account: AccountId(it.account),
            name: wire::mailbox_name(&it.name, "create_mailbox.name")?,
            special_use: value::special_use(it.special_use, "create_mailbox.special_use")?,
            uid_validity_seed: it.uid_validity_seed,
        },
        Kind::DeleteMailbox(it) => {
            let (account, name) = name(&it, "delete_mailbox.name")?;
            ShardCommand::DeleteMailbox { account, name }
        }
        Kind::PurgeMailbox(key) => ShardCommand::PurgeMailbox(key.try_into()?),
        Kind::RenameMailbox(it) => ShardCommand::RenameMailbox {
            account: AccountId(it.account),
            from: wire::mailbox_name(&it.from, "rename_mailbox.from")?,
            to: wire::mailbox_name(&it.to, "rename_mailbox.to")?,
            uid_validity_seed: it.uid_validity_seed,
        },
        Kind::Subscribe(it) => {
            let (account, name) = name(&it, "subscribe.name")?;
            ShardCommand::Subscribe { account, name }
        }
        Kind::Unsubscribe(it) => {
            let (account, name) = name(&it, "unsubscribe.name")?;
            ShardCommand::Unsubscribe { account, name }
        }
        messages => messages_from_wire(messages)?,
    })
}

/// Those that deal with messages.
fn messages_from_wire(kind: Kind) -> Wire<ShardCommand> {
    Ok(match kind {
        Kind::Append(it) => ShardCommand::Append {
            mailbox: wire::convert(it.mailbox, "append.mailbox")?,
            messages: it.messages.into_iter().map(TryInto::try_into).collect::<Wire<_>>()?,
        },
        Kind::Deliver(it) => ShardCommand::Deliver {
            recipients: it.recipients.into_iter().map(TryInto::try_into).collect::<Wire<_>>()?,
            message: wire::convert(it.message, "deliver.message")?,
        },
        Kind::StoreFlags(it) => ShardCommand::StoreFlags(it.try_into()?),
        Kind::Expunge(it) => ShardCommand::Expunge {
            mailbox: wire::convert(it.mailbox, "expunge.mailbox")?,
            uids: wire::convert(it.uids, "expunge.uids")?,
        },
        Kind::Copy(transfer) => ShardCommand::Copy(transfer.try_into()?),
        Kind::Move(transfer) => ShardCommand::Move(transfer.try_into()?),
        Kind::StageCopy(it) => ShardCommand::StageCopy {
            staging: wire::id(&it.staging, "stage_copy.staging")?,
            transfer: wire::convert(it.transfer, "stage_copy.transfer")?,
        },
        Kind::PublishCopy(it) => ShardCommand::PublishCopy {
            account: AccountId(it.account),
            staging: wire::id(&it.staging, "publish_copy.staging")?,
            messages: it.messages,
        },
        Kind::DropCopy(it) => ShardCommand::DropCopy {
            account: AccountId(it.account),
            staging: wire::id(&it.staging, "drop_copy.staging")?,
        },
        Kind::ClaimRecent(key) => ShardCommand::ClaimRecent(key.try_into()?),
        other => ShardCommand::Relocate(relocation::from_wire(other)?),
    })
}

pub(super) fn phc(credential: Option<&Secret<String>>) -> Option<String> {
    credential.map(|credential| credential.expose().clone())
}

fn named(account: AccountId, name: &MailboxName) -> pb::NamedMailbox {
    pb::NamedMailbox { account: account.0, name: name.to_string() }
}

fn name(it: &pb::NamedMailbox, field: &'static str) -> Wire<(AccountId, MailboxName)> {
    Ok((AccountId(it.account), wire::mailbox_name(&it.name, field)?))
}

impl From<&CreateAccount> for pb::CreateAccount {
    fn from(it: &CreateAccount) -> Self {
        Self {
            account: it.account.0,
            tenant: it.tenant.0,
            epoch: it.epoch.0,
            address: it.address.to_string(),
            credential: phc(it.credential.as_ref()),
            quota: Some(it.quota.into()),
            uid_validity_seed: it.uid_validity_seed,
        }
    }
}

impl TryFrom<pb::CreateAccount> for CreateAccount {
    type Error = WireError;

    fn try_from(it: pb::CreateAccount) -> Wire<Self> {
        Ok(Self {
            account: AccountId(it.account),
            tenant: TenantId(it.tenant),
            epoch: Epoch(it.epoch),
            address: wire::address(&it.address, "create_account.address")?,
            credential: it.credential.map(Secret::new),
            quota: wire::required(it.quota, "create_account.quota")?.into(),
            uid_validity_seed: it.uid_validity_seed,
        })
    }
}

impl From<&NewMessage> for pb::NewMessage {
    fn from(it: &NewMessage) -> Self {
        Self {
            flags: it.flags.bits().into(),
            keywords: wire::keyword_names(&it.keywords),
            internal_date: Some(it.internal_date.into()),
            size: it.size,
            body: Some((&it.body).into()),
            summary: it.summary.clone(),
        }
    }
}

impl TryFrom<pb::NewMessage> for NewMessage {
    type Error = WireError;

    fn try_from(it: pb::NewMessage) -> Wire<Self> {
        Ok(Self {
            flags: wire::flags(it.flags, "new_message.flags")?,
            keywords: wire::keywords(&it.keywords, "new_message.keywords")?,
            internal_date: wire::convert(it.internal_date, "new_message.internal_date")?,
            size: it.size,
            body: wire::convert(it.body, "new_message.body")?,
            summary: it.summary,
        })
    }
}

impl From<&Recipient> for pb::Recipient {
    fn from(it: &Recipient) -> Self {
        Self { account: it.account.0, mailbox: it.mailbox.as_ref().map(ToString::to_string) }
    }
}

impl TryFrom<pb::Recipient> for Recipient {
    type Error = WireError;

    fn try_from(it: pb::Recipient) -> Wire<Self> {
        let mailbox = it.mailbox.map(|name| wire::mailbox_name(&name, "recipient.mailbox")).transpose()?;
        Ok(Self { account: AccountId(it.account), mailbox })
    }
}

impl From<&StoreFlags> for pb::StoreFlags {
    fn from(it: &StoreFlags) -> Self {
        let mode = match it.mode {
            StoreMode::Replace => pb::StoreMode::Replace,
            StoreMode::Add => pb::StoreMode::Add,
            StoreMode::Remove => pb::StoreMode::Remove,
        };
        Self {
            mailbox: Some(it.mailbox.into()),
            uids: Some((&it.uids).into()),
            mode: mode.into(),
            flags: it.flags.bits().into(),
            keywords: wire::keyword_names(&it.keywords),
            unchanged_since: it.unchanged_since.map(|modseq| modseq.get()),
        }
    }
}

impl TryFrom<pb::StoreFlags> for StoreFlags {
    type Error = WireError;

    fn try_from(it: pb::StoreFlags) -> Wire<Self> {
        let mode = match pb::StoreMode::try_from(it.mode) {
            Ok(pb::StoreMode::Replace) => StoreMode::Replace,
            Ok(pb::StoreMode::Add) => StoreMode::Add,
            Ok(pb::StoreMode::Remove) => StoreMode::Remove,
            Ok(pb::StoreMode::Unspecified) | Err(_) => return Err(WireError::new("store_flags.mode")),
        };
        let since = |modseq| wire::modseq(modseq, "store_flags.unchanged_since");
        Ok(Self {
            mailbox: wire::convert(it.mailbox, "store_flags.mailbox")?,
            uids: wire::convert(it.uids, "store_flags.uids")?,
            mode,
            flags: wire::flags(it.flags, "store_flags.flags")?,
            keywords: wire::keywords(&it.keywords, "store_flags.keywords")?,
            unchanged_since: it.unchanged_since.map(since).transpose()?,
        })
    }
}

impl From<&Transfer> for pb::Transfer {
    fn from(it: &Transfer) -> Self {
        Self { source: Some(it.source.into()), uids: Some((&it.uids).into()), target: it.target.0 }
    }
}

impl TryFrom<pb::Transfer> for Transfer {
    type Error = WireError;

    fn try_from(it: pb::Transfer) -> Wire<Self> {
        Ok(Self {
            source: wire::convert(it.source, "transfer.source")?,
            uids: wire::convert(it.uids, "transfer.uids")?,
            target: MailboxId(it.target),
        })
    }
}
