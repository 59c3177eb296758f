//! STORE: changes flags of messages, if nobody changed them first (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::time::Timestamp;
use buzon_types::uid_set::UidSet;

use crate::command::{StoreFlags, StoreMode};
use crate::decide::Decided;
use crate::decide::copy::existing;
use crate::decide::draft::Draft;
use crate::reply::{Advance, FlagState, Rejection, Reply};
use crate::row::MessageRow;
use crate::state::{Mailbox, State};

pub(super) fn decide(state: &State, at: Timestamp, store: &StoreFlags) -> Decided {
    let mut draft = Draft::new(state, at);
    let account = draft.account(store.mailbox.account)?;
    let mailbox = draft.mailbox(store.mailbox)?;
    let rows = existing(mailbox, &store.uids)?;
    let is_stale = |row: &&MessageRow| store.unchanged_since.is_some_and(|since| row.modseq > since);
    let modified: UidSet = rows.iter().filter(is_stale).map(|row| row.uid).collect();
    let mut fresh = rows.iter().filter(|row| !is_stale(row)).peekable();
    let keywords = match fresh.peek() {
        Some(_) => keyword_bits(&mut draft, mailbox, store)?,
        // Nothing to set them on: the mailbox need not learn them.
        None => KeywordBits::NONE,
    };
    let mut messages = Vec::with_capacity(rows.len());
    for row in fresh {
        let (flags, keywords) = changed(row, store, keywords);
        let same = flags == row.flags && keywords == row.keywords;
        let modseq = if same { row.modseq } else { draft.set_flags(account, mailbox, row, flags, keywords) };
        messages.push(FlagState { uid: row.uid, flags, keywords, modseq });
    }
    let advance = Advance { before: mailbox.row.counters.modseq, after: draft.counters(mailbox).modseq };
    let keywords = draft.keywords(mailbox).to_vec();
    Ok(draft.finish(Reply::Stored { messages, modified, keywords, advance }))
}

/// A keyword that is to be removed and was never set is not learned.
fn keyword_bits(
    draft: &mut Draft<'_>,
    mailbox: &Mailbox,
    store: &StoreFlags,
) -> Result<KeywordBits, Rejection> {
    if store.mode != StoreMode::Remove {
        return draft.keyword_bits(mailbox, &store.keywords);
    }
    let is_named = |at: &usize| store.keywords.contains(&mailbox.row.keywords[*at]);
    let numbers = (0..mailbox.row.keywords.len()).filter(is_named);
    Ok(numbers.fold(KeywordBits::NONE, |bits, at| KeywordBits(bits.0 | KeywordBits::one(at).0)))
}

fn changed(row: &MessageRow, store: &StoreFlags, keywords: KeywordBits) -> (SystemFlags, KeywordBits) {
    match store.mode {
        StoreMode::Replace => (store.flags, keywords),
        StoreMode::Add => (row.flags | store.flags, KeywordBits(row.keywords.0 | keywords.0)),
        StoreMode::Remove => (row.flags.without(store.flags), KeywordBits(row.keywords.0 & !keywords.0)),
    }
}
