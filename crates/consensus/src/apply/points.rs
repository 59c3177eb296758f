//! Where a replica's state digest stood lately, for others to compare.
//!
//! Replicas commit in different batches, so besides the last entry of the last one certain entries are kept, the same
//! everywhere: whoever is a little behind or ahead still meets the others there.

use std::collections::VecDeque;

use buzon_model::digest::StateDigest;
use buzon_types::id::LogIndex;

/// Every so many entries one is kept: few, so that a group with little to do under way is compared soon too, for a follower's
/// last entry is seldom its leader's.
const EVERY: u64 = 16;
/// So many of them: a follower may be behind by their product, which is more than a busy group applies in the time between
/// two comparisons.
const KEPT_MAX: usize = 1024;

/// The digest after an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) index: LogIndex,
    pub(crate) digest: StateDigest,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Points {
    head: Option<Point>,
    /// Ascending.
    kept: VecDeque<Point>,
}

/// Whether all replicas keep the digest after this entry.
pub(super) fn is_kept(index: LogIndex) -> bool {
    index.0.is_multiple_of(EVERY)
}

impl Points {
    /// Entries were committed: where the rows stand, and what is to be kept of those on the way.
    pub(super) fn reached(&mut self, head: Point, kept: &[Point]) {
        // After a database error entries are applied again.
        let again = kept.first().map_or(head.index.0 + 1, |first| first.index.0);
        self.kept.retain(|point| point.index.0 < again);
        self.kept.extend(kept);
        while self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
        self.head = Some(head);
    }

    /// Other rows came in their place.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The digest after an entry, if it is known.
    pub(crate) fn at(&self, index: LogIndex) -> Option<StateDigest> {
        let at = |point: &&Point| point.index == index;
        self.head.iter().find(at).or_else(|| self.kept.iter().rfind(at)).map(|point| point.digest)
    }

    /// What others can be asked about: the last entry, and the last one that all keep.
    pub(crate) fn latest(&self) -> impl Iterator<Item = Point> {
        let kept = self.kept.back().copied().filter(|kept| Some(*kept) != self.head);
        kept.into_iter().chain(self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(index: u64, digest: u128) -> Point {
        Point { index: LogIndex(index), digest: StateDigest(digest) }
    }

    #[test]
    fn the_head_and_what_all_keep_are_known() {
        let mut points = Points::default();
        assert_eq!(points.latest().count(), 0);
        points.reached(point(300, 3), &[point(256, 2)]);
        assert_eq!(points.latest().collect::<Vec<_>>(), [point(256, 2), point(300, 3)]);
        assert_eq!(
            [256, 299, 300].map(|at| points.at(LogIndex(at)).map(|it| it.0)),
            [Some(2), None, Some(3)]
        );
        points.reached(point(512, 4), &[point(512, 4)]);
        assert_eq!(points.latest().collect::<Vec<_>>(), [point(512, 4)]);
        assert_eq!(points.at(LogIndex(300)), None);
    }

    #[test]
    fn what_is_applied_again_takes_the_place_of_what_was_lost() {
        let mut points = Points::default();
        points.reached(point(600, 9), &[point(256, 1), point(512, 2)]);
        points.reached(point(513, 6), &[point(512, 5)]);
        assert_eq!(
            [256, 512, 513, 600].map(|at| points.at(LogIndex(at)).map(|it| it.0)),
            [Some(1), Some(5), Some(6), None]
        );
        points.forget();
        assert_eq!(points.at(LogIndex(256)), None);
    }

    #[test]
    fn few_are_kept() {
        let mut points = Points::default();
        for number in 1..=KEPT_MAX as u64 + 10 {
            let at = point(number * EVERY, number.into());
            points.reached(at, &[at]);
        }
        assert_eq!(points.kept.len(), KEPT_MAX);
        assert_eq!(points.at(LogIndex(10 * EVERY)), None);
        assert!(points.at(LogIndex(11 * EVERY)).is_some());
    }
}
