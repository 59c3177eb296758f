//! What a mailbox is for (RFC 6154 §2, RFC 8457).

use std::fmt;

/// A special use. The numbers are stored: they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SpecialUse {
    /// `\All`
    All = 1,
    /// `\Archive`
    Archive = 2,
    /// `\Drafts`
    Drafts = 3,
    /// `\Flagged`
    Flagged = 4,
    /// `\Junk`
    Junk = 5,
    /// `\Sent`
    Sent = 6,
    /// `\Trash`
    Trash = 7,
    /// `\Important`
    Important = 8,
}

impl SpecialUse {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::All,
        Self::Archive,
        Self::Drafts,
        Self::Flagged,
        Self::Junk,
        Self::Sent,
        Self::Trash,
        Self::Important,
    ];

    /// From its stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| *it as u8 == number)
    }

    /// Its attribute in LIST.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "\\All",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Flagged => "\\Flagged",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
            Self::Important => "\\Important",
        }
    }

    /// From its attribute, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
