//! The client: constructors, and proposals that apply once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use buzon_model::command::{Command, ShardCommand};
use buzon_model::limits::ENTRY_BYTES_MAX;
use buzon_model::read::{At, Topology};
use buzon_model::reply::{Outcome, Rejection, Reply};
use buzon_proto::pb::log::v1 as pb;
use buzon_proto::pb::mail::v1::ProposeRequest;
use buzon_proto::status::{CallError, ErrorCode, WriteOutcome};
use buzon_tls::connect::{AddressError, Connector};
use buzon_types::id::{GroupId, LogIndex};
use buzon_types::request::{InstanceId, RequestId};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Endpoint;

pub use crate::retry::Deadlines;

use crate::calls::Mail;
use crate::error::MetaError;
use crate::homes::Homes;
use crate::retry::Retry;
use crate::router::{Node, Router};
use crate::session::Session;
use crate::transport::{Local, Transport};
use crate::watch::Feeds;

/// Room in an entry for time and request id beside the command.
const ENTRY_HEADER_BYTES: usize = 128;
/// How long a process that ends tries to say so: what it left open is closed later by the shards themselves.
const CLOSE_DEADLINES: Deadlines =
    Deadlines { total: Duration::from_secs(3), attempt: Duration::from_secs(2) };
/// How often a request that was never sent before may find its instance unknown; more is a fault.
const REOPENS_MAX: u32 = 3;

/// How a client behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long calls may take.
    pub deadlines: Deadlines,
    /// Proposals to one group in flight; further ones are refused at once.
    pub in_flight_max: usize,
    /// Names this client through its restarts, so that what a killed one left behind is closed. No two that run at a time
    /// may have the same.
    pub owner: u64,
}

impl Default for Options {
    fn default() -> Self {
        // As many deliveries and commands as a front end runs at a time, and far below the sequence window.
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        Self { deadlines: Deadlines::default(), in_flight_max: 4096, owner: random }
    }
}

/// A client of the metadata nodes. Cheap to clone; clones share instances and change streams.
#[derive(Debug, Clone)]
pub struct Meta {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) router: Router,
    pub(crate) options: Options,
    groups: Mutex<HashMap<GroupId, Arc<Group>>>,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) homes: Homes,
    pub(crate) topology: watch::Sender<Option<At<Topology>>>,
}

/// What is kept for a group.
#[derive(Debug)]
struct Group {
    in_flight: Semaphore,
    session: Mutex<Arc<Session>>,
}

impl Meta {
    /// Calls the services in this process, without sockets.
    pub fn in_process(routes: Routes, local: Local, options: Options) -> Self {
        Self::with_transport(Transport::local(routes, local), options)
    }

    /// Asks nodes over HTTP/2, connecting when first needed. Leader hints are matched with the endpoints'
    /// `host:port`.
    ///
    /// # Panics
    /// Without an endpoint.
    pub fn connect(endpoints: &[Endpoint], options: Options) -> Self {
        let node = |endpoint: &Endpoint| Node {
            address: endpoint.uri().authority().map(ToString::to_string).unwrap_or_default(),
            transport: Transport::channel(endpoint.connect_lazy()),
        };
        Self::new(Router::new(endpoints.iter().map(node).collect(), None), options)
    }

    /// Asks a cluster, beginning with the metadata nodes at these addresses (`HOST:PORT`). The others are learned from
    /// leader hints and from [`Meta::follow_topology`]. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If an address is none.
    ///
    /// # Panics
    /// Without an address.
    pub fn cluster(
        connector: &Connector,
        addresses: &[String],
        options: Options,
    ) -> Result<Self, AddressError> {
        let node = |address: &String| {
            let transport = Transport::channel(connector.channel(address)?);
            Ok(Node { address: address.clone(), transport })
        };
        let nodes = addresses.iter().map(node).collect::<Result<_, _>>()?;
        Ok(Self::new(Router::new(nodes, Some(connector.clone())), options))
    }

    /// One node, reached in any way: layers for tests.
    pub fn with_transport(transport: Transport, options: Options) -> Self {
        Self::new(Router::new(vec![Node { address: String::new(), transport }], None), options)
    }

    fn new(router: Router, options: Options) -> Self {
        let feeds = Arc::new(Feeds::new(router.clone()));
        let (groups, topology) = (Mutex::default(), watch::Sender::new(None));
        Self { inner: Arc::new(Inner { router, options, groups, feeds, homes: Homes::default(), topology }) }
    }

    /// Puts a command into a group's log. It applies once, whatever is lost on the way; a refusal of the state
    /// machine is an `Err` inside the outcome. An account that has moved is followed; while it moves, this waits.
    ///
    /// # Errors
    /// After all retries. With `WriteOutcome::Unknown` it may have been applied.
    pub async fn propose(&self, group: GroupId, command: Command) -> Result<(LogIndex, Outcome), MetaError> {
        if let Command::Shard(ShardCommand::Deliver { recipients, message }) = &command {
            return self.deliver_following(group, recipients, message).await;
        }
        match command.accounts()[..] {
            [account] => self.propose_following(account, group, &command).await,
            _ => self.propose_to(group, &command).await,
        }
    }

    /// To this group, wherever the account may be.
    pub(crate) async fn propose_to(
        &self,
        group: GroupId,
        command: &Command,
    ) -> Result<(LogIndex, Outcome), MetaError> {
        let command = encode(command)?;
        for _ in 0..REOPENS_MAX {
            let proposed = self.single(group).propose_encoded(&command).await?;
            if let Some(proposed) = proposed {
                return Ok(proposed);
            }
        }
        Err(lost(WriteOutcome::NotApplied))
    }

    /// For several commands that must not be sent under different instances.
    pub(crate) fn single(&self, group: GroupId) -> Single {
        let state = self.group(group);
        let session = Arc::clone(&state.session.lock());
        Single { meta: self.clone(), group, state, session }
    }

    /// As [`Meta::propose`], under a request id of the caller's: for those whose retries outlive this process. The
    /// caller opens and closes the instance itself; `InstanceUnknown` and `RequestForgotten` come back as outcomes.
    ///
    /// # Errors
    /// After all retries. With `WriteOutcome::Unknown` it may have been applied: repeat it under the same id.
    pub async fn propose_as(
        &self,
        group: GroupId,
        request: RequestId,
        command: Command,
    ) -> Result<(LogIndex, Outcome), MetaError> {
        self.send(&mut self.retry(group), group, || Some(request), &pb::Command::from(&command)).await
    }

    /// Puts a command into a group's log that changes nothing when it is repeated, so that it needs no request id.
    ///
    /// # Errors
    /// After all retries. It may be repeated.
    pub async fn propose_repeatable(
        &self,
        group: GroupId,
        command: Command,
    ) -> Result<(LogIndex, Outcome), MetaError> {
        self.send(&mut self.retry(group), group, || None, &pb::Command::from(&command)).await
    }

    /// As [`Meta::propose`], with a refusal as the error.
    pub(crate) async fn propose_ok(
        &self,
        group: GroupId,
        command: Command,
    ) -> Result<(LogIndex, Reply), MetaError> {
        let (index, outcome) = self.propose(group, command).await?;
        Ok((index, outcome?))
    }

    /// Says to every group that this client sends no more, so that its records go. Later proposals open new
    /// instances.
    ///
    /// # Errors
    /// The first of those that failed; all are tried.
    pub async fn close(&self) -> Result<(), MetaError> {
        let groups: Vec<_> =
            self.inner.groups.lock().iter().map(|(id, group)| (*id, Arc::clone(group))).collect();
        let closed = groups.into_iter().map(|(group, state)| async move {
            let session = Arc::clone(&state.session.lock());
            state.end(&session);
            if !session.opened.initialized() {
                return Ok(());
            }
            let command = pb::Command::from(&Command::CloseInstance(session.instance));
            let mut retry = Retry::new(&self.inner.router, group, CLOSE_DEADLINES);
            self.send(&mut retry, group, || None, &command).await.map(|_| ())
        });
        futures::future::join_all(closed).await.into_iter().collect()
    }

    /// Makes the group know the instance; safe to repeat.
    async fn open(&self, group: GroupId, session: &Session) -> Result<(), MetaError> {
        let command = pb::Command::from(&Command::OpenInstance(session.instance));
        // Nothing of the caller's was sent yet, whatever became of this.
        let not_applied = |error: MetaError| match error {
            MetaError::DeadlineExceeded { .. } => {
                MetaError::busy("opening the client instance took too long")
            }
            MetaError::Unavailable { source, .. } | MetaError::Internal { source, .. } => {
                MetaError::Unavailable { outcome: WriteOutcome::NotApplied, source }
            }
            error => error,
        };
        let (_, outcome) =
            self.send(&mut self.retry(group), group, || None, &command).await.map_err(not_applied)?;
        outcome?;
        Ok(())
    }

    async fn send(
        &self,
        retry: &mut Retry,
        group: GroupId,
        id: impl Fn() -> Option<RequestId>,
        command: &pb::Command,
    ) -> Result<(LogIndex, Outcome), MetaError> {
        let answer = retry.run(|transport| {
            let request = ProposeRequest {
                group: group.0,
                request: id().map(Into::into),
                command: Some(command.clone()),
            };
            Mail::of(transport).propose(request)
        });
        let answer = answer.await?;
        let outcome = answer.outcome.ok_or_else(MetaError::unexpected_reply)?;
        Ok((LogIndex(answer.index), outcome.try_into()?))
    }

    /// A read, repeated until a node answers.
    pub(crate) async fn ask<T, F>(
        &self,
        group: GroupId,
        attempt: impl FnMut(Transport) -> F,
    ) -> Result<T, MetaError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        self.retry(group).run(attempt).await
    }

    /// The same, given up sooner.
    pub(crate) async fn ask_within<T, F>(
        &self,
        deadlines: Deadlines,
        group: GroupId,
        attempt: impl FnMut(Transport) -> F,
    ) -> Result<T, MetaError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        Retry::new(&self.inner.router, group, deadlines).run(attempt).await
    }

    fn retry(&self, group: GroupId) -> Retry {
        Retry::new(&self.inner.router, group, self.inner.options.deadlines)
    }

    fn group(&self, group: GroupId) -> Arc<Group> {
        let new = || {
            Arc::new(Group {
                in_flight: Semaphore::new(self.inner.options.in_flight_max),
                session: Mutex::new(Session::new(self.inner.options.owner)),
            })
        };
        Arc::clone(self.inner.groups.lock().entry(group).or_insert_with(new))
    }
}

/// One instance in one group. What it proposes is refused once the instance is closed, and never sent under another.
pub(crate) struct Single {
    meta: Meta,
    group: GroupId,
    state: Arc<Group>,
    session: Arc<Session>,
}

impl Single {
    /// Which one.
    pub(crate) fn instance(&self) -> InstanceId {
        self.session.instance
    }

    /// As [`Meta::propose`], with a refusal as the error.
    ///
    /// # Errors
    /// As there; also once the instance is closed.
    pub(crate) async fn propose_ok(&self, command: Command) -> Result<(LogIndex, Reply), MetaError> {
        let proposed = self.propose_encoded(&encode(&command)?).await?;
        let (index, outcome) = proposed.ok_or_else(|| lost(WriteOutcome::NotApplied))?;
        Ok((index, outcome?))
    }

    /// `None`: the group does not know the instance, and no attempt was made that it could have known of.
    async fn propose_encoded(&self, command: &pb::Command) -> Result<Option<(LogIndex, Outcome)>, MetaError> {
        let Self { meta, group, state, session } = self;
        let _permit =
            state.in_flight.try_acquire().map_err(|_| MetaError::busy("too many proposals in flight"))?;
        session.opened.get_or_try_init(|| meta.open(*group, session)).await?;
        let ticket = session.ticket().ok_or_else(|| MetaError::busy("an old proposal has no answer yet"))?;
        let mut retry = meta.retry(*group);
        let (index, outcome) = loop {
            let answer = meta.send(&mut retry, *group, || Some(ticket.request()), command).await?;
            // Not recorded: the same request is tried again, and applies here or is told where to go.
            if answer.1 != Err(Rejection::Frozen) {
                break answer;
            }
            if !retry.pause(false).await {
                let source = CallError::new(ErrorCode::Unavailable, "the account is being moved");
                return Err(MetaError::Unavailable { outcome: retry.outcome(), source });
            }
        };
        match outcome {
            Err(Rejection::InstanceUnknown) => {
                state.end(session);
                match retry.outcome() {
                    WriteOutcome::Unknown => Err(lost(WriteOutcome::Unknown)),
                    WriteOutcome::NotApplied => Ok(None),
                }
            }
            Err(Rejection::RequestForgotten) => Err(lost(WriteOutcome::Unknown)),
            Err(Rejection::TooManyRequests) => Err(MetaError::busy("too many unacknowledged requests")),
            outcome => Ok(Some((index, outcome))),
        }
    }
}

fn encode(command: &Command) -> Result<pb::Command, MetaError> {
    let command = pb::Command::from(command);
    let bytes = buzon_proto::log::command_bytes(&command) + ENTRY_HEADER_BYTES;
    if bytes > ENTRY_BYTES_MAX { Err(MetaError::TooLarge { bytes }) } else { Ok(command) }
}

impl Group {
    /// Ends a session, unless somebody did already.
    fn end(&self, session: &Arc<Session>) {
        let mut current = self.session.lock();
        if Arc::ptr_eq(&current, session) {
            *current = Session::new(session.instance.owner());
        }
    }
}

/// The group does not know what became of our requests.
fn lost(outcome: WriteOutcome) -> MetaError {
    let source =
        CallError { outcome, ..CallError::new(ErrorCode::Unavailable, "client instance is not known") };
    MetaError::Unavailable { outcome, source }
}
