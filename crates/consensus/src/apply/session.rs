//! Snapshots on their way to peers, which outlive the streams that carry them: a stream that breaks is followed by one
//! that goes on where the peer's staged pages end.
//!
//! ```text
//! export ─▶ pages that the peer may not have yet, kept ─▶ stream ─▶ peer, which says how many it has
//! ```
//! Nothing of it outlives the process, nor the time in which a peer comes back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buzon_meta_store::store::{Export, Exported, GroupHead, Page};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::error::ApplyError;
use super::machine::Machine;
use crate::{pb, task};

/// Pages that are kept for a peer that may not have them: more than all that can be on the way, which is what the
/// channel to the stream holds and what gRPC sends ahead of a receiver.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// A peer that does not come back for so long, or twice that, begins anew: as long as commits are noted for it.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// A stream that is told to end reads at most one page more.
const STREAM_ENDS_WITHIN: Duration = Duration::from_secs(10);

/// The snapshots that a group is sending, one for each peer.
#[derive(Default)]
pub(crate) struct Sessions {
    by_peer: Mutex<BTreeMap<u64, Arc<Session>>>,
    counts: Counts,
}

/// Since the group started.
#[derive(Default)]
pub(crate) struct Counts {
    /// Pages that were read for peers.
    pub(crate) read: AtomicU64,
    /// Pages that were put on a stream, once or again.
    pub(crate) sent: AtomicU64,
}

/// See the module.
pub(crate) struct Session {
    id: Bytes,
    /// Locked by the stream that uses it.
    sending: Arc<tokio::sync::Mutex<Sending>>,
    /// Ends that stream.
    stream: Mutex<CancellationToken>,
    /// Ends all.
    closed: CancellationToken,
}

/// What a stream sends from.
pub(crate) struct Sending {
    export: Box<dyn Export>,
    /// The last pages of the `read` ones.
    kept: VecDeque<Page>,
    kept_bytes: usize,
    read: u64,
    /// If those were all: where the rows stand with them.
    end: Option<GroupHead>,
    /// When a stream last asked for something.
    used: Instant,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    Page(Page),
    End(GroupHead),
}

/// A session with a stream of its own.
pub(crate) struct Stream {
    pub(crate) session: Arc<Session>,
    pub(crate) sending: OwnedMutexGuard<Sending>,
    /// The first page to send.
    pub(crate) from: u64,
    /// Another stream takes over, or the session is closed.
    pub(crate) stop: CancellationToken,
}

impl Stream {
    /// As it is told to the peer.
    pub(crate) fn session(&self) -> pb::SnapshotSession {
        pb::SnapshotSession { id: self.session.id.clone(), pages: self.from }
    }
}

impl Sessions {
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A stream for a peer: of the session that it has pages of, or of a new one.
    pub(crate) async fn open(
        &self,
        machine: &Arc<Machine>,
        peer: u64,
        taken: Option<&pb::SnapshotSession>,
    ) -> Result<Stream, ApplyError> {
        let known = self.by_peer.lock().get(&peer).cloned();
        if let Some((session, taken)) = known.zip(taken)
            && session.id == taken.id
            && let Some(stream) = session.resume(taken.pages).await
        {
            tracing::info!(group = %machine.group(), peer, pages = taken.pages, "go on with a snapshot");
            return Ok(stream);
        }
        self.begin(machine, peer).await
    }

    async fn begin(&self, machine: &Arc<Machine>, peer: u64) -> Result<Stream, ApplyError> {
        let export = machine.rows().await?.begin_export(machine.group()).await;
        let sending = Sending::new(export.map_err(|error| machine.store_error(error))?);
        let sending = Arc::new(tokio::sync::Mutex::new(sending));
        let guard = Arc::clone(&sending).try_lock_owned().expect("nobody else knows it yet");
        let closed = machine.stop().child_token();
        let stop = closed.child_token();
        let id = Bytes::copy_from_slice(Uuid::new_v4().as_bytes());
        let session = Arc::new(Session { id, sending, stream: Mutex::new(stop.clone()), closed });
        if let Some(old) = self.by_peer.lock().insert(peer, Arc::clone(&session)) {
            old.closed.cancel();
        }
        task::spawn(expire(Arc::clone(machine), peer, Arc::clone(&session)));
        Ok(Stream { session, sending: guard, from: 0, stop })
    }

    /// The peer has it all, or will never ask for the rest.
    pub(crate) fn close(&self, peer: u64, session: &Session) {
        session.closed.cancel();
        let mut by_peer = self.by_peer.lock();
        if by_peer.get(&peer).is_some_and(|known| known.id == session.id) {
            by_peer.remove(&peer);
        }
    }
}

/// Closes a session when its peer does not come back.
async fn expire(machine: Arc<Machine>, peer: u64, session: Arc<Session>) {
    loop {
        tokio::select! {
            biased;
            () = session.closed.cancelled() => break,
            () = tokio::time::sleep(KEPT_FOR) => {}
        }
        if session.sending.try_lock().is_ok_and(|sending| sending.used.elapsed() >= KEPT_FOR) {
            break;
        }
    }
    machine.sessions().close(peer, &session);
}

impl Session {
    /// Another stream, if the pages from there on can be had.
    async fn resume(self: &Arc<Self>, from: u64) -> Option<Stream> {
        let stop = self.closed.child_token();
        std::mem::replace(&mut *self.stream.lock(), stop.clone()).cancel();
        let sending = Arc::clone(&self.sending).lock_owned();
        let sending = tokio::time::timeout(STREAM_ENDS_WITHIN, sending).await.ok()?;
        let first_kept = sending.read - sending.kept.len() as u64;
        let is_kept = (first_kept..=sending.read).contains(&from);
        is_kept.then(|| Stream { session: Arc::clone(self), sending, from, stop })
    }
}

impl Sending {
    fn new(export: Box<dyn Export>) -> Self {
        Self { export, kept: VecDeque::new(), kept_bytes: 0, read: 0, end: None, used: Instant::now() }
    }

    /// The page at a place, or that there are so many, with which the rows stand at `needed` or later.
    ///
    /// # Errors
    /// If the rows do not come to stand there: whoever was promised that much must not take them for it.
    pub(crate) async fn next(&mut self, machine: &Machine, at: u64, needed: u64) -> Result<Next, ApplyError> {
        self.used = Instant::now();
        loop {
            if let Some(back) = self.read.checked_sub(at).filter(|back| *back > 0) {
                let page = usize::try_from(back).ok().and_then(|back| self.kept.len().checked_sub(back));
                let page = page.and_then(|page| self.kept.get(page));
                return Ok(Next::Page(page.expect("a stream begins at a page that is kept").clone()));
            }
            if let Some(end) = self.end.as_ref().filter(|end| end.applied.index >= needed) {
                return Ok(Next::End(end.clone()));
            }
            match self.export.next().await.map_err(|error| machine.store_error(error))? {
                Exported::End(head) if head.applied.index < needed => {
                    let (group, applied) = (machine.group(), head.applied.index);
                    return Err(ApplyError::Behind { group, applied, log: needed });
                }
                Exported::End(head) => self.end = Some(head),
                Exported::Page(page) => {
                    self.end = None;
                    self.keep(page);
                    machine.sessions().counts.read.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn keep(&mut self, page: Page) {
        self.kept_bytes += page.0.len();
        self.kept.push_back(page);
        self.read += 1;
        while self.kept_bytes > KEPT_BYTES_MAX && self.kept.len() > 1 {
            self.kept_bytes -= self.kept.pop_front().map_or(0, |page| page.0.len());
        }
    }
}
