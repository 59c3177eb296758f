//! Promise 3 between clients: a linearizable read sees every write that was acknowledged to anybody before it began. And
//! whatever a read shows is the state at the index that it names.

use std::collections::BTreeMap;

use buzon_model::read::ReadAt;
use buzon_types::id::LogIndex;

use super::{Invariant, ensure};
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    acknowledged: LogIndex,
    /// What was acknowledged when reads began that are not over.
    began: BTreeMap<u64, LogIndex>,
}

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "reads_see_what_was_acknowledged"
    }

    fn observe(&mut self, event: &Event<'_>, history: &History) -> Result<(), String> {
        match event {
            Event::Answered { index, .. } => self.acknowledged = self.acknowledged.max(*index),
            Event::ReadBegan { ticket } => {
                self.began.insert(*ticket, self.acknowledged);
            }
            Event::Read { ticket, client, at, key, index, seen } => {
                let began = self.began.remove(ticket).unwrap_or_default();
                let floor = match at {
                    ReadAt::Linearizable => began,
                    ReadAt::Index(at) => *at,
                    ReadAt::Local => LogIndex(0),
                };
                ensure(*index >= floor, || {
                    format!("client {client} read {key} at {index}, {floor} was acknowledged before ({at:?})")
                })?;
                let holds = history.mailbox_at(*key, *index);
                ensure(seen.digest == holds, || {
                    format!(
                        "client {client} saw {:x} in {key} at {index}, where {holds:x} stands",
                        seen.digest
                    )
                })?;
            }
            _ => {}
        }
        Ok(())
    }
}
