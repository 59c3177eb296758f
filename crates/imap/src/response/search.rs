//! SEARCH and ESEARCH responses (RFC 9051 §7.3.4, RFC 4731, RFC 7162 §3.1.5 and §3.1.10).

use crate::command::{Numbering, Tag};
use buzon_types::uid::ModSeq;

/// SEARCH: what rev1 clients without RETURN get. No hits is an empty list, and still to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchNumbers {
    /// Sequence numbers or UIDs.
    pub numbers: Vec<u32>,
    /// The greatest of the hits, where MODSEQ was searched for; not sent without hits.
    pub modseq: Option<ModSeq>,
}

/// ESEARCH. Without hits MIN, MAX and ALL are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Esearch {
    /// The command it answers.
    pub tag: Tag,
    /// What the numbers are.
    pub numbering: Numbering,
    /// MIN
    pub min: Option<u32>,
    /// MAX
    pub max: Option<u32>,
    /// ALL as ascending runs; empty is left out.
    pub all: Vec<(u32, u32)>,
    /// COUNT
    pub count: Option<u32>,
    /// MODSEQ, where MODSEQ was searched for.
    pub modseq: Option<ModSeq>,
}
