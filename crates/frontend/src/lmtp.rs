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
mod session;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use buzon_bodies::bodies::Bodies;
use buzon_meta_client::meta::Meta;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::incoming::Budget;

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

/// What every connection works with.
#[derive(Clone)]
pub struct Lmtp {
    /// Settings.
    pub options: Arc<Options>,
    /// Addresses that may deliver without a certificate.
    pub peers: PeerFilter,
    /// STARTTLS, if offered: a peer whose certificate it verifies may deliver from anywhere.
    pub tls: Option<TlsAcceptor>,
    /// Metadata.
    pub meta: Meta,
    /// Bodies.
    pub bodies: Bodies,
    /// Memory for messages on their way in.
    pub budget: Budget,
}

impl Lmtp {
    /// Speaks with one peer until it quits, fails, or `drain` is cancelled and its transaction is over.
    ///
    /// # Errors
    /// Only those of the socket; everything else is answered.
    pub async fn serve<S>(self, stream: S, peer: SocketAddr, drain: CancellationToken) -> std::io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let trusted = (self.peers)(peer.ip());
        let tls = self.tls.clone();
        let mut session = session::Session::new(self, peer, trusted, drain);
        let Some((stream, acceptor)) = session.run(stream).await?.zip(tls) else { return Ok(()) };
        let stream = acceptor.accept(stream).await?;
        session.secured(stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty()));
        session.run(stream).await.map(drop)
    }
}
