//! Errors to IMAP text: the one place where a failure becomes NO or BAD (RFC 9051 §7.1, RFC 5530).
//!
//! A client learns what it can do about it; what went wrong inside goes to the log, with its whole chain, here and
//! nowhere else.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::time::Duration;

use buzon_bodies::BodiesError;
use buzon_imap::command::Tag;
use buzon_imap::response::code::Code;
use buzon_imap::response::{Condition, Status};
use buzon_message::summary::SummaryError;
use buzon_meta_client::error::MetaError;
use buzon_model::reply::Rejection;
use buzon_telemetry::storm::Storm;

use crate::selected::NoSuchNumber;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// Refused, and here is what to say.
    #[error("{text}")]
    Refused {
        /// NO or BAD.
        condition: Condition,
        /// For programs.
        code: Option<Code>,
        /// For people.
        text: Cow<'static, str>,
    },
    /// Metadata said no, or nothing.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// Bodies could not be stored or read.
    #[error(transparent)]
    Bodies(#[from] BodiesError),
    /// What is stored of a message cannot be read.
    #[error(transparent)]
    Summary(#[from] SummaryError),
    /// The connection is gone, or cannot be followed any further: nothing can be said.
    #[error(transparent)]
    Connection(#[from] io::Error),
    /// A command came to run in a state in which it cannot: our fault.
    #[error("command ran in the wrong state")]
    State,
}

impl CommandError {
    /// `NO [code] text`
    pub(crate) fn no(code: impl Into<Option<Code>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused { condition: Condition::No, code: code.into(), text: text.into() }
    }

    /// `BAD text`
    pub(crate) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused { condition: Condition::Bad, code: None, text: text.into() }
    }

    /// For commands that put messages somewhere: a missing target can be made (RFC 9051 §6.3.12).
    pub(crate) fn or_try_create(self) -> Self {
        match self {
            Self::Meta(MetaError::Rejected(Rejection::NoSuchMailbox)) => {
                Self::no(Code::TryCreate, "no such mailbox")
            }
            other => other,
        }
    }
}

impl From<Rejection> for CommandError {
    fn from(rejection: Rejection) -> Self {
        Self::Meta(MetaError::Rejected(rejection))
    }
}

impl From<NoSuchNumber> for CommandError {
    fn from(error: NoSuchNumber) -> Self {
        Self::bad(error.to_string())
    }
}

/// The tagged answer.
///
/// # Errors
/// If the connection is lost, which nobody can be told.
pub(crate) fn rescue(tag: &Tag, error: CommandError) -> io::Result<Status> {
    let (condition, code, text) = match error {
        CommandError::Refused { condition, code, text } => (condition, code, text),
        CommandError::Connection(error) => return Err(error),
        CommandError::Meta(error) => of_metadata(&error),
        CommandError::Bodies(error) => of_bodies(&error),
        error @ (CommandError::Summary(_) | CommandError::State) => fault(&error),
    };
    Ok(Status { tag: Some(tag.clone()), condition, code, text })
}

/// While a part of the system is away, every command of every session fails: one line tells it.
static AWAY: Storm = Storm::new(Duration::from_secs(10));

type Answer = (Condition, Option<Code>, Cow<'static, str>);

fn no(code: Code, text: impl Into<Cow<'static, str>>) -> Answer {
    (Condition::No, Some(code), text.into())
}

/// A human must look.
fn fault(error: &(dyn Error + 'static)) -> Answer {
    tracing::error!(error, "command failed");
    no(Code::ServerBug, "internal error, please tell the operator")
}

fn unavailable(error: &(dyn Error + 'static)) -> Answer {
    if let Some(silenced) = AWAY.pass() {
        tracing::warn!(error, silenced, "commands cannot be done");
    }
    no(Code::Unavailable, "temporarily not possible, please try again")
}

fn of_metadata(error: &MetaError) -> Answer {
    match error {
        MetaError::Rejected(rejection) => of_rejection(rejection),
        MetaError::Unavailable { .. } | MetaError::DeadlineExceeded { .. } => unavailable(error),
        MetaError::TooLarge { .. } => no(Code::Limit, "more than one command can carry"),
        MetaError::Internal { .. } => fault(error),
    }
}

fn of_rejection(rejection: &Rejection) -> Answer {
    let code = match rejection {
        Rejection::NoSuchMailbox => Code::NonExistent,
        Rejection::MailboxExists(_) => Code::AlreadyExists,
        Rejection::Inbox | Rejection::IntoItself | Rejection::NameTooLong => Code::Cannot,
        Rejection::SpecialUseTaken(_) => Code::UseAttr,
        Rejection::TooManyMailboxes | Rejection::TooManyKeywords | Rejection::TooManyMessages => Code::Limit,
        Rejection::OverQuota(_) => Code::OverQuota,
        Rejection::UidsExhausted => Code::ContactAdmin,
        Rejection::NoSuchAccount | Rejection::Moved { .. } | Rejection::Frozen => Code::Unavailable,
        other => return fault(other),
    };
    no(code, rejection.to_string())
}

fn of_bodies(error: &BodiesError) -> Answer {
    if error.is_retryable() {
        return unavailable(error);
    }
    tracing::error!(error = error as &dyn Error, "a message's body cannot be read");
    no(Code::Corruption, "a message cannot be read, please tell the operator")
}

#[cfg(test)]
mod tests {
    use super::*;
    use buzon_model::reply::QuotaKind;

    fn text(error: CommandError) -> String {
        let status = of(error);
        format!("{:?} {:?}", status.0, status.1)
    }

    fn of(error: CommandError) -> Answer {
        match error {
            CommandError::Meta(error) => of_metadata(&error),
            CommandError::Refused { condition, code, text } => (condition, code, text),
            _ => unreachable!(),
        }
    }

    #[test]
    fn clients_are_told_what_they_can_do() {
        assert_eq!(text(Rejection::OverQuota(QuotaKind::Bytes).into()), "No Some(OverQuota)");
        assert_eq!(text(Rejection::NoSuchMailbox.into()), "No Some(NonExistent)");
        assert_eq!(text(CommandError::from(Rejection::NoSuchMailbox).or_try_create()), "No Some(TryCreate)");
        assert_eq!(text(CommandError::from(NoSuchNumber)), "Bad None");
    }
}
