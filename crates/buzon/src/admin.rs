//! The admin listener: gRPC over TLS, every call with the token.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use buzon_metad::auth::Bearer;
use buzon_proto::pb::import::v1::import_service_server::ImportServiceServer;
use buzon_tls::certificate::Certificate;
use buzon_tls::listen::incoming_from_anyone;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;

use crate::import::service::Importer;
use crate::mail::Parts;

/// A message in an import, with room for its envelope.
const MESSAGE_OVERHEAD_BYTES: usize = 1 << 20;

/// A call that takes longer once the server drains is repeated by its client: each is safe to repeat.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A listener that can be stopped.
pub(crate) struct AdminListener {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl AdminListener {
    /// Lets running calls finish, up to [`STOP_MAX`].
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        match tokio::time::timeout(STOP_MAX, self.serving).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "admin listener ended");
            }
            Ok(Err(error)) => tracing::error!(%error, "admin listener panicked"),
            Err(_) => tracing::warn!("calls of administration are cut off after the drain"),
        }
    }
}

/// Binds; see [`serve`].
///
/// # Errors
/// If the address cannot be bound.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listen.admin: bind {address}"))
}

/// Serves these services, of which each asks for the token itself.
///
/// # Errors
/// If the certificate cannot be used.
pub(crate) fn serve(
    listener: TcpListener,
    certificate: &Arc<Certificate>,
    routes: Routes,
) -> anyhow::Result<AdminListener> {
    let address = listener.local_addr()?;
    let incoming = incoming_from_anyone(listener, certificate).context("listen.admin: TLS")?;
    let stop = CancellationToken::new();
    let server = Server::builder().add_routes(routes);
    let serving = tokio::spawn(server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
    Ok(AdminListener { address, stop, serving })
}

/// The service that imports mail, behind the token.
pub(crate) fn importer(
    parts: &Parts<'_>,
    bearer: Bearer,
) -> InterceptedService<ImportServiceServer<Importer>, Bearer> {
    let message_bytes_max = parts.config.imap.message_bytes_max;
    let importer = Importer {
        meta: parts.meta.clone(),
        bodies: parts.bodies.clone(),
        budget: parts.budget.clone(),
        message_bytes_max,
    };
    let bytes_max = usize::try_from(message_bytes_max).unwrap_or(usize::MAX);
    let importer = ImportServiceServer::new(importer)
        .max_decoding_message_size(bytes_max.saturating_add(MESSAGE_OVERHEAD_BYTES));
    InterceptedService::new(importer, bearer)
}
