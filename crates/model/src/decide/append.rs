//! APPEND and MULTIAPPEND: all the messages or none (RFC 9051 §6.3.12, RFC 3502).

use buzon_types::flag::KeywordBits;
use buzon_types::id::MailboxKey;
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;

use crate::change::SummarySource;
use crate::command::NewMessage;
use crate::decide::Decided;
use crate::decide::draft::Draft;
use crate::limits::ENTRY_MESSAGES_MAX;
use crate::reply::{Advance, Rejection, Reply};
use crate::row::MessageRow;
use crate::state::State;

pub(super) fn decide(state: &State, at: Timestamp, key: MailboxKey, messages: &[NewMessage]) -> Decided {
    let mut draft = Draft::new(state, at);
    let account = draft.account(key.account)?;
    let mailbox = draft.mailbox(key)?;
    let count = u32::try_from(messages.len()).ok().filter(|&count| count <= ENTRY_MESSAGES_MAX);
    let count = count.ok_or(Rejection::TooManyMessages)?;
    if count > 0 {
        draft.check_uids(mailbox, count)?;
    }
    let bytes = messages.iter().fold(0, |sum: u64, message| sum.saturating_add(message.size));
    draft.check_quota(account, u64::from(count), bytes)?;
    let mut uids = UidSet::new();
    for message in messages {
        let keywords = draft.keyword_bits(mailbox, &message.keywords)?;
        let summary = SummarySource::Given(message.summary.clone());
        uids.push(draft.add(account, mailbox, row_of(message, keywords, at), summary));
    }
    let advance = Advance { before: mailbox.row.counters.modseq, after: draft.counters(mailbox).modseq };
    Ok(draft.finish(Reply::Appended { uid_validity: mailbox.row.uid_validity, uids, advance }))
}

/// The row of a message that arrives; its UID and modseq are given with its place.
pub(super) fn row_of(message: &NewMessage, keywords: KeywordBits, at: Timestamp) -> MessageRow {
    MessageRow {
        uid: Uid::MIN,
        flags: message.flags,
        keywords,
        modseq: ModSeq::ZERO,
        size: message.size,
        internal_date: message.internal_date,
        saved_at: at,
        body: message.body,
    }
}
