//! One session's view of its selected mailbox: which messages the client counts, and what it is still to be told.
//!
//! ```text
//! MailboxDelta (since our modseq) ─ absorb ─▶ numbers, gone, changed ─ news ─▶ EXPUNGE, EXISTS, RECENT, FLAGS, FETCH
//! own reply, if it begins where we stand ─ follow ─▶ (no delta needed)
//! ```
//! Absorbing never moves a sequence number; telling EXPUNGE does, and happens only where the RFC allows it (RFC 9051
//! §7.5.1, DESIGN D13). So sets of a command always mean what the client saw. A message expunged but not yet told of
//! stays countable and can be fetched: its tombstone is kept.
//!
//! Pure: no waiting and no clock here.

pub(crate) mod news;
mod numbers;
pub(crate) mod recent;
#[cfg(test)]
mod tests;

use buzon_imap::command::Numbering;
use buzon_imap::response::data::{ExtraFlag, FlagNames};
use buzon_imap::sequence_set::{Position, SequenceRange, SequenceSet};
use buzon_model::read::{MailboxDelta, OpenedMailbox};
use buzon_model::reply::{Advance, FlagState};
use buzon_types::flag::{Keyword, KeywordBits, SystemFlags};
use buzon_types::id::MailboxKey;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid::{ModSeq, SequenceNumber, Uid};
use buzon_types::uid_set::UidSet;
use news::{Arrivals, Expunges, News};
use numbers::Numbers;
use recent::Recents;

/// Whether the mailbox was opened with SELECT or EXAMINE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// SELECT
    ReadWrite,
    /// EXAMINE
    ReadOnly,
}

/// The view.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) key: MailboxKey,
    pub(crate) name: MailboxName,
    pub(crate) access: Access,
    numbers: Numbers,
    /// All changes up to here are absorbed.
    modseq: ModSeq,
    keywords: Vec<Keyword>,
    recents: Recents,
    /// What the last SEARCH with SAVE found.
    saved: UidSet,
    /// Expunged, but still counted by the client.
    gone: UidSet,
    /// Flags that the client is to be told; ascending by UID.
    changed: Vec<FlagState>,
    told: Told,
    deleted: bool,
}

/// What the client was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    exists: u32,
    recent: u32,
    keywords: usize,
}

/// Whether a STORE's own changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    /// FETCH for each message.
    All,
    /// `.SILENT`
    OnlyOthers,
}

/// A sequence number beyond the messages that the client was told of (RFC 9051 §9 `seq-number`: answer BAD).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no message has that number")]
pub(crate) struct NoSuchNumber;

impl Selected {
    /// As SELECT tells it: the client is going to be told EXISTS, RECENT ([`Self::tell_recent`]) and FLAGS by the caller.
    pub(crate) fn open(opened: OpenedMailbox, access: Access) -> Self {
        let OpenedMailbox { row, uids, .. } = opened;
        let numbers = Numbers::of(&uids);
        Self {
            key: row.key,
            name: row.name,
            access,
            told: Told { exists: numbers.len(), recent: 0, keywords: row.keywords.len() },
            numbers,
            modseq: row.counters.modseq,
            keywords: row.keywords,
            recents: Recents::open(&uids, access, row.counters.recent_from, row.counters.uid_next),
            saved: UidSet::new(),
            gone: UidSet::new(),
            changed: Vec::new(),
            deleted: false,
        }
    }

    /// EXISTS.
    pub(crate) fn exists(&self) -> u32 {
        self.numbers.len()
    }

    /// Whether messages have come that the client is not told of.
    pub(crate) fn has_arrivals(&self) -> bool {
        self.exists() > self.told.exists
    }

    /// What the next delta is asked since.
    pub(crate) fn modseq(&self) -> ModSeq {
        self.modseq
    }

    /// The mailbox's keywords as far as absorbed.
    pub(crate) fn keywords(&self) -> &[Keyword] {
        &self.keywords
    }

    /// Whether the mailbox is no more; the session cannot go on with it.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// The messages that the client counts and that are not expunged, as far as known.
    pub(crate) fn present(&self) -> UidSet {
        self.numbers.uids().difference(&self.gone)
    }

    /// The messages that the client counts.
    pub(crate) fn uids(&self) -> UidSet {
        self.numbers.uids()
    }

    /// The number of a message.
    pub(crate) fn number(&self, uid: Uid) -> Option<SequenceNumber> {
        self.numbers.number(uid)
    }

    /// The numbers of messages as ascending runs.
    pub(crate) fn number_runs(&self, uids: &UidSet) -> Vec<(SequenceNumber, SequenceNumber)> {
        self.numbers.number_runs(uids)
    }

    /// Keeps what `$` stands for.
    pub(crate) fn save(&mut self, found: UidSet) {
        self.saved = found;
    }

    /// The messages of the view that a set means. UIDs that do not exist are passed over.
    ///
    /// # Errors
    /// If a sequence number is beyond the last message.
    pub(crate) fn resolve(&self, numbering: Numbering, set: &SequenceSet) -> Result<UidSet, NoSuchNumber> {
        match (set, numbering) {
            (SequenceSet::LastSearch, _) => Ok(self.saved.clone()),
            (SequenceSet::Ranges(ranges), Numbering::Uid) => Ok(self.resolve_uids(ranges)),
            (SequenceSet::Ranges(ranges), Numbering::Sequence) => self.resolve_numbers(ranges),
        }
    }

    /// `*` is the greatest UID; of a mailbox without messages nothing.
    fn resolve_uids(&self, ranges: &[SequenceRange]) -> UidSet {
        let Some(greatest) = self.numbers.last_uid() else { return UidSet::new() };
        let uid = |position| match position {
            Position::Greatest => Some(greatest),
            Position::Number(number) => Uid::new(number.get()),
        };
        let runs = ranges.iter().filter_map(|range| uid(range.first).zip(uid(range.last)));
        self.numbers.within(&UidSet::from_runs(runs))
    }

    /// Clients ask `1:*` of a mailbox without messages too: that is nothing, not an error.
    fn resolve_numbers(&self, ranges: &[SequenceRange]) -> Result<UidSet, NoSuchNumber> {
        let Some(greatest) = SequenceNumber::new(self.exists()) else {
            let has_star = |range: &SequenceRange| [range.first, range.last].contains(&Position::Greatest);
            return if ranges.iter().all(has_star) { Ok(UidSet::new()) } else { Err(NoSuchNumber) };
        };
        let number = |position| match position {
            Position::Greatest => Ok(greatest),
            Position::Number(number) => {
                SequenceNumber::new(number.get()).filter(|number| *number <= greatest).ok_or(NoSuchNumber)
            }
        };
        let mut wanted = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (first, last) = (number(range.first)?, number(range.last)?);
            wanted.push((first.min(last), first.max(last)));
        }
        // Each number once: `1:*,1:*,…` must not take the mailbox's runs that often.
        wanted.sort_unstable();
        wanted.dedup_by(|next, run| {
            let joins = next.0 <= run.1;
            if joins {
                run.1 = run.1.max(next.1);
            }
            joins
        });
        Ok(UidSet::from_runs(wanted.into_iter().flat_map(|(first, last)| self.numbers.uid_runs(first, last))))
    }

    /// Takes in what happened since [`Self::modseq`]. Safe at any time: no number moves.
    pub(crate) fn absorb(&mut self, delta: MailboxDelta) {
        let Some(name) = delta.name else {
            self.deleted = true;
            return;
        };
        if delta.modseq < self.modseq {
            return; // a read from before what we know; never go back
        }
        self.name = name;
        self.learn_keywords(delta.keywords);
        let expunged = match &delta.live {
            Some(live) => self.numbers.uids().difference(live),
            None => self.numbers.within(&delta.expunged),
        };
        self.lose(&expunged);
        let came = delta.live.unwrap_or_else(|| delta.messages.iter().map(|message| message.uid).collect());
        self.numbers.append(&came);
        self.recents.learn(delta.recent_from, delta.uid_next);
        self.note_changes(delta.messages);
        self.modseq = delta.modseq;
    }

    /// Whether a reply to a command of this session begins where the view stands; if so the view now stands at its
    /// end. If not, somebody else's changes lie between, and only a delta tells them.
    #[must_use]
    pub(crate) fn follow(&mut self, advance: Advance) -> bool {
        let follows = advance.before == self.modseq && advance.after >= advance.before;
        if follows {
            self.modseq = advance.after;
        }
        follows
    }

    /// Messages that this session expunged, after [`Self::follow`].
    pub(crate) fn lose(&mut self, uids: &UidSet) {
        let expunged = self.numbers.within(uids);
        // What the client never heard of comes and goes in silence.
        let silent = expunged.intersection(&self.arrivals());
        if !silent.is_empty() {
            self.numbers.remove(&silent);
        }
        self.gone = self.gone.union(&expunged.difference(&silent));
        self.saved = self.saved.difference(&silent);
    }

    /// Messages that this session appended, after [`Self::follow`].
    pub(crate) fn gain(&mut self, uids: &UidSet) {
        self.numbers.append(uids);
        self.recents.gain(uids);
    }

    /// Messages that the client is not told of.
    fn arrivals(&self) -> UidSet {
        match SequenceNumber::new(self.told.exists + 1) {
            Some(next) => UidSet::from_runs(self.numbers.uid_runs(next, SequenceNumber::MAX)),
            None => UidSet::new(),
        }
    }

    /// Keywords only grow.
    pub(crate) fn learn_keywords(&mut self, keywords: Vec<Keyword>) {
        if keywords.len() > self.keywords.len() {
            self.keywords = keywords;
        }
    }

    /// Flags of messages that the client knows of; of new ones it asks itself.
    fn note_changes(&mut self, messages: Vec<FlagState>) {
        let known = |message: &FlagState| {
            self.numbers.number(message.uid).is_some_and(|number| number.get() <= self.told.exists)
        };
        let news = messages.into_iter().filter(known).collect::<Vec<_>>();
        if self.changed.is_empty() {
            self.changed = news;
            return;
        }
        self.changed.extend(news);
        self.changed.sort_by_key(|change| (change.uid, std::cmp::Reverse(change.modseq)));
        self.changed.dedup_by_key(|change| change.uid);
    }

    /// Flags that this session's own STORE changed, after [`Self::follow`]. What another changed before on the same
    /// message, and is not told yet, makes the client hear of it even when it asked for silence.
    pub(crate) fn note_own_changes(&mut self, messages: Vec<FlagState>, telling: Telling) {
        let pending: UidSet = self.changed.iter().map(|change| change.uid).collect();
        let told = |message: &FlagState| telling == Telling::All || pending.contains(message.uid);
        self.note_changes(messages.into_iter().filter(told).collect());
    }

    /// Flags that were told in a FETCH response just now need not be told again.
    pub(crate) fn told_flags(&mut self, state: &FlagState) {
        if !self.changed.is_empty() {
            self.changed.retain(|change| change.uid != state.uid || change.modseq > state.modseq);
        }
    }

    /// Takes what the client is to be told now. The caller must send all of it.
    pub(crate) fn news(&mut self, expunges: Expunges, arrivals: Arrivals) -> News {
        let expunged = match expunges {
            Expunges::Told => self.tell_expunged(),
            Expunges::Held => Vec::new(),
        };
        let before = self.told;
        self.told.keywords = self.keywords.len();
        if arrivals == Arrivals::Told {
            if self.has_arrivals() {
                self.tell_unclaimed_of(&self.arrivals());
            }
            (self.told.exists, self.told.recent) = (self.exists(), self.recent_count());
        }
        let told = self.told;
        let has_grown = before.exists != told.exists;
        let changed = std::mem::take(&mut self.changed);
        News {
            expunged,
            exists: has_grown.then_some(told.exists),
            // With each EXISTS (RFC 3501 §7.3.2).
            recent: (has_grown || before.recent != told.recent).then_some(told.recent),
            new_keywords: before.keywords != told.keywords,
            flags: changed
                .into_iter()
                .filter_map(|change| Some((self.number(change.uid)?, change)))
                .collect(),
        }
    }

    /// The greatest number first, so that the smaller ones still mean the same.
    fn tell_expunged(&mut self) -> Vec<SequenceNumber> {
        let gone = std::mem::take(&mut self.gone);
        if gone.is_empty() {
            return Vec::new();
        }
        let mut numbers: Vec<_> = gone.iter().filter_map(|uid| self.numbers.number(uid)).collect();
        numbers.reverse();
        self.numbers.remove(&gone);
        self.saved = self.saved.difference(&gone);
        self.told.exists -= numbers.len() as u32;
        numbers
    }

    /// Whether all of a message's keywords have names here; if not, a delta brings them.
    pub(crate) fn knows_keywords(&self, bits: KeywordBits) -> bool {
        bits.0.checked_shr(self.keywords.len() as u32).unwrap_or(0) == 0
    }

    /// A message's flags by name.
    pub(crate) fn flag_names(
        &self,
        flags: SystemFlags,
        keywords: KeywordBits,
        extra: ExtraFlag,
    ) -> FlagNames {
        let named = keywords.numbers().filter_map(|at| self.keywords.get(at).cloned());
        FlagNames { system: flags, keywords: named.collect(), extra }
    }
}
