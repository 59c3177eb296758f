//! What must hold at every moment of a simulation: one file each. They see a group's events in their order, and its history.

mod a_retry_applies_once;
mod acknowledged_writes_survive;
mod groups_keep_running;
mod logs_go_only_below_what_databases_hold;
mod one_leader_per_term;
mod reads_see_what_was_acknowledged;
mod replicas_agree;
mod sessions_never_go_back;
mod states_are_never_ahead_of_their_logs;
mod uids_and_modseqs_ascend;
mod votes_are_kept;

use super::history::History;
use super::oracle::Event;

/// One of them, for one group.
pub(crate) trait Invariant: Send {
    /// As its file is called.
    fn name(&self) -> &'static str;

    /// Something happened.
    ///
    /// # Errors
    /// In what it does not hold.
    fn observe(&mut self, event: &Event<'_>, history: &History) -> Result<(), String>;
}

/// Fresh ones, for one group.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::<states_are_never_ahead_of_their_logs::Check>::default(),
        Box::<logs_go_only_below_what_databases_hold::Check>::default(),
        Box::<votes_are_kept::Check>::default(),
        Box::<one_leader_per_term::Check>::default(),
        Box::<replicas_agree::Check>::default(),
        Box::<acknowledged_writes_survive::Check>::default(),
        Box::<a_retry_applies_once::Check>::default(),
        Box::<uids_and_modseqs_ascend::Check>::default(),
        Box::<reads_see_what_was_acknowledged::Check>::default(),
        Box::<sessions_never_go_back::Check>::default(),
        Box::<groups_keep_running::Check>::default(),
    ]
}

/// Fails with what is said unless it holds.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
