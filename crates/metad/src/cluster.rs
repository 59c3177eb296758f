//! ClusterService: how nodes found a cluster, join it and carry replicas. What is wanted stands in the directory
//! (`init` writes the first of it); here it is carried out.
//!
//! ```text
//! ctl ─▶ admin: init ─▶ Assign every node ─▶ found group 0 ─▶ FoundCluster into the directory ─▶ found the shards
//! ```

pub mod balance;
mod directory;
pub mod init;
pub mod mover;
pub mod peers;
pub(crate) mod seen;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use buzon_consensus::error::OpenError;
use buzon_consensus::group::{ChangeError, Group, Member};
use buzon_consensus::node::Node;
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_model::read::ReadAt;
use buzon_proto::pb::cluster::v1 as pb;
use buzon_proto::pb::cluster::v1::cluster_service_server::{ClusterService, ClusterServiceServer};
use buzon_proto::status::{CallError, ErrorCode};
use buzon_tls::peer::{Only, Role};
use buzon_types::id::{GroupId, NodeId};
use bytes::Bytes;
use futures::future::join_all;
use tokio::sync::Notify;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use self::peers::Peers;
use crate::node::not_leader;

/// A replica that waits for rows goes on waiting without its caller.
const START_TIME_MAX: Duration = Duration::from_secs(3);
/// How long a description waits for a group's state.
const LEVEL_TIME_MAX: Duration = Duration::from_secs(1);

/// Who a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: u128,
    /// Its id there.
    pub node: NodeId,
}

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Random, made with the data directory.
    pub incarnation: u128,
    /// None until it is assigned.
    pub identity: Option<Identity>,
    /// `HOST:PORT` under which it wants to be reached.
    pub address: String,
    /// Its failure domain.
    pub zone: Option<String>,
}

/// The process around the services.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Who this is.
    fn about(&self) -> About;
    /// Its log, database and groups, once they are open.
    fn node(&self) -> Option<Node>;
    /// Takes an identity for good; durable when this returns. Asked only of one without.
    async fn assign(&self, identity: Identity) -> Result<(), CallError>;
}

/// What administration needs of the cluster.
#[derive(Debug, Clone)]
pub struct Control {
    /// Reaches every node.
    pub peers: Peers,
    /// This cluster.
    pub cluster: u128,
    /// Has the balancer look, if it is this node's turn.
    pub look_now: Arc<Notify>,
}

/// The service.
#[derive(Clone)]
pub struct Cluster {
    host: Arc<dyn Host>,
}

impl Cluster {
    /// Of this process.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self { host }
    }

    /// Ready to be mounted on the nodes' listener: metadata nodes alone may call it.
    pub fn service(self) -> InterceptedService<ClusterServiceServer<Self>, Only> {
        ClusterServiceServer::with_interceptor(self, Only(&[Role::Metad]))
    }

    fn node(&self) -> Result<Node, CallError> {
        let closed =
            || CallError::new(ErrorCode::Unavailable, "this node has no identity yet, or is starting");
        self.host.node().ok_or_else(closed)
    }

    fn group(&self, id: u64) -> Result<Group, CallError> {
        let none = || CallError::new(ErrorCode::NotLeader, format!("group {id} is not on this node"));
        self.node()?.group(GroupId(id)).ok_or_else(none)
    }

    async fn describe(&self) -> pb::NodeDescription {
        let about = self.host.about();
        let node = self.host.node();
        let groups: Vec<Group> = node.iter().flat_map(Node::groups).collect();
        let groups = join_all(groups.iter().map(describe_group)).await;
        let identity = about.identity;
        pb::NodeDescription {
            incarnation: id_bytes(about.incarnation),
            cluster: identity.map(|it| id_bytes(it.cluster)).unwrap_or_default(),
            node: identity.map_or(0, |it| it.node.0),
            address: about.address,
            zone: about.zone.unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            is_open: node.is_some(),
            groups,
            feature_level_max: FEATURE_LEVEL_MAX.0,
        }
    }

    async fn take_identity(&self, request: pb::AssignRequest) -> Result<pb::NodeDescription, CallError> {
        let about = self.host.about();
        if id_bytes(about.incarnation) != request.incarnation {
            let message = "the incarnation is not this node's: its disk is not the one that was described";
            return Err(CallError::new(ErrorCode::Precondition, message));
        }
        let cluster = read_id(&request.cluster, "assign_request.cluster")?;
        let wanted = Identity { cluster, node: NodeId(request.node) };
        match about.identity {
            Some(known) if known == wanted => {}
            Some(known) => {
                let message = format!(
                    "{} is node {} of cluster {:032x} already",
                    about.address, known.node, known.cluster
                );
                return Err(CallError::new(ErrorCode::Precondition, message));
            }
            None if request.node == 0 => {
                return Err(CallError::new(ErrorCode::Invalid, "node ids begin with 1"));
            }
            None => self.host.assign(wanted).await?,
        }
        Ok(self.describe().await)
    }

    async fn found(&self, request: pb::FoundGroupsRequest) -> Result<pb::FoundGroupsResponse, CallError> {
        let node = self.node()?;
        for group in request.groups {
            let voters = group.voters.into_iter().map(|it| (NodeId(it.node), it.address)).collect();
            node.found_group(GroupId(group.group), &voters).await.map_err(|error| failed(&error))?;
        }
        Ok(pb::FoundGroupsResponse {})
    }

    async fn ensure(&self, request: pb::EnsureGroupRequest) -> Result<pb::EnsureGroupResponse, CallError> {
        let (node, group) = (self.node()?, GroupId(request.group));
        let sources = request.sources.into_iter().map(|it| (NodeId(it.node), it.address)).collect();
        // Goes on when the caller is gone: rows may take their time.
        let start = tokio::spawn(async move { node.ensure_group(group, &sources).await });
        let late = |_| CallError::new(ErrorCode::Unavailable, format!("group {group} waits for rows"));
        let started = tokio::time::timeout(START_TIME_MAX, start).await.map_err(late)?;
        started.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(pb::EnsureGroupResponse {})
    }

    async fn remove(&self, request: pb::RemoveGroupRequest) -> Result<pb::RemoveGroupResponse, CallError> {
        let (node, group) = (self.node()?, GroupId(request.group));
        // Goes on when the caller is gone: there may be many rows.
        let removal = tokio::spawn(async move { node.remove_group(group).await });
        removal.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(pb::RemoveGroupResponse {})
    }

    async fn set_members(&self, request: pb::SetMembersRequest) -> Result<pb::SetMembersResponse, CallError> {
        let group = self.group(request.group)?;
        if !group.status().leads {
            return Err(not_leader(group.leader()));
        }
        let members = request.members.into_iter();
        let members = members.map(|it| (NodeId(it.node), Member { address: it.address, votes: it.votes }));
        group.set_members(&members.collect()).await.map_err(|error| match error {
            ChangeError::NotLeader { leader } => not_leader(leader),
            error => failed(&error),
        })?;
        Ok(pb::SetMembersResponse {})
    }

    async fn transfer(
        &self,
        request: pb::TransferLeaderRequest,
    ) -> Result<pb::TransferLeaderResponse, CallError> {
        let group = self.group(request.group)?;
        if !group.status().leads {
            return Err(not_leader(group.leader()));
        }
        group.transfer_leader(NodeId(request.to)).await.map_err(|error| failed(&error))?;
        Ok(pb::TransferLeaderResponse {})
    }

    async fn refill(&self, request: pb::RefillGroupRequest) -> Result<pb::RefillGroupResponse, CallError> {
        let (node, group) = (self.node()?, GroupId(request.group));
        // Goes on when the caller is gone: there may be many rows.
        let refill = tokio::spawn(async move { node.refill_group(group).await });
        match tokio::time::timeout(START_TIME_MAX, refill).await {
            Ok(Ok(Err(error @ OpenError::NotInQuarantine(_)))) => {
                Err(CallError::new(ErrorCode::Precondition, error.to_string()))
            }
            Ok(Ok(Err(error))) => Err(failed(&error)),
            Ok(Err(error)) => Err(failed(&error)),
            Ok(Ok(Ok(_))) | Err(_) => Ok(pb::RefillGroupResponse {}),
        }
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    async fn describe(
        &self,
        _: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::NodeDescription>, Status> {
        Ok(Response::new(Cluster::describe(self).await))
    }

    async fn assign(
        &self,
        request: Request<pb::AssignRequest>,
    ) -> Result<Response<pb::NodeDescription>, Status> {
        Ok(Response::new(self.take_identity(request.into_inner()).await?))
    }

    async fn found_groups(
        &self,
        request: Request<pb::FoundGroupsRequest>,
    ) -> Result<Response<pb::FoundGroupsResponse>, Status> {
        Ok(Response::new(self.found(request.into_inner()).await?))
    }

    async fn ensure_group(
        &self,
        request: Request<pb::EnsureGroupRequest>,
    ) -> Result<Response<pb::EnsureGroupResponse>, Status> {
        Ok(Response::new(self.ensure(request.into_inner()).await?))
    }

    async fn remove_group(
        &self,
        request: Request<pb::RemoveGroupRequest>,
    ) -> Result<Response<pb::RemoveGroupResponse>, Status> {
        Ok(Response::new(self.remove(request.into_inner()).await?))
    }

    async fn set_members(
        &self,
        request: Request<pb::SetMembersRequest>,
    ) -> Result<Response<pb::SetMembersResponse>, Status> {
        Ok(Response::new(Cluster::set_members(self, request.into_inner()).await?))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        Ok(Response::new(self.transfer(request.into_inner()).await?))
    }

    async fn refill_group(
        &self,
        request: Request<pb::RefillGroupRequest>,
    ) -> Result<Response<pb::RefillGroupResponse>, Status> {
        Ok(Response::new(self.refill(request.into_inner()).await?))
    }
}

async fn describe_group(group: &Group) -> pb::GroupDescription {
    let status = group.status();
    // A database that is away must not keep the node from saying the rest.
    let level = tokio::time::timeout(LEVEL_TIME_MAX, group.read(ReadAt::Local, |_| Vec::new())).await;
    let level = level.ok().and_then(Result::ok).map_or(0, |view| view.feature_level().0);
    let member = |(node, address): (NodeId, String)| pb::Member {
        node: node.0,
        address,
        votes: status.voters.contains(&node),
    };
    pb::GroupDescription {
        group: group.id().0,
        leader: status.leader.as_ref().map_or(0, |leader| leader.node.0),
        term: status.term,
        last: status.last.0,
        applied: status.applied.0,
        purged: status.purged.0,
        members: status.members.clone().into_iter().map(member).collect(),
        is_running: status.is_running,
        feature_level: level,
        in_quarantine: status.quarantine.is_some(),
    }
}

/// An id as it travels.
pub(crate) fn id_bytes(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

pub(crate) fn read_id(bytes: &[u8], what: &str) -> Result<u128, CallError> {
    let bad = |_| CallError::new(ErrorCode::Invalid, format!("{what} is not 16 bytes"));
    <[u8; 16]>::try_from(bytes).map(u128::from_be_bytes).map_err(bad)
}

/// A step of raft that did not go through: it may be asked for again.
fn failed(error: &dyn std::error::Error) -> CallError {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    CallError::new(ErrorCode::Unavailable, format!("{error}{cause}"))
}
