//! A group's rows between nodes: read page by page on one, staged on the other. The leader pushes them to a follower
//! that its log cannot help; a node whose database was lost pulls them.
//!
//! A stream that breaks is followed by one that goes on where the receiver's staged pages end (`apply::session`,
//! `apply::partial`). Nodes of versions that know nothing of this, nor of pages that say what has become of rows, get
//! all rows as of one transaction in one stream.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{Applied, GroupHead, Install, PAGE_FORMAT, Page};
use buzon_types::id::NodeId;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::peers::Peers;
use crate::apply::session::{self, Next};
use crate::apply::{ApplyError, Machine, Partial, Staged};
use crate::pb;
use crate::pb::snapshot_part::Part;
use crate::record::{self, RecordError};
use crate::task;
use crate::type_config::{LogId, SnapshotMeta};

/// Pages read ahead of the network while a snapshot is sent.
const PAGES_AHEAD_MAX: usize = 4;

/// In the simulation, where nothing may block, all of them.
fn pages_ahead_max() -> usize {
    #[cfg(test)]
    if crate::simulation::life::current().is_some() {
        return 1 << 12;
    }
    PAGES_AHEAD_MAX
}

/// A sender that is silent for so long is gone; its snapshot must not keep others away. Reading a page takes it far
/// less.
const PART_WAIT_MAX: Duration = Duration::from_secs(60);

/// Streams in a row that bring a puller nothing, before it asks somebody else.
const EMPTY_STREAMS_MAX: u32 = 5;
/// Between two of them.
const STREAM_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The parts of a snapshot that a leader pushes to a node of old.
pub(super) fn pushed_whole(
    machine: Arc<Machine>,
    begin: pb::SnapshotBegin,
    at_least: Option<LogId>,
) -> impl Stream<Item = pb::SnapshotPart> {
    let (parts, receiver) = mpsc::channel(pages_ahead_max());
    export(machine, (Some(Part::Begin(begin)), at_least), move |part| {
        futures::executor::block_on(parts.send(part)).is_ok()
    });
    ReceiverStream::new(receiver)
}

/// The parts of a snapshot that a leader pushes, from where the peer's pages end.
pub(super) fn pushed(
    machine: Arc<Machine>,
    (peer, stream): (u64, session::Stream),
    begin: pb::SnapshotBegin,
    at_least: Option<LogId>,
) -> impl Stream<Item = pb::SnapshotPart> {
    let (parts, receiver) = mpsc::channel(PAGES_AHEAD_MAX);
    let begin = Part::Begin(pb::SnapshotBegin { session: Some(stream.session()), ..begin });
    send(machine, (peer, stream), (begin, at_least), parts, |part| part);
    ReceiverStream::new(receiver)
}

/// What a member sends that was asked for its rows.
pub(super) type Fetched = ReceiverStream<Result<pb::SnapshotPart, Status>>;

/// The parts of a snapshot that somebody asked for.
///
/// # Errors
/// When the rows stand before what is asked for, or cannot be read now.
pub(super) async fn fetched(
    machine: &Arc<Machine>,
    peer: u64,
    request: pb::FetchSnapshotRequest,
) -> Result<Fetched, Status> {
    let unavailable = |error: &dyn std::error::Error| Status::unavailable(error.to_string());
    let at_least = request.at_least.map(record::read_log_id);
    let head = machine.head().await.map_err(|error| unavailable(&error))?;
    let applied = record::read_applied(&head.applied).map_err(|error| unavailable(&error))?;
    if applied < at_least || applied.is_none() {
        return Err(Status::unavailable(format!("its rows stand at {} only", head.applied.index)));
    }
    if request.page_format < PAGE_FORMAT {
        let (parts, receiver) = mpsc::channel(pages_ahead_max());
        let send = move |part| futures::executor::block_on(parts.send(Ok(part))).is_ok();
        export(Arc::clone(machine), (None, at_least), send);
        return Ok(ReceiverStream::new(receiver));
    }
    let stream = machine.sessions().open(machine, peer, request.taken.as_ref()).await;
    let stream = stream.map_err(|error| unavailable(&error))?;
    let begin = Part::Session(stream.session());
    let (parts, receiver) = mpsc::channel(PAGES_AHEAD_MAX);
    send(Arc::clone(machine), (peer, stream), (begin, at_least), parts, Ok);
    Ok(ReceiverStream::new(receiver))
}

/// Sends the rest of a session until it ends, or its stream does: the peer may come back for what it has not got.
fn send<T: Send + 'static>(
    machine: Arc<Machine>,
    (peer, mut stream): (u64, session::Stream),
    (begin, at_least): (Part, Option<LogId>),
    parts: mpsc::Sender<T>,
    wrap: impl Fn(pb::SnapshotPart) -> T + Send + 'static,
) {
    task::spawn(async move {
        let needed = position(at_least.as_ref());
        let (mut next, mut at) = (Some(begin), stream.from);
        while let Some(part) = next.take() {
            let is_end = matches!(part, Part::End(_));
            let sent = parts.send(wrap(pb::SnapshotPart { part: Some(part) }));
            let is_wanted = tokio::select! {
                biased;
                () = stream.stop.cancelled() => false,
                sent = sent => sent.is_ok(),
            };
            if !is_wanted || is_end {
                return;
            }
            // Not given up in the middle: the page would be lost.
            next = match stream.sending.next(&machine, at, needed).await.and_then(|next| to_part(next, at)) {
                Ok(part) => Some(part),
                Err(error) => {
                    tracing::warn!(group = %machine.group(), peer, %error, cause = cause(&error), "a snapshot is broken off");
                    return machine.sessions().close(peer, &stream.session);
                }
            };
            if matches!(next, Some(Part::Page(_))) {
                at += 1;
                machine.sessions().counts().sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

fn cause(error: &ApplyError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

fn to_part(next: Next, pages: u64) -> Result<Part, ApplyError> {
    Ok(match next {
        Next::Page(page) => Part::Page(page.0),
        Next::End(head) => Part::End(pb::SnapshotEnd { pages, meta: Some(snapshot_meta(&head)?) }),
    })
}

/// Reads a group's rows on a thread that may block while the network is slower than the database. `send` says whether
/// anybody wants the rest.
fn export(
    machine: Arc<Machine>,
    (begin, at_least): (Option<Part>, Option<LogId>),
    send: impl Fn(pb::SnapshotPart) -> bool + Send + Sync + 'static,
) {
    task::spawn_blocking(async move {
        let send = |part| send(pb::SnapshotPart { part: Some(part) });
        if !begin.is_none_or(send) {
            return;
        }
        let mut pages = 0;
        let mut visit = |page: Page| {
            pages += 1;
            if send(Part::Page(page.0)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let exported = async {
            let exported = machine.rows().await?.export(machine.group(), &mut visit).await;
            exported.map_err(|error| machine.store_error(error))
        };
        let head = exported.await;
        let head = head.and_then(|head| reaches(&machine, at_least.as_ref(), head));
        match head.and_then(|head| Ok(snapshot_meta(&head)?)) {
            Ok(meta) => drop(send(Part::End(pb::SnapshotEnd { pages, meta: Some(meta) }))),
            Err(error) => {
                tracing::warn!(group = %machine.group(), %error, cause = cause(&error), "a snapshot is broken off");
            }
        }
    });
}

/// No less than was promised.
fn reaches(machine: &Machine, at_least: Option<&LogId>, head: GroupHead) -> Result<GroupHead, ApplyError> {
    let (group, applied, log) = (machine.group(), head.applied.index, position(at_least));
    if applied < log { Err(ApplyError::Behind { group, applied, log }) } else { Ok(head) }
}

fn position(at_least: Option<&LogId>) -> u64 {
    at_least.map_or(0, |id| record::position(id).0)
}

fn snapshot_meta(head: &GroupHead) -> Result<pb::SnapshotMeta, RecordError> {
    let last = record::read_applied(&head.applied)?.as_ref().map(record::log_id);
    let membership = record::decode_stored_membership(head.membership.clone())?;
    Ok(pb::SnapshotMeta { last, membership: Some(record::stored_membership(&membership)) })
}

/// Asks a member for a group's rows and stages them, in as many streams as it takes while they bring something.
///
/// # Errors
/// What the member says, or that the rows did not come whole; nothing has changed.
pub(crate) async fn fetch_snapshot(
    peers: &Peers,
    member: (NodeId, &str),
    machine: &Machine,
    at_least: Option<LogId>,
) -> Result<Staged, Status> {
    let taken = || machine.incoming().partial().filter(|partial| partial.from == member.0.0);
    let (mut pages, mut empty) = (0, 0);
    loop {
        let error = match fetch_once(peers, member, machine, at_least).await {
            Ok(staged) => return Ok(staged),
            Err(error) => error,
        };
        let Some(partial) = taken() else { return Err(error) };
        empty = if partial.pages > pages { 0 } else { empty + 1 };
        pages = partial.pages;
        if empty >= EMPTY_STREAMS_MAX {
            return Err(error);
        }
        tracing::info!(group = %machine.group(), node = %member.0, pages, %error, "ask for the rest of a snapshot");
        tokio::time::sleep(STREAM_AGAIN_AFTER).await;
    }
}

async fn fetch_once(
    peers: &Peers,
    (node, address): (NodeId, &str),
    machine: &Machine,
    at_least: Option<LogId>,
) -> Result<Staged, Status> {
    let client = peers.client(node.0, address);
    let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
    let partial = machine.incoming().partial().filter(|partial| partial.from == node.0);
    let request = pb::FetchSnapshotRequest {
        header: Some(peers.header(machine.group().0, node.0)),
        at_least: at_least.as_ref().map(record::log_id),
        page_format: PAGE_FORMAT,
        taken: partial.map(|partial| pb::SnapshotSession { id: partial.session, pages: partial.pages }),
    };
    let late = |_| Status::deadline_exceeded("the snapshot does not begin");
    let asked = tokio::time::timeout(PART_WAIT_MAX, client.fetch_snapshot(request));
    let mut parts = asked.await.map_err(late)??.into_inner();
    let turn = machine.turn_to_install().ok_or_else(|| Status::aborted("another snapshot is coming in"))?;
    let stop = machine.incoming().open(node.0);
    let mut stream = Incoming { parts: &mut parts, stop, first: None, from: node.0 };
    let session = match stream.next().await? {
        Some(Part::Session(session)) => Some(session),
        other => {
            stream.first = other;
            None
        }
    };
    let (install, meta) = receive(stream, machine, session).await?;
    let head = head_of(machine, &meta)?;
    Ok(Staged { install, head, turn })
}

/// Where rows that came in stand.
pub(super) fn head_of(machine: &Machine, meta: &SnapshotMeta) -> Result<GroupHead, Status> {
    let last = meta.last_log_id.as_ref().ok_or_else(|| super::server::missing("position"))?;
    let applied: Applied = record::applied(last);
    let membership = record::encode(&record::stored_membership(&meta.last_membership));
    Ok(GroupHead { group: machine.group(), applied, membership })
}

/// A stream of parts.
pub(super) struct Incoming<'a> {
    pub(super) parts: &'a mut Streaming<pb::SnapshotPart>,
    /// The sender asks how far it came: it has given this stream up.
    pub(super) stop: CancellationToken,
    /// A part that was looked at.
    pub(super) first: Option<Part>,
    /// The node that sends.
    pub(super) from: u64,
}

impl Incoming<'_> {
    async fn next(&mut self) -> Result<Option<Part>, Status> {
        if let Some(part) = self.first.take() {
            return Ok(Some(part));
        }
        tokio::select! {
            biased;
            part = next(self.parts) => part,
            () = self.stop.cancelled() => Err(Status::aborted("the sender has given the stream up")),
        }
    }
}

/// Stages all pages. They are on the database's disk when this returns: making them the group's may be repeated after
/// a crash of the server, but not with pages lost.
pub(super) async fn receive(
    mut stream: Incoming<'_>,
    machine: &Machine,
    session: Option<pb::SnapshotSession>,
) -> Result<(Arc<dyn Install>, SnapshotMeta), Status> {
    let (store, group) = (machine.store(), machine.group());
    let failed = |error| super::server::unavailable(&machine.store_error(error));
    let mut partial = begin(machine, session, stream.from).await?;
    let meta = stage(&mut stream, &mut partial, machine).await?;
    // Whatever comes now, there is nothing to go on with.
    machine.incoming().forget();
    store.durable_index(group, true).await.map_err(failed)?;
    if store.server_incarnation().await.map_err(failed)? != partial.server {
        return Err(Status::unavailable("the database restarted while the snapshot came in"));
    }
    Ok((partial.install, meta))
}

/// What is staged of a session, or nothing of a new one.
async fn begin(
    machine: &Machine,
    session: Option<pb::SnapshotSession>,
    from: u64,
) -> Result<Partial, Status> {
    let (store, group) = (machine.store(), machine.group());
    let failed = |error| super::server::unavailable(&machine.store_error(error));
    let server = store.server_incarnation().await.map_err(failed)?;
    let pages = session.as_ref().map_or(0, |session| session.pages);
    let session = session.map(|session| session.id).unwrap_or_default();
    if pages > 0 {
        let goes_on = |partial: &Partial| {
            (&partial.session, partial.from, partial.pages, partial.server) == (&session, from, pages, server)
        };
        if let Some(partial) = machine.incoming().partial().filter(goes_on) {
            tracing::info!(%group, from, pages, "go on with a snapshot that comes in");
            return Ok(partial);
        }
        machine.incoming().forget();
        return Err(Status::aborted("the pages before are not here"));
    }
    machine.incoming().forget();
    let install = store.begin_install(group).await.map_err(failed)?;
    let partial = Partial { session, from, pages, install, server };
    if !partial.session.is_empty() {
        machine.incoming().note(&partial);
    }
    Ok(partial)
}

/// Takes pages until the end says that these were all.
async fn stage(
    stream: &mut Incoming<'_>,
    partial: &mut Partial,
    machine: &Machine,
) -> Result<SnapshotMeta, Status> {
    loop {
        match stream.next().await? {
            Some(Part::Page(page)) => {
                if let Err(error) = partial.install.page(Page(page)).await {
                    if !matches!(error, StoreError::Unavailable(_) | StoreError::Full(_)) {
                        machine.incoming().forget();
                    }
                    return Err(super::server::unavailable(&machine.store_error(error)));
                }
                partial.pages += 1;
                if !partial.session.is_empty() {
                    machine.incoming().note(partial);
                }
            }
            Some(Part::End(end)) if end.pages == partial.pages => {
                let meta = end.meta.ok_or_else(|| super::server::missing("meta"))?;
                let membership = meta.membership.ok_or_else(|| super::server::missing("membership"))?;
                let last_membership = record::read_stored_membership(membership)
                    .map_err(|error| super::server::invalid(&error))?;
                return Ok(SnapshotMeta { last_log_id: meta.last.map(record::read_log_id), last_membership });
            }
            _ => return Err(Status::data_loss("the snapshot is broken off")),
        }
    }
}

/// The next part, if it comes in time.
pub(super) async fn next(parts: &mut Streaming<pb::SnapshotPart>) -> Result<Option<Part>, Status> {
    let late = |_| Status::deadline_exceeded("the next part of the snapshot does not come");
    let part = tokio::time::timeout(PART_WAIT_MAX, parts.message()).await.map_err(late)?;
    Ok(part?.and_then(|part| part.part))
}
