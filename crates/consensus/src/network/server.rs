//! What peers say to this node's groups.

mod beats;
mod rest;

use std::sync::{Arc, Weak};

use buzon_meta_store::store::PAGE_FORMAT;
use buzon_types::id::GroupId;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest};
use openraft::storage::Snapshot;
use tonic::{Request, Response, Status, Streaming};

use self::beats::BeatStream;
use super::{MESSAGE_BYTES_MAX, snapshot};
use crate::apply::{SnapshotData, Staged};
use crate::audit;
use crate::group::Group;
use crate::node::NodeInner;
use crate::pb;
use crate::pb::append_entries_response::Outcome;
use crate::pb::raft_transport_server::{RaftTransport, RaftTransportServer};
use crate::pb::snapshot_part::Part;
use crate::quarantine;
use crate::record;
use crate::type_config::{LogId, TypeConfig, Vote};

/// See the module.
pub(crate) struct Transport {
    node: Weak<NodeInner>,
}

impl Transport {
    pub(crate) fn service(node: &Arc<NodeInner>) -> RaftTransportServer<Self> {
        let server = RaftTransportServer::new(Self::of(node));
        server.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(crate) fn of(node: &Arc<NodeInner>) -> Self {
        Self { node: Arc::downgrade(node) }
    }

    /// The group that is meant, if it is meant for this node of this cluster.
    fn group(&self, header: Option<pb::Header>) -> Result<Group, Status> {
        let node = self.node(header.as_ref())?;
        group(&node, header.map_or(0, |header| header.group))
    }

    /// This node, if it is meant.
    fn node(&self, header: Option<&pb::Header>) -> Result<Arc<NodeInner>, Status> {
        let header = header.ok_or_else(|| missing("header"))?;
        let node = self.node.upgrade().ok_or_else(|| Status::unavailable("this node is closing"))?;
        let owner = node.owner();
        if header.cluster != owner.cluster.to_be_bytes()[..] || header.to != owner.node.0 {
            return Err(Status::failed_precondition(format!("this is {owner}")));
        }
        Ok(node)
    }
}

fn group(node: &NodeInner, id: u64) -> Result<Group, Status> {
    node.group(GroupId(id)).ok_or_else(|| Status::not_found(format!("group {id} is not here")))
}

#[tonic::async_trait]
impl RaftTransport for Transport {
    async fn append_entries(
        &self,
        request: Request<pb::AppendEntriesRequest>,
    ) -> Result<Response<pb::AppendEntriesResponse>, Status> {
        let request = request.into_inner();
        let group = self.group(request.header)?;
        let entries = request
            .entries
            .into_iter()
            .map(|entry| record::read_entry(entry).map_err(|error| invalid(&error)));
        let request = AppendEntriesRequest {
            vote: vote(request.vote)?,
            prev_log_id: request.previous.map(record::read_log_id),
            entries: entries.collect::<Result<_, _>>()?,
            leader_commit: request.committed.map(record::read_log_id),
        };
        let answer = append(&group, request).await?;
        // After it: what the leader sent has renewed the lease, so no election begins.
        group.pulse().wake(group.raft());
        Ok(Response::new(answer))
    }

    type HeartbeatsStream = BeatStream;

    async fn heartbeats(
        &self,
        request: Request<pb::HeartbeatsRequest>,
    ) -> Result<Response<BeatStream>, Status> {
        let request = request.into_inner();
        let node = self.node(request.header.as_ref())?;
        Ok(Response::new(beats::answer_all(&node, request.heartbeats)))
    }

    async fn rest(&self, request: Request<pb::RestRequest>) -> Result<Response<pb::RestResponse>, Status> {
        let request = request.into_inner();
        let node = self.node(request.header.as_ref())?;
        Ok(Response::new(rest::agree(&node, request.groups)))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        let mut request = request.into_inner();
        let node = self.node(request.header.as_ref())?;
        let group = self.group(request.header.take())?;
        if let Some(refusal) = rest::refuse(&node, &group, request.leadership_transfer) {
            return Ok(vote_response(&refusal));
        }
        let answer = group.raft().vote(vote_request(&request)?).await;
        // If it was refused for an older log, this node is the better candidate.
        group.pulse().wake(group.raft());
        Ok(vote_response(&answer.map_err(|error| stopped(&error))?))
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let mut request = request.into_inner();
        let node = self.node(request.header.as_ref())?;
        let group = self.group(request.header.take())?;
        if let Some(refusal) = rest::refuse(&node, &group, false) {
            return Ok(vote_response(&refusal));
        }
        let answer = group.raft().pre_vote(vote_request(&request)?).await;
        Ok(vote_response(&answer.map_err(|error| stopped(&error))?))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        use pb::transfer_leader_response::Outcome;
        let request = request.into_inner();
        let me = request.header.as_ref().map_or(0, |header| header.to);
        let successor = request.successor.unwrap_or(me);
        let group = self.group(request.header)?;
        if successor == me && group.machine().quarantine().is_some() {
            let refused = Outcome::Refused(in_quarantine(&group).message().to_owned());
            return Ok(Response::new(pb::TransferLeaderResponse { outcome: Some(refused) }));
        }
        let last = request.last.map(record::read_log_id);
        let request = TransferLeaderRequest::new(vote(request.from_leader)?, successor, last);
        let answer = group.raft().handle_transfer_leader(request).await;
        // Only here: the others, whose leases ran out at rest, would begin elections of their own.
        if successor == me {
            group.pulse().wake(group.raft());
        }
        let answer = answer.map_err(|error| stopped(&error))?;
        let outcome = match answer {
            Ok(()) => Outcome::Accepted(pb::Empty {}),
            Err(refused) => Outcome::Refused(refused.to_string()),
        };
        Ok(Response::new(pb::TransferLeaderResponse { outcome: Some(outcome) }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotPart>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        let mut parts = request.into_inner();
        let Some(Part::Begin(begin)) = snapshot::next(&mut parts).await? else {
            return Err(missing("begin"));
        };
        let from = begin.header.as_ref().map_or(0, |header| header.from);
        let (group, vote) = (self.group(begin.header)?, vote(begin.vote)?);
        let machine = group.machine();
        // Asked to come again, not made to wait: who sends the one that is coming in may have lost its leadership.
        let turn =
            machine.turn_to_install().ok_or_else(|| Status::aborted("another snapshot is coming in"))?;
        let stop = machine.incoming().open(from);
        let stream = snapshot::Incoming { parts: &mut parts, stop, first: None, from };
        let (install, meta) = snapshot::receive(stream, machine, begin.session).await?;
        let last = meta.last_log_id.as_ref().ok_or_else(|| missing("position"))?;
        check_term(last, &vote)?;
        let head = snapshot::head_of(machine, &meta)?;
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Staged(Staged { install, head, turn }) };
        let answer = group.raft().install_full_snapshot(vote, snapshot).await;
        group.pulse().wake(group.raft());
        let vote = record::vote(&answer.map_err(|error| stopped(&error))?.vote);
        Ok(Response::new(pb::SnapshotResponse { vote: Some(vote) }))
    }

    async fn snapshot_progress(
        &self,
        request: Request<pb::SnapshotProgressRequest>,
    ) -> Result<Response<pb::SnapshotProgressResponse>, Status> {
        let header = request.into_inner().header;
        let from = header.as_ref().map_or(0, |header| header.from);
        let taken = self.group(header)?.machine().taken_from(from).await;
        Ok(Response::new(pb::SnapshotProgressResponse { page_format: PAGE_FORMAT, taken }))
    }

    type FetchSnapshotStream = snapshot::Fetched;

    async fn fetch_snapshot(
        &self,
        request: Request<pb::FetchSnapshotRequest>,
    ) -> Result<Response<snapshot::Fetched>, Status> {
        let request = request.into_inner();
        let peer = request.header.as_ref().map_or(0, |header| header.from);
        let group = self.group(request.header.clone())?;
        if group.machine().quarantine().is_some() {
            return Err(in_quarantine(&group));
        }
        Ok(Response::new(snapshot::fetched(group.machine(), peer, request).await?))
    }

    async fn digests(
        &self,
        request: Request<pb::DigestsRequest>,
    ) -> Result<Response<pb::DigestsResponse>, Status> {
        let request = request.into_inner();
        let node = self.node(request.header.as_ref())?;
        Ok(Response::new(audit::answer(&node, &request.asked)))
    }

    async fn quarantine(
        &self,
        request: Request<pb::QuarantineRequest>,
    ) -> Result<Response<pb::Empty>, Status> {
        let request = request.into_inner();
        let group = self.group(request.header)?;
        let quarantine = request.quarantine.as_ref().and_then(quarantine::decode);
        let noted = group.enter_quarantine(quarantine.ok_or_else(|| missing("quarantine"))?).await;
        noted.map_err(|error| stopped(&error))?;
        Ok(Response::new(pb::Empty {}))
    }
}

fn in_quarantine(group: &Group) -> Status {
    Status::unavailable(format!("group {} is in quarantine here", group.id()))
}

async fn append(
    group: &Group,
    request: AppendEntriesRequest<TypeConfig>,
) -> Result<pb::AppendEntriesResponse, Status> {
    let outcome = match group.raft().append_entries(request).await.map_err(|error| stopped(&error))? {
        AppendEntriesResponse::Success => Outcome::Success(pb::Empty {}),
        AppendEntriesResponse::PartialSuccess(matching) => {
            Outcome::Partial(pb::PartialSuccess { matching: matching.as_ref().map(record::log_id) })
        }
        AppendEntriesResponse::Conflict => Outcome::Conflict(pb::Empty {}),
        AppendEntriesResponse::HigherVote(vote) => Outcome::HigherVote(record::vote(&vote)),
    };
    Ok(pb::AppendEntriesResponse { outcome: Some(outcome) })
}

/// A leader has nothing from later terms than its own.
fn check_term(last: &LogId, vote: &Vote) -> Result<(), Status> {
    let (last, sender) = (last.committed_leader_id().term, vote.leader_id().term);
    if last <= sender {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("a snapshot of term {last} from a leader of term {sender}")))
}

fn vote(vote: Option<pb::Vote>) -> Result<Vote, Status> {
    vote.map(record::read_vote).ok_or_else(|| missing("vote"))
}

fn vote_request(request: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
    let last_log_id = request.last.map(record::read_log_id);
    Ok(VoteRequest {
        vote: vote(request.vote)?,
        last_log_id,
        leadership_transfer: request.leadership_transfer,
    })
}

fn vote_response(answer: &openraft::raft::VoteResponse<TypeConfig>) -> Response<pb::VoteResponse> {
    let last = answer.last_log_id.as_ref().map(record::log_id);
    Response::new(pb::VoteResponse {
        vote: Some(record::vote(&answer.vote)),
        granted: answer.vote_granted,
        last,
    })
}

pub(super) fn missing(what: &str) -> Status {
    Status::invalid_argument(format!("the request lacks its {what}"))
}

pub(super) fn invalid(error: &impl std::error::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

pub(super) fn unavailable(error: &impl std::error::Error) -> Status {
    Status::unavailable(error.to_string())
}

fn stopped(error: &impl std::error::Error) -> Status {
    Status::unavailable(format!("the group has stopped: {error}"))
}

#[cfg(test)]
mod tests {
    use openraft::vote::RaftLeaderId as _;

    use super::*;
    use crate::type_config::LeaderId;

    #[test]
    fn a_snapshot_from_a_later_term_than_its_senders_is_refused() {
        let last = |term| LogId::new(LeaderId::new(term, 1), 7);
        assert!(check_term(&last(5), &Vote::new_committed(5, 2)).is_ok());
        assert!(check_term(&last(6), &Vote::new_committed(5, 2)).is_err());
    }
}
