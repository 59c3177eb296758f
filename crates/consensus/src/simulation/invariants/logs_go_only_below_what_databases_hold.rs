//! DESIGN D2: the log is purged only below what is on the database's disk, for only the log can bring back the rest.

use std::collections::BTreeSet;

use buzon_types::id::NodeId;

use super::{Invariant, ensure};
use crate::log::backend::Operation;
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    /// Their databases were lost by somebody, so that what was purged in time is not in them any more.
    lost: BTreeSet<NodeId>,
}

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "logs_go_only_below_what_databases_hold"
    }

    fn observe(&mut self, event: &Event<'_>, _: &History) -> Result<(), String> {
        match event {
            Event::DatabaseLost { node } => {
                self.lost.insert(*node);
                Ok(())
            }
            Event::Synced { node, operation: Operation::Purge { through, .. }, durable }
                if !self.lost.contains(node) =>
            {
                ensure(*through < durable.0, || {
                    let gone = through + 1;
                    format!(
                        "node {node} purged its log up to {gone}, its rows are on their disk up to {durable}"
                    )
                })
            }
            _ => Ok(()),
        }
    }
}
