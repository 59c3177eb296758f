//! DELETE: the mailbox is gone at once, its rows go in steps (RFC 9051 §6.3.5). What lies below it stays.

use buzon_types::id::AccountId;
use buzon_types::mailbox_name::MailboxName;

use crate::change::Change;
use crate::decide::Decided;
use crate::reply::{Rejection, Reply};
use crate::row::{MailboxRow, MailboxState};
use crate::state::State;

pub(super) fn decide(state: &State, id: AccountId, name: &MailboxName) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    if name.is_inbox() {
        return Err(Rejection::Inbox);
    }
    let mailbox = account.mailbox_named(name).ok_or(Rejection::NoSuchMailbox)?;
    let row = MailboxRow { state: MailboxState::Deleting, ..mailbox.row.clone() };
    let mut used = account.row.counters;
    used.messages -= u64::from(row.counters.messages);
    used.bytes -= row.counters.bytes;
    let mut changes = vec![Change::PutMailbox(row)];
    if used != account.row.counters {
        changes.push(Change::SetAccountCounters(id, used));
    }
    Ok((changes, Reply::Done))
}
