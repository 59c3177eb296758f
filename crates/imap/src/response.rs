//! Responses as values, and their way into bytes.
//!
//! Everything but FETCH is a [`Response`] that writes itself; FETCH, which is told a hundred thousand times in a row,
//! is written piece by piece with [`fetch::FetchWriter`]. Nothing here lets CR or LF of a text through.

pub mod code;
pub mod data;
pub mod fetch;
pub mod list;
pub mod search;

use crate::command::Tag;
use crate::command::status::StatusItem;
use buzon_types::uid::{ModSeq, SequenceNumber};
use buzon_types::uid_set::UidSet;
use code::Code;
use data::{FlagNames, Namespaces};
use list::ListRow;
use search::{Esearch, SearchNumbers};
use std::borrow::Cow;

/// How mailbox names go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum NameEncoding {
    /// Modified UTF-7, for clients that said nothing else (RFC 3501 §5.1.3).
    #[default]
    ModifiedUtf7,
    /// UTF-8 in quotes, after `ENABLE IMAP4rev2` or `UTF8=ACCEPT`.
    Utf8,
}

/// One response line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// `tag OK …`, `* NO …`, `* BYE …`
    Status(Status),
    /// `* CAPABILITY …`
    Capability(Vec<Cow<'static, str>>),
    /// `* ENABLED …`
    Enabled(Vec<Cow<'static, str>>),
    /// `* ID …`; empty is `NIL`.
    Id(Vec<(Cow<'static, str>, Cow<'static, str>)>),
    /// `* NAMESPACE …`
    Namespace(Namespaces),
    /// `* FLAGS (…)`
    Flags(FlagNames),
    /// `* LIST …`
    List(ListRow),
    /// `* LSUB …`
    Lsub(ListRow),
    /// `* STATUS name (…)`
    MailboxStatus {
        /// Which mailbox.
        mailbox: String,
        /// What is told of it.
        values: Vec<(StatusItem, u64)>,
    },
    /// `* SEARCH …`
    Search(SearchNumbers),
    /// `* ESEARCH …`
    Esearch(Esearch),
    /// `* n EXISTS`
    Exists(u32),
    /// `* n RECENT`
    Recent(u32),
    /// `* n EXPUNGE`
    Expunge(SequenceNumber),
    /// `* VANISHED …`, only after `ENABLE QRESYNC`
    Vanished {
        /// In answer to what the client missed, not news: sequence numbers do not move.
        earlier: bool,
        /// Which.
        uids: UidSet,
    },
    /// `* n FETCH (…)` with flags alone: what changes elsewhere are told with.
    FetchFlags {
        /// Which message.
        number: SequenceNumber,
        /// Its UID, where it is told too.
        uid: Option<buzon_types::uid::Uid>,
        /// Its MODSEQ, once CONDSTORE is on.
        modseq: Option<ModSeq>,
        /// All its flags.
        flags: FlagNames,
    },
}

/// OK, NO, BAD, PREAUTH or BYE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `None` is `*`.
    pub tag: Option<Tag>,
    /// Which.
    pub condition: Condition,
    /// For programs.
    pub code: Option<Code>,
    /// For people.
    pub text: Cow<'static, str>,
}

/// The first word of a status response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It went well.
    Ok,
    /// It did not.
    No,
    /// It was no proper command.
    Bad,
    /// The greeting of a session that needs no login.
    PreAuth,
    /// The connection ends.
    Bye,
}

impl Status {
    /// `tag OK text`
    pub fn ok(tag: &Tag, text: impl Into<Cow<'static, str>>) -> Self {
        Self { tag: Some(tag.clone()), condition: Condition::Ok, code: None, text: text.into() }
    }

    /// `tag NO text`
    pub fn no(tag: &Tag, text: impl Into<Cow<'static, str>>) -> Self {
        Self { tag: Some(tag.clone()), condition: Condition::No, code: None, text: text.into() }
    }

    /// `tag BAD text`
    pub fn bad(tag: &Tag, text: impl Into<Cow<'static, str>>) -> Self {
        Self { tag: Some(tag.clone()), condition: Condition::Bad, code: None, text: text.into() }
    }

    /// `* condition text`
    pub fn untagged(condition: Condition, text: impl Into<Cow<'static, str>>) -> Self {
        Self { tag: None, condition, code: None, text: text.into() }
    }

    /// The same with a code.
    #[must_use]
    pub fn with(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }
}

impl From<Status> for Response {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}
