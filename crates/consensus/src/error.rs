//! What can go wrong for those who use a group or open a node.

use buzon_meta_store::error::StoreError;
use buzon_proto::status::{LeaderHint, WriteOutcome};
use buzon_types::id::{GroupId, NodeId};
use openraft::errors::{ClientWriteError, ForwardToLeader, LinearizableReadError, RaftError};

use crate::log::LogError;
use crate::type_config::TypeConfig;

type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// A proposal that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Over [`buzon_model::limits::ENTRY_BYTES_MAX`].
    #[error("the entry takes {bytes} bytes")]
    TooLarge {
        /// What it takes.
        bytes: usize,
    },
    /// It raises the group to a level that this version does not know; nothing was written.
    #[error("feature level {level} is not known to this version, which knows levels up to {known}")]
    FeatureLevel {
        /// What was asked for.
        level: u32,
        /// This version's highest.
        known: u32,
    },
    /// As many proposals as the group may hold wait for a majority; nothing was written, and a little later there may be
    /// room.
    #[error("too many proposals wait in the group")]
    QueueFull,
    /// This node does not lead the group; nothing was written.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<LeaderHint>,
    },
    /// Another leader took over while the entry was on its way.
    #[error("another leader took over")]
    Discarded {
        /// The new leader, if it is known.
        leader: Option<LeaderHint>,
    },
    /// It was applied, but what it came to was lost with a database error. The same request gets it.
    #[error("the outcome is lost")]
    OutcomeLost,
    /// Time ran out.
    #[error("no majority within the deadline")]
    Deadline,
    /// The group has stopped on this node.
    #[error("the group has stopped")]
    Stopped(#[source] Boxed),
}

impl ProposeError {
    /// What is known of the entry.
    pub fn outcome(&self) -> WriteOutcome {
        match self {
            Self::TooLarge { .. } | Self::FeatureLevel { .. } | Self::QueueFull | Self::NotLeader { .. } => {
                WriteOutcome::NotApplied
            }
            Self::Discarded { .. } | Self::OutcomeLost | Self::Deadline | Self::Stopped(_) => {
                WriteOutcome::Unknown
            }
        }
    }

    /// Nothing was written, since no quorum was heard.
    pub(crate) fn not_confirmed(error: ReadError) -> Self {
        match error {
            ReadError::NotLeader { leader } => Self::NotLeader { leader },
            ReadError::Unavailable(_) => Self::NotLeader { leader: None },
            ReadError::Stopped(source) => Self::Stopped(source),
        }
    }

    /// Who leads the group, if it is known and not this node.
    pub fn leader(&self) -> Option<&LeaderHint> {
        match self {
            Self::NotLeader { leader } | Self::Discarded { leader } => leader.as_ref(),
            _ => None,
        }
    }
}

impl From<RaftError<TypeConfig, ClientWriteError<TypeConfig>>> for ProposeError {
    fn from(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Self {
        match error {
            RaftError::APIError(ClientWriteError::ForwardToLeader(to)) => {
                Self::NotLeader { leader: hint(to) }
            }
            RaftError::APIError(ClientWriteError::LogEntryDiscarded(to)) => {
                Self::Discarded { leader: hint(to) }
            }
            other => Self::Stopped(other.into()),
        }
    }
}

/// Whether this node leads, but has not heard from a quorum for too long to write: nothing was written.
pub(crate) fn is_lease_over(error: &RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> bool {
    use openraft::errors::ForwardReason::LeaseExpired;
    let RaftError::APIError(ClientWriteError::ForwardToLeader(to)) = error else { return false };
    to.reason == LeaseExpired
}

/// A read that cannot be served here and now.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// This node does not lead the group.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<LeaderHint>,
    },
    /// No quorum answered, the group has not applied so far in time, or its database is not to be had: try again.
    #[error("the group cannot be read now")]
    Unavailable(#[source] Boxed),
    /// The group has stopped on this node.
    #[error("the group has stopped")]
    Stopped(#[source] Boxed),
}

impl From<RaftError<TypeConfig, LinearizableReadError<TypeConfig>>> for ReadError {
    fn from(error: RaftError<TypeConfig, LinearizableReadError<TypeConfig>>) -> Self {
        match error {
            RaftError::APIError(LinearizableReadError::ForwardToLeader(to)) => {
                Self::NotLeader { leader: hint(to) }
            }
            RaftError::APIError(error) => Self::Unavailable(error.into()),
            RaftError::Fatal(error) => Self::Stopped(error.into()),
        }
    }
}

pub(crate) fn hint(to: ForwardToLeader<TypeConfig>) -> Option<LeaderHint> {
    let (node, at) = to.leader_id.zip(to.leader_node)?;
    Some(LeaderHint { node: NodeId(node), address: at.addr })
}

/// A node or a group that cannot be opened. Not to be retried without a look.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log.
    #[error("open the raft log")]
    Log(#[from] LogError),
    /// The database.
    #[error("open the database")]
    Store(#[from] StoreError),
    /// The raft options do not fit each other.
    #[error("raft options")]
    Options(#[source] Boxed),
    /// The group's log and rows do not fit each other, or are damaged.
    #[error("open group {group}")]
    Group {
        /// Which group.
        group: GroupId,
        /// What is wrong with it.
        #[source]
        source: Boxed,
    },
    /// This node does not carry the group any more ([`crate::node::Node::remove_group`]).
    #[error("group {0} was removed from this node")]
    Removed(GroupId),
    /// Its rows are those of the majority, as far as is known: there is no reason to replace them.
    #[error("group {0} is not in quarantine on this node")]
    NotInQuarantine(GroupId),
    /// The node is closing, or the group is being removed from it.
    #[error("the node is closed")]
    Closed,
}
