//! LMTP: mail from the provider's MTA (RFC 2033). A `250` for a recipient means that the message is durable, body
//! and metadata; every recipient gets a reply of its own.
//!
//! ```text
//! lines ─▶ command::parse ─▶ session: states, replies ─▶ deliver: body put, one Deliver per shard ─▶ 250 / 4xx / 5xx
//! ```
//! Knows nothing of IMAP. What it cannot do now it answers 4xx, so that the MTA keeps the message.

mod command;
mod deliver;
mod dots;
mod metrics;
mod session;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use buzon_bodies::Bodies;
use buzon_meta_client::meta::Meta;
use opentelemetry::metrics::Meter;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::incoming::Budget;
use crate::listener::Accepted;
use buzon_tls::certificate::HANDSHAKE_MAX;
use metrics::Metrics;
use session::Session;

/// What an LMTP listener is set to.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name this server gives itself.
    pub host_name: String,
    /// Largest message.
    pub message_bytes_max: u64,
    /// Recipients of one message.
    pub recipients_max: usize,
    /// Whether a full mailbox defers (452) or refuses (552).
    pub over_quota_defers: bool,
}

/// Who may deliver.
pub type PeerFilter = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// What LMTP works with.
pub struct Dependencies {
    /// Addresses that may deliver without a certificate.
    pub peers: PeerFilter,
    /// STARTTLS, if offered: a peer whose certificate it verifies may deliver from anywhere.
    pub tls: Option<TlsAcceptor>,
    /// Metadata.
    pub meta: Meta,
    /// Bodies.
    pub bodies: Bodies,
    /// Memory for messages on their way in, shared with IMAP.
    pub budget: Budget,
    /// Where counts go.
    pub meter: Meter,
}

/// Serves LMTP; clones are the same service.
#[derive(Clone)]
pub struct Lmtp {
    services: Arc<Services>,
}

/// What all connections share.
struct Services {
    options: Options,
    dependencies: Dependencies,
    metrics: Metrics,
}

impl Lmtp {
    /// Puts it together.
    pub fn new(options: Options, dependencies: Dependencies) -> Self {
        let metrics = Metrics::new(&dependencies.meter);
        Self { services: Arc::new(Services { options, dependencies, metrics }) }
    }

    /// Serves a connection of a listener.
    pub async fn serve_accepted(self, accepted: Accepted) {
        let Accepted { mut socket, peer, drain, place } = accepted;
        let served = match place {
            Ok(_place) => self.serve(socket, peer, drain).await,
            Err(turned_away) => socket.write_all(format!("421 4.3.2 {turned_away}\r\n").as_bytes()).await,
        };
        if let Err(error) = served {
            tracing::debug!(%peer, %error, "LMTP connection broke");
        }
    }

    /// Speaks with one peer until it quits, fails, or `drain` is cancelled and its transaction is over.
    ///
    /// # Errors
    /// Only those of the socket; everything else is answered.
    pub async fn serve<S>(self, stream: S, peer: SocketAddr, drain: CancellationToken) -> std::io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Dependencies { peers, tls, .. } = &self.services.dependencies;
        let (trusted, tls) = (peers(peer.ip()), tls.clone());
        let mut session = Session::new(self.services, peer, trusted, drain);
        let Some((stream, acceptor)) = session.run(stream).await?.zip(tls) else { return Ok(()) };
        let handshake = tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream));
        let stream = handshake.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        session.secured(stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty()));
        session.run(stream).await.map(drop)
    }
}
