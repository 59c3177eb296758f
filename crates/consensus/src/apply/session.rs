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
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::machine::{ApplyError, Machine};
use crate::pb;

/// Pages that are kept for a peer that may not have them: more than all that can be on the way, which is what the
/// channel to the stream holds and what gRPC sends ahead of a receiver.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// A peer that does not come back for so long begins anew: as long as commits are noted for it.
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
    sending: Arc<tokio::sync::Mutex<Sending>>,
    /// Ends the stream that uses it.
    stream: Mutex<CancellationToken>,
    /// Counts the streams.
    streams: AtomicU64,
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
}

/// What comes next.
pub(crate) enum Next {
    Page(Page),
    End(GroupHead),
}

/// A session with a stream of its own.
pub(crate) struct Stream {
    pub(crate) session: Arc<Session>,
    pub(crate) sending: tokio::sync::OwnedMutexGuard<Sending>,
    /// The first page to send.
    pub(crate) from: u64,
    /// Another stream takes over, or the group stops.
    pub(crate) stop: CancellationToken,
    /// Which stream of the session it is.
    number: u64,
}

/// A stream that has ended, for [`Sessions::wait`].
pub(crate) struct Ended {
    session: Arc<Session>,
    number: u64,
    stop: CancellationToken,
}

impl Stream {
    /// As it is told to the peer.
    pub(crate) fn session(&self) -> pb::SnapshotSession {
        pb::SnapshotSession { id: self.session.id.clone(), pages: self.from }
    }

    /// Its session may get another one.
    pub(crate) fn end(self) -> Ended {
        Ended { session: self.session, number: self.number, stop: self.stop }
    }
}

impl Sessions {
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A stream for a peer: of the session that it has pages of, or of a new one.
    pub(crate) async fn open(
        &self,
        machine: &Machine,
        peer: u64,
        taken: Option<&pb::SnapshotSession>,
    ) -> Result<Stream, ApplyError> {
        let known = self.by_peer.lock().get(&peer).cloned();
        if let Some((session, taken)) = known.zip(taken)
            && session.id == taken.id
            && let Some(stream) = session.resume(machine, taken.pages).await
        {
            tracing::info!(group = %machine.group(), peer, pages = taken.pages, "go on with a snapshot");
            return Ok(stream);
        }
        self.begin(machine, peer).await
    }

    async fn begin(&self, machine: &Machine, peer: u64) -> Result<Stream, ApplyError> {
        let export = machine.store().begin_export(machine.group()).await;
        let export = export.map_err(|error| machine.store_error(error))?;
        let sending = Sending { export, kept: VecDeque::new(), kept_bytes: 0, read: 0, end: None };
        let session = Arc::new(Session {
            id: Bytes::copy_from_slice(Uuid::new_v4().as_bytes()),
            sending: Arc::new(tokio::sync::Mutex::new(sending)),
            stream: Mutex::new(machine.stop().child_token()),
            streams: AtomicU64::new(1),
        });
        let old = self.by_peer.lock().insert(peer, Arc::clone(&session));
        if let Some(old) = old {
            old.stream.lock().cancel();
        }
        let stop = session.stream.lock().clone();
        let sending = Arc::clone(&session.sending).lock_owned().await;
        Ok(Stream { session, sending, from: 0, stop, number: 1 })
    }

    /// The peer has it all, or will never ask for the rest.
    pub(crate) fn close(&self, peer: u64, session: &Session) {
        let mut by_peer = self.by_peer.lock();
        if by_peer.get(&peer).is_some_and(|known| known.id == session.id) {
            by_peer.remove(&peer);
        }
        session.stream.lock().cancel();
    }

    /// After a stream has ended: waits for the next one, or closes the session.
    pub(crate) async fn wait(&self, peer: u64, ended: Ended) {
        tokio::select! {
            () = tokio::time::sleep(KEPT_FOR) => {}
            // The next one is there, or the session is closed, or the group stops.
            () = ended.stop.cancelled() => {}
        }
        if ended.session.streams.load(Ordering::SeqCst) == ended.number {
            self.close(peer, &ended.session);
        }
    }
}

impl Session {
    /// Another stream, if the pages from there on can be had.
    async fn resume(self: &Arc<Self>, machine: &Machine, from: u64) -> Option<Stream> {
        let number = self.streams.fetch_add(1, Ordering::SeqCst) + 1;
        let stop = machine.stop().child_token();
        std::mem::replace(&mut *self.stream.lock(), stop.clone()).cancel();
        let sending = Arc::clone(&self.sending).lock_owned();
        let sending = tokio::time::timeout(STREAM_ENDS_WITHIN, sending).await.ok()?;
        let first_kept = sending.read - sending.kept.len() as u64;
        let stream = Stream { session: Arc::clone(self), sending, from, stop, number };
        (first_kept..=stream.sending.read).contains(&from).then_some(stream)
    }
}

impl Sending {
    /// The page at a place, or that there are so many, with which the rows stand at `needed` or later.
    pub(crate) async fn next(&mut self, machine: &Machine, at: u64, needed: u64) -> Result<Next, ApplyError> {
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
