//! What a group says to one peer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::store::PAGE_FORMAT;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::impls::BasicNode;
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use tonic::{Code, Status};

use super::addresses::Addresses;
use super::heartbeats::Heartbeats;
use super::peers::{Peers, Way};
use super::snapshot;
use crate::apply::{Machine, SnapshotData};
use crate::keep::{Keep, Sends};
use crate::pb;
use crate::pb::append_entries_response::Outcome;
use crate::pb::raft_transport_client::RaftTransportClient;
use crate::pulse::Pulse;
use crate::record;
use crate::type_config::{LogId, TypeConfig, Vote};

type RpcError = RPCError<TypeConfig>;
type StreamError = StreamingError<TypeConfig>;

/// Entries may take a follower's slow disk longer than the heartbeat's interval, which is all that openraft grants:
/// given up sooner, they would be sent again and again. Heartbeats go their own way.
const APPEND_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a peer may take to say what it has of a snapshot; it may wait for an earlier stream to end.
const PROGRESS_TIME_MAX: Duration = Duration::from_secs(10);

/// Makes clients for one group.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) group: u64,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) keep: Arc<Keep>,
    pub(crate) addresses: Arc<Addresses>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> PeerClient {
        self.addresses.set(target, &node.addr);
        PeerClient { network: self.clone(), target, carries: Carries::Entries }
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &BasicNode) -> PeerClient {
        PeerClient { carries: Carries::Heartbeats, ..self.new_client(target, node).await }
    }
}

/// What appends a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// Also those without entries, which tell what is committed: the next entries wait behind them.
    Entries,
    /// Only those that have nothing to say.
    Heartbeats,
}

/// One group's way to one peer.
pub(crate) struct PeerClient {
    network: Network,
    target: u64,
    carries: Carries,
}

impl PeerClient {
    fn client(&self) -> Result<RaftTransportClient<Way>, RpcError> {
        let client = self.network.peers.client(self.target, &self.network.addresses.get(self.target));
        client.map_err(|error| RpcError::Unreachable(Unreachable::new(&error)))
    }

    async fn heartbeat(
        &self,
        request: &AppendEntriesRequest<TypeConfig>,
        limit: Duration,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let Network { heartbeats, group, pulse, addresses, .. } = &self.network;
        let heartbeat = pb::Heartbeat {
            group: *group,
            vote: Some(record::vote(&request.vote)),
            previous: request.prev_log_id.as_ref().map(record::log_id),
            committed: request.leader_commit.as_ref().map(record::log_id),
        };
        let address = addresses.get(self.target);
        let sent = heartbeats.send((self.target, &address), heartbeat, pulse.is_hurried());
        append_answer(within(limit, sent).await?)
    }

    /// Sends a snapshot, or what the peer has not of one that broke off.
    async fn push(
        &self,
        mut client: RaftTransportClient<Way>,
        machine: Arc<Machine>,
        vote: pb::Vote,
        at_least: Option<LogId>,
    ) -> Result<tonic::Response<pb::SnapshotResponse>, Status> {
        let sends = self.network.keep.sends(self.target, at_least.as_ref());
        let asked = client.snapshot_progress(pb::SnapshotProgressRequest { header: self.header() });
        let late = |_| Status::deadline_exceeded("the peer does not say what it has");
        let progress = tokio::time::timeout(PROGRESS_TIME_MAX, asked).await.map_err(late)?;
        let begin = pb::SnapshotBegin { header: self.header(), vote: Some(vote), session: None };
        let taken = match progress.map(tonic::Response::into_inner) {
            Ok(progress) if progress.page_format >= PAGE_FORMAT => progress.taken,
            Ok(_) => return self.push_whole(client, machine, (begin, at_least), sends).await,
            Err(status) if status.code() == Code::Unimplemented => {
                return self.push_whole(client, machine, (begin, at_least), sends).await;
            }
            Err(status) => return Err(status),
        };
        let stream = machine.sessions().open(&machine, self.target, taken.as_ref()).await;
        let stream = stream.map_err(|error| Status::unavailable(error.to_string()))?;
        let session = Arc::clone(&stream.session);
        let parts = snapshot::pushed(Arc::clone(&machine), (self.target, stream), begin, at_least);
        let answer = client.install_snapshot(parts).await?;
        machine.sessions().close(self.target, &session);
        sends.has_arrived();
        Ok(answer)
    }

    /// To a peer of a version that knows rows only.
    async fn push_whole(
        &self,
        mut client: RaftTransportClient<Way>,
        machine: Arc<Machine>,
        (begin, at_least): (pb::SnapshotBegin, Option<LogId>),
        sends: Sends<'_>,
    ) -> Result<tonic::Response<pb::SnapshotResponse>, Status> {
        tracing::info!(group = %machine.group(), peer = self.target, "send a snapshot as versions of old know it");
        let answer = client.install_snapshot(snapshot::pushed_whole(machine, begin, at_least)).await?;
        sends.has_arrived();
        Ok(answer)
    }

    fn header(&self) -> Option<pb::Header> {
        Some(self.network.peers.header(self.network.group, self.target))
    }
}

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        if self.carries == Carries::Heartbeats && request.entries.is_empty() {
            return self.heartbeat(&request, option.hard_ttl()).await;
        }
        // openraft would go on sending them, and keep its log for that, as long as the peer takes some now and then.
        let previous = request.prev_log_id.as_ref().map(|id| id.index);
        if self.network.keep.are_due_to_go(previous) {
            let why = NetworkError::<TypeConfig>::from_string("the peer is too far behind for the log");
            return Err(RpcError::Unreachable(Unreachable::new(&why)));
        }
        let message = pb::AppendEntriesRequest {
            header: self.header(),
            vote: Some(record::vote(&request.vote)),
            previous: request.prev_log_id.as_ref().map(record::log_id),
            entries: request.entries.iter().map(record::entry).collect(),
            committed: request.leader_commit.as_ref().map(record::log_id),
        };
        let limit = append_limit(message.entries.len(), option.hard_ttl());
        let mut client = self.client()?;
        append_answer(called(limit, client.append_entries(message)).await?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let (mut client, message) = (self.client()?, vote_message(self.header(), &request));
        vote_answer(called(option.hard_ttl(), client.vote(message)).await?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let (mut client, message) = (self.client()?, vote_message(self.header(), &request));
        vote_answer(called(option.hard_ttl(), client.pre_vote(message)).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamError> {
        let SnapshotData::Rows(machine) = snapshot.snapshot else {
            return Err(StreamError::Network(NetworkError::from_string("a staged snapshot is not sent on")));
        };
        let client = self.client().map_err(|error| StreamError::Unreachable(Unreachable::new(&error)))?;
        let vote = record::vote(&vote);
        let sent = self.push(client, machine, vote, snapshot.meta.last_log_id);
        tokio::select! {
            biased;
            // Dropping the call ends the stream.
            closed = cancel => Err(StreamError::Closed(closed)),
            answer = sent => match answer {
                Ok(answer) => match answer.into_inner().vote {
                    Some(vote) => Ok(SnapshotResponse::new(record::read_vote(vote))),
                    None => Err(StreamError::Network(NetworkError::from_string("an empty answer"))),
                },
                Err(status) => Err(StreamError::Unreachable(Unreachable::new(&status))),
            },
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let message = pb::TransferLeaderRequest {
            header: self.header(),
            from_leader: Some(record::vote(request.from_leader())),
            last: request.last_log_id().map(record::log_id),
            successor: Some(*request.to_node_id()),
        };
        let mut client = self.client()?;
        let answer = called(option.hard_ttl(), client.transfer_leader(message)).await?;
        match answer.outcome {
            Some(pb::transfer_leader_response::Outcome::Accepted(_)) => Ok(Ok(())),
            Some(pb::transfer_leader_response::Outcome::Refused(why)) => {
                Err(RpcError::Network(NetworkError::from_string(why)))
            }
            None => Err(nonsense()),
        }
    }
}

fn vote_message(header: Option<pb::Header>, request: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
    pb::VoteRequest {
        header,
        vote: Some(record::vote(&request.vote)),
        last: request.last_log_id.as_ref().map(record::log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

fn vote_answer(answer: pb::VoteResponse) -> Result<VoteResponse<TypeConfig>, RpcError> {
    let vote = record::read_vote(answer.vote.ok_or_else(nonsense)?);
    Ok(VoteResponse::new(vote, answer.last.map(record::read_log_id), answer.granted))
}

/// How long an append may take.
fn append_limit(entries: usize, granted: Duration) -> Duration {
    if entries == 0 { granted } else { granted.max(APPEND_TIME_MAX) }
}

fn append_answer(answer: pb::AppendEntriesResponse) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
    match answer.outcome {
        Some(Outcome::Success(_)) => Ok(AppendEntriesResponse::Success),
        Some(Outcome::Partial(partial)) => {
            Ok(AppendEntriesResponse::PartialSuccess(partial.matching.map(record::read_log_id)))
        }
        Some(Outcome::Conflict(_)) => Ok(AppendEntriesResponse::Conflict),
        Some(Outcome::HigherVote(vote)) => Ok(AppendEntriesResponse::HigherVote(record::read_vote(vote))),
        None => Err(nonsense()),
    }
}

async fn called<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, RpcError> {
    within(limit, async { call.await.map(tonic::Response::into_inner) }).await
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Status>>) -> Result<T, RpcError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status))
            if matches!(status.code(), Code::Unavailable | Code::NotFound | Code::FailedPrecondition) =>
        {
            Err(RpcError::Unreachable(Unreachable::new(&status)))
        }
        Ok(Err(status)) => Err(RpcError::Network(NetworkError::new(&status))),
        Err(late) => Err(RpcError::Network(NetworkError::new(&late))),
    }
}

fn nonsense() -> RpcError {
    RpcError::Network(NetworkError::from_string("an answer without its parts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_get_more_time_than_heartbeats() {
        let heartbeat = Duration::from_millis(150);
        assert_eq!(append_limit(0, heartbeat), heartbeat);
        assert_eq!(append_limit(1, heartbeat), APPEND_TIME_MAX);
        assert_eq!(append_limit(1, APPEND_TIME_MAX * 2), APPEND_TIME_MAX * 2);
    }
}
