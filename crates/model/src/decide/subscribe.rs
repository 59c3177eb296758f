//! SUBSCRIBE and UNSUBSCRIBE: names of an account, whether or not there are mailboxes (RFC 9051 §6.3.7, §6.3.8).

use buzon_types::id::AccountId;
use buzon_types::mailbox_name::MailboxName;

use crate::change::Change;
use crate::decide::Decided;
use crate::limits::SUBSCRIPTIONS_MAX;
use crate::reply::{Rejection, Reply};
use crate::state::State;

pub(super) fn subscribe(state: &State, id: AccountId, name: &MailboxName) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    if account.is_subscribed(name) {
        return Ok((vec![], Reply::Done));
    }
    if account.subscriptions().len() >= SUBSCRIPTIONS_MAX {
        return Err(Rejection::TooManyMailboxes);
    }
    Ok((vec![Change::Subscribe(id, name.clone())], Reply::Done))
}

pub(super) fn unsubscribe(state: &State, id: AccountId, name: &MailboxName) -> Decided {
    let account = state.account(id).ok_or(Rejection::NoSuchAccount)?;
    let is_there = account.is_subscribed(name);
    Ok((if is_there { vec![Change::Unsubscribe(id, name.clone())] } else { vec![] }, Reply::Done))
}
