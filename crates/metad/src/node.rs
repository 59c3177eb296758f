//! The consensus node as the handlers see it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use buzon_consensus::View;
use buzon_consensus::error::{ProposeError, ReadError};
use buzon_consensus::group::Group;
use buzon_consensus::node::Node;
use buzon_meta_store::store::MetaStore;
use buzon_model::command::{Command, Entry};
use buzon_model::read::{AccountEvent, ReadAt};
use buzon_model::reply::Outcome;
use buzon_model::row::Tombstone;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::status::{CallError, ErrorCode, LeaderHint};
use buzon_types::id::{GroupId, LogIndex, MailboxKey, NodeId};
use buzon_types::request::RequestId;
use buzon_types::time::Timestamp;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use tokio::sync::broadcast;

use crate::groups::{Groups, LogStatus, Replica, ReplicaStatus};

/// How long a proposal may wait for a majority before its caller is told to ask again, perhaps elsewhere.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(8);

/// A consensus node.
#[derive(Clone)]
pub struct NodeGroups {
    node: Node,
}

impl NodeGroups {
    /// All its groups.
    pub fn new(node: Node) -> Self {
        Self { node }
    }
}

impl Groups for NodeGroups {
    fn node(&self) -> NodeId {
        self.node.owner().node
    }

    fn group(&self, id: GroupId) -> Option<Arc<dyn Replica>> {
        self.node.group(id).map(replica)
    }

    fn groups(&self) -> Vec<Arc<dyn Replica>> {
        self.node.groups().into_iter().map(replica).collect()
    }

    fn cache_bytes(&self) -> Option<u64> {
        Some(self.node.cache_bytes())
    }

    fn log(&self) -> Option<LogStatus> {
        Some(LogStatus { written: self.node.log_counts(), bytes: self.node.log_bytes() })
    }
}

struct NodeReplica {
    group: Group,
}

fn replica(group: Group) -> Arc<dyn Replica> {
    Arc::new(NodeReplica { group })
}

impl NodeReplica {
    async fn view(&self, at: ReadAt, needs: &[Need]) -> Result<View, CallError> {
        self.group.read(at, |state| state.missing_of(needs)).await.map_err(read_error)
    }
}

#[async_trait]
impl Replica for NodeReplica {
    fn id(&self) -> GroupId {
        self.group.id()
    }

    async fn propose(
        &self,
        request: Option<RequestId>,
        command: Command,
    ) -> Result<(LogIndex, Outcome), CallError> {
        let entry = Entry { at: now(), request, command };
        match tokio::time::timeout(PROPOSE_DEADLINE, self.group.propose(&entry)).await {
            Ok(Ok(proposed)) => Ok((proposed.index, proposed.outcome)),
            Ok(Err(error)) => Err(propose_error(error)),
            Err(_) => Err(CallError::unknown(ErrorCode::DeadlineExceeded, "no majority in time")),
        }
    }

    async fn look(
        &self,
        at: ReadAt,
        needs: &[Need],
        look: &mut (dyn for<'state> FnMut(&'state State) + Send),
    ) -> Result<LogIndex, CallError> {
        let view = self.view(at, needs).await?;
        look(&view);
        Ok(view.index())
    }

    async fn expunged_since(
        &self,
        index: LogIndex,
        mailbox: MailboxKey,
        since: ModSeq,
    ) -> Result<UidSet, CallError> {
        let view = self.view(ReadAt::Index(index), &[]).await?;
        view.expunged_since(mailbox, since).await.map_err(read_error)
    }

    async fn tombstones(
        &self,
        index: LogIndex,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<Tombstone>, CallError> {
        let view = self.view(ReadAt::Index(index), &[]).await?;
        view.tombstones(mailbox, uids).await.map_err(read_error)
    }

    async fn rows(&self) -> Result<&Arc<dyn MetaStore>, CallError> {
        self.group.rows().await.map_err(read_error)
    }

    fn subscribe(&self) -> broadcast::Receiver<AccountEvent> {
        self.group.events()
    }

    fn status(&self) -> ReplicaStatus {
        let status = self.group.status();
        ReplicaStatus {
            leader: status.leader.map(|leader| leader.node),
            majority_heard: status.majority_heard,
            term: status.term,
            last_log: status.last,
            proposals: status.proposals,
            applied: status.applied,
            rows: status.rows,
            purged: status.purged,
            in_quarantine: status.quarantine.is_some(),
            voters: status.voters.into_iter().collect(),
        }
    }

    fn leader(&self) -> Option<LeaderHint> {
        self.group.leader()
    }
}

/// The proposer's clock; apply takes the greater of it and the group's time.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

pub(crate) fn not_leader(leader: Option<LeaderHint>) -> CallError {
    CallError { leader, ..CallError::new(ErrorCode::NotLeader, "this node does not lead the group") }
}

fn propose_error(error: ProposeError) -> CallError {
    let outcome = error.outcome();
    let call = match error {
        ProposeError::TooLarge { .. } => CallError::new(ErrorCode::Limit, error.to_string()),
        ProposeError::FeatureLevel { .. } => CallError::new(ErrorCode::Invalid, error.to_string()),
        ProposeError::QueueFull => CallError::new(ErrorCode::Unavailable, error.to_string()),
        ProposeError::NotLeader { leader } | ProposeError::Discarded { leader } => not_leader(leader),
        ProposeError::Deadline => CallError::new(ErrorCode::DeadlineExceeded, error.to_string()),
        ProposeError::OutcomeLost | ProposeError::Stopped(_) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "propose");
            CallError::new(ErrorCode::Unavailable, error.to_string())
        }
    };
    CallError { outcome, ..call }
}

fn read_error(error: ReadError) -> CallError {
    match error {
        ReadError::NotLeader { leader } => not_leader(leader),
        ReadError::Unavailable(_) | ReadError::Stopped(_) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "read");
            CallError::new(ErrorCode::Unavailable, error.to_string())
        }
    }
}
