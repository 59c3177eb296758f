//! Why entries cannot be applied, and whether waiting helps.

use std::sync::Arc;

use buzon_meta_store::error::StoreError;
use buzon_model::scope::Need;
use buzon_types::id::GroupId;

use crate::log::LogError;
use crate::record::RecordError;

/// Why entries cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error("use the database of group {0}")]
    Store(GroupId, #[source] StoreError),
    #[error("the database of group {0} restarted")]
    Restarted(GroupId),
    #[error("write rows of group {0} behind its log")]
    NotWritten(GroupId, #[source] Arc<StoreError>),
    #[error("the writer of group {0}'s rows has ended")]
    WriterEnded(GroupId),
    #[error("the database of group {0} has failed a moment ago")]
    JustFailed(GroupId),
    #[error(
        "the database of group {group} stands at {applied}, its log ends at {log}: one of them is not ours"
    )]
    Ahead { group: GroupId, applied: u64, log: u64 },
    #[error(
        "the database of group {group} stands at {applied}, its log begins after {log}: it was lost, or is an old copy"
    )]
    Behind { group: GroupId, applied: u64, log: u64 },
    #[error(
        "the database of group {group} and its log say different things of entry {index}: one of them is not ours"
    )]
    Forked { group: GroupId, index: u64 },
    #[error("entry {index} of group {group} is not known to this version")]
    Undecodable {
        group: GroupId,
        index: u64,
        #[source]
        source: buzon_proto::log::DecodeError,
    },
    #[error(
        "group {group} is at feature level {level}, this version knows levels up to {known}: run a version of buzon that knows it"
    )]
    FeatureLevel { group: GroupId, level: u32, known: u32 },
    #[error(
        "the rows for entry {index} of group {group} cannot be loaded: {need:?} is missing again and again"
    )]
    Unloadable { group: GroupId, index: u64, need: Option<Need> },
    #[error("read a raft record")]
    Record(#[from] RecordError),
    #[error("use the log")]
    Log(#[from] LogError),
    #[error("the group is stopping")]
    Stopping,
}

impl From<ApplyError> for std::io::Error {
    fn from(error: ApplyError) -> Self {
        std::io::Error::other(error)
    }
}

impl ApplyError {
    /// Whether replaying after a while can help.
    pub(super) fn is_passing(&self) -> bool {
        use StoreError::{AppliedMismatch, Full, NoRows, Unavailable};
        let of_store = |error: &StoreError| {
            matches!(error, Unavailable(_) | Full(_) | AppliedMismatch { .. } | NoRows { .. })
        };
        matches!(self, Self::Restarted(_) | Self::JustFailed(_)) || self.of_store().is_some_and(of_store)
    }

    /// What the database said.
    pub(super) fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(_, error) => Some(error),
            Self::NotWritten(_, error) => Some(error),
            _ => None,
        }
    }
}
