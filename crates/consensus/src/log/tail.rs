//! The newest entries of one group's log, in memory.
//!
//! What is not yet flushed is only here, so it is never dropped; flushed entries go from the front when the tail
//! outgrows its limit.

use std::collections::VecDeque;
use std::ops::Range;

use super::backend::LogRecord;

/// Memory that an entry takes beside its bytes, roughly.
const RECORD_OVERHEAD: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Tail {
    records: VecDeque<LogRecord>,
    bytes: usize,
}

impl Tail {
    /// The first index held, if any.
    pub(super) fn first(&self) -> Option<u64> {
        self.records.front().map(|record| record.index)
    }

    pub(super) fn push(&mut self, records: &[LogRecord]) {
        for record in records {
            self.bytes += cost(record);
            self.records.push_back(record.clone());
        }
    }

    /// Keeps what is before `next`.
    pub(super) fn truncate(&mut self, next: u64) {
        while self.records.back().is_some_and(|record| record.index >= next) {
            self.bytes -= self.records.pop_back().as_ref().map_or(0, cost);
        }
    }

    /// Keeps what is from `first` on.
    pub(super) fn purge(&mut self, first: u64) {
        while self.records.front().is_some_and(|record| record.index < first) {
            self.pop_front();
        }
    }

    /// Drops old entries before `flushed` until the rest fits.
    pub(super) fn shrink(&mut self, flushed: u64, bytes_max: usize) {
        while self.bytes > bytes_max && self.records.front().is_some_and(|record| record.index < flushed) {
            self.pop_front();
        }
    }

    /// Entries of `range`, which must be held from its start, until `bytes_max` is passed; at least one.
    pub(super) fn read(&self, range: Range<u64>, bytes_max: usize) -> Vec<LogRecord> {
        let Some(first) = self.first() else { return Vec::new() };
        let skip = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut taken = 0;
        let fits = |record: &&LogRecord| {
            let go_on = record.index < range.end && (taken == 0 || taken < bytes_max);
            taken += record.bytes.len().max(1);
            go_on
        };
        self.records.iter().skip(skip).take_while(fits).cloned().collect()
    }

    fn pop_front(&mut self) {
        self.bytes -= self.records.pop_front().as_ref().map_or(0, cost);
    }
}

fn cost(record: &LogRecord) -> usize {
    record.bytes.len() + RECORD_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(index: u64) -> LogRecord {
        LogRecord { index, bytes: vec![0; 36].into() }
    }

    fn indexes(records: &[LogRecord]) -> Vec<u64> {
        records.iter().map(|record| record.index).collect()
    }

    #[test]
    fn entries_that_are_not_flushed_are_never_dropped() {
        let mut tail = Tail::default();
        tail.push(&(5..15).map(record).collect::<Vec<_>>());
        tail.shrink(8, 300);
        assert_eq!(tail.first(), Some(8));
        tail.shrink(15, 300);
        assert_eq!(tail.first(), Some(12));
        tail.shrink(15, 0);
        assert_eq!((tail.first(), tail.bytes), (None, 0));
    }

    #[test]
    fn a_read_returns_at_least_one_entry_and_stops_at_its_limit() {
        let mut tail = Tail::default();
        tail.push(&(5..15).map(record).collect::<Vec<_>>());
        assert_eq!(indexes(&tail.read(6..9, usize::MAX)), [6, 7, 8]);
        assert_eq!(indexes(&tail.read(6..15, 1)), [6]);
        assert_eq!(indexes(&tail.read(6..15, 72)), [6, 7]);
        assert_eq!(indexes(&tail.read(15..20, 72)), [0; 0]);
    }

    #[test]
    fn truncation_and_purging_keep_the_middle() {
        let mut tail = Tail::default();
        tail.push(&(5..15).map(record).collect::<Vec<_>>());
        tail.truncate(12);
        tail.purge(7);
        assert_eq!(indexes(&tail.read(7..20, usize::MAX)), [7, 8, 9, 10, 11]);
        assert_eq!(tail.bytes, 500);
    }
}
