//! Founding a cluster: identities for the nodes, the directory, its rows, the shards. Each step looks first and may be
//! repeated, so that a call that was cut off is taken up by the next one.

use std::collections::BTreeSet;
use std::time::Duration;

use buzon_meta_client::meta::{Meta, Options};
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_proto::pb::cluster::v1 as pb;
use buzon_proto::pb::cluster::v1::bootstrap_service_server::{BootstrapService, BootstrapServiceServer};
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, GroupId};
use futures::future::try_join_all;
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::balance::raise_level;
use super::directory::{Plan, found_directory};
use super::peers::Peers;
use super::{id_bytes, read_id};
use crate::auth::Bearer;

/// Shards of a new cluster, unless the operator says otherwise: more can be added, so these need only keep the first
/// nodes busy evenly.
const SHARDS: u32 = 16;
/// Far more groups than a few nodes carry well.
const SHARDS_MAX: u32 = 1024;
/// Voters of each group, unless the operator says otherwise.
const VOTERS: usize = 3;
/// Nodes open log and database, and groups elect, well within this.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Behind the admin token.
pub fn service(
    peers: Peers,
    bearer: Bearer,
) -> InterceptedService<BootstrapServiceServer<Bootstrap>, Bearer> {
    BootstrapServiceServer::with_interceptor(Bootstrap { peers }, bearer)
}

/// See the module.
#[derive(Debug)]
pub struct Bootstrap {
    peers: Peers,
}

#[tonic::async_trait]
impl BootstrapService for Bootstrap {
    async fn init_cluster(
        &self,
        request: Request<pb::InitClusterRequest>,
    ) -> Result<Response<pb::InitClusterResponse>, Status> {
        let wanted = Wanted::read(request.into_inner())?;
        // Goes on when the caller is gone, or this node's listener is served anew in the middle.
        let init = Init { peers: self.peers.clone(), wanted };
        let done = tokio::spawn(async move { init.run().await }).await;
        let ended = |error: tokio::task::JoinError| Status::internal(error.to_string());
        Ok(Response::new(done.map_err(ended)??))
    }
}

/// What the operator asked for, checked.
struct Wanted {
    addresses: Vec<String>,
    shards: u32,
    voters: usize,
}

impl Wanted {
    fn read(request: pb::InitClusterRequest) -> Result<Self, CallError> {
        let invalid = |message: &str| Err(CallError::new(ErrorCode::Invalid, message));
        let addresses = request.nodes;
        if addresses.is_empty() {
            return invalid("no nodes are named");
        }
        if addresses.iter().collect::<BTreeSet<_>>().len() != addresses.len() {
            return invalid("a node is named twice");
        }
        let shards = if request.shards == 0 { SHARDS } else { request.shards };
        if shards > SHARDS_MAX {
            return invalid("more than 1024 shards");
        }
        let usual = if addresses.len() < VOTERS { 1 } else { VOTERS };
        let voters = if request.voters == 0 { usual } else { request.voters as usize };
        if ![1, 3, 5].contains(&voters) || voters > addresses.len() {
            return invalid("voters are 1, 3 or 5, and no more than there are nodes");
        }
        Ok(Self { addresses, shards, voters })
    }
}

struct Init {
    peers: Peers,
    wanted: Wanted,
}

impl Init {
    async fn run(self) -> Result<pb::InitClusterResponse, CallError> {
        let nodes = self.describe().await?;
        let cluster = self.identities(&nodes).await?;
        let nodes = self.wait("nodes to open", |nodes| nodes.iter().all(|node| node.is_open)).await?;
        let plan = self.plan(&nodes)?;
        self.directory(&nodes, &plan).await?;
        let meta = Meta::cluster(self.peers.connector(), &self.wanted.addresses, Options::default());
        let meta = meta.map_err(|error| CallError::new(ErrorCode::Invalid, error.to_string()))?;
        let plan = found_directory(&meta, plan).await?;
        self.shards(&plan).await?;
        let groups = plan.groups();
        // A new group does from its first command on all that this version knows.
        let raise = |group: &pb::NewGroup| raise_level(&meta, GroupId(group.group), FEATURE_LEVEL_MAX);
        try_join_all(groups.iter().map(raise)).await?;
        // A client of its own: what it opened in the directory goes with it.
        if let Err(error) = meta.close().await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "close the founding client's instances"
            );
        }
        let nodes = self.describe().await?;
        Ok(pb::InitClusterResponse { cluster: id_bytes(cluster), nodes })
    }

    async fn describe(&self) -> Result<Vec<pb::NodeDescription>, CallError> {
        let nodes = try_join_all(self.wanted.addresses.iter().map(|it| self.peers.describe(it))).await?;
        for (node, asked) in nodes.iter().zip(&self.wanted.addresses) {
            if node.address != *asked {
                let message = format!(
                    "the node at {asked} is configured as {}: name it as its cluster.address does",
                    node.address
                );
                return Err(CallError::new(ErrorCode::Precondition, message));
            }
        }
        Ok(nodes)
    }

    /// Looks at all nodes until they are as wanted.
    async fn wait(
        &self,
        what: &str,
        are_ready: impl Fn(&[pb::NodeDescription]) -> bool,
    ) -> Result<Vec<pb::NodeDescription>, CallError> {
        let until = Instant::now() + WAIT_MAX;
        loop {
            // A node that takes its identity is away for a moment.
            match self.describe().await {
                Ok(nodes) if are_ready(&nodes) => return Ok(nodes),
                Err(error) if Instant::now() >= until => return Err(error),
                Ok(_) if Instant::now() >= until => {
                    let message =
                        format!("waited too long for {what}: look at the nodes' logs, then repeat this");
                    return Err(CallError::new(ErrorCode::Unavailable, message));
                }
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Ids in the order of the addresses; the cluster's own is that of a node which has one, or new.
    async fn identities(&self, nodes: &[pb::NodeDescription]) -> Result<u128, CallError> {
        let known = nodes.iter().find(|node| node.node != 0);
        let cluster = match known {
            Some(node) => read_id(&node.cluster, "cluster")?,
            None => uuid::Uuid::new_v4().as_u128(),
        };
        for (at, (node, address)) in nodes.iter().zip(&self.wanted.addresses).enumerate() {
            let request = pb::AssignRequest {
                cluster: id_bytes(cluster),
                node: at as u64 + 1,
                incarnation: node.incarnation.clone(),
            };
            // The first node alone decides which of two racing calls founds the cluster.
            self.peers.assign(address, request).await?;
        }
        Ok(cluster)
    }

    fn plan(&self, nodes: &[pb::NodeDescription]) -> Result<Plan, CallError> {
        Plan::new(nodes, self.wanted.shards, self.wanted.voters)
    }

    /// Group 0: the first nodes vote, the others learn.
    async fn directory(&self, nodes: &[pb::NodeDescription], plan: &Plan) -> Result<(), CallError> {
        let members: Vec<pb::Member> = plan.directory_members();
        if leader_of(nodes, DIRECTORY.0).is_none() {
            let voters: Vec<_> = members.iter().filter(|member| member.votes).cloned().collect();
            let group = pb::NewGroup { group: DIRECTORY.0, voters: voters.clone() };
            let found = |voter: &pb::Member| {
                let (peers, address, groups) =
                    (self.peers.clone(), voter.address.clone(), vec![group.clone()]);
                async move { peers.found_groups(&address, groups).await }
            };
            try_join_all(voters.iter().map(found)).await?;
        }
        let learners = members.iter().filter(|member| !member.votes);
        let ensure = learners.map(|member| self.peers.ensure_group(&member.address, DIRECTORY.0, Vec::new()));
        try_join_all(ensure).await?;
        let until = Instant::now() + WAIT_MAX;
        loop {
            let nodes = self
                .wait("the directory's election", |nodes| leader_of(nodes, DIRECTORY.0).is_some())
                .await?;
            let leader = leader_of(&nodes, DIRECTORY.0).unwrap_or_default();
            let address = members.iter().find(|member| member.node == leader).map(|it| it.address.as_str());
            let request = pb::SetMembersRequest { group: DIRECTORY.0, members: members.clone() };
            match self.peers.set_members(address.unwrap_or_default(), request).await {
                // Another node was elected meanwhile.
                Err(error) if error.code == ErrorCode::NotLeader && Instant::now() < until => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                done => return done,
            }
        }
    }

    /// Shards that nobody leads yet are founded by all their voters.
    async fn shards(&self, plan: &Plan) -> Result<(), CallError> {
        let nodes = self.describe().await?;
        let new = plan.groups().into_iter().filter(|group| leader_of(&nodes, group.group).is_none());
        self.peers.found_on_voters(&new.collect::<Vec<_>>()).await?;
        let all: Vec<u64> = plan.groups().iter().map(|group| group.group).collect();
        let led = |nodes: &[pb::NodeDescription]| all.iter().all(|group| leader_of(nodes, *group).is_some());
        self.wait("the shards' elections", led).await.map(drop)
    }
}

/// Who leads a group, as the leader itself says.
fn leader_of(nodes: &[pb::NodeDescription], group: u64) -> Option<u64> {
    let leads = |node: &&pb::NodeDescription| {
        node.groups.iter().any(|it| it.group == group && it.leader == node.node && node.node != 0)
    };
    nodes.iter().find(leads).map(|node| node.node)
}
