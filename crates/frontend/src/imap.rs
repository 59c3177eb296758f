//! The IMAP service: what a listener calls for each connection.

use std::net::IpAddr;
use std::sync::Arc;

use buzon_bodies::Bodies;
use opentelemetry::metrics::Meter;
use rustls::ServerConfig;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::claim::Claims;
use crate::connection::Connection;
pub use crate::ctx::Security;
use crate::ctx::{Peer, Services};
use crate::incoming::Budget;
use crate::listener::Accepted;
use crate::meta_api::MetaApi;
use crate::metrics::Metrics;
use crate::options::ImapOptions;
use crate::summaries::SummaryCache;
use crate::wire::Stream;
use buzon_tls::certificate::HANDSHAKE_MAX;

/// Bodies that are searched at one time, over all sessions: some of the largest, hundreds of the usual size.
const SEARCHED_BYTES_MAX: u64 = 128 << 20;

/// What IMAP works with.
pub struct Dependencies {
    /// Metadata.
    pub meta: Arc<dyn MetaApi>,
    /// Bodies.
    pub bodies: Bodies,
    /// Memory for messages on their way in, shared with LMTP.
    pub budget: Budget,
    /// Where counts go.
    pub meter: Meter,
    /// For STARTTLS and for the TLS port; without it neither is offered.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Serves IMAP; clones are the same service.
#[derive(Clone)]
pub struct Imap {
    services: Arc<Services>,
}

impl Imap {
    /// Hashes a decoy password once: some tens of milliseconds.
    pub fn new(options: ImapOptions, dependencies: Dependencies) -> Self {
        let Dependencies { meta, bodies, budget, meter, tls } = dependencies;
        let authenticator =
            Authenticator::new(Arc::clone(&meta), options.password_checks_max, options.failure_delay);
        let metrics = Metrics::new(&meter);
        let search_budget = Budget::new(SEARCHED_BYTES_MAX.max(options.append_bytes_max));
        let summaries = SummaryCache::new(options.summary_cache_bytes_max, &meter);
        let services = Services {
            options,
            meta,
            bodies,
            summaries,
            authenticator,
            budget,
            search_budget,
            claims: Claims::default(),
            metrics,
            tls,
        };
        Self { services: Arc::new(services) }
    }

    /// For a listener: TLS from the first byte, or plaintext with STARTTLS.
    pub async fn accept(self, accepted: Accepted, security: Security) {
        let Accepted { socket, peer, drain, place } = accepted;
        let _place = match place {
            Ok(place) => place,
            Err(reason) => {
                self.services.metrics.turned_away();
                if security == Security::Plaintext {
                    let bye = format!("* BYE [LIMIT] {reason}\r\n");
                    // Best effort, and never waited for: the socket is new, its buffer is empty.
                    let _ = socket.try_write(bye.as_bytes());
                }
                return;
            }
        };
        let stream: Stream = match security {
            Security::Plaintext => Box::new(socket),
            Security::Tls => {
                let Some(config) = self.services.tls.clone() else { return };
                match timeout(HANDSHAKE_MAX, Box::pin(TlsAcceptor::from(config).accept(socket))).await {
                    Ok(Ok(stream)) => Box::new(stream),
                    Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
                    Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
                }
            }
        };
        self.serve(stream, peer.ip(), security, drain).await;
    }

    /// Speaks IMAP over any stream until either side ends it, or until `drain` and the running command is done.
    pub async fn serve(self, stream: Stream, peer: IpAddr, security: Security, drain: CancellationToken) {
        self.services.metrics.session(1);
        let peer = Peer { address: peer, security };
        let connection = Connection::new(Arc::clone(&self.services), stream, peer, drain);
        if let Err(error) = Box::pin(connection.run()).await {
            tracing::debug!(peer = %peer.address, %error, "connection lost");
        }
        self.services.metrics.session(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions wait most of their lives: what one takes then is a promise (DESIGN §6).
    #[test]
    fn a_waiting_connection_is_small() {
        assert!(size_of::<Connection>() < 2048, "{}", size_of::<Connection>());
        let run = size_of_future(Connection::run);
        assert!(run < 6 * 1024, "{run}");
    }

    fn size_of_future<F: Future>(_: impl Fn(Connection) -> F) -> usize {
        size_of::<F>()
    }
}
