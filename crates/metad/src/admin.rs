//! AdminService: one file for each noun.
//!
//! Steps in the directory are taken by the node that leads it: a call that comes to another one is passed on. Steps in
//! shards go to their leaders, wherever they are. What spans groups (making and deleting accounts) is a chain of steps that are each safe to repeat; a call that
//! is cut off is taken up again by its repetition.

mod account;
mod create;
mod delete;
mod domain;
mod find;
mod list;
mod node;
mod refusal;
mod relocate;
mod shard;
mod status;
mod tenant;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use buzon_meta_client::error::MetaError;
use buzon_meta_client::meta::Meta;
use buzon_model::command::{Command, DirectoryCommand, ShardCommand};
use buzon_model::reply::Reply;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::pb::admin::v1::admin_service_client::AdminServiceClient;
use buzon_proto::pb::admin::v1::admin_service_server::AdminService;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{DIRECTORY, GroupId};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::cluster::Control;
use crate::groups::{Groups, Replica};
use crate::mail::replica;
use crate::observe::Observer;
use crate::password::Hasher;
use refusal::refused;

/// How long a call waits for the directory to have a leader: an election takes one to two seconds.
const PASS_ON_MAX: Duration = Duration::from_secs(8);
/// Between two attempts.
const PASS_ON_PAUSE: Duration = Duration::from_millis(200);

/// The service.
pub(crate) struct Admin {
    pub(crate) groups: Arc<dyn Groups>,
    /// Reaches all groups.
    pub(crate) meta: Meta,
    /// Reaches the other nodes; none where this is the only one.
    pub(crate) control: Option<Control>,
    /// Whether calls are passed on to the node that leads the directory; else this one was passed on already.
    pub(crate) passes_on: bool,
    pub(crate) observer: Observer,
    pub(crate) hasher: Arc<Hasher>,
}

impl Admin {
    fn directory(&self) -> Result<Arc<dyn Replica>, CallError> {
        replica(&*self.groups, DIRECTORY)
    }

    /// A step in the directory; `what` names the thing in refusals. No request id: repeating a step is safe, and a
    /// caller whose answer was lost learns by repeating what it came to.
    async fn direct(&self, command: DirectoryCommand, what: &str) -> Result<Reply, CallError> {
        let (_, outcome) = self.directory()?.propose(None, Command::Directory(command)).await?;
        outcome.map_err(|rejection| refused(&rejection, what))
    }

    /// A step in a shard.
    async fn shard(&self, group: GroupId, command: ShardCommand, what: &str) -> Result<Reply, CallError> {
        let (_, outcome) = self.meta.propose(group, Command::Shard(command)).await.map_err(call_error)?;
        outcome.map_err(|rejection| refused(&rejection, what))
    }
}

impl Admin {
    /// Has the node that leads the directory answer, while an election takes its time too.
    async fn pass_on<T, F>(
        &self,
        mut error: CallError,
        call: impl Fn(AdminServiceClient<Channel>) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let Some(control) = self.control.as_ref().filter(|_| self.passes_on) else { return Err(error) };
        let until = Instant::now() + PASS_ON_MAX;
        loop {
            let leader = error.leader.take().or_else(|| self.directory().ok()?.leader());
            if let Some(leader) = leader {
                match call(AdminServiceClient::new(control.peers.channel(&leader.address)?)).await {
                    Ok(answer) => return Ok(answer.into_inner()),
                    Err(status) => error = CallError::from(&status),
                }
            }
            let again = matches!(error.code, ErrorCode::NotLeader | ErrorCode::Unavailable);
            if !again || Instant::now() >= until {
                return Err(error);
            }
            tokio::time::sleep(PASS_ON_PAUSE).await;
        }
    }
}

/// What a call to another node came to, as this service's own error.
pub(crate) fn call_error(error: MetaError) -> CallError {
    let outcome = error.outcome();
    match error {
        MetaError::Unavailable { source, .. } | MetaError::Internal { source, .. } => source,
        MetaError::Rejected(rejection) => refused(&rejection, "shard"),
        MetaError::DeadlineExceeded { .. } => {
            CallError { outcome, ..CallError::new(ErrorCode::DeadlineExceeded, "no answer in time") }
        }
        MetaError::TooLarge { .. } => CallError::new(ErrorCode::Limit, error.to_string()),
    }
}

/// Each call goes to the function of its name.
macro_rules! calls {
    ($($method:ident, $name:literal: $request:ident -> $response:ident = $handler:path;)*) => {
        #[tonic::async_trait]
        impl AdminService for Admin {
            $(async fn $method(
                &self,
                request: Request<pb::$request>,
            ) -> Result<Response<pb::$response>, Status> {
                let (metadata, _, request) = request.into_parts();
                let handler = async {
                    match $handler(self, request.clone()).await {
                        Err(error) if error.code == ErrorCode::NotLeader => {
                            let passed_on = |mut leader: AdminServiceClient<Channel>| {
                                let request = request.clone();
                                async move { leader.$method(request).await }
                            };
                            self.pass_on(error, passed_on).await
                        }
                        answer => answer,
                    }
                };
                self.observer.call($name, &metadata, handler).await
            })*
        }
    };
}

calls! {
    create_tenant, "CreateTenant": CreateTenantRequest -> Tenant = tenant::create;
    list_tenants, "ListTenants": ListTenantsRequest -> ListTenantsResponse = tenant::list;
    get_tenant, "GetTenant": GetTenantRequest -> Tenant = tenant::get;
    delete_tenant, "DeleteTenant": DeleteTenantRequest -> DeleteTenantResponse = tenant::delete;
    add_domain, "AddDomain": AddDomainRequest -> Domain = domain::add;
    list_domains, "ListDomains": ListDomainsRequest -> ListDomainsResponse = domain::list;
    remove_domain, "RemoveDomain": RemoveDomainRequest -> RemoveDomainResponse = domain::remove;
    create_account, "CreateAccount": CreateAccountRequest -> Account = create::create;
    list_accounts, "ListAccounts": ListAccountsRequest -> ListAccountsResponse = list::accounts;
    get_account, "GetAccount": GetAccountRequest -> Account = account::get;
    set_password, "SetPassword": SetPasswordRequest -> Account = account::set_password;
    suspend_account, "SuspendAccount": SuspendAccountRequest -> Account = account::suspend;
    resume_account, "ResumeAccount": ResumeAccountRequest -> Account = account::resume;
    set_quota, "SetQuota": SetQuotaRequest -> Account = account::set_quota;
    add_alias, "AddAlias": AddAliasRequest -> Account = account::add_alias;
    remove_alias, "RemoveAlias": RemoveAliasRequest -> Account = account::remove_alias;
    delete_account, "DeleteAccount": DeleteAccountRequest -> DeleteAccountResponse = delete::delete;
    move_account, "MoveAccount": MoveAccountRequest -> MoveAccountResponse = relocate::relocate;
    list_mailboxes, "ListMailboxes": ListMailboxesRequest -> ListMailboxesResponse = list::mailboxes;
    status, "Status": StatusRequest -> StatusResponse = status::status;
    list_nodes, "ListNodes": ListNodesRequest -> ListNodesResponse = node::list;
    add_node, "AddNode": AddNodeRequest -> Node = node::add;
    drain_node, "DrainNode": DrainNodeRequest -> Node = node::drain;
    undrain_node, "UndrainNode": UndrainNodeRequest -> Node = node::undrain;
    remove_node, "RemoveNode": RemoveNodeRequest -> Node = node::remove;
    set_node_address, "SetNodeAddress": SetNodeAddressRequest -> Node = node::set_address;
    list_shards, "ListShards": ListShardsRequest -> ListShardsResponse = shard::list;
    get_shard, "GetShard": GetShardRequest -> Shard = shard::get;
    add_shards, "AddShards": AddShardsRequest -> AddShardsResponse = shard::add;
    rebalance, "Rebalance": RebalanceRequest -> RebalanceResponse = shard::rebalance;
    refill_replica, "RefillReplica": RefillReplicaRequest -> RefillReplicaResponse = shard::refill;
    upgrade_status, "UpgradeStatus": UpgradeStatusRequest -> UpgradeStatusResponse = upgrade::status;
    finalize_upgrade, "FinalizeUpgrade": FinalizeUpgradeRequest -> FinalizeUpgradeResponse = upgrade::finalize;
}
