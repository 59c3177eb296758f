//! Removes the rows of deleted mailboxes and accounts for good, a bounded number in each step.

use buzon_types::id::{AccountId, MailboxKey};

use crate::change::Change;
use crate::decide::Decided;
use crate::limits::ENTRY_MESSAGES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::{AccountCounters, AccountRow, AccountState, Place};
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

/// One step for a deleted or moved account: its mailboxes one after the other, then itself.
pub(super) fn account(state: &State, id: AccountId) -> Decided {
    let Some(account) = state.account_in_any_state(id) else {
        return Ok((vec![], Reply::Purged { more: false }));
    };
    let is_gone = matches!(account.row.place, Place::Gone { .. });
    if account.row.state != AccountState::Deleting && !is_gone {
        return Err(Rejection::NotHere);
    }
    let Some(mailbox) = account.mailboxes_in_any_state().next() else {
        // Of an account that has moved, the row stays.
        let changes = if is_gone { vec![] } else { vec![Change::RemoveAccount(id)] };
        return Ok((changes, Reply::Purged { more: false }));
    };
    let (mut changes, mailbox_is_gone) = step(mailbox);
    let is_last = mailbox_is_gone && account.mailboxes_in_any_state().len() == 1;
    if is_last {
        changes.push(Change::RemoveAccount(id));
        changes.extend(is_gone.then(|| Change::PutAccount(forwarding(&account.row))));
    }
    Ok((changes, Reply::Purged { more: !is_last }))
}

/// What is kept of an account that has moved: where to.
fn forwarding(row: &AccountRow) -> AccountRow {
    AccountRow { credential: None, counters: AccountCounters::default(), ..row.clone() }
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
