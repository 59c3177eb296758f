//! Commands as values: what [`crate::session::Session`] hands out once a whole command was read.
//!
//! Everything is owned and decoded: mailbox names are UTF-8 whichever way they came, numbers are checked, macros of
//! FETCH are spelled out. Whether a mailbox exists or a name is allowed is not known here.

pub mod append;
pub mod fetch;
pub mod flags;
pub mod list;
pub mod search;
pub mod select;
pub mod status;
pub mod store;

use crate::sequence_set::SequenceSet;
use buzon_types::mailbox_name::{MailboxName, MailboxNameError};
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use bytes::Bytes;
use std::fmt;

/// What a client calls its command; comes back in the tagged reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(pub(crate) Box<str>);

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Comes back in the reply.
    pub tag: Tag,
    /// What is asked.
    pub body: CommandBody,
}

/// Whether numbers are sequence numbers or UIDs: `FETCH` or `UID FETCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Numbering {
    /// Places in the session's view.
    Sequence,
    /// UIDs.
    Uid,
}

/// A mailbox argument, decoded to UTF-8; not yet checked to be a possible name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailboxArg(pub(crate) Box<str>);

/// What a command asks for. APPEND is not here: it comes as [`crate::session::Event::AppendStart`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandBody {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// ID (RFC 2971); `None` is `NIL`.
    Id(Option<Vec<(String, Option<String>)>>),
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE
    Authenticate(Authenticate),
    /// LOGIN
    Login(Login),
    /// ENABLE; names in upper case, unknown ones too (they are ignored, RFC 9051 §6.3.1).
    Enable(Vec<String>),
    /// SELECT
    Select(select::Select),
    /// EXAMINE
    Examine(select::Select),
    /// CREATE
    Create(Create),
    /// DELETE
    Delete(MailboxArg),
    /// RENAME
    Rename(Rename),
    /// SUBSCRIBE
    Subscribe(MailboxArg),
    /// UNSUBSCRIBE
    Unsubscribe(MailboxArg),
    /// LIST
    List(list::List),
    /// LSUB: reference and pattern.
    Lsub(list::Lsub),
    /// NAMESPACE
    Namespace,
    /// STATUS
    Status(status::Status),
    /// IDLE: answer with [`crate::session::Session::start_idle`].
    Idle,
    /// CLOSE
    Close,
    /// UNSELECT
    Unselect,
    /// CHECK
    Check,
    /// EXPUNGE, or UID EXPUNGE of these.
    Expunge(Option<SequenceSet>),
    /// SEARCH
    Search(search::Search),
    /// FETCH
    Fetch(fetch::Fetch),
    /// STORE
    Store(store::Store),
    /// COPY
    Copy(Transfer),
    /// MOVE
    Move(Transfer),
}

/// AUTHENTICATE (RFC 9051 §6.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// In upper case.
    pub mechanism: String,
    /// The first response where it came with the command (RFC 4959), decoded from base64.
    pub initial_response: Option<Secret<Bytes>>,
}

/// LOGIN (RFC 9051 §6.2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: String,
    /// As sent: any bytes.
    pub password: Secret<Bytes>,
}

/// CREATE (RFC 9051 §6.3.4, RFC 6154 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The new one.
    pub mailbox: MailboxArg,
    /// What it is to be for; empty without `USE`.
    pub special_use: Vec<UseAttribute>,
}

/// One attribute of `CREATE … (USE (…))`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UseAttribute {
    /// One we know.
    Known(SpecialUse),
    /// Any other: to be refused with `NO [USEATTR]`.
    Unknown(String),
}

/// RENAME (RFC 9051 §6.3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The old name.
    pub from: MailboxArg,
    /// The new name.
    pub to: MailboxArg,
}

/// COPY and MOVE (RFC 9051 §6.4.7, §6.4.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What the numbers are.
    pub numbering: Numbering,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub mailbox: MailboxArg,
}

impl CommandBody {
    /// The command's name, for spans and metrics: a small closed set.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::StartTls => "STARTTLS",
            Self::Authenticate(_) => "AUTHENTICATE",
            Self::Login(_) => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Select(_) => "SELECT",
            Self::Examine(_) => "EXAMINE",
            Self::Create(_) => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename(_) => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::List(_) => "LIST",
            Self::Lsub(_) => "LSUB",
            Self::Namespace => "NAMESPACE",
            Self::Status(_) => "STATUS",
            Self::Idle => "IDLE",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Check => "CHECK",
            Self::Expunge(_) => "EXPUNGE",
            Self::Search(_) => "SEARCH",
            Self::Fetch(_) => "FETCH",
            Self::Store(_) => "STORE",
            Self::Copy(_) => "COPY",
            Self::Move(_) => "MOVE",
        }
    }
}

impl Tag {
    /// A tag for those who make commands themselves; `None` if no client could send it.
    pub fn new(text: &str) -> Option<Self> {
        crate::parse::is_tag(text.as_bytes()).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl MailboxArg {
    /// A name as a client could have meant it.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text as the client meant it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a mailbox name: INBOX in capitals, a trailing separator dropped.
    ///
    /// # Errors
    /// If no mailbox can be called so.
    pub fn name(&self) -> Result<MailboxName, MailboxNameError> {
        MailboxName::new(&self.0)
    }
}
