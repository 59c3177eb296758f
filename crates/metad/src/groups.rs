//! What handlers need of the raft groups: the consensus node, or one replica in memory for tests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use buzon_consensus::log::shared::LogCounts;
use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::MetaStore;
use buzon_model::command::Command;
use buzon_model::read::{AccountEvent, At, ReadAt};
use buzon_model::reply::Outcome;
use buzon_model::row::{Place, Tombstone};
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::status::{CallError, ErrorCode, LeaderHint};
use buzon_types::id::{GroupId, LogIndex, MailboxKey, NodeId};
use buzon_types::request::RequestId;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use tokio::sync::broadcast;

/// This node and its groups.
pub trait Groups: Send + Sync + 'static {
    /// This node.
    fn node(&self) -> NodeId;
    /// A group with a replica here.
    fn group(&self, id: GroupId) -> Option<Arc<dyn Replica>>;
    /// All of them, by id.
    fn groups(&self) -> Vec<Arc<dyn Replica>>;
    /// What the groups' log has written and holds; none where there is no log.
    fn log(&self) -> Option<LogStatus> {
        None
    }
    /// What the groups' rows take in memory, in bytes; none where nobody counts.
    fn cache_bytes(&self) -> Option<u64> {
        None
    }
}

/// This node's replica of a group.
#[async_trait]
pub trait Replica: Send + Sync + 'static {
    /// Which group.
    fn id(&self) -> GroupId;

    /// Puts a command into the log and waits until it is applied here.
    async fn propose(
        &self,
        request: Option<RequestId>,
        command: Command,
    ) -> Result<(LogIndex, Outcome), CallError>;

    /// Shows a state that is fresh enough and has the rows of `needs` that exist; `look` is called once.
    async fn look(
        &self,
        at: ReadAt,
        needs: &[Need],
        look: &mut (dyn for<'state> FnMut(&'state State) + Send),
    ) -> Result<LogIndex, CallError>;

    /// UIDs expunged after a modseq, from SQL, as of a state that has applied `index`.
    async fn expunged_since(
        &self,
        index: LogIndex,
        mailbox: MailboxKey,
        since: ModSeq,
    ) -> Result<UidSet, CallError>;

    /// Tombstones among these UIDs, ascending, as of a state that has applied `index`.
    async fn tombstones(
        &self,
        index: LogIndex,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<Tombstone>, CallError>;

    /// The database, for what never changes (summaries) and for listings, once it has all that was applied by now: rows
    /// are written behind the log. After a restart of the server they may be older than the state for a moment.
    async fn rows(&self) -> Result<&Arc<dyn MetaStore>, CallError>;

    /// Events as they are applied; one that lags has a gap.
    fn subscribe(&self) -> broadcast::Receiver<AccountEvent>;

    /// How the group stands, as seen here.
    fn status(&self) -> ReplicaStatus;

    /// Who leads it and where, as far as this node knows.
    fn leader(&self) -> Option<LeaderHint> {
        None
    }
}

/// The log that the groups of a node share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStatus {
    /// Since the process began.
    pub written: LogCounts,
    /// On disk now, if it can be looked at.
    pub bytes: Option<u64>,
}

/// How a group stands, as its replica here sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplicaStatus {
    /// Who leads it, if known.
    pub leader: Option<NodeId>,
    /// If this node does: how long ago a majority last agreed.
    pub majority_heard: Option<Duration>,
    /// The raft term.
    pub term: u64,
    /// Proposals that wait for a majority and for apply.
    pub proposals: usize,
    /// Its rows are not those of the majority: it serves nobody.
    pub in_quarantine: bool,
    /// The last entry in the log.
    pub last_log: LogIndex,
    /// The last entry applied.
    pub applied: LogIndex,
    /// The last entry that is in the rows, which follow.
    pub rows: LogIndex,
    /// The log is gone up to here.
    pub purged: LogIndex,
    /// Its voters.
    pub voters: Vec<NodeId>,
}

impl dyn Replica {
    /// [`Replica::look`] with a result. Of an account that lives elsewhere nothing is read: the error tells where.
    pub(crate) async fn read<T: Send>(
        &self,
        at: ReadAt,
        needs: impl AsRef<[Need]> + Send + Sync,
        look: impl FnOnce(&State) -> T + Send,
    ) -> Result<At<T>, CallError> {
        let (mut look, mut found) = (Some(look), None);
        let needs = needs.as_ref();
        let mut once = |state: &State| {
            let elsewhere = needs.iter().find_map(|need| elsewhere(state, need));
            found = look.take().map(|look| elsewhere.map_or_else(|| Ok(look(state)), Err));
        };
        let index = self.look(at, needs, &mut once).await?;
        let value = found.ok_or_else(|| CallError::new(ErrorCode::Internal, "state was not shown"))??;
        Ok(At { index, value })
    }
}

/// Where the account lives, if it does not live here.
fn elsewhere(state: &State, need: &Need) -> Option<CallError> {
    let Need::Account(account) = need else { return None };
    match state.place(*account)? {
        Place::Here | Place::Frozen { .. } => None,
        Place::Gone { to, epoch } => Some(CallError {
            moved: Some((*to, *epoch)),
            ..CallError::new(ErrorCode::NotFound, "the account has moved to another shard")
        }),
        Place::Arriving(_) => Some(CallError::new(ErrorCode::Unavailable, "the account is being moved here")),
    }
}

/// Cold rows could not be read: the node replays, and later it works again.
#[expect(clippy::needless_pass_by_value, reason = "the end of the error, in map_err")]
pub(crate) fn cold(error: StoreError) -> CallError {
    tracing::warn!(error = &error as &dyn std::error::Error, "read cold rows");
    CallError::new(ErrorCode::Unavailable, "database is unavailable")
}
