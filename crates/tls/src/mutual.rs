//! Mutual TLS between nodes: both sides show a certificate of the cluster's CA, and both follow their files.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::certificate::{LOOK_EVERY, TlsError};
use crate::expiry::ends;
use crate::files::{follow, read_key, read_roots};

/// HTTP/2 is all that gRPC speaks.
pub(crate) const PROTOCOL: &[u8] = b"h2";

/// PEM files of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The cluster's CA, or several while one replaces another.
    pub ca: PathBuf,
    /// The node's certificate and what chains it to the CA.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Both sides of a node's mutual TLS. New connections use the newest files.
#[derive(Debug)]
pub struct Mutual {
    files: Files,
    current: ArcSwap<Sides>,
}

#[derive(Debug)]
struct Sides {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    ends: Option<u64>,
}

impl Mutual {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read, or key and certificate do not go together.
    pub fn open(files: Files) -> Result<Arc<Self>, TlsError> {
        let current = ArcSwap::from_pointee(Sides::read(&files)?);
        Ok(Arc::new(Self { files, current }))
    }

    /// For the next connection to another node.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.current.load().client)
    }

    /// For the next connection from another node.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }

    /// When the certificate for the next connection ends, in seconds since 1970; none if it does not say.
    pub fn ends(&self) -> Option<u64> {
        self.current.load().ends
    }

    /// Watches the files until `stop`. Files that cannot be used are reported once and what was read before stays.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let Files { ca, certificate, key } = self.files.clone();
        follow(vec![ca, certificate, key], LOOK_EVERY, stop, || self.reload()).await;
    }

    /// Reads the files again.
    pub fn reload(&self) {
        match Sides::read(&self.files) {
            Ok(sides) => {
                self.current.store(Arc::new(sides));
                tracing::info!(chain = %self.files.certificate.display(), "node certificate read again");
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "changed node certificate cannot be used"
            ),
        }
    }
}

impl Sides {
    fn read(files: &Files) -> Result<Self, TlsError> {
        let key = Arc::new(read_key(&files.certificate, &files.key)?);
        Ok(Self { client: client(files, &key)?, server: server(files, &key)?, ends: ends(&key.cert) })
    }
}

fn client(files: &Files, key: &Arc<CertifiedKey>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_root_certificates(read_roots(&files.ca)?)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

fn server(files: &Files, key: &Arc<CertifiedKey>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(read_roots(&files.ca)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|_| TlsError::Empty { path: files.ca.clone() })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(key))));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}
