//! Responses as values, and their way into bytes.
//!
//! Everything but FETCH is a [`Response`] that writes itself; FETCH, which is told a hundred thousand times in a row,
//! is written piece by piece with [`fetch::FetchWriter`]. Nothing here lets CR or LF of a text through.

pub mod code;
pub mod data;
pub(crate) mod encode;
pub mod fetch;
pub mod list;
pub mod search;

use crate::command::Tag;
use crate::command::status::StatusItem;
use buzon_types::uid::{ModSeq, SequenceNumber, Uid};
use buzon_types::uid_set::UidSet;
use bytes::{BufMut, BytesMut};
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
        uid: Option<Uid>,
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

impl Response {
    /// Writes the whole line, CRLF included.
    pub fn write(&self, out: &mut BytesMut, encoding: NameEncoding) {
        match self {
            Self::Status(status) => return status.write(out, encoding),
            Self::Capability(names) => code::words(out, b"* CAPABILITY", names),
            Self::Enabled(names) => code::words(out, b"* ENABLED", names),
            Self::Id(fields) => write_id(out, fields),
            Self::Namespace(namespaces) => {
                out.put_slice(b"* NAMESPACE ");
                namespaces.write(out, encoding);
            }
            Self::Flags(flags) => {
                out.put_slice(b"* FLAGS ");
                flags.write(out);
            }
            Self::List(row) => {
                out.put_slice(b"* LIST ");
                row.write(out, encoding);
            }
            Self::Lsub(row) => {
                out.put_slice(b"* LSUB ");
                row.write(out, encoding);
            }
            Self::MailboxStatus { mailbox, values } => write_mailbox_status(out, mailbox, values, encoding),
            Self::Search(numbers) => {
                out.put_slice(b"* SEARCH");
                numbers.write(out);
            }
            Self::Esearch(esearch) => {
                out.put_slice(b"* ESEARCH");
                esearch.write(out);
            }
            Self::Exists(count) => numbered(out, *count, b" EXISTS"),
            Self::Recent(count) => numbered(out, *count, b" RECENT"),
            Self::Expunge(number) => numbered(out, number.get(), b" EXPUNGE"),
            Self::Vanished { earlier, uids } => {
                out.put_slice(if *earlier { &b"* VANISHED (EARLIER) "[..] } else { b"* VANISHED " });
                encode::uid_set(out, uids);
            }
            Self::FetchFlags { number, uid, modseq, flags } => {
                let mut fetch = fetch::FetchWriter::begin(out, *number);
                uid.iter().for_each(|&uid| fetch.uid(uid));
                modseq.iter().for_each(|&modseq| fetch.modseq(modseq));
                fetch.flags(flags.system, flags.extra, &flags.keywords);
                return fetch.end();
            }
        }
        out.put_slice(b"\r\n");
    }
}

impl Status {
    /// Writes the whole line, CRLF included.
    pub fn write(&self, out: &mut BytesMut, encoding: NameEncoding) {
        out.put_slice(self.tag.as_ref().map_or("*", Tag::as_str).as_bytes());
        let condition = match self.condition {
            Condition::Ok => " OK ",
            Condition::No => " NO ",
            Condition::Bad => " BAD ",
            Condition::PreAuth => " PREAUTH ",
            Condition::Bye => " BYE ",
        };
        out.put_slice(condition.as_bytes());
        if let Some(code) = &self.code {
            out.put_u8(b'[');
            code.write(out);
            out.put_slice(b"] ");
        }
        match self.text.strip_prefix('[') {
            // Would read as a code.
            Some(rest) if self.code.is_none() => {
                out.put_u8(b'(');
                encode::text(out, rest, encoding);
            }
            _ => encode::text(out, &self.text, encoding),
        }
        out.put_slice(b"\r\n");
    }
}

/// `+ text`: the client may go on.
pub fn write_continuation(out: &mut BytesMut, text: &str) {
    out.put_slice(b"+ ");
    encode::text(out, text, NameEncoding::ModifiedUtf7);
    out.put_slice(b"\r\n");
}

fn numbered(out: &mut BytesMut, value: u32, word: &[u8]) {
    out.put_slice(b"* ");
    encode::number(out, value.into());
    out.put_slice(word);
}

fn write_id(out: &mut BytesMut, fields: &[(Cow<'static, str>, Cow<'static, str>)]) {
    if fields.is_empty() {
        return out.put_slice(b"* ID NIL");
    }
    for (at, (name, value)) in fields.iter().enumerate() {
        out.put_slice(if at == 0 { &b"* ID ("[..] } else { b" " });
        encode::string(out, name.as_bytes());
        out.put_u8(b' ');
        encode::string(out, value.as_bytes());
    }
    out.put_u8(b')');
}

fn write_mailbox_status(
    out: &mut BytesMut,
    mailbox: &str,
    values: &[(StatusItem, u64)],
    encoding: NameEncoding,
) {
    out.put_slice(b"* STATUS ");
    encode::mailbox(out, mailbox, encoding);
    out.put_slice(b" (");
    for (at, (item, value)) in values.iter().enumerate() {
        if at > 0 {
            out.put_u8(b' ');
        }
        out.put_slice(item.name().as_bytes());
        out.put_u8(b' ');
        encode::number(out, *value);
    }
    out.put_u8(b')');
}

#[cfg(test)]
mod tests;
