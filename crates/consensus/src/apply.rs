//! Apply: committed entries → rows, in log order (DESIGN D1, D2).
//!
//! ```text
//! entries ─▶ flushed in our log? ─▶ load what is missing ─▶ decide ─▶ answer, events
//!                                                             └─▶ behind ─▶ many batches in one SQL transaction
//!                                        any database error: caches go, replay from the stored position
//! ```
//! This file is what openraft calls; the work is in `machine` (one group's state), `loading` (how it
//! comes to be), `behind` (its rows) and `snapshot`.

mod behind;
pub(crate) mod budget;
mod error;
mod loading;
mod machine;
mod partial;
mod points;
mod rows;
pub(crate) mod session;
mod snapshot;
mod view;

use std::io;
use std::sync::Arc;

use futures::{FutureExt as _, Stream, StreamExt as _};
use openraft::EntryPayload;
use openraft::entry::RaftEntry as _;
use openraft::storage::{ApplyResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::type_config::alias::SnapshotOf;

pub(crate) use self::error::ApplyError;
pub(crate) use self::machine::{Machine, MachineParts};
pub(crate) use self::partial::Partial;
pub(crate) use self::points::Point;
pub(crate) use self::snapshot::{SnapshotData, Staged};
pub use self::view::View;
use crate::record;
use crate::type_config::{Answer, Entry, EntryResponder, LogId, SnapshotMeta, StoredMembership, TypeConfig};

/// Entries decided at once: enough to load what they miss together, few enough to answer the first one soon.
const BATCH_ENTRIES_MAX: usize = 1024;
/// The same for large entries, of which each takes up to 1 MiB.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// A group's state machine, as openraft sees it.
#[derive(Clone)]
pub(crate) struct Applier {
    machine: Arc<Machine>,
}

impl Applier {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self { machine }
    }
}

impl RaftStateMachine<TypeConfig> for Applier {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let head = self.machine.head().await?;
        let membership = record::decode_stored_membership(head.membership)?;
        Ok((record::read_applied(&head.applied)?, membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder>> + Unpin + Send,
    {
        loop {
            let (batch, responders) = gather(&mut entries).await?;
            if batch.is_empty() {
                return Ok(());
            }
            let applied = self.machine.apply(&batch).await;
            let outcomes = applied.inspect_err(|error| {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(group = %self.machine.group(), %error, cause, "the group stops: apply failed");
            })?;
            for (responder, outcome) in responders.into_iter().zip(outcomes) {
                if let Some(responder) = responder {
                    responder.send(Answer(outcome));
                }
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData) -> io::Result<()> {
        tracing::info!(group = %self.machine.group(), meta = ?meta.last_log_id, "install a snapshot");
        Ok(self.machine.install(snapshot).await?)
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotData>>> {
        let snapshot = self.snapshot().await?;
        Ok(snapshot.meta.last_log_id.is_some().then_some(snapshot))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Applier {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData>> {
        let snapshot = self.snapshot().await?;
        let position = snapshot.meta.last_log_id.as_ref().map_or(0, |last| record::position(last).0);
        self.machine.noted().send_replace(position);
        Ok(snapshot)
    }
}

impl Applier {
    /// A snapshot is where the rows stand, and that they are on the database's disk: the log may then be purged, and who
    /// is sent the rows gets no less. Rows are read when it is sent.
    async fn snapshot(&self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData>> {
        let head = self.machine.durable_head().await?;
        let last_membership = record::decode_stored_membership(head.membership)?;
        let meta = SnapshotMeta { last_log_id: record::read_applied(&head.applied)?, last_membership };
        Ok(Snapshot { meta, snapshot: SnapshotData::Rows(Arc::clone(&self.machine)) })
    }
}

/// The next entries that are at hand, up to a batch's bounds; none at the end.
async fn gather(
    entries: &mut (impl Stream<Item = io::Result<EntryResponder>> + Unpin),
) -> io::Result<(Vec<Entry>, Vec<Option<ApplyResponder<TypeConfig>>>)> {
    let (mut batch, mut responders, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut next = entries.next().await;
    while let Some(item) = next {
        let (entry, responder) = item?;
        if let EntryPayload::Normal(command) = &entry.payload {
            bytes += command.0.len();
        }
        batch.push(entry);
        responders.push(responder);
        let full = batch.len() >= BATCH_ENTRIES_MAX || bytes >= BATCH_BYTES_MAX;
        next = if full { None } else { entries.next().now_or_never().flatten() };
    }
    Ok((batch, responders))
}

/// The first index of a batch.
fn first_index(entries: &[Entry]) -> u64 {
    entries.first().map_or(0, |entry| entry.index())
}
