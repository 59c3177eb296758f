//! Promise 3 of one client: it sees its own writes, and nothing older than what it has seen, when it reads at the index that
//! it knows; and no mailbox's HIGHESTMODSEQ or UIDNEXT goes back for it (promise 2).

use std::collections::BTreeMap;

use buzon_model::read::ReadAt;
use buzon_types::id::{LogIndex, MailboxKey};

use super::{Invariant, ensure};
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    /// By client: its own last write.
    wrote: BTreeMap<u64, LogIndex>,
    /// The greatest index of a read, and what it saw there.
    marks: BTreeMap<(u64, MailboxKey), (LogIndex, (u64, u32))>,
}

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "sessions_never_go_back"
    }

    fn observe(&mut self, event: &Event<'_>, _: &History) -> Result<(), String> {
        match event {
            Event::Answered { client, index, .. } => {
                let wrote = self.wrote.entry(*client).or_default();
                *wrote = (*wrote).max(*index);
                Ok(())
            }
            Event::Read { client, at, key, index, seen, .. } => {
                if let ReadAt::Index(at) = at {
                    ensure(index >= at, || {
                        format!("client {client} read at {index}, it had asked for {at}")
                    })?;
                }
                let Some(marks) = seen.marks else { return Ok(()) };
                let known = self.marks.entry((*client, *key)).or_insert((*index, marks));
                let ((earlier, before), (later, after)) =
                    if *index >= known.0 { (*known, (*index, marks)) } else { ((*index, marks), *known) };
                ensure(before.0 <= after.0 && before.1 <= after.1, || {
                    format!("{key} went from {before:?} at {earlier} to {after:?} at {later}")
                })?;
                *known = (later, after);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
