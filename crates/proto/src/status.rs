//! The one place where errors of calls become tonic statuses, and statuses errors again.
//!
//! A status carries `ErrorDetail` in its details and, from a follower that knows better, the leader in metadata.
//! What the reader does not know is `Internal`.

use buzon_types::id::{Epoch, GroupId, NodeId};
use bytes::Bytes;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::pb::mail::v1 as pb;
use crate::wire::WireError;

/// Metadata: the leader's node id.
pub const LEADER_NODE: &str = "buzon-leader-node";
/// Metadata: where the leader's node listens.
pub const LEADER_ADDRESS: &str = "buzon-leader-address";

/// Every way a call can fail. Each says what the caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A fault of ours: a human must look.
    Internal,
    /// Follow the leader hint.
    NotLeader,
    /// Try again with the same request id.
    Unavailable,
    /// Time ran out; the same request id again.
    DeadlineExceeded,
    /// The request makes no sense.
    Invalid,
    /// What it names is not there.
    NotFound,
    /// What it would make is there.
    AlreadyExists,
    /// Something must be done first.
    Precondition,
    /// Over a limit.
    Limit,
    /// No token, or a wrong one.
    Unauthenticated,
}

/// What is known of a write that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteOutcome {
    /// It certainly did not happen: it may be sent again under a new request id.
    NotApplied,
    /// It may have happened or may happen yet: only the same request id may be sent again.
    Unknown,
}

/// Who leads a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderHint {
    /// The node.
    pub node: NodeId,
    /// `host:port`.
    pub address: String,
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What the caller can do.
    pub code: ErrorCode,
    /// For a write.
    pub outcome: WriteOutcome,
    /// With [`ErrorCode::NotLeader`], if it is known.
    pub leader: Option<LeaderHint>,
    /// With [`ErrorCode::NotFound`]: the account lives in this shard, under this epoch.
    pub moved: Option<(GroupId, Epoch)>,
    /// For people.
    pub message: String,
}

impl CallError {
    /// Of a call that changed nothing: a read, or a write refused before it was proposed.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, outcome: WriteOutcome::NotApplied, leader: None, moved: None, message: message.into() }
    }

    /// Of a write that may have happened.
    pub fn unknown(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { outcome: WriteOutcome::Unknown, ..Self::new(code, message) }
    }

    /// Whether the write did not happen.
    pub const fn outcome(&self) -> WriteOutcome {
        self.outcome
    }
}

impl From<WireError> for CallError {
    fn from(error: WireError) -> Self {
        Self::new(ErrorCode::Invalid, error.to_string())
    }
}

impl From<WireError> for Status {
    fn from(error: WireError) -> Self {
        CallError::from(error).into()
    }
}

/// The code on the wire and the nearest of gRPC's own, for those who know only these.
const fn codes(code: ErrorCode) -> (pb::ErrorCode, Code) {
    match code {
        ErrorCode::Internal => (pb::ErrorCode::Internal, Code::Internal),
        ErrorCode::NotLeader => (pb::ErrorCode::NotLeader, Code::Unavailable),
        ErrorCode::Unavailable => (pb::ErrorCode::Unavailable, Code::Unavailable),
        ErrorCode::DeadlineExceeded => (pb::ErrorCode::DeadlineExceeded, Code::DeadlineExceeded),
        ErrorCode::Invalid => (pb::ErrorCode::Invalid, Code::InvalidArgument),
        ErrorCode::NotFound => (pb::ErrorCode::NotFound, Code::NotFound),
        ErrorCode::AlreadyExists => (pb::ErrorCode::AlreadyExists, Code::AlreadyExists),
        ErrorCode::Precondition => (pb::ErrorCode::Precondition, Code::FailedPrecondition),
        ErrorCode::Limit => (pb::ErrorCode::Limit, Code::ResourceExhausted),
        ErrorCode::Unauthenticated => (pb::ErrorCode::Unauthenticated, Code::Unauthenticated),
    }
}

fn code_of_detail(number: i32) -> ErrorCode {
    match pb::ErrorCode::try_from(number) {
        Ok(pb::ErrorCode::Internal) | Err(_) => ErrorCode::Internal,
        Ok(pb::ErrorCode::NotLeader) => ErrorCode::NotLeader,
        Ok(pb::ErrorCode::Unavailable) => ErrorCode::Unavailable,
        Ok(pb::ErrorCode::DeadlineExceeded) => ErrorCode::DeadlineExceeded,
        Ok(pb::ErrorCode::Invalid) => ErrorCode::Invalid,
        Ok(pb::ErrorCode::NotFound) => ErrorCode::NotFound,
        Ok(pb::ErrorCode::AlreadyExists) => ErrorCode::AlreadyExists,
        Ok(pb::ErrorCode::Precondition) => ErrorCode::Precondition,
        Ok(pb::ErrorCode::Limit) => ErrorCode::Limit,
        Ok(pb::ErrorCode::Unauthenticated) => ErrorCode::Unauthenticated,
    }
}

/// A status that no handler of ours made (the transport's, a proxy's): nothing is known of the write.
const fn code_of_transport(code: Code) -> ErrorCode {
    match code {
        // A broken connection reads as Unknown, Cancelled or Internal, by where it was when it broke.
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Aborted | Code::Internal => {
            ErrorCode::Unavailable
        }
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        // A node that has no identity yet, or is of an earlier version: another one may serve it.
        Code::Unimplemented => ErrorCode::Unavailable,
        Code::InvalidArgument | Code::OutOfRange => ErrorCode::Invalid,
        Code::NotFound => ErrorCode::NotFound,
        Code::AlreadyExists => ErrorCode::AlreadyExists,
        Code::FailedPrecondition => ErrorCode::Precondition,
        Code::ResourceExhausted => ErrorCode::Limit,
        Code::Unauthenticated | Code::PermissionDenied => ErrorCode::Unauthenticated,
        Code::Ok | Code::DataLoss => ErrorCode::Internal,
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let (code, grpc) = codes(error.code);
        let not_applied = error.outcome == WriteOutcome::NotApplied;
        let (moved_shard, moved_epoch) = error.moved.map_or((0, 0), |(shard, epoch)| (shard.0, epoch.0));
        let code = code.into();
        let detail = pb::ErrorDetail { code, not_applied, is_answer: true, moved_shard, moved_epoch };
        let mut metadata = MetadataMap::new();
        if let Some(LeaderHint { node, address }) = error.leader {
            // An address that is no header value is left out: the caller asks the next node.
            if let Ok(address) = address.parse() {
                metadata.insert(LEADER_NODE, node.0.into());
                metadata.insert(LEADER_ADDRESS, address);
            }
        }
        Self::with_details_and_metadata(grpc, error.message, Bytes::from(detail.encode_to_vec()), metadata)
    }
}

impl From<&Status> for CallError {
    fn from(status: &Status) -> Self {
        let detail = Some(status.details()).filter(|bytes| !bytes.is_empty());
        let detail = detail.and_then(|bytes| pb::ErrorDetail::decode(bytes).ok());
        let moved = detail.filter(|it| it.moved_epoch > 0);
        let moved = moved.map(|it| (GroupId(it.moved_shard), Epoch(it.moved_epoch)));
        let (code, outcome) = match detail {
            Some(detail) if detail.not_applied => (code_of_detail(detail.code), WriteOutcome::NotApplied),
            Some(detail) => (code_of_detail(detail.code), WriteOutcome::Unknown),
            None => (code_of_transport(status.code()), WriteOutcome::Unknown),
        };
        Self { code, outcome, leader: leader(status.metadata()), moved, message: status.message().to_owned() }
    }
}

fn leader(metadata: &MetadataMap) -> Option<LeaderHint> {
    let text = |key| metadata.get(key).and_then(|value| value.to_str().ok());
    let node = text(LEADER_NODE)?.parse().ok()?;
    Some(LeaderHint { node: NodeId(node), address: text(LEADER_ADDRESS)?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ErrorCode; 10] = [
        ErrorCode::Internal,
        ErrorCode::NotLeader,
        ErrorCode::Unavailable,
        ErrorCode::DeadlineExceeded,
        ErrorCode::Invalid,
        ErrorCode::NotFound,
        ErrorCode::AlreadyExists,
        ErrorCode::Precondition,
        ErrorCode::Limit,
        ErrorCode::Unauthenticated,
    ];

    #[test]
    fn every_error_comes_back_from_its_status() {
        let leader = Some(LeaderHint { node: NodeId(7), address: "10.0.0.7:7071".into() });
        for code in ALL {
            for outcome in [WriteOutcome::NotApplied, WriteOutcome::Unknown] {
                let error = CallError {
                    code,
                    outcome,
                    leader: leader.clone(),
                    moved: Some((GroupId(3), Epoch(2))),
                    message: "why".into(),
                };
                assert_eq!(CallError::from(&Status::from(error.clone())), error);
            }
        }
    }

    #[test]
    fn an_unknown_code_reads_as_internal() {
        let detail = pb::ErrorDetail { code: 999, is_answer: true, ..Default::default() }.encode_to_vec();
        let status = Status::with_details(Code::Aborted, "new", detail.into());
        assert_eq!(CallError::from(&status).code, ErrorCode::Internal);
    }

    #[test]
    fn of_a_broken_connection_nothing_is_known() {
        for status in [Status::unknown("h2 protocol error"), Status::internal("h2 protocol error")] {
            let error = CallError::from(&status);
            assert_eq!((error.code, error.outcome), (ErrorCode::Unavailable, WriteOutcome::Unknown));
        }
    }

    #[test]
    fn a_bad_leader_address_is_left_out() {
        let leader = Some(LeaderHint { node: NodeId(1), address: "a\nb".into() });
        let error = CallError { leader, ..CallError::new(ErrorCode::NotLeader, "") };
        assert_eq!(CallError::from(&Status::from(error)).leader, None);
    }
}
