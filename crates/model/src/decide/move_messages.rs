//! MOVE: copies and expunges in one step, so that no quota is needed (RFC 9051 §6.4.8, RFC 6851).

use buzon_types::time::Timestamp;

use crate::command::Transfer;
use crate::decide::Decided;
use crate::decide::copy::{Route, add_copies};
use crate::decide::draft::Draft;
use crate::reply::{Advance, Reply};
use crate::state::State;

pub(super) fn decide(state: &State, at: Timestamp, transfer: &Transfer) -> Decided {
    let mut draft = Draft::new(state, at);
    let route = Route::find(&draft, transfer)?;
    // The copies come first: their summaries are those of messages that are still live.
    let (source, target) = add_copies(&mut draft, &route)?;
    if !route.rows.is_empty() {
        draft.expunge(route.account, route.source, &route.rows);
    }
    let after = draft.counters(route.source).modseq;
    // Into itself: the reply does not tell all that came into the source, so no session may take it for all.
    let is_whole = route.source.key() != route.target.key();
    let before = if is_whole { route.source.row.counters.modseq } else { after };
    let uid_validity = route.target.row.uid_validity;
    Ok(draft.finish(Reply::Moved { uid_validity, source, target, advance: Advance { before, after } }))
}
