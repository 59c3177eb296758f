//! The server's side of an import: body durable, then one APPEND through the log under the import's own request
//! ids, so that a message sent again after an interruption is stored once.

use buzon_bodies::Bodies;
use buzon_frontend::incoming::{Budget, keep};
use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::MetaError;
use buzon_meta_client::meta::Meta;
use buzon_model::command::{Command, NewMessage, ShardCommand};
use buzon_model::read::ReadAt;
use buzon_model::reply::{Outcome, Rejection, Reply};
use buzon_proto::pb::import::v1::import_service_server::ImportService;
use buzon_proto::pb::import::v1::{
    FinishImportRequest, FinishImportResponse, ImportMessageRequest, ImportMessageResponse,
};
use buzon_types::address::Address;
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::id::{LogIndex, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::InternalDate;
use tonic::{Request, Response, Status};

/// What it works with.
#[derive(Clone)]
pub(crate) struct Importer {
    pub(crate) meta: Meta,
    pub(crate) bodies: Bodies,
    pub(crate) budget: Budget,
    pub(crate) message_bytes_max: u64,
}

#[tonic::async_trait]
impl ImportService for Importer {
    async fn import_message(
        &self,
        request: Request<ImportMessageRequest>,
    ) -> Result<Response<ImportMessageResponse>, Status> {
        let request = request.into_inner();
        let account = self.account(&request.address).await?;
        let name = MailboxName::new(&request.mailbox)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let id = request_id(&request)?;
        let size = request.message.len() as u64;
        if size > self.message_bytes_max {
            return Err(Status::invalid_argument(format!(
                "message of {size} bytes is larger than this server takes ({})",
                self.message_bytes_max
            )));
        }
        let mut reserved = self.budget.reserve();
        reserved.grow_to(size).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mailbox = self.mailbox(&account, &name).await?;
        let kept = keep(&self.bodies, request.message.clone())
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (flags, keywords) = flags(&request.flags)?;
        let zone_minutes =
            i16::try_from(request.date_zone_minutes).map_err(|_| Status::invalid_argument("date zone"))?;
        let message = NewMessage {
            flags,
            keywords,
            internal_date: InternalDate { seconds: request.date_seconds, zone_minutes },
            size: kept.size,
            body: kept.body,
            summary: kept.summary,
        };
        let append = Command::Shard(ShardCommand::Append { mailbox, messages: vec![message] });
        match self.append(&account, id, append).await? {
            Ok(Reply::Appended { uid_validity, uids, .. }) => Ok(Response::new(ImportMessageResponse {
                uid_validity: uid_validity.get(),
                uid: uids.first().map_or(0, |uid| uid.get()),
            })),
            // The client knew its answer once: it is stored.
            Err(Rejection::RequestForgotten) => Ok(Response::new(ImportMessageResponse::default())),
            Ok(other) => Err(Status::internal(format!("append was answered with {other:?}"))),
            Err(rejection) => Err(refused(&rejection)),
        }
    }

    async fn finish_import(
        &self,
        request: Request<FinishImportRequest>,
    ) -> Result<Response<FinishImportResponse>, Status> {
        let request = request.into_inner();
        let account = self.account(&request.address).await?;
        let close = Command::CloseInstance(instance(&request.import_id)?);
        let (_, outcome) = self.meta.propose_repeatable(account.shard, close).await.map_err(unavailable)?;
        outcome.map_err(|rejection| refused(&rejection))?;
        Ok(Response::new(FinishImportResponse {}))
    }
}

impl Importer {
    async fn account(&self, address: &str) -> Result<AccountHandle, Status> {
        let parsed = Address::new(address).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let found = self.meta.resolve(&parsed).await.map_err(unavailable)?;
        found.ok_or_else(|| Status::not_found(format!("no account {address}")))
    }

    /// Its id; it is made if it is not there.
    async fn mailbox(&self, account: &AccountHandle, name: &MailboxName) -> Result<MailboxKey, Status> {
        let opened =
            self.meta.open_mailbox(account, name, ReadAt::Index(LogIndex(0))).await.map_err(unavailable)?;
        if let Some(opened) = opened.value {
            return Ok(opened.row.key);
        }
        let create = Command::Shard(ShardCommand::CreateMailbox {
            account: account.account,
            name: name.clone(),
            special_use: None,
            uid_validity_seed: u32::try_from(jiff::Timestamp::now().as_second()).unwrap_or(u32::MAX),
        });
        let (_, outcome) = self.meta.propose(account.shard, create).await.map_err(unavailable)?;
        match outcome {
            Ok(_) | Err(Rejection::MailboxExists(_)) => {}
            Err(rejection) => return Err(refused(&rejection)),
        }
        let opened =
            self.meta.open_mailbox(account, name, ReadAt::Linearizable).await.map_err(unavailable)?;
        opened
            .value
            .map(|it| it.row.key)
            .ok_or_else(|| Status::unavailable(format!("mailbox {name} is gone again")))
    }

    /// The first message finds the import's instance unknown and opens it; nothing was stored under it before.
    async fn append(
        &self,
        account: &AccountHandle,
        id: RequestId,
        append: Command,
    ) -> Result<Outcome, Status> {
        let (_, outcome) =
            self.meta.propose_as(account.shard, id, append.clone()).await.map_err(unavailable)?;
        if !matches!(outcome, Err(Rejection::InstanceUnknown)) {
            return Ok(outcome);
        }
        let open = Command::OpenInstance(id.instance);
        let (_, opened) = self.meta.propose_repeatable(account.shard, open).await.map_err(unavailable)?;
        opened.map_err(|rejection| refused(&rejection))?;
        let (_, outcome) = self.meta.propose_as(account.shard, id, append).await.map_err(unavailable)?;
        Ok(outcome)
    }
}

/// Nobody's: an import that was interrupted goes on after any time, and must find what it has stored. Instances with an
/// owner are closed when they are silent for long.
fn instance(import_id: &[u8]) -> Result<InstanceId, Status> {
    let bytes = import_id.try_into().map_err(|_| Status::invalid_argument("import_id must have 16 bytes"))?;
    let id = u128::from_be_bytes(bytes);
    Ok(InstanceId::owned(0, (id >> 64) as u64 ^ id as u64))
}

/// Sequences count from 1.
fn request_id(request: &ImportMessageRequest) -> Result<RequestId, Status> {
    let sequence = |ordinal: u64| ordinal.checked_add(1).ok_or_else(|| Status::invalid_argument("ordinal"));
    Ok(RequestId {
        instance: instance(&request.import_id)?,
        sequence: sequence(request.ordinal)?,
        acknowledged_below: sequence(request.answered_below)?,
    })
}

fn flags(names: &[String]) -> Result<(SystemFlags, Vec<Keyword>), Status> {
    let (mut flags, mut keywords) = (SystemFlags::NONE, Vec::new());
    for name in names {
        match SystemFlags::from_name(name) {
            Some(flag) => flags |= flag,
            None => keywords.push(
                Keyword::new(name)
                    .map_err(|error| Status::invalid_argument(format!("flag {name:?}: {error}")))?,
            ),
        }
    }
    Ok((flags, keywords))
}

fn refused(rejection: &Rejection) -> Status {
    match rejection {
        Rejection::OverQuota(_) | Rejection::TooManyKeywords | Rejection::TooManyMailboxes => {
            Status::resource_exhausted(rejection.to_string())
        }
        Rejection::NoSuchAccount | Rejection::NoSuchMailbox => Status::not_found(rejection.to_string()),
        Rejection::Moved { .. }
        | Rejection::Frozen
        | Rejection::InstanceUnknown
        | Rejection::TooManyRequests => Status::unavailable(rejection.to_string()),
        other => Status::failed_precondition(other.to_string()),
    }
}

fn unavailable(error: MetaError) -> Status {
    match error {
        MetaError::Rejected(rejection) => refused(&rejection),
        error => Status::unavailable(error.to_string()),
    }
}
