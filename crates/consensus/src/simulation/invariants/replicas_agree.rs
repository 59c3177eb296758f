//! The same entries, the same rows, everywhere (DESIGN D1): each replica's rows are those of the history at its position,
//! after every transaction and every snapshot, and in the end.

use buzon_types::id::{LogIndex, NodeId};

use super::{Invariant, ensure};
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check;

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "replicas_agree"
    }

    fn observe(&mut self, event: &Event<'_>, history: &History) -> Result<(), String> {
        match event {
            Event::Applied { node, to, rows, .. } => same(history, (*node, *to, *rows)),
            Event::Installed { node, at, rows } => same(history, (*node, *at, *rows)),
            Event::Over { replicas } => replicas.iter().try_for_each(|replica| same(history, *replica)),
            _ => Ok(()),
        }
    }
}

fn same(history: &History, (node, at, rows): (NodeId, LogIndex, u64)) -> Result<(), String> {
    // A log that is not there is another invariant's.
    let Some(entry) = history.at(at) else { return Ok(()) };
    ensure(entry.digest == rows, || format!("node {node} has other rows at {at} than the log says"))
}
