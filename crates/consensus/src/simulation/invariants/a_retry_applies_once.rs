//! Promise 4: a request that comes again changes nothing and gets its first answer, whoever leads by then.

use std::collections::BTreeMap;

use buzon_model::change::Change;
use buzon_model::reply::{Outcome, Rejection};
use buzon_types::id::LogIndex;
use buzon_types::request::{InstanceId, RequestId};

use super::{Invariant, ensure};
use crate::simulation::history::{Decided, History};
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    /// Where each request was decided, and what it came to.
    first: BTreeMap<(InstanceId, u64), (LogIndex, Outcome)>,
}

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "a_retry_applies_once"
    }

    fn observe(&mut self, event: &Event<'_>, _: &History) -> Result<(), String> {
        match event {
            Event::Decided { entry } => self.decided(entry),
            Event::Answered { request: Some(request), outcome, .. } => self.answered(request, outcome),
            _ => Ok(()),
        }
    }
}

/// Answers that say that nothing was decided, now or ever.
fn is_about_the_request(outcome: &Outcome) -> bool {
    use Rejection::{Frozen, InstanceUnknown, RequestForgotten, TooManyRequests};
    matches!(outcome, Err(Frozen | InstanceUnknown | RequestForgotten | TooManyRequests))
}

impl Check {
    fn decided(&mut self, entry: &Decided) -> Result<(), String> {
        let request = entry.decree.as_ref().and_then(|decree| decree.request);
        let (Some(request), Some(outcome)) = (request, &entry.outcome) else { return Ok(()) };
        let key = (request.instance, request.sequence);
        if let Some((first, before)) = self.first.get(&key) {
            let forgets = |change: &Change| matches!(change, Change::ForgetBelow { .. });
            ensure(entry.changes.iter().all(forgets), || {
                format!("{request:?} was applied at {first} and again at {}", entry.index)
            })?;
            return ensure(outcome == before || is_about_the_request(outcome), || {
                format!("{request:?} came to {before:?} at {first} and to {outcome:?} at {}", entry.index)
            });
        }
        if !is_about_the_request(outcome) {
            self.first.insert(key, (entry.index, outcome.clone()));
        }
        Ok(())
    }

    fn answered(&self, request: &RequestId, outcome: &Outcome) -> Result<(), String> {
        let first = self.first.get(&(request.instance, request.sequence));
        let Some((index, first)) = first.filter(|_| !is_about_the_request(outcome)) else { return Ok(()) };
        ensure(first == outcome, || {
            format!("{request:?} came to {first:?} at {index}, the client was told {outcome:?}")
        })
    }
}
