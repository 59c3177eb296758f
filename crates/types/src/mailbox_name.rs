//! A mailbox's name as the account knows it: UTF-8, levels separated by `/` (RFC 9051 §5.1).
//!
//! Modified UTF-7 is an encoding of the wire and lives in `imap`.

use std::fmt;

/// Separates levels of the hierarchy.
pub const SEPARATOR: char = '/';
/// Longest name in bytes; leaves room for modified UTF-7 within a line.
pub const MAILBOX_NAME_BYTES_MAX: usize = 1024;
/// Deepest hierarchy.
pub const MAILBOX_LEVELS_MAX: usize = 32;

/// A name without control characters, empty levels or wildcards; `INBOX` in any case is `INBOX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxName(Box<str>);

/// Why a text is no mailbox name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxNameError {
    /// Nothing there.
    #[error("mailbox name is empty")]
    Empty,
    /// Over [`MAILBOX_NAME_BYTES_MAX`].
    #[error("mailbox name is longer than {MAILBOX_NAME_BYTES_MAX} bytes")]
    TooLong,
    /// Over [`MAILBOX_LEVELS_MAX`].
    #[error("mailbox name has more than {MAILBOX_LEVELS_MAX} levels")]
    TooDeep,
    /// `//`, or a `/` at the start.
    #[error("mailbox name has an empty level")]
    EmptyLevel,
    /// A control character, `%` or `*` (RFC 9051 §5.1), or a line or paragraph separator (RFC 5198 §2).
    #[error("mailbox name holds {0:?}")]
    Character(char),
}

impl MailboxName {
    /// The one mailbox every account has.
    pub fn inbox() -> Self {
        Self("INBOX".into())
    }

    /// Checks and normalises: one trailing separator is dropped (clients say "this will have children" so,
    /// RFC 9051 §6.3.4), a first level that is `inbox` in any case becomes `INBOX`.
    ///
    /// # Errors
    /// If it is no mailbox name.
    pub fn new(text: &str) -> Result<Self, MailboxNameError> {
        let text = text.strip_suffix(SEPARATOR).unwrap_or(text);
        if text.is_empty() {
            return Err(MailboxNameError::Empty);
        }
        if text.len() > MAILBOX_NAME_BYTES_MAX {
            return Err(MailboxNameError::TooLong);
        }
        let bad = |c: char| c.is_control() || matches!(c, '%' | '*' | '\u{2028}' | '\u{2029}');
        if let Some(c) = text.chars().find(|&c| bad(c)) {
            return Err(MailboxNameError::Character(c));
        }
        if text.split(SEPARATOR).any(str::is_empty) {
            return Err(MailboxNameError::EmptyLevel);
        }
        if text.split(SEPARATOR).count() > MAILBOX_LEVELS_MAX {
            return Err(MailboxNameError::TooDeep);
        }
        let first = text.split(SEPARATOR).next().unwrap_or(text);
        if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
            return Ok(Self(format!("INBOX{}", &text[first.len()..]).into()));
        }
        Ok(Self(text.into()))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// The name one level up.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once(SEPARATOR).map(|(parent, _)| Self(parent.into()))
    }

    /// Names above it, the nearest last: `a`, `a/b` for `a/b/c`.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        self.0.match_indices(SEPARATOR).map(|(at, _)| Self(self.0[..at].into()))
    }

    /// Whether it lies somewhere below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with(SEPARATOR))
    }

    /// This name with the prefix `from` replaced by `to`; `None` if it is neither `from` nor below it.
    ///
    /// # Errors
    /// Inside the option, if the new name is too long or too deep.
    pub fn moved(&self, from: &Self, to: &Self) -> Option<Result<Self, MailboxNameError>> {
        (self == from || self.is_below(from))
            .then(|| Self::new(&format!("{}{}", to.0, &self.0[from.0.len()..])))
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    #[test]
    fn inbox_is_normalised_only_as_a_whole_level() {
        assert!(name("iNbOx").is_inbox());
        assert_eq!(name("inbox/Sub").as_str(), "INBOX/Sub");
        assert_eq!(name("inboxes").as_str(), "inboxes");
        assert_eq!(name("a/inbox").as_str(), "a/inbox");
    }

    #[test]
    fn bad_names_say_why() {
        assert_eq!(MailboxName::new(""), Err(MailboxNameError::Empty));
        assert_eq!(MailboxName::new("/"), Err(MailboxNameError::Empty));
        assert_eq!(MailboxName::new("/a"), Err(MailboxNameError::EmptyLevel));
        assert_eq!(MailboxName::new("a//b"), Err(MailboxNameError::EmptyLevel));
        assert_eq!(MailboxName::new("a*"), Err(MailboxNameError::Character('*')));
        assert_eq!(MailboxName::new("a\0"), Err(MailboxNameError::Character('\0')));
        assert_eq!(MailboxName::new(&"a/".repeat(33)), Err(MailboxNameError::TooDeep));
        assert_eq!(MailboxName::new(&"a".repeat(1025)), Err(MailboxNameError::TooLong));
    }

    #[test]
    fn the_tree_is_in_the_names() {
        assert_eq!(name("a/b/c").ancestors().map(|n| n.to_string()).collect::<Vec<_>>(), ["a", "a/b"]);
        assert!(name("a/b").is_below(&name("a")) && !name("ab").is_below(&name("a")));
        assert_eq!(name("a/b").moved(&name("a"), &name("x/y")).unwrap().unwrap(), name("x/y/b"));
        assert_eq!(name("ab").moved(&name("a"), &name("x")), None);
        assert_eq!(name("Trash/").as_str(), "Trash");
    }
}
