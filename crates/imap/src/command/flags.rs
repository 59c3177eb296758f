//! Flags that a client names in STORE and APPEND (RFC 9051 §9 `flag-list`).

use buzon_types::flag::{Keyword, SystemFlags};

/// A list of flags, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagList {
    /// Flags every mailbox has.
    pub system: SystemFlags,
    /// Keywords in the order given.
    pub keywords: Vec<Keyword>,
    /// Whether the list named `\Recent` or a system flag nobody knows. No client can set these; others just drop them.
    pub names_unsettable: bool,
}

/// A mailbox remembers at most 128 keywords, so a longer list is no honest one.
pub const KEYWORDS_IN_LIST_MAX: usize = buzon_types::flag::KEYWORDS_MAX;
