//! Channels to other nodes: made when first used, kept, made anew with the newest certificate after they break.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::mutual::Mutual;

/// A node that does not take a connection by then is down or far too busy.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Finds a node that vanished without a word within seconds.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(2);
/// And gives it up after so long without an answer.
const KEEP_ALIVE_WAIT_MAX: Duration = Duration::from_secs(2);
/// A whole snapshot page and the entries behind it may be on their way.
const WINDOW_BYTES: u32 = 8 << 20;

/// How other nodes are reached. Clones are the same.
#[derive(Debug, Clone, Default)]
pub enum Connector {
    /// Without TLS: within one process, and in tests.
    #[default]
    Plain,
    /// With mutual TLS.
    Mutual(Arc<Mutual>),
}

/// An address that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` is no HOST:PORT")]
pub struct AddressError {
    address: String,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Connector {
    /// A channel to the node at `HOST:PORT`; connects when first used. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address is none.
    pub fn channel(&self, address: &str) -> Result<Channel, AddressError> {
        let invalid = || AddressError { address: address.to_owned() };
        let uri: Uri = format!("http://{address}").parse().map_err(|_| invalid())?;
        if uri.port().is_none() || uri.host().is_none_or(str::is_empty) {
            return Err(invalid());
        }
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIME_MAX)
            .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
            .keep_alive_timeout(KEEP_ALIVE_WAIT_MAX)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(2 * WINDOW_BYTES);
        let connector = self.clone();
        Ok(endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
            let connector = connector.clone();
            async move { connector.connect(&uri).await.map(TokioIo::new) }
        })))
    }

    /// Every address of the host is tried in turn.
    async fn connect(&self, uri: &Uri) -> io::Result<Box<dyn Io>> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, uri.port_u16().unwrap_or_default())).await?;
        stream.set_nodelay(true)?;
        let Self::Mutual(mutual) = self else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let secured = TlsConnector::from(mutual.client()).connect(name, stream).await?;
        Ok(Box::new(secured))
    }
}
