//! EXPUNGE and UID EXPUNGE: messages with `\Deleted` become tombstones (RFC 9051 §6.4.3, §6.4.9).

use buzon_types::flag::SystemFlags;
use buzon_types::id::MailboxKey;
use buzon_types::time::Timestamp;
use buzon_types::uid_set::UidSet;

use crate::decide::Decided;
use crate::decide::copy::existing;
use crate::decide::draft::Draft;
use crate::reply::{Advance, Reply};
use crate::state::State;

pub(super) fn decide(state: &State, at: Timestamp, key: MailboxKey, uids: &UidSet) -> Decided {
    let mut draft = Draft::new(state, at);
    let account = draft.account(key.account)?;
    let mailbox = draft.mailbox(key)?;
    let mut rows = existing(mailbox, uids)?;
    rows.retain(|row| row.flags.contains(SystemFlags::DELETED));
    let uids = if rows.is_empty() { UidSet::new() } else { draft.expunge(account, mailbox, &rows) };
    let advance = Advance { before: mailbox.row.counters.modseq, after: draft.counters(mailbox).modseq };
    Ok(draft.finish(Reply::Expunged { uids, advance }))
}
