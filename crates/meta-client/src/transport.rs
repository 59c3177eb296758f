//! How a node is reached: over a channel, or in this process without sockets, where most calls are functions (`calls`).
//! All carry the same messages, so that one process and a cluster run the same code.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use buzon_proto::pb::directory::v1::directory_service_server::DirectoryService;
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::pb::mail::v1::mail_service_server::MailService;
use futures::stream::BoxStream;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Channel;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

/// Answers one after the other.
pub type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// MailService in this process.
pub type LocalMail = Arc<
    dyn MailService<
            ListMailboxesStream = Answers<pb::ListMailboxesResponse>,
            ChangesStream = Answers<pb::ChangesResponse>,
            FetchStream = Answers<pb::FetchResponse>,
            WatchStream = Answers<pb::WatchResponse>,
        >,
>;

/// DirectoryService in this process.
pub type LocalDirectory = Arc<dyn DirectoryService>;

/// Services that are called as functions.
#[derive(Clone)]
pub struct Local {
    /// Accounts and their mail.
    pub mail: LocalMail,
    /// Where accounts live.
    pub directory: LocalDirectory,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

/// A node's gRPC services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transport {
    service: BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>,
    /// Called instead, where they serve the call.
    pub(crate) local: Option<Local>,
}

impl Transport {
    /// The services in this process, with messages as bytes all the same.
    pub fn in_process(routes: Routes) -> Self {
        Self::new(routes.prepare())
    }

    /// The services in this process, called as functions. What can only be asked in bytes goes through the routes.
    pub fn local(routes: Routes, local: Local) -> Self {
        Self { local: Some(local), ..Self::in_process(routes) }
    }

    /// Over HTTP/2.
    pub fn channel(channel: Channel) -> Self {
        Self::new(channel)
    }

    /// Any service that answers gRPC requests: layers for tests.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError> + 'static,
        S::Future: Send + 'static,
    {
        Self { service: BoxCloneSyncService::new(service.map_err(Into::into)), local: None }
    }
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = <BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError> as Service<
        http::Request<Body>,
    >>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The node goes on with the caller's trace.
        buzon_telemetry::propagation::inject(request.headers_mut());
        self.service.call(request)
    }
}
