//! Refusals of the state machine as errors that name the thing in the way.

use buzon_model::reply::Rejection;
use buzon_proto::status::{CallError, ErrorCode};

/// `what` is the thing that was asked for.
pub(super) fn refused(rejection: &Rejection, what: &str) -> CallError {
    let code = match rejection {
        Rejection::NoSuchAccount
        | Rejection::NoSuchMailbox
        | Rejection::NoSuchTenant
        | Rejection::NoSuchDomain
        | Rejection::NoSuchAddress
        | Rejection::NoSuchNode(_)
        | Rejection::NoSuchShard(_) => ErrorCode::NotFound,
        Rejection::MailboxExists(_)
        | Rejection::TenantExists(_)
        | Rejection::DomainTaken(_)
        | Rejection::AddressTaken(_)
        | Rejection::NodeAddressTaken(..)
        | Rejection::SpecialUseTaken(_) => ErrorCode::AlreadyExists,
        Rejection::NotEmpty
        | Rejection::PrimaryAddress
        | Rejection::Moved { .. }
        | Rejection::MovePending(_)
        | Rejection::MoveOver
        | Rejection::ClusterNotFounded
        | Rejection::ClusterExists
        | Rejection::NodeRemoved(_)
        | Rejection::NodeExists(_)
        | Rejection::NodeInUse(..)
        | Rejection::LastActiveNode(_)
        | Rejection::ShardVotersChanged(_) => ErrorCode::Precondition,
        Rejection::TenantFull
        | Rejection::OverQuota(_)
        | Rejection::TooManyMailboxes
        | Rejection::ClusterFull
        | Rejection::TooManyRequests => ErrorCode::Limit,
        _ => ErrorCode::Invalid,
    };
    let message = match rejection {
        // These name it themselves.
        Rejection::TenantExists(_) | Rejection::DomainTaken(_) | Rejection::AddressTaken(_) => {
            rejection.to_string()
        }
        _ => format!("{what}: {rejection}"),
    };
    CallError::new(code, message)
}

/// It is not there.
pub(super) fn not_found(what: &str, name: &str) -> CallError {
    CallError::new(ErrorCode::NotFound, format!("no such {what}: {name}"))
}

/// A text that is no name of its kind.
pub(super) fn invalid(what: &str, name: &str, why: impl std::fmt::Display) -> CallError {
    CallError::new(ErrorCode::Invalid, format!("{what} {name:?}: {why}"))
}
