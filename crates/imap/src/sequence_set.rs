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
