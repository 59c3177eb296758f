//! MailService: one file for each kind of call.

mod changes;
mod export;
mod fetch;
pub(crate) mod list;
mod propose;
mod read;
mod watch;

use std::sync::Arc;

pub(crate) use buzon_meta_client::transport::Answers;
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::pb::mail::v1::mail_service_server::MailService;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::GroupId;
use tonic::{Request, Response, Status, Streaming};

use crate::groups::{Groups, Replica};
use crate::janitor::Janitor;
use crate::observe::Observer;

/// The service.
pub(crate) struct Mail {
    pub(crate) groups: Arc<dyn Groups>,
    pub(crate) janitor: Janitor,
    pub(crate) observer: Observer,
}

/// A group's replica here. Without one, another node has it: the caller goes on to the next.
pub(crate) fn replica(groups: &dyn Groups, group: GroupId) -> Result<Arc<dyn Replica>, CallError> {
    let none = || CallError::new(ErrorCode::NotLeader, format!("group {group} is not on this node"));
    groups.group(group).ok_or_else(none)
}

/// The shard does not hold the account.
pub(crate) fn no_such_account() -> CallError {
    CallError::new(ErrorCode::NotFound, "no such account in this group")
}

#[tonic::async_trait]
impl MailService for Mail {
    async fn propose(
        &self,
        request: Request<pb::ProposeRequest>,
    ) -> Result<Response<pb::ProposeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("Propose", &metadata, propose::propose(self, request)).await
    }

    async fn credential(
        &self,
        request: Request<pb::AccountRequest>,
    ) -> Result<Response<pb::CredentialResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("Credential", &metadata, read::credential(self, request)).await
    }

    async fn usage(
        &self,
        request: Request<pb::AccountRequest>,
    ) -> Result<Response<pb::UsageResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("Usage", &metadata, read::usage(self, request)).await
    }

    type ListMailboxesStream = Answers<pb::ListMailboxesResponse>;

    async fn list_mailboxes(
        &self,
        request: Request<pb::AccountRequest>,
    ) -> Result<Response<Self::ListMailboxesStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("ListMailboxes", &metadata, list::list_mailboxes(self, request)).await
    }

    async fn open_mailbox(
        &self,
        request: Request<pb::OpenMailboxRequest>,
    ) -> Result<Response<pb::OpenMailboxResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("OpenMailbox", &metadata, read::open_mailbox(self, request)).await
    }

    async fn get_mailbox(
        &self,
        request: Request<pb::GetMailboxRequest>,
    ) -> Result<Response<pb::GetMailboxResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("GetMailbox", &metadata, read::get_mailbox(self, request)).await
    }

    async fn deleted_uids(
        &self,
        request: Request<pb::DeletedUidsRequest>,
    ) -> Result<Response<pb::DeletedUidsResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("DeletedUids", &metadata, read::deleted_uids(self, request)).await
    }

    type ChangesStream = Answers<pb::ChangesResponse>;

    async fn changes(
        &self,
        request: Request<pb::ChangesRequest>,
    ) -> Result<Response<Self::ChangesStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("Changes", &metadata, changes::changes(self, request)).await
    }

    type FetchStream = Answers<pb::FetchResponse>;

    async fn fetch(&self, request: Request<pb::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("Fetch", &metadata, fetch::fetch(self, request)).await
    }

    async fn export_account(
        &self,
        request: Request<pb::ExportAccountRequest>,
    ) -> Result<Response<pb::ExportAccountResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("ExportAccount", &metadata, export::export(self, request)).await
    }

    type WatchStream = Answers<pb::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.observer.call("Watch", &metadata, watch::watch(self, request)).await
    }
}
