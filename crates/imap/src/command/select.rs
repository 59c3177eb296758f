//! SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §3.1.8 and §3.2.5).

use super::MailboxArg;
use crate::sequence_set::SequenceSet;
use buzon_types::uid::{ModSeq, UidValidity};

/// SELECT or EXAMINE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// Which mailbox.
    pub mailbox: MailboxArg,
    /// `CONDSTORE` was given: it is switched on for the session.
    pub condstore: bool,
    /// `QRESYNC (…)` was given: BAD unless the client enabled it.
    pub qresync: Option<Qresync>,
}

/// What the client knew when it was last here (RFC 7162 §3.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qresync {
    /// What its UIDs belong to.
    pub uid_validity: UidValidity,
    /// All changes up to here are known to it.
    pub modseq: ModSeq,
    /// The UIDs it knows.
    pub known_uids: Option<SequenceSet>,
    /// Sequence numbers and the UIDs that they had.
    pub sequence_match: Option<(SequenceSet, SequenceSet)>,
}
