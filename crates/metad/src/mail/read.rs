//! Credential, Usage, OpenMailbox: answers from the state in memory.

use buzon_model::read::{At, CredentialRead, OpenedMailbox, ReadAt, UsageRead};
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::mail::{credential_response, usage_response};
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::pb::mail::v1::open_mailbox_request::Mailbox as Which;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_proto::wire::WireError;
use buzon_types::id::{AccountId, GroupId, MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;

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
        // The row is there, so its messages were loaded for this read.
        let cold = || CallError::new(ErrorCode::Internal, "messages of the mailbox are not loaded");
        Some(opened(state, key).ok_or_else(cold).map(Some))
    });
    let At { index, value } = found.await?;
    Ok(At { index, value: value.ok_or_else(no_such_account)?? })
}

/// `None` if it does not exist or its messages are not in memory.
fn opened(state: &State, key: MailboxKey) -> Option<OpenedMailbox> {
    let mailbox = state.mailbox(key)?;
    let index = mailbox.index.as_ref()?;
    state.touch(key);
    Some(OpenedMailbox { row: mailbox.row.clone(), uids: index.uids(), first_unseen: index.first_unseen() })
}
