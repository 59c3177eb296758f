//! ListMailboxes: all of an account, in pages.

use buzon_model::read::At;
use buzon_model::row::{MailboxRow, MailboxState};
use buzon_model::scope::Need;
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::status::CallError;
use buzon_types::id::{AccountId, GroupId};
use buzon_types::mailbox_name::MailboxName;
use futures::{StreamExt, stream};

use super::read::read_at;
use super::{Answers, Mail, no_such_account, replica};
use crate::groups::Replica;

/// Rows in one message: with the longest names and many keywords still below the transport's 4 MiB.
const PAGE_ROWS: usize = 200;

/// All of an account's mailboxes by name, its subscriptions, and whether deleted mailboxes have rows left.
pub(crate) struct Listed {
    pub(crate) mailboxes: Vec<MailboxRow>,
    pub(crate) subscriptions: Vec<MailboxName>,
    has_residue: bool,
}

pub(super) async fn list_mailboxes(
    mail: &Mail,
    request: pb::AccountRequest,
) -> Result<Answers<pb::ListMailboxesResponse>, CallError> {
    let (group, account) = (GroupId(request.group), AccountId(request.account));
    let replica = replica(&*mail.groups, group)?;
    let At { index, value: listed } = list(&*replica, account, read_at(request.read)?).await?;
    if listed.has_residue {
        mail.janitor.look_at(group, account, index);
    }
    let mailboxes = listed.mailboxes.chunks(PAGE_ROWS).map(|rows| pb::ListMailboxesResponse {
        index: index.0,
        mailboxes: rows.iter().map(Into::into).collect(),
        subscriptions: Vec::new(),
    });
    let subscriptions = listed.subscriptions.chunks(PAGE_ROWS).map(|names| pb::ListMailboxesResponse {
        index: index.0,
        mailboxes: Vec::new(),
        subscriptions: names.iter().map(ToString::to_string).collect(),
    });
    let pages: Vec<_> = mailboxes.chain(subscriptions).map(Ok).collect();
    Ok(stream::iter(pages).boxed())
}

/// The list as of a read.
pub(crate) async fn list(
    replica: &dyn Replica,
    account: AccountId,
    at: buzon_model::read::ReadAt,
) -> Result<At<Listed>, CallError> {
    let found = replica.read(at, [Need::Account(account)], |state| {
        let account = state.account(account)?;
        Some(Listed {
            mailboxes: account.mailboxes().map(|mailbox| mailbox.row.clone()).collect(),
            subscriptions: account.subscriptions().cloned().collect(),
            has_residue: account.mailboxes_in_any_state().any(|it| it.row.state == MailboxState::Deleting),
        })
    });
    let At { index, value } = found.await?;
    Ok(At { index, value: value.ok_or_else(no_such_account)? })
}
