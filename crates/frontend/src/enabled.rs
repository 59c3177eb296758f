//! What a session switched on with ENABLE or by using it.

use buzon_imap::response::NameEncoding;

/// Starts with nothing; nothing is ever switched off (RFC 9051 §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Enabled {
    /// `ENABLE IMAP4rev2`: no `\Recent`, ESEARCH for SEARCH, names in UTF-8.
    pub(crate) rev2: bool,
    /// `ENABLE CONDSTORE` or any command that implies it (RFC 7162 §3.1): MODSEQ with all news of flags.
    pub(crate) condstore: bool,
}

impl Enabled {
    /// How mailbox names go out.
    pub(crate) fn names(self) -> NameEncoding {
        if self.rev2 { NameEncoding::Utf8 } else { NameEncoding::ModifiedUtf7 }
    }
}
