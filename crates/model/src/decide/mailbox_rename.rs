//! RENAME: a mailbox with all below it, or the messages of INBOX (RFC 9051 §6.3.6). Ids, UIDs and UIDVALIDITY stay.

use buzon_types::id::AccountId;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::decide::Decided;
use crate::decide::tree::{TreeDraft, is_inbox_in_inbox};
use crate::reply::{Rejection, Reply};
use crate::row::MailboxRow;
use crate::state::{Account, Mailbox, State};

/// From which name to which.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) from: &'a MailboxName,
    pub(super) to: &'a MailboxName,
}

pub(super) fn decide(state: &State, at: Timestamp, id: AccountId, names: Names<'_>, seed: u32) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    let mut moved = moved_mailboxes(account, names);
    if moved.is_empty() {
        return Err(Rejection::NoSuchMailbox);
    }
    if names.to.is_inbox() || is_inbox_in_inbox(names.to) {
        return Err(Rejection::Inbox);
    }
    if account.mailbox_named(names.to).is_some() {
        return Err(Rejection::MailboxExists(names.to.clone()));
    }
    if names.to == names.from || (names.to.is_below(names.from) && !names.from.is_inbox()) {
        return Err(Rejection::IntoItself);
    }
    // A mailbox may take the name of one that moves too, but that one has a shorter name: in this order no two
    // rows ever have one name, which a database would refuse.
    moved.sort_by_key(|mailbox| mailbox.row.name.as_str().len());
    let mut tree = TreeDraft::of(account, at, seed);
    for mailbox in &moved {
        let name = new_name(account, mailbox, names)?;
        tree.push(Change::PutMailbox(MailboxRow { name, ..mailbox.row.clone() }));
    }
    tree.create_above(account, names.to)?;
    if names.from.is_inbox() {
        tree.create(MailboxName::inbox(), None)?;
    }
    Ok(tree.finish(Reply::Done))
}

/// INBOX goes alone; any other name takes along what lies below it, and need not be a mailbox itself.
fn moved_mailboxes<'a>(account: &'a Account, names: Names<'_>) -> Vec<&'a Mailbox> {
    let mut moved: Vec<&Mailbox> = account.mailbox_named(names.from).into_iter().collect();
    if !names.from.is_inbox() {
        moved.extend(account.below(names.from));
    }
    moved
}

fn new_name(account: &Account, mailbox: &Mailbox, names: Names<'_>) -> Result<MailboxName, Rejection> {
    let old = &mailbox.row.name;
    let moved = old.moved(names.from, names.to).and_then(Result::ok).ok_or(Rejection::NameTooLong)?;
    if is_inbox_in_inbox(&moved) {
        return Err(Rejection::Inbox);
    }
    // The new name may be that of a mailbox that moves away itself.
    let stays = |taken: &Mailbox| taken.row.name != *names.from && !taken.row.name.is_below(names.from);
    match account.mailbox_named(&moved) {
        Some(taken) if stays(taken) => Err(Rejection::MailboxExists(moved)),
        _ => Ok(moved),
    }
}
