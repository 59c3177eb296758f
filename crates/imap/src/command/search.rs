//! SEARCH (RFC 9051 §6.4.4, RFC 7162 §3.1.5, RFC 5032).

use super::Numbering;
use crate::sequence_set::SequenceSet;
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::uid::ModSeq;
use bytes::Bytes;

/// SEARCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What numbers the answer holds.
    pub numbering: Numbering,
    /// The result options; `None` without RETURN (answer with SEARCH, or with ESEARCH ALL for a rev2 client).
    pub returns: Option<SearchReturn>,
    /// In upper case; `None` is UTF-8 (US-ASCII is part of it). Refuse unknown ones with `NO [BADCHARSET]`.
    pub charset: Option<String>,
    /// All of these must hold.
    pub keys: Vec<SearchKey>,
}

/// `RETURN (…)`. All false but `save`: nothing but the saving is wanted. `RETURN ()` reads as `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchReturn {
    /// The smallest number.
    pub min: bool,
    /// The greatest.
    pub max: bool,
    /// All of them as a set.
    pub all: bool,
    /// How many.
    pub count: bool,
    /// Keep for `$` (RFC 9051 §6.4.4.1).
    pub save: bool,
}

/// One condition. Texts are bytes in the search's charset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// Every message.
    All,
    /// All of these: `(…)`.
    And(Vec<SearchKey>),
    /// NOT
    Not(Box<SearchKey>),
    /// OR
    Or(Box<(SearchKey, SearchKey)>),
    /// Sequence numbers, or `$`.
    Sequence(SequenceSet),
    /// UID
    Uid(SequenceSet),
    /// ANSWERED, SEEN …
    Has(SystemFlags),
    /// UNANSWERED, UNSEEN …
    HasNot(SystemFlags),
    /// KEYWORD
    Keyword(Keyword),
    /// UNKEYWORD
    NotKeyword(Keyword),
    /// RECENT
    Recent,
    /// OLD: not RECENT
    Old,
    /// NEW: RECENT UNSEEN
    New,
    /// BEFORE, ON, SINCE and with SENT.
    Date(DateField, DateTest, SearchDate),
    /// OLDER: INTERNALDATE at least so many seconds ago (RFC 5032).
    Older(u32),
    /// YOUNGER: INTERNALDATE at most so many seconds ago.
    Younger(u32),
    /// LARGER
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// HEADER; BCC, CC, FROM, SUBJECT, TO: the field's name and a text in it. An empty text: the field is there.
    Header(String, Bytes),
    /// BODY
    Body(Bytes),
    /// TEXT: header or body
    Text(Bytes),
    /// MODSEQ: at least this; answers MODSEQ too. Entry names are read and dropped: all flags share one counter.
    ModSeq(ModSeq),
}

/// Which date of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateField {
    /// INTERNALDATE
    Internal,
    /// The Date header.
    Sent,
}

/// How dates compare; times and zones are disregarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateTest {
    /// Earlier.
    Before,
    /// The same day.
    On,
    /// The same day or later.
    Since,
}

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchDate {
    /// With all its digits.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// Deepest nesting of parentheses, NOT and OR: recursion is bounded by it.
pub const SEARCH_DEPTH_MAX: usize = 64;
/// Keys in one SEARCH.
pub const SEARCH_KEYS_MAX: usize = 4096;

impl Search {
    /// Whether the test holds for any key at any depth: what the answer needs (MODSEQ, bodies, `$`).
    pub fn any_key(&self, mut test: impl FnMut(&SearchKey) -> bool) -> bool {
        self.keys.iter().any(|key| key.any(&mut test))
    }
}

impl SearchKey {
    fn any(&self, test: &mut impl FnMut(&Self) -> bool) -> bool {
        test(self)
            || match self {
                Self::And(keys) => keys.iter().any(|key| key.any(test)),
                Self::Not(key) => key.any(test),
                Self::Or(keys) => keys.0.any(test) || keys.1.any(test),
                _ => false,
            }
    }
}
