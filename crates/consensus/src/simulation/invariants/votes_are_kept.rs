//! A vote on a node's disk never goes back: a node that forgets whom it voted for may vote twice.

use std::collections::BTreeMap;

use buzon_types::id::NodeId;

use super::{Invariant, ensure};
use crate::log::backend::Operation;
use crate::record;
use crate::simulation::history::History;
use crate::simulation::oracle::Event;

/// See the module.
#[derive(Default)]
pub(super) struct Check {
    /// Term, candidate, and whether a majority has agreed.
    votes: BTreeMap<NodeId, (u64, u64, bool)>,
}

impl Invariant for Check {
    fn name(&self) -> &'static str {
        "votes_are_kept"
    }

    fn observe(&mut self, event: &Event<'_>, _: &History) -> Result<(), String> {
        let Event::Synced { node, operation: Operation::Vote(vote), .. } = event else { return Ok(()) };
        let vote = record::decode_vote(vote.clone()).map_err(|error| error.to_string())?;
        let leader = vote.leader_id();
        let vote = (leader.term, leader.node_id, vote.committed);
        let before = self.votes.insert(*node, vote).unwrap_or_default();
        ensure(before <= vote, || format!("node {node} voted {before:?} and then {vote:?}"))
    }
}
