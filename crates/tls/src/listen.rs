//! Connections of other nodes: accepted, shaken hands with, and passed on with the role that their certificate gives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::certificate::{Certificate, HANDSHAKE_MAX, TlsError};
use crate::mutual::{Mutual, PROTOCOL};
use crate::peer::Role;

/// Connections that wait to be served: they are taken at once.
const WAITING_MAX: usize = 64;
/// Handshakes at a time: nodes of one cluster that all come back at once, not a flood.
const HANDSHAKES_MAX: usize = 256;

/// A connection of another node.
#[derive(Debug)]
pub struct Secured {
    stream: TlsStream<TcpStream>,
    role: Role,
}

/// Connections of clients that show no certificate, over HTTP/2: administration. As [`incoming`] else.
///
/// # Errors
/// Never with the provider that is built in.
pub fn incoming_from_anyone(
    listener: TcpListener,
    certificate: &Arc<Certificate>,
) -> Result<ReceiverStream<io::Result<TlsStream<TcpStream>>>, TlsError> {
    let mut config = ServerConfig::clone(&*certificate.server_config()?);
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(accept(listener, sender, move |stream| shake_hands(acceptor.clone(), stream)));
    Ok(ReceiverStream::new(receiver))
}

/// Accepts until nobody takes the connections any more. Connections that show no certificate of a node are closed.
pub fn incoming(listener: TcpListener, mutual: Arc<Mutual>) -> ReceiverStream<io::Result<Secured>> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(accept(listener, sender, move |stream| secure(TlsAcceptor::from(mutual.server()), stream)));
    ReceiverStream::new(receiver)
}

async fn accept<T, F>(
    listener: TcpListener,
    sender: mpsc::Sender<io::Result<T>>,
    handshake: impl Fn(TcpStream) -> F,
) where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sender.closed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: those in use come back.
                tracing::warn!(%error, "accept a node's connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let (sender, handshake) = (sender.clone(), handshake(stream));
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_MAX, handshake).await {
                Ok(Ok(secured)) => drop(sender.send(Ok(secured)).await),
                Ok(Err(error)) => tracing::warn!(%error, "a connection is refused"),
                Err(_) => tracing::debug!("a handshake takes too long"),
            }
            drop(place);
        });
    }
}

async fn secure(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<Secured> {
    let peer = stream.peer_addr()?;
    let stream = shake_hands(acceptor, stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let no_role = || {
        io::Error::other(format!("{peer}: the certificate names no role (URI buzon:metad or buzon:frontend)"))
    };
    let role = certificate.and_then(Role::of).ok_or_else(no_role)?;
    Ok(Secured { stream, role })
}

async fn shake_hands(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let with_peer = |error: io::Error| io::Error::new(error.kind(), format!("{peer}: {error}"));
    acceptor.accept(stream).await.map_err(with_peer)
}

impl Connected for Secured {
    type ConnectInfo = Role;

    fn connect_info(&self) -> Role {
        self.role
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
