//! The admin listener: gRPC over TLS, every call with the token. Administration, import, health.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use buzon_proto::pb::import::v1::import_service_server::ImportServiceServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::mail::Parts;
use super::metadata::Metadata;
use crate::config::Config;
use crate::import::service::Importer;
use crate::pki::Pki;

/// A message in an import, with room for its envelope.
const MESSAGE_OVERHEAD_BYTES: usize = 1 << 20;

/// A call that takes longer once the server drains is repeated by its client: each is safe to repeat.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A listener that can be stopped.
pub(super) struct AdminListener {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl AdminListener {
    /// Lets running calls finish, up to [`STOP_MAX`].
    pub(super) async fn stop(self) {
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

/// Binds and serves.
///
/// # Errors
/// If the address cannot be bound or the certificate cannot be used.
pub(super) async fn listen(
    address: SocketAddr,
    parts: &Parts<'_>,
    metadata: &Metadata,
    pki: &Pki,
    config: &Config,
) -> anyhow::Result<AdminListener> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listen.admin: bind {address}"))?;
    let address = listener.local_addr()?;
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("read {}", path.display()));
    // Always the private certificate: `ctl` trusts its CA, whatever mail clients are shown.
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(read(&pki.certificate)?, read(&pki.key)?));
    let importer = Importer {
        meta: parts.meta.clone(),
        bodies: parts.bodies.clone(),
        budget: parts.budget.clone(),
        message_bytes_max: config.imap.message_bytes_max,
    };
    let message_bytes_max = usize::try_from(config.imap.message_bytes_max).unwrap_or(usize::MAX);
    let importer = ImportServiceServer::new(importer)
        .max_decoding_message_size(message_bytes_max.saturating_add(MESSAGE_OVERHEAD_BYTES));
    let importer = InterceptedService::new(importer, metadata.metad.bearer());
    let routes = metadata.metad.admin_routes().add_service(importer);
    let stop = CancellationToken::new();
    let server = Server::builder().tls_config(tls).context("listen.admin: TLS")?.add_routes(routes);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = tokio::spawn(server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
    Ok(AdminListener { address, stop, serving })
}
