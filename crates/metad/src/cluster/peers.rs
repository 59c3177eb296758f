//! Calls to other nodes: their ClusterService, over connections that are kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use buzon_proto::pb::cluster::v1 as pb;
use buzon_proto::pb::cluster::v1::cluster_service_client::ClusterServiceClient;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_tls::connect::Connector;
use futures::future::try_join_all;
use parking_lot::Mutex;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// What only looks, or begins something, takes no longer.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);
/// A learner takes a snapshot before it votes. Where it takes longer, it goes on without the call, which is repeated.
const MEMBERS_TIME_MAX: Duration = Duration::from_secs(60);

/// The nodes, by address. Clones share connections.
#[derive(Debug, Clone)]
pub struct Peers {
    connector: Connector,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

impl Peers {
    /// None yet.
    pub fn new(connector: Connector) -> Self {
        Self { connector, channels: Arc::default() }
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The connection to the node at `HOST:PORT`.
    ///
    /// # Errors
    /// If the address is none.
    pub fn channel(&self, address: &str) -> Result<Channel, CallError> {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let invalid =
            |error: buzon_tls::connect::AddressError| CallError::new(ErrorCode::Invalid, error.to_string());
        let channel = self.connector.channel(address).map_err(invalid)?;
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    fn client(&self, address: &str) -> Result<ClusterServiceClient<Channel>, CallError> {
        Ok(ClusterServiceClient::new(self.channel(address)?))
    }

    pub(crate) async fn describe(&self, address: &str) -> Result<pb::NodeDescription, CallError> {
        let mut client = self.client(address)?;
        within(address, CALL_TIME_MAX, client.describe(pb::DescribeRequest {})).await
    }

    pub(crate) async fn assign(
        &self,
        address: &str,
        request: pb::AssignRequest,
    ) -> Result<pb::NodeDescription, CallError> {
        let mut client = self.client(address)?;
        within(address, CALL_TIME_MAX, client.assign(request)).await
    }

    pub(crate) async fn found_groups(
        &self,
        address: &str,
        groups: Vec<pb::NewGroup>,
    ) -> Result<(), CallError> {
        let mut client = self.client(address)?;
        let request = pb::FoundGroupsRequest { groups };
        within(address, MEMBERS_TIME_MAX, client.found_groups(request)).await.map(drop)
    }

    /// Founds new groups on all their voters.
    pub(crate) async fn found_on_voters(&self, groups: &[pb::NewGroup]) -> Result<(), CallError> {
        let mut of_node: BTreeMap<&str, Vec<pb::NewGroup>> = BTreeMap::new();
        for group in groups {
            for voter in &group.voters {
                of_node.entry(&voter.address).or_default().push(group.clone());
            }
        }
        let found = of_node.into_iter().map(|(address, groups)| self.found_groups(address, groups));
        try_join_all(found).await.map(drop)
    }

    pub(crate) async fn ensure_group(
        &self,
        address: &str,
        group: u64,
        sources: Vec<pb::Member>,
    ) -> Result<(), CallError> {
        let mut client = self.client(address)?;
        let request = pb::EnsureGroupRequest { group, sources };
        within(address, CALL_TIME_MAX, client.ensure_group(request)).await.map(drop)
    }

    pub(crate) async fn remove_group(&self, address: &str, group: u64) -> Result<(), CallError> {
        let mut client = self.client(address)?;
        let request = pb::RemoveGroupRequest { group };
        within(address, MEMBERS_TIME_MAX, client.remove_group(request)).await.map(drop)
    }

    pub(crate) async fn set_members(
        &self,
        address: &str,
        request: pb::SetMembersRequest,
    ) -> Result<(), CallError> {
        let mut client = self.client(address)?;
        within(address, MEMBERS_TIME_MAX, client.set_members(request)).await.map(drop)
    }

    pub(crate) async fn transfer_leader(&self, address: &str, group: u64, to: u64) -> Result<(), CallError> {
        let mut client = self.client(address)?;
        let request = pb::TransferLeaderRequest { group, to };
        within(address, CALL_TIME_MAX, client.transfer_leader(request)).await.map(drop)
    }

    pub(crate) async fn refill_group(&self, address: &str, group: u64) -> Result<(), CallError> {
        let mut client = self.client(address)?;
        within(address, MEMBERS_TIME_MAX, client.refill_group(pb::RefillGroupRequest { group }))
            .await
            .map(drop)
    }
}

/// The error names the node.
async fn within<T>(
    address: &str,
    limit: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => {
            let error = CallError::from(&status);
            Err(CallError { message: format!("{address}: {}", error.message), ..error })
        }
        Err(_) => Err(CallError::new(ErrorCode::Unavailable, format!("{address}: no answer in time"))),
    }
}
