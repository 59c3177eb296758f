//! A socket with or without TLS. TLS is not abstracted behind a box: one branch for each read is cheaper.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whom to trust; `None` is plain text.
pub(crate) type Trust = Option<Arc<ClientConfig>>;

/// See the module.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects; with TLS if somebody is trusted.
    ///
    /// # Errors
    /// If nobody listens, or the certificate is not of that CA.
    pub(crate) async fn connect(address: SocketAddr, trust: &Trust) -> anyhow::Result<Self> {
        assert!(address.ip().is_loopback(), "load goes to this machine only");
        let socket = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        socket.set_nodelay(true)?;
        let Some(config) = trust else { return Ok(Self::Plain(socket)) };
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, socket).await.context("TLS")?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Reads what there is, up to the buffer's length; 0 is the end.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
        }
    }

    /// Writes all and flushes.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }
}

/// A client that trusts one CA and resumes nothing: every connection pays for its handshake.
///
/// # Errors
/// If the file holds no certificate.
pub(crate) fn trust(ca: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}
