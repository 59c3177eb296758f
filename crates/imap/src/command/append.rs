//! APPEND up to its message (RFC 9051 §6.3.12, RFC 3516 §4.4, RFC 6855 §4).

use super::flags::FlagList;
use super::{MailboxArg, Tag};
use buzon_types::time::InternalDate;

/// An APPEND whose message is about to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendStart {
    /// Comes back in the reply.
    pub tag: Tag,
    /// Where to.
    pub mailbox: MailboxArg,
    /// The message's first flags.
    pub flags: FlagList,
    /// INTERNALDATE, where the client gave one.
    pub date: Option<InternalDate>,
    /// The message's size in bytes; 0 is a client that thought better of it (RFC 3502 §6.3.11): answer NO.
    pub message_bytes: u64,
    /// How it comes.
    pub form: AppendForm,
    /// Whether the client waits for leave to send the message.
    pub synchronizing: bool,
}

/// The form of the message's literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppendForm {
    /// `{n}`
    Literal,
    /// `~{n}`: may hold NULs (RFC 3516).
    Literal8,
    /// `UTF8 (~{n}…)`: headers in UTF-8 (RFC 6855); only after `ENABLE UTF8=ACCEPT`.
    Utf8,
}
