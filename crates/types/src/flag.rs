//! Flags and keywords (RFC 9051 §2.3.2).
//!
//! `\Recent` is not here: it belongs to a session, not to a message, and is claimed through the log.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// The system flags of one message, one bit each. The bits are stored and sent: they never change their meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct SystemFlags(u8);

impl SystemFlags {
    /// None set.
    pub const NONE: Self = Self(0);
    /// `\Seen`
    pub const SEEN: Self = Self(1);
    /// `\Answered`
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`
    pub const DELETED: Self = Self(8);
    /// `\Draft`
    pub const DRAFT: Self = Self(16);
    /// Each flag with its name on the wire.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// `None` when a bit without a meaning is set.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits < 32 { Some(Self(bits)) } else { None }
    }

    /// The bits, as stored.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The flag of that name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|&(flag, _)| flag)
    }

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These without `flags`.
    #[must_use]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }

    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(flag, _)| self.contains(*flag)).map(|&(_, name)| name)
    }
}

impl BitOr for SystemFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for SystemFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for SystemFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The keywords of one message: bit `n` is the mailbox's keyword number `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeywordBits(pub u128);

/// A mailbox knows at most this many different keywords: one bit each in [`KeywordBits`].
pub const KEYWORDS_MAX: usize = 128;

impl KeywordBits {
    /// None set.
    pub const NONE: Self = Self(0);

    /// Only keyword number `at`.
    ///
    /// # Panics
    /// From [`KEYWORDS_MAX`] on.
    pub fn one(at: usize) -> Self {
        assert!(at < KEYWORDS_MAX, "keyword number {at}");
        Self(1 << at)
    }

    /// The numbers of those that are set, ascending.
    pub fn numbers(self) -> impl Iterator<Item = usize> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let at = rest.trailing_zeros();
            (at < 128).then(|| {
                rest &= rest - 1;
                at as usize
            })
        })
    }
}

/// A keyword: an atom that does not begin with a backslash. Case is kept, comparison ignores it (RFC 9051 §2.3.2).
#[derive(Debug, Clone)]
pub struct Keyword(Box<str>);

/// Longest keyword, in bytes; the longest registered one has 20.
pub const KEYWORD_BYTES_MAX: usize = 100;

/// Why a text is no keyword.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeywordError {
    /// Nothing there.
    #[error("keyword is empty")]
    Empty,
    /// Over [`KEYWORD_BYTES_MAX`].
    #[error("keyword is longer than {KEYWORD_BYTES_MAX} bytes")]
    TooLong,
    /// Not an atom character (RFC 9051 §9 `ATOM-CHAR`).
    #[error("keyword holds {0:?}")]
    Character(char),
}

impl Keyword {
    /// Checks that it is an atom.
    ///
    /// # Errors
    /// If it is empty, too long, or no atom.
    pub fn new(text: &str) -> Result<Self, KeywordError> {
        if text.is_empty() {
            return Err(KeywordError::Empty);
        }
        if text.len() > KEYWORD_BYTES_MAX {
            return Err(KeywordError::TooLong);
        }
        let bad = |c: char| !c.is_ascii_graphic() || "(){%*\"\\]".contains(c);
        match text.chars().find(|&c| bad(c)) {
            Some(c) => Err(KeywordError::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    /// As first given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl std::hash::Hash for Keyword {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
    }
}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let lower = |text: &Self| text.0.to_ascii_lowercase();
        lower(self).cmp(&lower(other))
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_atoms_and_ignore_case() {
        assert_eq!(Keyword::new("$Forwarded").unwrap(), Keyword::new("$forwarded").unwrap());
        assert_eq!(Keyword::new(""), Err(KeywordError::Empty));
        assert_eq!(Keyword::new("a b"), Err(KeywordError::Character(' ')));
        assert_eq!(Keyword::new("\\Seen"), Err(KeywordError::Character('\\')));
        assert_eq!(Keyword::new(&"x".repeat(101)), Err(KeywordError::TooLong));
    }

    #[test]
    fn bits_tell_their_numbers() {
        let bits = KeywordBits(KeywordBits::one(0).0 | KeywordBits::one(127).0 | KeywordBits::one(5).0);
        assert_eq!(bits.numbers().collect::<Vec<_>>(), [0, 5, 127]);
        assert_eq!(KeywordBits::NONE.numbers().count(), 0);
    }

    #[test]
    fn flags_tell_their_names() {
        let flags = SystemFlags::SEEN | SystemFlags::DRAFT;
        assert_eq!(flags.names().collect::<Vec<_>>(), ["\\Seen", "\\Draft"]);
        assert_eq!(SystemFlags::from_name("\\sEEN"), Some(SystemFlags::SEEN));
        assert_eq!(SystemFlags::from_bits(32), None);
    }
}
