//! The certificate that clients are shown: one from files, read again when they change, without dropping connections.
//!
//! Certificates are chosen at each handshake from an atomic pointer, so that every acceptor made from one
//! [`Certificate`] follows it. aws-lc-rs is the only provider of cryptography.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use tokio_util::sync::CancellationToken;

use crate::expiry::ends;
use crate::files::{follow, read_key, read_roots};

/// Changed files are noticed within this time.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A peer that takes longer for its handshake is given up.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(20);

/// A certificate chain and its key, from PEM files.
#[derive(Debug)]
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// Key and certificate do not go together, or are of a kind nobody knows.
    #[error("use certificate and key")]
    Unusable(#[source] rustls::Error),
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// If they hold no certificate chain and key that go together.
    pub fn open(chain: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(read_key(chain, key)?);
        Ok(Arc::new(Self { chain: chain.to_owned(), key: key.to_owned(), current }))
    }

    /// A configuration whose handshakes always use the newest certificate.
    ///
    /// # Errors
    /// Never with the provider that is built in.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Unusable)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Unusable)?;
        // One ticket per connection is what mail clients use.
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }

    /// As [`Certificate::server_config`], and asks clients for a certificate from one of the CAs in a PEM file. None is
    /// accepted too: whoever serves the connection looks whether there was one.
    ///
    /// # Errors
    /// If the file holds no CA.
    pub fn server_config_asking(self: &Arc<Self>, client_ca: &Path) -> Result<Arc<ServerConfig>, TlsError> {
        let roots = read_roots(client_ca)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .map_err(|_| TlsError::Empty { path: client_ca.to_owned() })?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Unusable)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        Ok(Arc::new(config))
    }

    /// Watches the files until `stop`. Files that cannot be used are reported once and the old certificate stays.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        self.follow_every(LOOK_EVERY, stop).await;
    }

    /// As [`Certificate::follow`], looking as often as told: for tests.
    pub async fn follow_every(self: Arc<Self>, pause: Duration, stop: CancellationToken) {
        follow(vec![self.chain.clone(), self.key.clone()], pause, stop, || self.reload()).await;
    }

    /// What the next handshake shows.
    pub fn current(&self) -> Arc<CertifiedKey> {
        self.current.load_full()
    }

    /// When the next handshake's certificate ends, in seconds since 1970; none if it does not say.
    pub fn ends(&self) -> Option<u64> {
        ends(&self.current.load().cert)
    }

    /// Reads the files again.
    pub fn reload(&self) {
        match read_key(&self.chain, &self.key) {
            Ok(certificate) => {
                self.current.store(Arc::new(certificate));
                tracing::info!(chain = %self.chain.display(), "certificate read again");
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "changed certificate cannot be used"
                );
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}
