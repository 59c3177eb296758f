//! STATUS and what can be asked of it (RFC 9051 §6.3.11, RFC 7162 §3.1.7).

use super::MailboxArg;

/// STATUS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which mailbox.
    pub mailbox: MailboxArg,
    /// In the order asked, each once.
    pub items: Vec<StatusItem>,
}

/// One number about a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusItem {
    /// How many messages.
    Messages,
    /// How many with `\Recent`.
    Recent,
    /// The next UID.
    UidNext,
    /// UIDVALIDITY.
    UidValidity,
    /// How many without `\Seen`.
    Unseen,
    /// How many with `\Deleted`.
    Deleted,
    /// The sum of the messages' sizes.
    Size,
    /// HIGHESTMODSEQ: asking for it switches CONDSTORE on.
    HighestModSeq,
}

impl StatusItem {
    /// Each one.
    pub const ALL: [Self; 8] = [
        Self::Messages,
        Self::Recent,
        Self::UidNext,
        Self::UidValidity,
        Self::Unseen,
        Self::Deleted,
        Self::Size,
        Self::HighestModSeq,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::Size => "SIZE",
            Self::HighestModSeq => "HIGHESTMODSEQ",
        }
    }
}
