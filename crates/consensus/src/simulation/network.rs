//! The network of a simulation: gRPC calls as `network/client.rs` makes them and `network/server.rs` answers them, with what
//! may become of them in between.
//!
//! ```text
//! generated client ─▶ Way ─ there: delay, cut, broken ─▶ generated server, as a task of the other node
//!                         ◀─ back: the same ─────────── answer's head, then its frames
//! ```
//! A connection is TCP: what is sent while the way is cut comes when it is whole again, if that is soon, and else the call
//! breaks; its sender does not know whether it arrived.

mod body;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};
use tonic::transport::Channel;

use self::body::{Frames, pump};
use super::life::{self, Life};
use super::oracle::Oracle;
use super::random::Random;
use super::watch;
use crate::network::Transport;
use crate::node::Node;
use crate::pb::raft_transport_server::RaftTransportServer;

/// A connection on which nothing comes back for so long is given up: keep-alive's interval and patience.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(4);

/// What the weather is like.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// What a message takes, in microseconds; a millisecond at least.
    pub(crate) delay: Range<u64>,
    /// Calls that break, of a thousand messages.
    pub(crate) broken: u64,
    /// Requests of clients that a proxy sends twice, of a thousand.
    pub(crate) twice: u64,
}

impl Weather {
    pub(crate) fn fine() -> Self {
        Self { delay: 1_000..3_500, broken: 0, twice: 0 }
    }
}

/// See the module.
pub(crate) struct Network {
    random: Random,
    oracle: Arc<Oracle>,
    state: Mutex<State>,
    /// Parts of snapshots that break their stream, of a thousand.
    snapshots_broken: u64,
    /// Counts changes of what is cut.
    changes: watch::Sender<u64>,
}

struct State {
    weather: Weather,
    /// From whom nothing reaches whom.
    cut: BTreeSet<(u64, u64)>,
    listening: BTreeMap<u64, Listener>,
}

/// A node's process that takes calls.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) life: Arc<Life>,
    pub(crate) node: Node,
    service: RaftTransportServer<Transport>,
}

impl Network {
    pub(crate) fn new(random: Random, oracle: Arc<Oracle>, snapshots_broken: u64) -> Arc<Self> {
        let state = State { weather: Weather::fine(), cut: BTreeSet::new(), listening: BTreeMap::new() };
        let (state, changes) = (Mutex::new(state), watch::Sender::new(0));
        Arc::new(Self { random, oracle, state, snapshots_broken, changes })
    }

    pub(crate) fn listen(&self, life: &Arc<Life>, node: &Node) {
        let service = Transport::service(node.inner());
        let listener = Listener { life: Arc::clone(life), node: node.clone(), service };
        self.state.lock().listening.insert(life.node().0, listener);
    }

    pub(crate) fn deafen(&self, node: u64) {
        let listener = self.state.lock().listening.remove(&node);
        drop(listener);
    }

    pub(crate) fn listener(&self, node: u64) -> Option<Listener> {
        self.state.lock().listening.get(&node).cloned()
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.state.lock().weather = weather;
    }

    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.state.lock().cut.insert((from, to));
    }

    /// Everything reaches everybody again.
    pub(crate) fn mend(&self) {
        self.state.lock().cut.clear();
        let next = *self.changes.borrow() + 1;
        self.changes.send_replace(next);
    }

    /// A message on its way.
    async fn pass(&self, from: u64, to: u64) -> Result<(), Status> {
        let given_up = Instant::now() + GIVEN_UP_AFTER;
        let mut changes = self.changes.subscribe();
        loop {
            let (delay, broken) = {
                let state = self.state.lock();
                let weather = &state.weather;
                let delay = (!state.cut.contains(&(from, to))).then(|| weather.delay.clone());
                (delay, weather.broken)
            };
            let Some(delay) = delay else {
                // Not told of more often than the network changes.
                let mended = tokio::time::timeout_at(given_up, changes.changed()).await;
                mended.map_err(|_| Status::unknown("the connection is lost"))?.ok();
                continue;
            };
            // Never in no time: who tries again at once would do so for ever.
            tokio::time::sleep(self.random.micros(delay)).await;
            if broken > 0 && self.random.permille(broken) {
                return Err(Status::unknown("the connection is broken"));
            }
            return Ok(());
        }
    }

    /// What its peers hear of a process that ended: the kernel's answer, or nothing.
    async fn gone(&self, from: u64, to: u64) -> Status {
        if self.random.permille(500) {
            tokio::time::sleep(GIVEN_UP_AFTER).await;
        } else {
            let _ = self.pass(from, to).await;
        }
        Status::unavailable("the connection is reset")
    }

    /// A client's call: `work` is done as a task of the node.
    pub(crate) async fn ask<T, F>(
        &self,
        (client, node): (u64, u64),
        work: impl Fn(Node) -> F,
    ) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.pass(client, node).await?;
        let Some(listener) = self.listener(node) else { return Err(self.gone(node, client).await) };
        let twice = self.state.lock().weather.twice;
        if twice > 0 && self.random.permille(twice) {
            let (again, later) = (work(listener.node.clone()), self.random.millis(1..800));
            listener.life.spawn(async move {
                tokio::time::sleep(later).await;
                again.await
            });
        }
        let (answer, answered) = oneshot::channel();
        let work = work(listener.node);
        listener.life.spawn(async move {
            // Who asked may have given up.
            let _ = answer.send(work.await);
        });
        let Ok(answer) = answered.await else { return Err(self.gone(node, client).await) };
        self.pass(node, client).await?;
        Ok(answer)
    }
}

/// The way from the node whose task this is called from; none outside of the simulation.
pub(crate) fn way(to: u64, address: &str) -> Option<Way> {
    let life = life::current()?;
    debug_assert_eq!(address, super::cluster::address(to));
    Some(Way::Simulated(Link { network: Arc::clone(life.network()), from: life.node().0, to }))
}

/// What raft's calls go through in this crate's tests.
#[derive(Clone)]
pub(crate) enum Way {
    Channel(Channel),
    Simulated(Link),
}

/// A simulated connection.
#[derive(Clone)]
pub(crate) struct Link {
    network: Arc<Network>,
    from: u64,
    to: u64,
}

type Answered = Result<http::Response<Body>, StdError>;

impl Service<http::Request<Body>> for Way {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Answered> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        match self {
            Self::Channel(channel) => channel.poll_ready(context).map_err(Into::into),
            Self::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self {
            Self::Channel(channel) => {
                let called = channel.call(request);
                Box::pin(async { called.await.map_err(Into::into) })
            }
            Self::Simulated(link) => {
                let link = link.clone();
                Box::pin(async move { link.call(request).await.map_err(Into::into) })
            }
        }
    }
}

impl Link {
    async fn call(self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let Self { network, from, to } = &self;
        network.pass(*from, *to).await?;
        let Some(listener) = network.listener(*to) else { return Err(network.gone(*to, *from).await) };
        network.oracle.trace(|| format!("{from}>{to} {}", request.uri().path()));
        let is_snapshot = request.uri().path().ends_with("Snapshot");
        let breaking = if is_snapshot { network.snapshots_broken } else { 0 };
        let request = request.map(|body| Body::new(Frames::request((self.clone(), breaking), body)));
        let (head, answered) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "in virtual time nobody waits; a seed ends")]
        let (frames, coming) = mpsc::unbounded_channel();
        listener.life.spawn(serve(listener.service.clone(), request, head, frames));
        // Its end may be heard of, or not.
        let Ok((head, sent)) = answered.await else { return Err(network.gone(*to, *from).await) };
        network.pass(*to, *from).await?;
        let back = Self { network: Arc::clone(network), from: *to, to: *from };
        Ok(http::Response::from_parts(head, Body::new(Frames::answer((back, breaking), coming, sent))))
    }
}

/// One call at the node that is called, until it is answered or its caller has given up.
async fn serve(
    mut service: RaftTransportServer<Transport>,
    request: http::Request<Body>,
    mut head: oneshot::Sender<(http::response::Parts, Instant)>,
    frames: mpsc::UnboundedSender<body::Sent>,
) {
    let answer = tokio::select! {
        biased;
        () = head.closed() => return,
        answer = service.call(request) => answer,
    };
    let (parts, body) = match answer {
        Ok(answer) => answer.into_parts(),
        Err(never) => match never {},
    };
    if head.send((parts, Instant::now())).is_ok() {
        pump(body, &frames).await;
    }
}
