//! Promise 1: what a client was told stands in the log where it was told, and in every replica in the end.

use buzon_types::id::LogIndex;

use super::{Invariant, ensure};
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    last: LogIndex,
}

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "acknowledged_writes_survive"
    }

    fn observe(&mut self, event: &Event<'_>, history: &History) -> Result<(), String> {
        match event {
            Event::Answered { client, request, index, outcome } => {
                self.last = self.last.max(*index);
                let entry = history.at(*index);
                let entry = entry.ok_or_else(|| {
                    format!("client {client} was answered {request:?} at {index}, which nobody has applied")
                })?;
                let of = |it: &buzon_types::request::RequestId| (it.instance, it.sequence);
                let stands = entry.decree.as_ref().and_then(|decree| decree.request);
                ensure(stands.as_ref().map(of) == request.as_ref().map(of), || {
                    format!("client {client} was answered {request:?} at {index}, where {stands:?} stands")
                })?;
                ensure(entry.outcome.as_ref() == Some(*outcome), || {
                    let decided = &entry.outcome;
                    format!(
                        "client {client} was told {outcome:?} of {request:?} at {index}: it came to {decided:?}"
                    )
                })
            }
            Event::Over { replicas } => {
                ensure(history.last() >= self.last, || format!("the log ends before {}", self.last))?;
                let behind = replicas.iter().find(|(_, index, _)| *index < self.last);
                ensure(behind.is_none(), || format!("a replica ends before {}: {behind:?}", self.last))
            }
            _ => Ok(()),
        }
    }
}
