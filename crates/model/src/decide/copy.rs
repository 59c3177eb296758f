//! COPY: all that exist of the messages, or none (RFC 9051 §6.4.7). References to bodies are copied, not bodies.

use buzon_types::id::MailboxKey;
use buzon_types::time::Timestamp;
use buzon_types::uid_set::UidSet;

use crate::change::SummarySource;
use crate::command::Transfer;
use crate::decide::Decided;
use crate::decide::draft::Draft;
use crate::limits::ENTRY_MESSAGES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::MessageRow;
use crate::state::{Account, Mailbox, State};

/// The two ends of a COPY or MOVE and what goes from one to the other.
pub(super) struct Route<'a> {
    pub(super) account: &'a Account,
    pub(super) source: &'a Mailbox,
    pub(super) target: &'a Mailbox,
    pub(super) rows: Vec<MessageRow>,
}

pub(super) fn decide(state: &State, at: Timestamp, transfer: &Transfer) -> Decided {
    let mut draft = Draft::new(state, at);
    let route = Route::find(&draft, transfer)?;
    let bytes = route.rows.iter().fold(0, |sum: u64, row| sum.saturating_add(row.size));
    draft.check_quota(route.account, route.rows.len() as u64, bytes)?;
    let (source, target) = add_copies(&mut draft, &route)?;
    Ok(draft.finish(Reply::Copied { uid_validity: route.target.row.uid_validity, source, target }))
}

/// Adds all rows of the route to its target; the source stays as it is. → source and target UIDs
pub(super) fn add_copies(draft: &mut Draft<'_>, route: &Route<'_>) -> Result<(UidSet, UidSet), Rejection> {
    if !route.rows.is_empty() {
        draft.check_uids(route.target, route.rows.len() as u32)?;
    }
    let (mut source, mut target) = (UidSet::new(), UidSet::new());
    for row in &route.rows {
        let keywords = draft.translate(row.keywords, route.source, route.target)?;
        let summary = SummarySource::SameAs(route.source.row.key.mailbox, row.uid);
        let copy = MessageRow { keywords, saved_at: draft.at, ..*row };
        source.push(row.uid);
        target.push(draft.add(route.account, route.target, copy, summary));
    }
    Ok((source, target))
}

impl<'a> Route<'a> {
    pub(super) fn find(draft: &Draft<'a>, transfer: &Transfer) -> Result<Self, Rejection> {
        let account = draft.account(transfer.source.account)?;
        let source = draft.mailbox(transfer.source)?;
        let target = draft.mailbox(MailboxKey { mailbox: transfer.target, ..transfer.source })?;
        Ok(Self { account, source, target, rows: existing(source, &transfer.uids)? })
    }
}

/// Those of `uids` that exist, ascending; refused when they are more than one entry may touch.
pub(super) fn existing(mailbox: &Mailbox, uids: &UidSet) -> Result<Vec<MessageRow>, Rejection> {
    let index = mailbox.index.as_ref().expect("missing() asks for the index of a live mailbox first");
    let rows: Vec<MessageRow> = index.rows(uids).take(ENTRY_MESSAGES_MAX as usize + 1).collect();
    if rows.len() > ENTRY_MESSAGES_MAX as usize { Err(Rejection::TooManyMessages) } else { Ok(rows) }
}
