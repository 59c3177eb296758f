//! Removes the rows of deleted mailboxes and accounts for good, a bounded number in each step.

use buzon_types::id::{AccountId, MailboxKey};

use crate::change::Change;
use crate::decide::Decided;
use crate::limits::ENTRY_MESSAGES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::AccountState;
use crate::state::{Mailbox, State};

/// One step for a deleted mailbox. One that is gone already has nothing left.
pub(super) fn mailbox(state: &State, key: MailboxKey) -> Decided {
    let account = state.account_in_any_state(key.account);
    let Some((account, mailbox)) = account.and_then(|it| Some((it, it.mailbox_in_any_state(key.mailbox)?)))
    else {
        return Ok((vec![], Reply::Purged { more: false }));
    };
    if !account.is_residue(mailbox) {
        return Err(Rejection::NotHere);
    }
    let (changes, is_gone) = step(mailbox);
    Ok((changes, Reply::Purged { more: !is_gone }))
}

/// One step for a deleted account: its mailboxes one after the other, then itself.
pub(super) fn account(state: &State, id: AccountId) -> Decided {
    let Some(account) = state.account_in_any_state(id) else {
        return Ok((vec![], Reply::Purged { more: false }));
    };
    if account.row.state != AccountState::Deleting {
        return Err(Rejection::NotHere);
    }
    let Some(mailbox) = account.mailboxes_in_any_state().next() else {
        return Ok((vec![Change::RemoveAccount(id)], Reply::Purged { more: false }));
    };
    let (mut changes, is_gone) = step(mailbox);
    let is_last = is_gone && account.mailboxes_in_any_state().len() == 1;
    if is_last {
        changes.push(Change::RemoveAccount(id));
    }
    Ok((changes, Reply::Purged { more: !is_last }))
}

/// Fewer rows than were asked for are all that are left: the mailbox goes with them.
fn step(mailbox: &Mailbox) -> (Vec<Change>, bool) {
    let uids = mailbox.residue.as_ref().expect("missing() asks for what is left of it first");
    let is_all = uids.len() < u64::from(ENTRY_MESSAGES_MAX);
    let mut changes = Vec::new();
    if !uids.is_empty() {
        changes.push(Change::RemoveMessages { mailbox: mailbox.key(), uids: uids.clone() });
    }
    if is_all {
        changes.push(Change::RemoveMailbox(mailbox.key()));
    }
    (changes, is_all)
}
