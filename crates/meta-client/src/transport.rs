//! How a node is reached: over a channel, or in this process without sockets. Both carry the same messages, so
//! that one process and a cluster run the same code.

use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Channel;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

/// A node's gRPC services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Transport(BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError>);

impl Transport {
    /// The services themselves, called as functions.
    pub fn in_process(routes: Routes) -> Self {
        Self::new(routes.prepare())
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
        Self(BoxCloneSyncService::new(service.map_err(Into::into)))
    }
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = <BoxCloneSyncService<http::Request<Body>, http::Response<Body>, BoxError> as Service<
        http::Request<Body>,
    >>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The node goes on with the caller's trace.
        buzon_telemetry::propagation::inject(request.headers_mut());
        self.0.call(request)
    }
}
