//! Sets of sequence numbers or UIDs as clients write them: `2,4:7,9,12:*` (RFC 9051 §9 `sequence-set`).

use crate::command::Numbering;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use std::fmt;
use std::num::NonZeroU32;

/// A set that is not yet resolved against a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SequenceSet {
    /// As written, in that order. Empty only where it held nothing but 0 (Outlook's UID sets).
    Ranges(Vec<SequenceRange>),
    /// `$`: what the last SEARCH with SAVE found (RFC 9051 §6.4.4.1).
    LastSearch,
}

/// Two ends in any order; a single number has it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceRange {
    /// Before the colon.
    pub first: Position,
    /// After it.
    pub last: Position,
}

/// An end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// A number.
    Number(NonZeroU32),
    /// `*`: the greatest in use.
    Greatest,
}

impl SequenceSet {
    /// Reads a whole set. 0 in a set of UIDs stands for nothing, and for 1 as the end of a range (Outlook).
    pub fn parse(text: &[u8], numbering: Numbering) -> Option<Self> {
        if text == b"$" {
            return Some(Self::LastSearch);
        }
        // The shortest element is a digit and a comma.
        let mut ranges = Vec::with_capacity((text.len() / 4).clamp(1, 1024));
        for element in text.split(|&byte| byte == b',') {
            let (first, last) = match memchr::memchr(b':', element) {
                Some(colon) => (End::parse(&element[..colon])?, End::parse(&element[colon + 1..])?),
                None => {
                    let end = End::parse(element)?;
                    (end, end)
                }
            };
            if (first == End::Zero || last == End::Zero) && numbering == Numbering::Sequence {
                return None;
            }
            if (first, last) != (End::Zero, End::Zero) {
                ranges.push(SequenceRange { first: first.position(), last: last.position() });
            }
        }
        Some(Self::Ranges(ranges))
    }

    /// Ascending runs that neither overlap nor touch, with `*` standing for `greatest`; `None` for `$`.
    /// A run may reach beyond `greatest`.
    pub fn resolve(&self, greatest: NonZeroU32) -> Option<Vec<(u32, u32)>> {
        let Self::Ranges(ranges) = self else { return None };
        let mut runs: Vec<(u32, u32)> = ranges.iter().map(|range| range.resolve(greatest)).collect();
        runs.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(runs.len());
        for (first, last) in runs {
            match merged.last_mut() {
                Some(run) if first <= run.1.saturating_add(1) => run.1 = run.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Some(merged)
    }

    /// The set as UIDs, where `*` is the greatest UID in the mailbox (UIDNEXT if it is empty); `None` for `$`.
    pub fn uids(&self, greatest: Uid) -> Option<UidSet> {
        let greatest = NonZeroU32::new(greatest.get())?;
        let runs = self.resolve(greatest)?;
        Some(UidSet::from_runs(
            runs.into_iter().filter_map(|(first, last)| Some((Uid::new(first)?, Uid::new(last)?))),
        ))
    }

    /// Whether `*` occurs.
    pub fn names_greatest(&self) -> bool {
        let Self::Ranges(ranges) = self else { return false };
        ranges.iter().any(|range| range.first == Position::Greatest || range.last == Position::Greatest)
    }

    /// The greatest number that is spelled out: a sequence number beyond the mailbox's messages is BAD
    /// (RFC 9051 §9 `seq-number`).
    pub fn greatest_number(&self) -> Option<u32> {
        let Self::Ranges(ranges) = self else { return None };
        let number = |position: Position| match position {
            Position::Number(number) => Some(number.get()),
            Position::Greatest => None,
        };
        ranges.iter().flat_map(|range| [number(range.first), number(range.last)]).flatten().max()
    }
}

impl SequenceRange {
    /// Its ends, the smaller first.
    pub fn resolve(self, greatest: NonZeroU32) -> (u32, u32) {
        let number = |position: Position| match position {
            Position::Number(number) => number.get(),
            Position::Greatest => greatest.get(),
        };
        let (first, last) = (number(self.first), number(self.last));
        (first.min(last), first.max(last))
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Ranges(ranges) = self else { return f.write_str("$") };
        for (at, range) in ranges.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", range.first)?;
            if range.first != range.last {
                write!(f, ":{}", range.last)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Greatest => f.write_str("*"),
        }
    }
}

/// An end of a range as read, before zeros are judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Zero,
    Number(NonZeroU32),
    Greatest,
}

impl End {
    fn parse(text: &[u8]) -> Option<Self> {
        if text == b"*" {
            return Some(Self::Greatest);
        }
        // Ten digits are the longest number of 32 bits; more could only be leading zeros.
        if text.is_empty() || text.len() > 10 {
            return None;
        }
        let mut value: u64 = 0;
        for &byte in text {
            if !byte.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u64::from(byte - b'0');
        }
        let value = u32::try_from(value).ok()?;
        Some(NonZeroU32::new(value).map_or(Self::Zero, Self::Number))
    }

    fn position(self) -> Position {
        match self {
            Self::Zero => Position::Number(NonZeroU32::MIN),
            Self::Number(number) => Position::Number(number),
            Self::Greatest => Position::Greatest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uids(text: &str) -> Option<SequenceSet> {
        SequenceSet::parse(text.as_bytes(), Numbering::Uid)
    }

    fn numbers(text: &str) -> Option<SequenceSet> {
        SequenceSet::parse(text.as_bytes(), Numbering::Sequence)
    }

    fn greatest(value: u32) -> NonZeroU32 {
        NonZeroU32::new(value).unwrap()
    }

    #[test]
    fn sets_of_the_rfc_resolve_as_it_says() {
        let set = numbers("2,4:7,9,12:*").unwrap();
        assert_eq!(set.resolve(greatest(15)).unwrap(), [(2, 2), (4, 7), (9, 9), (12, 15)]);
        let set = numbers("*:4,5:7").unwrap();
        assert_eq!(set.resolve(greatest(10)).unwrap(), [(4, 10)]);
        assert_eq!(uids("3291:*").unwrap().resolve(greatest(7)).unwrap(), [(7, 3291)]);
        assert_eq!(numbers("$"), Some(SequenceSet::LastSearch));
    }

    #[test]
    fn zero_is_ignored_in_uids_and_refused_in_sequence_numbers() {
        assert_eq!(uids("0"), Some(SequenceSet::Ranges(Vec::new())));
        assert_eq!(uids("0:5").unwrap().to_string(), "1:5");
        assert_eq!(uids("5:0").unwrap().to_string(), "5:1");
        assert_eq!(uids("0,7,0:0").unwrap().to_string(), "7");
        assert_eq!(numbers("0"), None);
        assert_eq!(numbers("1:0"), None);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "",
            ",",
            "1,",
            ":",
            "1:",
            ":1",
            "1:2:3",
            "a",
            "$,1",
            "4294967296",
            "99999999999",
            "-1",
            "1 2",
            "**",
        ] {
            assert_eq!(uids(text), None, "{text}");
        }
    }

    #[test]
    fn the_ends_of_a_set_are_known() {
        let set = numbers("3:*,70").unwrap();
        assert!(set.names_greatest());
        assert_eq!(set.greatest_number(), Some(70));
        assert_eq!(set.uids(Uid::new(9).unwrap()).unwrap().to_string(), "3:9,70");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(ranges in prop::collection::vec((0u32..50, 0u32..50), 1..40)) {
            let position = |value: u32| NonZeroU32::new(value).map_or(Position::Greatest, Position::Number);
            let ranges = ranges.into_iter().map(|(a, b)| SequenceRange { first: position(a), last: position(b) }).collect();
            let set = SequenceSet::Ranges(ranges);
            prop_assert_eq!(numbers(&set.to_string()), Some(set.clone()));
            let naive: std::collections::BTreeSet<u32> = match &set {
                SequenceSet::Ranges(ranges) => ranges.iter().flat_map(|range| { let (a, b) = range.resolve(greatest(30)); a..=b }).collect(),
                SequenceSet::LastSearch => unreachable!(),
            };
            let runs = set.resolve(greatest(30)).unwrap();
            prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert_eq!(runs.into_iter().flat_map(|(a, b)| a..=b).collect::<Vec<_>>(), naive.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = SequenceSet::parse(&bytes, Numbering::Uid);
        }
    }
}
