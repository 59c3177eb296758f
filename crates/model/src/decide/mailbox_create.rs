//! CREATE, with CREATE-SPECIAL-USE (RFC 9051 §6.3.4, RFC 6154 §3).

use buzon_types::id::AccountId;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::Timestamp;

use crate::decide::Decided;
use crate::decide::tree::{TreeDraft, is_inbox_in_inbox};
use crate::reply::{Rejection, Reply};
use crate::state::State;

pub(super) fn decide(
    state: &State,
    at: Timestamp,
    id: AccountId,
    name: &MailboxName,
    special_use: Option<SpecialUse>,
    seed: u32,
) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    if name.is_inbox() || is_inbox_in_inbox(name) {
        return Err(Rejection::Inbox);
    }
    if account.mailbox_named(name).is_some() {
        return Err(Rejection::MailboxExists(name.clone()));
    }
    if let Some(taken) = special_use.and_then(|special_use| account.mailbox_for(special_use)) {
        return Err(Rejection::SpecialUseTaken(taken.row.name.clone()));
    }
    let mut tree = TreeDraft::of(account, at, seed);
    tree.create_above(account, name)?;
    let (mailbox, uid_validity) = tree.create(name.clone(), special_use)?;
    Ok(tree.finish(Reply::MailboxCreated { mailbox, uid_validity }))
}
