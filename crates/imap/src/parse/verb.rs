//! Which command a line is, and in which states it may come (RFC 9051 §9 `command`).

use super::{Cursor, Parsed};
use crate::command::Numbering;
use crate::session::{Reason, State};

/// A command's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Append,
    Authenticate,
    Capability,
    Check,
    Close,
    Copy(Numbering),
    Create,
    Delete,
    Enable,
    Examine,
    Expunge,
    Fetch(Numbering),
    Id,
    Idle,
    List,
    Login,
    Logout,
    Lsub,
    Move(Numbering),
    Namespace,
    Noop,
    Rename,
    Search(Numbering),
    Select,
    StartTls,
    Status,
    Store(Numbering),
    Subscribe,
    UidExpunge,
    Unselect,
    Unsubscribe,
}

impl Verb {
    /// SP word, or SP "UID" SP word
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        cursor.space().map_err(|_| Reason::UnknownCommand)?;
        let word = cursor.atom().map_err(|_| Reason::UnknownCommand)?;
        if !word.eq_ignore_ascii_case(b"UID") {
            return Self::plain(word).ok_or(Reason::UnknownCommand);
        }
        cursor.space().map_err(|_| Reason::UnknownCommand)?;
        let word = cursor.atom().map_err(|_| Reason::UnknownCommand)?;
        Self::uid(word).ok_or(Reason::UnknownCommand)
    }

    fn plain(word: &[u8]) -> Option<Self> {
        // The longest is AUTHENTICATE.
        let mut upper = [0; 12];
        let upper = upper.get_mut(..word.len())?;
        upper.copy_from_slice(word);
        upper.make_ascii_uppercase();
        Some(match &*upper {
            b"APPEND" => Self::Append,
            b"AUTHENTICATE" => Self::Authenticate,
            b"CAPABILITY" => Self::Capability,
            b"CHECK" => Self::Check,
            b"CLOSE" => Self::Close,
            b"COPY" => Self::Copy(Numbering::Sequence),
            b"CREATE" => Self::Create,
            b"DELETE" => Self::Delete,
            b"ENABLE" => Self::Enable,
            b"EXAMINE" => Self::Examine,
            b"EXPUNGE" => Self::Expunge,
            b"FETCH" => Self::Fetch(Numbering::Sequence),
            b"ID" => Self::Id,
            b"IDLE" => Self::Idle,
            b"LIST" => Self::List,
            b"LOGIN" => Self::Login,
            b"LOGOUT" => Self::Logout,
            b"LSUB" => Self::Lsub,
            b"MOVE" => Self::Move(Numbering::Sequence),
            b"NAMESPACE" => Self::Namespace,
            b"NOOP" => Self::Noop,
            b"RENAME" => Self::Rename,
            b"SEARCH" => Self::Search(Numbering::Sequence),
            b"SELECT" => Self::Select,
            b"STARTTLS" => Self::StartTls,
            b"STATUS" => Self::Status,
            b"STORE" => Self::Store(Numbering::Sequence),
            b"SUBSCRIBE" => Self::Subscribe,
            b"UNSELECT" => Self::Unselect,
            b"UNSUBSCRIBE" => Self::Unsubscribe,
            _ => return None,
        })
    }

    fn uid(word: &[u8]) -> Option<Self> {
        match Self::plain(word)? {
            Self::Copy(_) => Some(Self::Copy(Numbering::Uid)),
            Self::Fetch(_) => Some(Self::Fetch(Numbering::Uid)),
            Self::Move(_) => Some(Self::Move(Numbering::Uid)),
            Self::Search(_) => Some(Self::Search(Numbering::Uid)),
            Self::Store(_) => Some(Self::Store(Numbering::Uid)),
            Self::Expunge => Some(Self::UidExpunge),
            _ => None,
        }
    }

    /// Whether the command may come in `state`.
    pub(crate) fn allowed_in(self, state: State) -> bool {
        match self {
            Self::Capability | Self::Noop | Self::Logout | Self::Id => true,
            Self::Authenticate | Self::Login | Self::StartTls => state == State::NotAuthenticated,
            Self::Check
            | Self::Close
            | Self::Copy(_)
            | Self::Expunge
            | Self::Fetch(_)
            | Self::Move(_)
            | Self::Search(_)
            | Self::Store(_)
            | Self::UidExpunge
            | Self::Unselect => state == State::Selected,
            _ => matches!(state, State::Authenticated | State::Selected),
        }
    }
}
