//! A group's rows between nodes: read page by page on one, staged on the other. The leader pushes them to a follower
//! that its log cannot help; a node whose database was lost pulls them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::store::{Applied, GroupHead, Install, Page};
use buzon_types::id::NodeId;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::peers::Peers;
use crate::apply::{Machine, Staged};
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

/// The parts of a snapshot that a leader pushes.
pub(super) fn pushed(
    machine: Arc<Machine>,
    begin: pb::SnapshotBegin,
) -> impl Stream<Item = pb::SnapshotPart> {
    let (parts, receiver) = mpsc::channel(pages_ahead_max());
    export(machine, Some(Part::Begin(begin)), move |part| {
        futures::executor::block_on(parts.send(part)).is_ok()
    });
    ReceiverStream::new(receiver)
}

/// What a member sends that was asked for its rows.
pub(super) type Fetched = ReceiverStream<Result<pb::SnapshotPart, Status>>;

/// The parts of a snapshot that somebody asked for.
///
/// # Errors
/// When the rows stand before `at_least`, or cannot be read now.
pub(super) async fn fetched(machine: &Arc<Machine>, at_least: Option<LogId>) -> Result<Fetched, Status> {
    let unavailable = |error: &dyn std::error::Error| Status::unavailable(error.to_string());
    let head = machine.head().await.map_err(|error| unavailable(&error))?;
    let applied = record::read_applied(&head.applied).map_err(|error| unavailable(&error))?;
    if applied < at_least || applied.is_none() {
        return Err(Status::unavailable(format!("its rows stand at {} only", head.applied.index)));
    }
    let (parts, receiver) = mpsc::channel(pages_ahead_max());
    export(Arc::clone(machine), None, move |part| futures::executor::block_on(parts.send(Ok(part))).is_ok());
    Ok(ReceiverStream::new(receiver))
}

/// Reads a group's rows on a thread that may block while the network is slower than the database. `send` says whether
/// anybody wants the rest.
fn export(
    machine: Arc<Machine>,
    begin: Option<Part>,
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
        let group = machine.group();
        let head = match machine.store().export(group, &mut visit).await {
            Ok(head) => head,
            Err(error) => {
                let error = machine.store_error(error);
                return tracing::warn!(%group, %error, "export a snapshot");
            }
        };
        match snapshot_meta(&head) {
            Ok(meta) => drop(send(Part::End(pb::SnapshotEnd { pages, meta: Some(meta) }))),
            Err(error) => tracing::error!(%group, %error, "read the position of the rows"),
        }
    });
}

fn snapshot_meta(head: &GroupHead) -> Result<pb::SnapshotMeta, RecordError> {
    let last = record::read_applied(&head.applied)?.as_ref().map(record::log_id);
    let membership = record::decode_stored_membership(head.membership.clone())?;
    Ok(pb::SnapshotMeta { last, membership: Some(record::stored_membership(&membership)) })
}

/// Asks a member for a group's rows and stages them.
///
/// # Errors
/// What the member says, or that the rows did not come whole; nothing has changed.
pub(crate) async fn fetch_snapshot(
    peers: &Peers,
    (node, address): (NodeId, &str),
    machine: &Machine,
    at_least: Option<LogId>,
) -> Result<Staged, Status> {
    let client = peers.client(node.0, address);
    let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = pb::FetchSnapshotRequest {
        header: Some(peers.header(machine.group().0, node.0)),
        at_least: at_least.as_ref().map(record::log_id),
    };
    let late = |_| Status::deadline_exceeded("the snapshot does not begin");
    let asked = tokio::time::timeout(PART_WAIT_MAX, client.fetch_snapshot(request));
    let mut parts = asked.await.map_err(late)??.into_inner();
    let turn = machine.turn_to_install().ok_or_else(|| Status::aborted("another snapshot is coming in"))?;
    let (install, meta) = receive(&mut parts, machine).await?;
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

/// Stages all pages. They are on the database's disk when this returns: making them the group's may be repeated after
/// a crash of the server, but not with pages lost.
pub(super) async fn receive(
    parts: &mut Streaming<pb::SnapshotPart>,
    machine: &Machine,
) -> Result<(Arc<dyn Install>, SnapshotMeta), Status> {
    let (store, group) = (machine.store(), machine.group());
    let failed = |error| super::server::unavailable(&machine.store_error(error));
    let server = store.server_incarnation().await.map_err(failed)?;
    let install = store.begin_install(group).await.map_err(failed)?;
    let meta = stage(parts, install.as_ref(), machine).await?;
    store.durable_index(group, true).await.map_err(failed)?;
    if store.server_incarnation().await.map_err(failed)? != server {
        return Err(Status::unavailable("the database restarted while the snapshot came in"));
    }
    Ok((install, meta))
}

/// Takes pages until the end says that these were all.
async fn stage(
    parts: &mut Streaming<pb::SnapshotPart>,
    install: &dyn Install,
    machine: &Machine,
) -> Result<SnapshotMeta, Status> {
    let mut pages = 0;
    loop {
        match next(parts).await? {
            Some(Part::Page(page)) => {
                let staged = install.page(Page(page)).await;
                staged.map_err(|error| super::server::unavailable(&machine.store_error(error)))?;
                pages += 1;
            }
            Some(Part::End(end)) if end.pages == pages => {
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
