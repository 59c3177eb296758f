//! How a call can fail, by what the caller can do.

use buzon_model::reply::Rejection;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_proto::wire::WireError;

pub use buzon_proto::status::WriteOutcome;

/// A call that failed for good: retries are behind it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetaError {
    /// The state machine refused; nothing changed.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No node could serve it, or too much is in flight: later.
    #[error("metadata is unavailable")]
    Unavailable {
        /// For a write.
        outcome: WriteOutcome,
        /// What the last node said.
        #[source]
        source: CallError,
    },
    /// Time ran out.
    #[error("metadata did not answer in time")]
    DeadlineExceeded {
        /// For a write.
        outcome: WriteOutcome,
    },
    /// More than one log entry can carry; nothing was sent.
    #[error("too large for one log entry: {bytes} bytes")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
    },
    /// A fault of ours.
    #[error("metadata call failed")]
    Internal {
        /// For a write.
        outcome: WriteOutcome,
        /// What went wrong.
        #[source]
        source: CallError,
    },
}

impl MetaError {
    /// What is known of a write that ended so. `Unknown` must not be repeated by the caller: retries under the same
    /// request id were made already.
    pub const fn outcome(&self) -> WriteOutcome {
        match self {
            Self::Rejected(_) | Self::TooLarge { .. } => WriteOutcome::NotApplied,
            Self::Unavailable { outcome, .. }
            | Self::DeadlineExceeded { outcome }
            | Self::Internal { outcome, .. } => *outcome,
        }
    }

    /// Of a call whose error is not to be retried any more. `outcome` is of all its attempts.
    pub(crate) fn of_call(source: CallError, outcome: WriteOutcome) -> Self {
        match source.code {
            ErrorCode::NotLeader | ErrorCode::Unavailable => Self::Unavailable { outcome, source },
            ErrorCode::DeadlineExceeded => Self::DeadlineExceeded { outcome },
            // Reads say so of an account that is not, or no longer, in the shard.
            ErrorCode::NotFound => Self::Rejected(match source.moved {
                Some((shard, epoch)) => Rejection::Moved { shard, epoch },
                None => Rejection::NoSuchAccount,
            }),
            _ => Self::Internal { outcome, source },
        }
    }

    /// Refused here, before anything was sent.
    pub(crate) fn busy(what: &str) -> Self {
        let source = CallError::new(ErrorCode::Unavailable, what);
        Self::Unavailable { outcome: WriteOutcome::NotApplied, source }
    }

    /// The state machine answered with a reply of another command: versions do not fit.
    pub(crate) fn unexpected_reply() -> Self {
        let source = CallError::unknown(ErrorCode::Internal, "reply does not fit the command");
        Self::Internal { outcome: WriteOutcome::Unknown, source }
    }
}

/// What a node sent cannot be read; for a write, what happened is not known.
impl From<WireError> for MetaError {
    fn from(error: WireError) -> Self {
        let source = CallError::unknown(ErrorCode::Internal, error.to_string());
        Self::Internal { outcome: WriteOutcome::Unknown, source }
    }
}
