//! The calls to a node: over gRPC, or to its services in this process as functions, which spares encoding and decoding
//! each message and the way through a router of paths: a tenth of an APPEND, half of a list of flags.

use buzon_proto::pb::directory::v1 as directory;
use buzon_proto::pb::directory::v1::directory_service_client::DirectoryServiceClient;
use buzon_proto::pb::mail::v1 as mail;
use buzon_proto::pb::mail::v1::mail_service_client::MailServiceClient;
use futures::StreamExt;
use tonic::{Request, Status};

use crate::transport::{Answers, LocalDirectory, LocalMail, Transport};

/// The largest message a node may send: UIDs of a mailbox of the largest size, every other one missing.
pub(crate) const RESPONSE_BYTES_MAX: usize = 16 << 20;

/// MailService, but for Watch.
pub(crate) enum Mail {
    Remote(MailServiceClient<Transport>),
    Local(LocalMail),
}

impl Mail {
    pub(crate) fn of(transport: Transport) -> Self {
        match &transport.local {
            Some(local) => Self::Local(local.mail.clone()),
            None => Self::Remote(client(transport)),
        }
    }
}

/// For Watch: what it sends is a stream, which tonic makes of bytes alone.
pub(crate) fn client(transport: Transport) -> MailServiceClient<Transport> {
    MailServiceClient::new(transport).max_decoding_message_size(RESPONSE_BYTES_MAX)
}

/// DirectoryService, as far as it is asked often.
pub(crate) enum Directory {
    Remote(DirectoryServiceClient<Transport>),
    Local(LocalDirectory),
}

impl Directory {
    pub(crate) fn of(transport: Transport) -> Self {
        match &transport.local {
            Some(local) => Self::Local(local.directory.clone()),
            None => Self::Remote(DirectoryServiceClient::new(transport)),
        }
    }
}

/// One answer each.
macro_rules! calls {
    ($($name:ident($request:ty) -> $answer:ty;)*) => {$(
        pub(crate) async fn $name(self, request: $request) -> Result<$answer, Status> {
            Ok(match self {
                Self::Remote(mut client) => client.$name(request).await?.into_inner(),
                Self::Local(service) => service.$name(local(request)).await?.into_inner(),
            })
        }
    )*};
}

/// A stream of answers each.
macro_rules! streams {
    ($($name:ident($request:ty) -> $answer:ty;)*) => {$(
        pub(crate) async fn $name(self, request: $request) -> Result<Answers<$answer>, Status> {
            Ok(match self {
                Self::Remote(mut client) => client.$name(request).await?.into_inner().boxed(),
                Self::Local(service) => service.$name(local(request)).await?.into_inner(),
            })
        }
    )*};
}

impl Mail {
    calls! {
        propose(mail::ProposeRequest) -> mail::ProposeResponse;
        credential(mail::AccountRequest) -> mail::CredentialResponse;
        usage(mail::AccountRequest) -> mail::UsageResponse;
        open_mailbox(mail::OpenMailboxRequest) -> mail::OpenMailboxResponse;
        get_mailbox(mail::GetMailboxRequest) -> mail::GetMailboxResponse;
        deleted_uids(mail::DeletedUidsRequest) -> mail::DeletedUidsResponse;
        export_account(mail::ExportAccountRequest) -> mail::ExportAccountResponse;
    }
    streams! {
        list_mailboxes(mail::AccountRequest) -> mail::ListMailboxesResponse;
        changes(mail::ChangesRequest) -> mail::ChangesResponse;
        fetch(mail::FetchRequest) -> mail::FetchResponse;
    }
}

impl Directory {
    calls! {
        resolve(directory::ResolveRequest) -> directory::ResolveResponse;
    }
}

/// The node goes on with the caller's trace, as it does over gRPC.
fn local<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    buzon_telemetry::propagation::inject(request.metadata_mut().as_mut());
    request
}
