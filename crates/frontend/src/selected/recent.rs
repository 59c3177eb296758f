//! Which messages are `\Recent` in this session (RFC 3501 §2.3.2): those that it claimed through the log (DESIGN D13). In a
//! mailbox that was only examined nothing is claimed: recent are those that nobody had claimed when they were told.

use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;

use super::{Access, Selected};

/// What is recent here, and what may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Recents {
    uids: UidSet,
    /// Whoever claims gets messages from here on, as far as known; `None`: nothing is left to claim.
    unclaimed_from: Option<Uid>,
    /// UIDNEXT as far as absorbed; `None`: all are used.
    known_below: Option<Uid>,
}

/// Whether a claim brought messages that the view does not hold yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Claimed {
    /// The view holds all of them.
    Known,
    /// A delta brings the others.
    Beyond,
}

impl Recents {
    /// As SELECT finds the mailbox: all that is unclaimed can be claimed. EXAMINE shows it as it is.
    pub(super) fn open(
        uids: &UidSet,
        access: Access,
        unclaimed_from: Option<Uid>,
        known_below: Option<Uid>,
    ) -> Self {
        let uids = match access {
            Access::ReadWrite => UidSet::new(),
            Access::ReadOnly => uids.intersection(&from(unclaimed_from)),
        };
        Self { uids, unclaimed_from, known_below }
    }

    /// How the mailbox stands after a delta. A read from before a claim that is known changes nothing.
    pub(super) fn learn(&mut self, unclaimed_from: Option<Uid>, known_below: Option<Uid>) {
        self.unclaimed_from = later(self.unclaimed_from, unclaimed_from);
        self.known_below = later(self.known_below, known_below);
    }

    /// This session's own messages came.
    pub(super) fn gain(&mut self, uids: &UidSet) {
        if let Some(last) = uids.last() {
            self.known_below = later(self.known_below, last.next());
        }
    }
}

impl Selected {
    /// Whether the client counts, or is about to, messages that nobody is known to have claimed. Never after EXAMINE.
    pub(crate) fn has_unclaimed(&self) -> bool {
        self.access == Access::ReadWrite && !self.unclaimed().difference(&self.gone).is_empty()
    }

    /// A claim of this session: messages with `from <= UID < below` are recent here.
    pub(crate) fn claimed(&mut self, from: Option<Uid>, below: Option<Uid>) -> Claimed {
        if let Some(run) = from.zip(last_below(below)).filter(|(first, last)| first <= last) {
            self.recents.uids = self.recents.uids.union(&UidSet::from_runs([run]));
        }
        self.claimed_elsewhere(below);
        let known = self.recents.known_below;
        let is_known = known.is_none_or(|known| below.is_some_and(|below| below <= known));
        if is_known { Claimed::Known } else { Claimed::Beyond }
    }

    /// Another session's claim went so far.
    pub(crate) fn claimed_elsewhere(&mut self, below: Option<Uid>) {
        self.recents.unclaimed_from = later(self.recents.unclaimed_from, below);
    }

    /// Nobody knows what became of this session's claim. "If it is not possible to determine whether or not this session is
    /// the first session to be notified about a message, then that message SHOULD be considered recent" (RFC 3501 §2.3.2).
    pub(crate) fn claim_is_unknown(&mut self) {
        self.recents.uids = self.recents.uids.union(&self.unclaimed());
        self.another_claim_is_unknown();
    }

    /// Nobody knows what became of the claim of another session of this process, to which its messages are recent now.
    pub(crate) fn another_claim_is_unknown(&mut self) {
        if let Some(last) = self.numbers.last_uid() {
            self.claimed_elsewhere(last.next());
        }
    }

    /// The client is told of messages that nobody has claimed, and may not claim them.
    pub(super) fn tell_unclaimed_of(&mut self, arrivals: &UidSet) {
        if self.access == Access::ReadOnly {
            let unclaimed = arrivals.intersection(&from(self.recents.unclaimed_from));
            self.recents.uids = self.recents.uids.union(&unclaimed);
        }
    }

    /// What SELECT and EXAMINE tell.
    pub(crate) fn tell_recent(&mut self) -> u32 {
        self.told.recent = self.recent_count();
        self.told.recent
    }

    /// Whether this session sees the message as `\Recent`.
    pub(crate) fn is_recent(&self, uid: Uid) -> bool {
        self.recents.uids.contains(uid)
    }

    /// RECENT.
    pub(crate) fn recent_count(&self) -> u32 {
        self.recent_uids().len() as u32
    }

    /// What this session sees as `\Recent`.
    pub(crate) fn recent_uids(&self) -> UidSet {
        self.numbers.within(&self.recents.uids)
    }

    /// Of what the view counts; looked at before each telling, so nothing is walked where the last message is claimed.
    fn unclaimed(&self) -> UidSet {
        let last = self.numbers.last_uid();
        let any = self.recents.unclaimed_from.filter(|from| last.is_some_and(|last| *from <= last));
        any.map_or_else(UidSet::new, |from| self.numbers.within(&UidSet::from_runs([(from, Uid::MAX)])))
    }
}

/// `None` is the end.
fn later(one: Option<Uid>, two: Option<Uid>) -> Option<Uid> {
    Some(one?.max(two?))
}

fn from(first: Option<Uid>) -> UidSet {
    UidSet::from_runs(first.map(|first| (first, Uid::MAX)))
}

fn last_below(below: Option<Uid>) -> Option<Uid> {
    match below {
        Some(below) => Uid::new(below.get() - 1),
        None => Some(Uid::MAX),
    }
}
