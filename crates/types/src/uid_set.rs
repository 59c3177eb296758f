//! A set of UIDs as ascending runs: `1:3,7,9:12` takes three entries whatever the runs' lengths.

use crate::uid::Uid;
use std::fmt;
use std::ops::RangeInclusive;

/// Ascending runs that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct UidSet {
    runs: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// Runs in any order, overlapping or not; ends of a run may be swapped (RFC 9051 §9 `seq-range`).
    pub fn from_runs(runs: impl IntoIterator<Item = (Uid, Uid)>) -> Self {
        let mut runs: Vec<(u32, u32)> =
            runs.into_iter().map(|(a, b)| (a.get().min(b.get()), a.get().max(b.get()))).collect();
        runs.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(runs.len());
        for (first, last) in runs {
            match merged.last_mut() {
                Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { runs: merged }
    }

    /// Adds a UID that is greater than all in the set: constant time.
    ///
    /// # Panics
    /// If it is not greater.
    pub fn push(&mut self, uid: Uid) {
        let uid = uid.get();
        match self.runs.last_mut() {
            Some(run) if uid == run.1 + 1 => run.1 = uid,
            Some(run) => {
                assert!(uid > run.1, "push keeps ascending order: {uid} after {}", run.1);
                self.runs.push((uid, uid));
            }
            None => self.runs.push((uid, uid)),
        }
    }

    /// Adds any UID.
    pub fn insert(&mut self, uid: Uid) {
        if !self.contains(uid) {
            let runs = self.runs().chain([(uid, uid)]).collect::<Vec<_>>();
            *self = Self::from_runs(runs);
        }
    }

    /// Whether the UID is in the set; logarithmic in the number of runs.
    pub fn contains(&self, uid: Uid) -> bool {
        let uid = uid.get();
        let after = self.runs.partition_point(|run| run.1 < uid);
        self.runs.get(after).is_some_and(|run| run.0 <= uid)
    }

    /// The runs, ascending.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = (Uid, Uid)> + ExactSizeIterator + '_ {
        self.runs.iter().map(|&(first, last)| (known(first), known(last)))
    }

    /// Each UID, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.runs.iter().flat_map(|&(first, last)| (first..=last).map(known))
    }

    /// How many UIDs.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.1 - run.0) + 1).sum()
    }

    /// How many runs.
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The smallest.
    pub fn first(&self) -> Option<Uid> {
        self.runs.first().map(|run| known(run.0))
    }

    /// The greatest.
    pub fn last(&self) -> Option<Uid> {
        self.runs.last().map(|run| known(run.1))
    }

    /// UIDs that are in both; linear in the number of runs.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut runs = Vec::new();
        let (mut left, mut right) = (self.runs.iter().peekable(), other.runs.iter().peekable());
        while let (Some(&&a), Some(&&b)) = (left.peek(), right.peek()) {
            let both = (a.0.max(b.0), a.1.min(b.1));
            if both.0 <= both.1 {
                runs.push(both);
            }
            if a.1 < b.1 {
                left.next()
            } else {
                right.next()
            };
        }
        Self { runs }
    }

    /// UIDs of this set that are not in the other; linear in the number of runs.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut runs = Vec::new();
        let mut taken = other.runs.iter().peekable();
        for &(mut first, last) in &self.runs {
            let mut open = true;
            while open && let Some(&&(from, to)) = taken.peek() {
                if from > last {
                    break;
                }
                if to >= first {
                    if from > first {
                        runs.push((first, from - 1));
                    }
                    open = to < last;
                    first = to.saturating_add(1);
                }
                if open {
                    taken.next();
                }
            }
            if open {
                runs.push((first, last));
            }
        }
        Self { runs }
    }

    /// UIDs that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_runs(self.runs().chain(other.runs()))
    }

    /// Splits off sets of at most `uids_max` UIDs each, in order.
    pub fn chunks(&self, uids_max: u32) -> Vec<Self> {
        assert!(uids_max > 0, "a chunk holds something");
        let mut chunks = Vec::new();
        let mut chunk = Self::new();
        let mut room = uids_max;
        for &(mut first, last) in &self.runs {
            loop {
                let take = room.min((last - first).saturating_add(1));
                chunk.runs.push((first, first + (take - 1)));
                room -= take;
                if room == 0 {
                    chunks.push(std::mem::take(&mut chunk));
                    room = uids_max;
                }
                if first + (take - 1) == last {
                    break;
                }
                first += take;
            }
        }
        if !chunk.is_empty() {
            chunks.push(chunk);
        }
        chunks
    }
}

/// Every number in a run lies between two UIDs, so it is not zero.
fn known(value: u32) -> Uid {
    Uid::new(value).expect("runs hold no zero")
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        Self::from_runs(uids.into_iter().map(|uid| (uid, uid)))
    }
}

impl From<RangeInclusive<Uid>> for UidSet {
    fn from(range: RangeInclusive<Uid>) -> Self {
        Self::from_runs([range.into_inner()])
    }
}

/// As in a response code: `1:3,7` (RFC 9051 §9 `uid-set`).
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.runs.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}:{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(values: &[u32]) -> UidSet {
        values.iter().map(|&value| Uid::new(value).unwrap()).collect()
    }

    #[test]
    fn runs_merge_when_they_touch() {
        assert_eq!(set(&[1, 3, 2, 7, 9, 8, 20]).to_string(), "1:3,7:9,20");
        assert_eq!(set(&[u32::MAX, u32::MAX - 1]).to_string(), "4294967294:4294967295");
    }

    proptest! {
        #[test]
        fn it_is_a_set(values in prop::collection::vec(1u32..60, 0..40), chunk in 1u32..9) {
            let naive: BTreeSet<u32> = values.iter().copied().collect();
            let runs = set(&values);
            prop_assert_eq!(runs.iter().map(Uid::get).collect::<Vec<_>>(), naive.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(runs.len(), naive.len() as u64);
            for value in 1..60 {
                prop_assert_eq!(runs.contains(Uid::new(value).unwrap()), naive.contains(&value));
            }
            let odd: BTreeSet<u32> = values.iter().map(|value| value / 2 * 3 % 60 + 1).collect();
            let other = set(&odd.iter().copied().collect::<Vec<_>>());
            let numbers = |set: &UidSet| set.iter().map(Uid::get).collect::<Vec<_>>();
            prop_assert_eq!(numbers(&runs.intersection(&other)), naive.intersection(&odd).copied().collect::<Vec<_>>());
            prop_assert_eq!(numbers(&runs.difference(&other)), naive.difference(&odd).copied().collect::<Vec<_>>());
            prop_assert_eq!(numbers(&runs.union(&other)), naive.union(&odd).copied().collect::<Vec<_>>());
            prop_assert_eq!(UidSet::from_runs(runs.difference(&other).runs()), runs.difference(&other));
            let mut pushed = UidSet::new();
            naive.iter().for_each(|&value| pushed.push(Uid::new(value).unwrap()));
            prop_assert_eq!(&pushed, &runs);
            let chunks = runs.chunks(chunk);
            prop_assert!(chunks.iter().all(|part| part.len() <= u64::from(chunk)));
            prop_assert_eq!(chunks.iter().flat_map(|part| part.iter().collect::<Vec<_>>()).collect::<Vec<_>>(),
                runs.iter().collect::<Vec<_>>());
        }
    }
}
