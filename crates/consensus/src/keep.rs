//! How much of its log a group keeps on this node.
//!
//! ```text
//!  first ─ ─ ─ ─ ─ ─│─ ─ ─ ─ ─ ─ ─ ─ ─│─ ─ ─ ─ ─ ─ ─ ─│─ ─ ─ last
//!                   at most this much  the slowest      on the database's disk (DESIGN D2)
//!                                      that is heard
//! ```
//! A follower keeps a number of entries, for when it leads. A leader keeps what the slowest follower needs that it hears,
//! within bounds: a number of entries, and the size of the log of all groups. Who is behind that, or was not heard for a
//! while, is helped by a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::ReadError;
use crate::group::{FollowerStatus, Group};
use crate::node::RaftOptions;
use crate::record;
use crate::type_config::LogId;

/// What is held for a follower is looked at again so often, until it goes.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Raft hears of a snapshot that was noted within this, or it will at the next one.
const HEARS_WITHIN: Duration = Duration::from_secs(5);

/// How much room there is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Room {
    /// Entries are kept that may be needed.
    #[default]
    Enough,
    /// Only those that are.
    Little,
    /// Not even those.
    None,
}

/// See the module. Of one group.
pub(crate) struct Keep {
    entries: u64,
    entries_max: u64,
    heard_within: Duration,
    state: Mutex<State>,
    /// Entries before this one are due to go, whoever needs them.
    floor: AtomicU64,
}

#[derive(Default)]
struct State {
    room: Room,
    /// Since when this node leads, by its term.
    leads: Option<(u64, Instant)>,
    /// Snapshots on their way: the log that follows them is needed, and none before.
    sent: BTreeMap<u64, u64>,
}

/// What there is to decide over. Positions count entries, from the log's first one on.
#[derive(Debug, Clone, Copy)]
struct Stands {
    /// How many may go: in a snapshot, and on the database's disk.
    may_go: u64,
    /// From here on they are needed by somebody who is heard.
    needed: u64,
}

/// How many entries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Goes {
    entries: u64,
    /// More would, were they not needed.
    is_held: bool,
}

impl Keep {
    pub(crate) fn new(options: &RaftOptions) -> Self {
        Self {
            entries: options.keep_entries,
            entries_max: options.keep_entries_max.max(options.keep_entries),
            heard_within: options.heard_within,
            state: Mutex::default(),
            floor: AtomicU64::new(0),
        }
    }

    /// Whether the entries after this one go, whoever needs them.
    pub(crate) fn are_due_to_go(&self, previous: Option<u64>) -> bool {
        previous.map_or(0, |index| index + 1) < self.floor.load(Ordering::SeqCst)
    }

    /// A snapshot is on its way; until this is dropped, unless it has arrived.
    pub(crate) fn sends(&self, peer: u64, last: Option<&LogId>) -> Sends<'_> {
        let position = last.map_or(0, |last| record::position(last).0);
        self.state.lock().sent.insert(peer, position);
        Sends { keep: self, peer }
    }

    /// After the next snapshot there is so much room.
    pub(crate) fn press(&self, room: Room) {
        let mut state = self.state.lock();
        state.room = state.room.max(room);
    }

    fn goes(&self, stands: Stands, room: Room) -> Goes {
        let Stands { may_go, needed } = stands;
        let wanted = if room == Room::Enough { may_go.saturating_sub(self.entries) } else { may_go };
        let forced = if room == Room::None { may_go } else { may_go.saturating_sub(self.entries_max) };
        let entries = wanted.min(needed).max(forced);
        Goes { entries, is_held: entries < wanted }
    }

    /// From where on somebody needs the log who is heard, or may be: a leader that has just begun has heard nobody yet.
    fn needed(&self, term: u64, followers: impl Iterator<Item = (u64, FollowerStatus)>) -> u64 {
        let mut state = self.state.lock();
        if state.leads.is_none_or(|(known, _)| known != term) {
            *state = State { room: state.room, leads: Some((term, Instant::now())), sent: BTreeMap::new() };
        }
        let leads_for = state.leads.map_or(Duration::ZERO, |(_, since)| since.elapsed());
        let is_heard = |it: &FollowerStatus| it.heard.unwrap_or(leads_for) < self.heard_within;
        let heard = followers.filter(|(_, status)| is_heard(status));
        let needs = heard.map(|(peer, status)| {
            let sent = state.sent.get(&peer).copied().unwrap_or(0);
            status.matched.0.max(sent)
        });
        needs.min().unwrap_or(u64::MAX)
    }
}

/// See [`Keep::sends`].
pub(crate) struct Sends<'a> {
    keep: &'a Keep,
    peer: u64,
}

impl Sends<'_> {
    /// It has arrived: the peer's log is known to begin there a moment later.
    pub(crate) fn has_arrived(self) {
        std::mem::forget(self);
    }
}

impl Drop for Sends<'_> {
    fn drop(&mut self) {
        self.keep.state.lock().sent.remove(&self.peer);
    }
}

impl Group {
    /// Lets go what may; whether more is held by those who need it.
    async fn let_log_go(&self, room: Room) -> Result<bool, ReadError> {
        let keep = self.keep();
        let (term, leads, noted) = {
            let metrics = self.raft().metrics();
            let metrics = metrics.borrow_watched();
            let noted = metrics.snapshot.as_ref().map_or(0, |id| record::position(id).0);
            (metrics.current_term, metrics.current_leader == Some(metrics.id), noted)
        };
        let needed = if leads {
            keep.needed(term, self.status().followers.into_iter().map(|(node, status)| (node.0, status)))
        } else {
            u64::MAX
        };
        let stands = Stands { may_go: noted.min(self.machine().durable()), needed };
        let goes = keep.goes(stands, room);
        // Only what is taken from somebody: else a peer that is caught up meanwhile would be refused.
        let floor = if goes.entries > needed { goes.entries } else { 0 };
        keep.floor.store(floor, Ordering::SeqCst);
        if floor > 0 {
            tracing::warn!(group = %self.id(), needed, through = goes.entries, "the log goes on without a follower that is too far behind");
        }
        if let Some(through) = goes.entries.checked_sub(1) {
            let purged = self.raft().trigger().purge_log(through).await;
            purged.map_err(|error| ReadError::Stopped(error.into()))?;
        }
        Ok(goes.is_held)
    }
}

/// Looks whenever a snapshot was noted, and again while something is held.
pub(crate) async fn watch(group: Group) {
    let machine = Arc::clone(group.machine());
    let mut noted = machine.noted().subscribe();
    let (mut is_held, mut room) = (false, Room::Enough);
    loop {
        tokio::select! {
            biased;
            () = machine.stop().cancelled() => return,
            changed = noted.changed() => {
                if changed.is_err() {
                    return;
                }
                let position = *noted.borrow_and_update();
                hear(&group, position).await;
                room = std::mem::take(&mut group.keep().state.lock().room);
            }
            () = tokio::time::sleep(LOOK_AGAIN_AFTER), if is_held => {}
        }
        is_held = match group.let_log_go(room).await {
            Ok(is_held) => is_held,
            Err(error) => {
                tracing::debug!(group = %group.id(), %error, "let the log go");
                false
            }
        };
    }
}

/// Waits until raft knows of a snapshot.
async fn hear(group: &Group, position: u64) {
    let knows = |noted: Option<&LogId>| noted.map_or(0, |id| record::position(id).0) >= position;
    let wait = group.raft().wait(Some(HEARS_WITHIN));
    let heard = wait.metrics(|metrics| knows(metrics.snapshot.as_ref()), "the snapshot that was noted").await;
    if let Err(error) = heard {
        tracing::debug!(group = %group.id(), %error, "a snapshot was noted and not heard of");
    }
}

#[cfg(test)]
mod tests {
    use buzon_types::id::LogIndex;
    use openraft::vote::RaftLeaderId as _;

    use super::*;

    fn keep() -> Keep {
        let heard_within = Duration::from_secs(10);
        Keep::new(&RaftOptions {
            keep_entries: 10,
            keep_entries_max: 100,
            heard_within,
            ..RaftOptions::default()
        })
    }

    fn goes(may_go: u64, needed: u64, room: Room) -> (u64, bool) {
        let Goes { entries, is_held } = keep().goes(Stands { may_go, needed }, room);
        (entries, is_held)
    }

    #[test]
    fn what_may_be_needed_stays_and_what_is_needed_stays_longer() {
        assert_eq!(goes(5, u64::MAX, Room::Enough), (0, false));
        assert_eq!(goes(500, u64::MAX, Room::Enough), (490, false));
        assert_eq!(goes(500, 450, Room::Enough), (450, true));
        assert_eq!(goes(500, 300, Room::Enough), (400, true), "no more than so many entries");
    }

    #[test]
    fn with_little_room_only_what_is_needed_stays_and_without_any_nothing() {
        assert_eq!(goes(500, u64::MAX, Room::Little), (500, false));
        assert_eq!(goes(500, 450, Room::Little), (450, true));
        assert_eq!(goes(500, 300, Room::Little), (400, true));
        assert_eq!(goes(500, 300, Room::None), (500, false));
    }

    fn follower(matched: u64, heard: Option<u64>) -> FollowerStatus {
        FollowerStatus { matched: LogIndex(matched), heard: heard.map(Duration::from_secs) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_that_is_heard_is_waited_for() {
        let keep = keep();
        let of = |slow| [(2, follower(90, Some(0))), (3, slow)].into_iter();
        assert_eq!(keep.needed(7, of(follower(40, Some(9)))), 40);
        assert_eq!(keep.needed(7, of(follower(40, Some(11)))), 90);
        // Whoever was never heard gets as much time from the first look on.
        assert_eq!(keep.needed(7, of(follower(0, None))), 0);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(keep.needed(7, of(follower(0, None))), 90);
        assert_eq!(keep.needed(8, of(follower(0, None))), 0, "a new leader has heard nobody yet");
    }

    #[test]
    fn who_gets_a_snapshot_needs_the_log_after_it() {
        let keep = keep();
        let needed = || keep.needed(7, [(3, follower(40, Some(0)))].into_iter());
        needed();
        let id = |index| LogId::new(crate::type_config::LeaderId::new(7, 1), index);
        let sends = keep.sends(3, Some(&id(79)));
        assert_eq!(needed(), 80);
        drop(sends);
        assert_eq!(needed(), 40);
        keep.sends(3, Some(&id(79))).has_arrived();
        assert_eq!(needed(), 80);
    }
}
