//! DirectoryService: where an address's account lives, and what the cluster is made of.

use std::sync::Arc;

use buzon_model::read::{At, ReadAt, Topology};
use buzon_model::row::PlacementRow;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::directory::topology_response;
use buzon_proto::pb::directory::v1 as pb;
use buzon_proto::pb::directory::v1::directory_service_server::DirectoryService;
use buzon_proto::status::CallError;
use buzon_proto::wire;
use buzon_types::address::Address;
use buzon_types::id::DIRECTORY;
use tonic::{Request, Response, Status};

use crate::groups::{Groups, Replica};
use crate::mail::replica;
use crate::observe::Observer;

/// The service.
pub(crate) struct Directory {
    pub(crate) groups: Arc<dyn Groups>,
    pub(crate) observer: Observer,
}

#[tonic::async_trait]
impl DirectoryService for Directory {
    async fn resolve(
        &self,
        request: Request<pb::ResolveRequest>,
    ) -> Result<Response<pb::ResolveResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let handler = async {
            let address = wire::address(&request.address, "resolve_request.address")?;
            let at = request.read.map_or(Ok(ReadAt::Linearizable), ReadAt::try_from)?;
            let found = resolve(&*replica(&*self.groups, DIRECTORY)?, &address, at).await?;
            let placement = found.value.as_ref().map(Into::into);
            Ok(pb::ResolveResponse { index: found.index.0, placement })
        };
        self.observer.call("Resolve", &metadata, handler).await
    }

    async fn topology(
        &self,
        request: Request<pb::TopologyRequest>,
    ) -> Result<Response<pb::TopologyResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let handler = async {
            let at = request.read.map_or(Ok(ReadAt::Local), ReadAt::try_from)?;
            let found = topology(&*replica(&*self.groups, DIRECTORY)?, at).await?;
            Ok(topology_response(found.index, &found.value))
        };
        self.observer.call("Topology", &metadata, handler).await
    }
}

/// The cluster's nodes and shards.
pub(crate) async fn topology(directory: &dyn Replica, at: ReadAt) -> Result<At<Topology>, CallError> {
    let look = |state: &State| Topology {
        nodes: state.nodes().cloned().collect(),
        shards: state.shards().cloned().collect(),
        voters_per_shard: state.directory_counters().voters_per_shard,
        next_group: state.directory_counters().next_group,
    };
    directory.read(at, [], look).await
}

/// The account that an address leads to.
pub(crate) async fn resolve(
    directory: &dyn Replica,
    address: &Address,
    at: ReadAt,
) -> Result<At<Option<PlacementRow>>, CallError> {
    let needs = [Need::Address(address.clone())];
    let found = directory.read(at, &needs, |state| state.address(address).map(|row| row.account)).await?;
    let Some(account) = found.value else {
        return Ok(At { index: found.index, value: None });
    };
    let needs = [Need::Placement(account)];
    // A replica that does not lead serves what it has, and never goes back.
    let at = if at == ReadAt::Local { at } else { ReadAt::Index(found.index) };
    directory.read(at, &needs, |state| state.placement(account).cloned()).await
}
