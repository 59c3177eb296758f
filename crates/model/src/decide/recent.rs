//! `\Recent`: each message is recent for one session, which claims it through the log (DESIGN D13).

use buzon_types::id::MailboxKey;
use buzon_types::time::Timestamp;

use crate::decide::Decided;
use crate::decide::draft::Draft;
use crate::reply::Reply;
use crate::state::State;

pub(super) fn claim(state: &State, at: Timestamp, key: MailboxKey) -> Decided {
    let mut draft = Draft::new(state, at);
    let mailbox = draft.mailbox(key)?;
    let (from, below) = (mailbox.row.counters.recent_from, mailbox.row.counters.uid_next);
    draft.counters_mut(mailbox).recent_from = below;
    Ok(draft.finish(Reply::RecentClaimed { from, below }))
}
