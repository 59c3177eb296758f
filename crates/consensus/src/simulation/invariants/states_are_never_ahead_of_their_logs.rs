//! DESIGN D2: an entry is applied, in memory and then to rows, only once it is flushed in the node's own log.

use super::{Invariant, ensure};
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check;

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "states_are_never_ahead_of_their_logs"
    }

    fn observe(&mut self, event: &Event<'_>, _: &History) -> Result<(), String> {
        let Event::Served { node, to, log_end } = event else { return Ok(()) };
        ensure(to <= log_end, || {
            format!("node {node} applied up to {to}, but its log is on the disk up to {log_end} only")
        })
    }
}
