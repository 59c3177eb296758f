//! Credential, Usage, OpenMailbox, GetMailbox, DeletedUids: answers from the state in memory.

use buzon_model::read::{At, CredentialRead, OpenedMailbox, ReadAt, UsageRead};
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::mail::{credential_response, usage_response};
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::pb::mail::v1::open_mailbox_request::Mailbox as Which;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_proto::wire::WireError;
use buzon_types::flag::SystemFlags;
use buzon_types::id::{AccountId, GroupId, MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid_set::UidSet;

use super::{Mail, no_such_account, replica};
use crate::groups::Replica;

/// How fresh; it must be said.
pub(super) fn read_at(at: Option<pb::ReadAt>) -> Result<ReadAt, WireError> {
    at.ok_or(WireError::new("read"))?.try_into()
}

pub(super) async fn credential(
    mail: &Mail,
    request: pb::AccountRequest,
) -> Result<pb::CredentialResponse, CallError> {
    let account = AccountId(request.account);
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let found = replica.read(read_at(request.read)?, [Need::Account(account)], |state| {
        let row = &state.account(account)?.row;
        let (credential, version) = (row.credential.clone(), row.credential_version);
        Some(CredentialRead { credential, version, state: row.state })
    });
    let At { index, value } = found.await?;
    Ok(credential_response(index, &value.ok_or_else(no_such_account)?))
}

pub(super) async fn usage(mail: &Mail, request: pb::AccountRequest) -> Result<pb::UsageResponse, CallError> {
    let account = AccountId(request.account);
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let found = replica.read(read_at(request.read)?, [Need::Account(account)], |state| {
        let row = &state.account(account)?.row;
        Some(UsageRead { counters: row.counters, quota: row.quota, state: row.state })
    });
    let At { index, value } = found.await?;
    Ok(usage_response(index, &value.ok_or_else(no_such_account)?))
}

/// Costs one row: no other mailbox is looked at, and no messages are loaded.
pub(super) async fn get_mailbox(
    mail: &Mail,
    request: pb::GetMailboxRequest,
) -> Result<pb::GetMailboxResponse, CallError> {
    let account = AccountId(request.account);
    let name = MailboxName::new(&request.name).map_err(|_| WireError::new("get_mailbox_request.name"))?;
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let found = replica.read(read_at(request.read)?, [Need::Account(account)], |state| {
        Some(state.account(account)?.mailbox_named(&name).map(|mailbox| (&mailbox.row).into()))
    });
    let At { index, value } = found.await?;
    Ok(pb::GetMailboxResponse { index: index.0, mailbox: value.ok_or_else(no_such_account)? })
}

/// Where the mailbox counts none, its messages are not even loaded.
pub(super) async fn deleted_uids(
    mail: &Mail,
    request: pb::DeletedUidsRequest,
) -> Result<pb::DeletedUidsResponse, CallError> {
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let key = MailboxKey::try_from(request.mailbox.ok_or(WireError::new("deleted_uids_request.mailbox"))?)?;
    let found = replica.read(read_at(request.read)?, [Need::Account(key.account)], |state| {
        state.account(key.account)?;
        Some(state.mailbox(key).is_some_and(|mailbox| mailbox.row.counters.deleted > 0))
    });
    let At { mut index, value } = found.await?;
    let mut uids = UidSet::new();
    if value.ok_or_else(no_such_account)? {
        let needs = [Need::Account(key.account), Need::Index(key)];
        let found = replica.read(ReadAt::Index(index), &needs, |state| {
            let Some(mailbox) = state.mailbox(key) else { return Ok::<_, CallError>(UidSet::new()) };
            let messages = mailbox.index.as_ref().ok_or_else(not_loaded)?;
            state.touch(key);
            let deleted = messages.all().filter(|row| row.flags.contains(SystemFlags::DELETED));
            Ok(UidSet::from_runs(deleted.map(|row| (row.uid, row.uid))))
        });
        let At { index: later, value } = found.await?;
        (index, uids) = (later, value?);
    }
    Ok(pb::DeletedUidsResponse { index: index.0, uids: Some((&uids).into()) })
}

pub(super) async fn open_mailbox(
    mail: &Mail,
    request: pb::OpenMailboxRequest,
) -> Result<pb::OpenMailboxResponse, CallError> {
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let at = read_at(request.read)?;
    let account = AccountId(request.account);
    let opened = match request.mailbox.ok_or(WireError::new("open_mailbox_request.mailbox"))? {
        Which::Id(id) => {
            let key = MailboxKey { account, mailbox: MailboxId(id) };
            open_id(&*replica, key, at).await?
        }
        Which::Name(name) => {
            let name = MailboxName::new(&name).map_err(|_| WireError::new("open_mailbox_request.name"))?;
            open_name(&*replica, account, &name, at).await?
        }
    };
    Ok(pb::OpenMailboxResponse { index: opened.index.0, mailbox: opened.value.as_ref().map(Into::into) })
}

/// What looking for a name found.
enum Found {
    Nothing,
    Opened(Box<OpenedMailbox>),
    /// Its messages are not in memory.
    Cold(MailboxId),
}

async fn open_name(
    replica: &dyn Replica,
    account: AccountId,
    name: &MailboxName,
    at: ReadAt,
) -> Result<At<Option<OpenedMailbox>>, CallError> {
    let found = replica.read(at, [Need::Account(account)], |state| {
        let account = state.account(account)?;
        let Some(mailbox) = account.mailbox_named(name) else { return Some(Found::Nothing) };
        let key = mailbox.row.key;
        Some(opened(state, key).map_or(Found::Cold(key.mailbox), |it| Found::Opened(Box::new(it))))
    });
    let At { index, value } = found.await?;
    match value.ok_or_else(no_such_account)? {
        Found::Nothing => Ok(At { index, value: None }),
        Found::Opened(opened) => Ok(At { index, value: Some(*opened) }),
        Found::Cold(mailbox) => open_id(replica, MailboxKey { account, mailbox }, ReadAt::Index(index)).await,
    }
}

async fn open_id(
    replica: &dyn Replica,
    key: MailboxKey,
    at: ReadAt,
) -> Result<At<Option<OpenedMailbox>>, CallError> {
    let needs = [Need::Account(key.account), Need::Index(key)];
    let found = replica.read(at, &needs, |state| {
        state.account(key.account)?;
        if state.mailbox(key).is_none() {
            return Some(Ok(None));
        }
        Some(opened(state, key).ok_or_else(not_loaded).map(Some))
    });
    let At { index, value } = found.await?;
    Ok(At { index, value: value.ok_or_else(no_such_account)?? })
}

/// Cannot be: the row is there, and its messages were asked for.
fn not_loaded() -> CallError {
    CallError::new(ErrorCode::Internal, "messages of the mailbox are not loaded")
}

/// `None` if it does not exist or its messages are not in memory.
fn opened(state: &State, key: MailboxKey) -> Option<OpenedMailbox> {
    let mailbox = state.mailbox(key)?;
    let index = mailbox.index.as_ref()?;
    state.touch(key);
    Some(OpenedMailbox { row: mailbox.row.clone(), uids: index.uids(), first_unseen: index.first_unseen() })
}
