//! COPY of more messages than one entry may touch (DESIGN D3): rows are staged out of sight and published at once.
//! Quota and UIDs are decided when they are published, all or none.

use buzon_types::id::{AccountId, MailboxKey};
use buzon_types::time::Timestamp;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;

use crate::change::Change;
use crate::command::Transfer;
use crate::decide::Decided;
use crate::decide::copy::Route;
use crate::decide::draft::Draft;
use crate::limits::STAGED_MESSAGES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::{MessageRow, StagedRow};
use crate::state::State;

/// All steps of one copy have one source and one target and go up in UIDs, so that COPYUID can pair them.
pub(super) fn stage(state: &State, at: Timestamp, staging: u128, transfer: &Transfer) -> Decided {
    let mut draft = Draft::new(state, at);
    let route = Route::find(&draft, transfer)?;
    let account = transfer.source.account;
    let staged = state.staged(account, staging);
    if let Some(staged) = staged {
        let ascends = route.rows.first().is_none_or(|row| Some(row.uid) > staged.sources.last());
        let same_ends = staged.target == transfer.target && staged.source == Some(transfer.source.mailbox);
        if !same_ends || !ascends {
            return Err(Rejection::StagingMismatch);
        }
    }
    let before = staged.map_or(0, |staged| staged.messages);
    let messages = before + route.rows.len() as u32;
    if messages > STAGED_MESSAGES_MAX {
        return Err(Rejection::TooManyMessages);
    }
    let mut rows = Vec::with_capacity(route.rows.len());
    for (ordinal, row) in (before..).zip(&route.rows) {
        let keywords = draft.translate(row.keywords, route.source, route.target)?;
        let source = (transfer.source.mailbox, row.uid);
        rows.push(StagedRow { ordinal, source, message: MessageRow { keywords, ..*row } });
    }
    if !rows.is_empty() {
        draft.push(Change::Stage { account, staging, target: transfer.target, rows });
    }
    Ok(draft.finish(Reply::Staged { messages }))
}

pub(super) fn publish(state: &State, at: Timestamp, id: AccountId, staging: u128, messages: u32) -> Decided {
    let mut draft = Draft::new(state, at);
    let account = draft.account(id)?;
    let staged = state.staged(id, staging).ok_or(Rejection::NoSuchStaging)?;
    if staged.messages != messages {
        return Err(Rejection::TooManyMessages);
    }
    let target = MailboxKey { account: id, mailbox: staged.target };
    let mailbox = draft.mailbox(target)?;
    let first = draft.check_uids(mailbox, messages)?;
    draft.check_quota(account, u64::from(messages), staged.bytes)?;
    let modseq = draft.modseq(account);
    let last = first.get() + (messages - 1);
    let last = Uid::new(last).expect("it lies at or above the first UID");
    let counters = draft.counters_mut(mailbox);
    counters.uid_next = last.next();
    counters.modseq = modseq;
    counters.messages += messages;
    counters.unseen += staged.unseen;
    counters.deleted += staged.deleted;
    counters.bytes += staged.bytes;
    let used = draft.usage_mut(account);
    used.messages += u64::from(messages);
    used.bytes += staged.bytes;
    draft.push(Change::Publish { account: id, staging, target, first, messages, modseq, saved_at: at });
    let (source, target) = (staged.sources.clone(), UidSet::from(first..=last));
    Ok(draft.finish(Reply::Copied { uid_validity: mailbox.row.uid_validity, source, target }))
}

pub(super) fn drop_copy(state: &State, account: AccountId, staging: u128) -> Decided {
    state.account(account).ok_or(Rejection::NoSuchAccount)?;
    let is_there = state.staged(account, staging).is_some();
    Ok((if is_there { vec![Change::DropStaged { account, staging }] } else { vec![] }, Reply::Done))
}
