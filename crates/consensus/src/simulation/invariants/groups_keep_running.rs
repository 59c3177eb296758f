//! No group stops for a human while its node runs: every fault of a simulation is one that it must get over by itself.

use super::{Invariant, ensure};
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check;

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "groups_keep_running"
    }

    fn observe(&mut self, event: &Event<'_>, _: &History) -> Result<(), String> {
        let Event::Status { node, stopped } = event else { return Ok(()) };
        ensure(stopped.is_none(), || format!("it has stopped on node {node}: {stopped:?}"))
    }
}
