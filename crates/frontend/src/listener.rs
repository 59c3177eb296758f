//! The accept loop of every listener, and the drain that ends them all.
//!
//! ```text
//! Listeners ─ listen(name, address, service) ─▶ accept: place? NODELAY ─▶ one task per connection
//!           └ drain(deadline): no new connections, tasks told, waited for, then cut off
//! ```
//! Knows no protocol: a service is a function of a socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::Meter;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{ConnectionLimits, Place, TurnedAway};

/// After a failed accept (no file descriptors left, say) the loop waits, not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A new connection.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, with TCP_NODELAY.
    pub socket: TcpStream,
    /// The other side.
    pub peer: SocketAddr,
    /// Cancelled when the server drains: finish what runs, say goodbye, end.
    pub drain: CancellationToken,
    /// `Err`: say so in the protocol's own way and close.
    pub place: Result<Place, TurnedAway>,
}

/// All listeners of a process.
#[derive(Debug, Clone)]
pub struct Listeners {
    limits: ConnectionLimits,
    connections: TaskTracker,
    drain: CancellationToken,
    cut: CancellationToken,
}

impl Listeners {
    /// None yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        let (drain, cut) = (CancellationToken::new(), CancellationToken::new());
        Self { limits, connections: TaskTracker::new(), drain, cut }
    }

    /// Shows operators how many connections there are, and how many are taken at most.
    pub fn observe(&self, meter: &Meter, protocol: &'static str) {
        self.limits.observe(meter, protocol);
    }

    /// Ends with these, but counts connections by other limits.
    #[must_use]
    pub fn with_limits(&self, limits: ConnectionLimits) -> Self {
        Self { limits, ..self.clone() }
    }

    /// Binds, and serves each connection in a task of its own. Returns the bound address.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn listen<S, F>(
        &self,
        name: &'static str,
        address: SocketAddr,
        service: S,
    ) -> io::Result<SocketAddr>
    where
        S: Fn(Accepted) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        tracing::info!(listener = name, address = %bound, "listening");
        let this = self.clone();
        self.connections.spawn(async move {
            let accepting = this.accept(name, &listener, Arc::new(service));
            this.drain.run_until_cancelled(accepting).await;
        });
        Ok(bound)
    }

    async fn accept<S, F>(&self, name: &'static str, listener: &TcpListener, service: Arc<S>)
    where
        S: Fn(Accepted) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let (socket, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(listener = name, %error, "connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(listener = name, %error, "connection is gone already");
                continue;
            }
            let place = self.limits.admit(peer.ip());
            let serving = service(Accepted { socket, peer, drain: self.drain.clone(), place });
            let cut = self.cut.clone();
            self.connections.spawn(async move { cut.run_until_cancelled(serving).await });
        }
    }

    /// Cancelled when the drain begins.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Takes no more connections, lets those there are finish what they do, and cuts off what is left at the deadline.
    pub async fn drain(&self, deadline: Duration) {
        self.drain.cancel();
        self.connections.close();
        if tokio::time::timeout(deadline, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "connections are cut off after the drain");
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn one_kind_of_connections_takes_no_places_of_another_and_all_end_together() {
        let imap = Listeners::new(ConnectionLimits::new(1, 1));
        let lmtp = imap.with_limits(ConnectionLimits::new(1, 1));
        let (sender, mut places) = mpsc::channel(4);
        for listeners in [&imap, &lmtp] {
            let sender = sender.clone();
            let service = move |accepted: Accepted| {
                let sender = sender.clone();
                async move {
                    let place = accepted.place.as_ref().map(|_| ()).map_err(|away| *away);
                    let _ = sender.send(place).await;
                    accepted.drain.cancelled().await;
                }
            };
            let address = listeners.listen("test", ([127, 0, 0, 1], 0).into(), service).await.unwrap();
            for expected in [Ok(()), Err(TurnedAway::Full)] {
                let _client = TcpStream::connect(address).await.unwrap();
                assert_eq!(places.recv().await, Some(expected));
            }
        }
        imap.drain(Duration::from_secs(5)).await;
        assert!(lmtp.draining().is_cancelled() && lmtp.connections.is_empty());
    }
}
