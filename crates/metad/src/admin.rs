//! AdminService: one file for each noun.
//!
//! What spans groups (making and deleting accounts) is a chain of steps that are each safe to repeat; a call that
//! is cut off is taken up again by its repetition.

mod account;
mod create;
mod delete;
mod domain;
mod find;
mod list;
mod refusal;
mod status;
mod tenant;

use std::sync::Arc;

use buzon_model::command::{Command, DirectoryCommand, ShardCommand};
use buzon_model::reply::Reply;
use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::pb::admin::v1::admin_service_server::AdminService;
use buzon_proto::status::CallError;
use buzon_types::id::{DIRECTORY, GroupId};
use tonic::{Request, Response, Status};

use crate::groups::{Groups, Replica};
use crate::mail::replica;
use crate::observe::Observer;
use crate::password::Hasher;
use refusal::refused;

/// The service.
pub(crate) struct Admin {
    pub(crate) groups: Arc<dyn Groups>,
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
        let (_, outcome) = replica(&*self.groups, group)?.propose(None, Command::Shard(command)).await?;
        outcome.map_err(|rejection| refused(&rejection, what))
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
                self.observer.call($name, &metadata, $handler(self, request)).await
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
    list_mailboxes, "ListMailboxes": ListMailboxesRequest -> ListMailboxesResponse = list::mailboxes;
    status, "Status": StatusRequest -> StatusResponse = status::status;
}
