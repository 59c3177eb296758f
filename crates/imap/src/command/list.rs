//! LIST and LSUB (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

use super::status::StatusItem;

/// LIST, plain or extended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which mailboxes qualify, beside the patterns.
    pub select: ListSelect,
    /// Comes before each pattern.
    pub reference: String,
    /// Decoded to UTF-8; match with [`crate::list_match::ListPattern`].
    pub patterns: Vec<String>,
    /// What is told beside the names.
    pub returns: ListReturn,
    /// Whether any extended syntax was used: then `""` as pattern is no question for the separator (RFC 5258 §3).
    pub extended: bool,
}

/// Selection options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSelect {
    /// Subscribed names, existing or not; implies `RETURN (SUBSCRIBED)`.
    pub subscribed: bool,
    /// Remote mailboxes too: we have none.
    pub remote: bool,
    /// Parents of matching names too, with CHILDINFO. Comes only with `subscribed`.
    pub recursive_match: bool,
    /// Only mailboxes with a special use; implies `RETURN (SPECIAL-USE)`.
    pub special_use: bool,
}

/// Return options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListReturn {
    /// `\Subscribed`
    pub subscribed: bool,
    /// `\HasChildren`, `\HasNoChildren`
    pub children: bool,
    /// `\Sent` and such
    pub special_use: bool,
    /// A STATUS response per selectable mailbox; empty for none.
    pub status: Vec<StatusItem>,
}

/// LSUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lsub {
    /// Comes before the pattern.
    pub reference: String,
    /// Decoded to UTF-8.
    pub pattern: String,
}

/// No client lists with more patterns; each costs a pass over all names.
pub const PATTERNS_MAX: usize = 64;
/// A pattern longer than any mailbox name matches none that a shorter one would not.
pub const PATTERN_BYTES_MAX: usize = buzon_types::mailbox_name::MAILBOX_NAME_BYTES_MAX;
