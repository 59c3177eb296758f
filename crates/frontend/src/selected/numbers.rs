//! Which UID has which sequence number: runs of UIDs, each with the count of messages before it.
//!
//! A mailbox of 100,000 messages that nobody expunged from takes one entry of twelve bytes. Looking up is
//! logarithmic in the number of runs; removing walks all runs once, however many messages go.

use buzon_types::uid::{SequenceNumber, Uid};
use buzon_types::uid_set::UidSet;

/// The messages of one session's view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    runs: Vec<Run>,
}

/// `first..=last`, with `before` messages in the runs before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,
    last: u32,
    before: u32,
}

impl Run {
    fn len(self) -> u32 {
        self.last - self.first + 1
    }
}

impl Numbers {
    pub(crate) fn of(uids: &UidSet) -> Self {
        let mut numbers = Self::default();
        numbers.append(uids);
        numbers
    }

    /// How many messages: what EXISTS tells.
    pub(crate) fn len(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.before + run.len())
    }

    pub(crate) fn last_uid(&self) -> Option<Uid> {
        self.runs.last().and_then(|run| Uid::new(run.last))
    }

    /// The number of a message that the client can see.
    pub(crate) fn number(&self, uid: Uid) -> Option<SequenceNumber> {
        let at = self.runs.partition_point(|run| run.last < uid.get());
        let run = self.runs.get(at).filter(|run| run.first <= uid.get())?;
        SequenceNumber::new(run.before + (uid.get() - run.first) + 1)
    }

    /// The UIDs of the numbers `first..=last`; those beyond the end do not exist.
    pub(crate) fn uid_runs(&self, first: SequenceNumber, last: SequenceNumber) -> Vec<(Uid, Uid)> {
        let (first, last) = (first.get() - 1, last.get() - 1);
        let at = self.runs.partition_point(|run| run.before + run.len() <= first);
        let reached = self.runs[at..].iter().take_while(|run| run.before <= last);
        reached
            .filter_map(|run| {
                let skipped = first.saturating_sub(run.before);
                let kept = (last - run.before).min(run.len() - 1);
                Uid::new(run.first + skipped).zip(Uid::new(run.first + kept))
            })
            .collect()
    }

    /// The numbers of these messages as ascending runs; UIDs that are not in the view are left out.
    pub(crate) fn number_runs(&self, uids: &UidSet) -> Vec<(SequenceNumber, SequenceNumber)> {
        let mut runs: Vec<(SequenceNumber, SequenceNumber)> = Vec::new();
        for (first, last) in self.within(uids).runs() {
            let Some((first, last)) = self.number(first).zip(self.number(last)) else { continue };
            match runs.last_mut() {
                Some(run) if run.1.next() == Some(first) => run.1 = last,
                _ => runs.push((first, last)),
            }
        }
        runs
    }

    /// All messages.
    pub(crate) fn uids(&self) -> UidSet {
        UidSet::from_runs(self.runs.iter().filter_map(|run| Uid::new(run.first).zip(Uid::new(run.last))))
    }

    /// Those of `uids` that are in the view.
    pub(crate) fn within(&self, uids: &UidSet) -> UidSet {
        if uids.run_count() < SEARCHED_RUNS {
            return UidSet::from_runs(uids.runs().flat_map(|(first, last)| self.runs_within(first, last)));
        }
        self.uids().intersection(uids)
    }

    fn runs_within(&self, first: Uid, last: Uid) -> impl Iterator<Item = (Uid, Uid)> + '_ {
        let at = self.runs.partition_point(|run| run.last < first.get());
        let reached = self.runs[at..].iter().take_while(move |run| run.first <= last.get());
        reached.filter_map(move |run| {
            Uid::new(run.first.max(first.get())).zip(Uid::new(run.last.min(last.get())))
        })
    }

    /// Messages that came: each UID beyond the last is added, others are passed over.
    pub(crate) fn append(&mut self, uids: &UidSet) {
        for (first, last) in uids.runs() {
            let beyond = self.last_uid().map_or(Some(Uid::MIN), Uid::next);
            let Some(first) = beyond.map(|beyond| beyond.max(first)).filter(|first| *first <= last) else {
                continue;
            };
            let before = self.len();
            match self.runs.last_mut() {
                Some(run) if run.last + 1 == first.get() => run.last = last.get(),
                _ => self.runs.push(Run { first: first.get(), last: last.get(), before }),
            }
        }
    }

    /// Messages that went.
    pub(crate) fn remove(&mut self, uids: &UidSet) {
        let left = self.uids().difference(uids);
        *self = Self::of(&left);
        self.runs.shrink_to_fit();
    }
}

/// Up to so many runs are looked up one by one, each in logarithmic time; more are merged with all of the view.
const SEARCHED_RUNS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[u32]) -> UidSet {
        values.iter().map(|&value| Uid::new(value).unwrap()).collect()
    }

    fn number(value: u32) -> SequenceNumber {
        SequenceNumber::new(value).unwrap()
    }

    #[test]
    fn numbers_and_uids_find_each_other() {
        let numbers = Numbers::of(&set(&[2, 3, 7, 9, 10]));
        assert_eq!(numbers.len(), 5);
        for (at, uid) in [2, 3, 7, 9, 10].into_iter().enumerate() {
            let (at, uid) = (number(at as u32 + 1), Uid::new(uid).unwrap());
            assert_eq!(numbers.number(uid), Some(at));
            assert_eq!(numbers.uid_runs(at, at), [(uid, uid)]);
        }
        assert_eq!(numbers.number(Uid::new(4).unwrap()), None);
        assert!(numbers.uid_runs(number(6), number(9)).is_empty());
        assert_eq!(UidSet::from_runs(numbers.uid_runs(number(2), number(4))), set(&[3, 7, 9]));
        assert_eq!(
            numbers.number_runs(&set(&[3, 4, 7, 10])),
            [(number(2), number(3)), (number(5), number(5))]
        );
    }

    #[test]
    fn messages_come_at_the_end_and_go_anywhere() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.len(), numbers.last_uid()), (0, None));
        numbers.append(&set(&[1, 2, 3]));
        numbers.append(&set(&[2, 4, 6])); // 2 is known already
        assert_eq!(numbers.uids(), set(&[1, 2, 3, 4, 6]));
        numbers.remove(&set(&[1, 3, 5]));
        assert_eq!(numbers.uids(), set(&[2, 4, 6]));
        assert_eq!(numbers.number(Uid::new(6).unwrap()), Some(number(3)));
        let many: UidSet = (1..100).map(|value| Uid::new(value * 2).unwrap()).collect();
        assert_eq!(numbers.within(&many), set(&[2, 4, 6]));
        assert_eq!(numbers.within(&set(&[3, 4, 5])), set(&[4]));
    }
}
