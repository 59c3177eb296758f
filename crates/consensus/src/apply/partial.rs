//! What is staged of a snapshot whose stream may break: the next stream goes on from there. In memory only, so a restart
//! begins anew.

use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::store::Install;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;
use crate::pb;

/// A page that is being staged when its stream is told to end is waited for.
const STREAM_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone)]
pub(crate) struct Partial {
    /// The sender's session.
    pub(crate) session: Bytes,
    /// The node that sends it.
    pub(crate) from: u64,
    /// So many pages are staged.
    pub(crate) pages: u64,
    pub(crate) install: Arc<dyn Install>,
    /// The incarnation of the database's server: one that restarted may have lost pages.
    pub(crate) server: u64,
}

/// The snapshot that is coming in, or came in part.
#[derive(Default)]
pub(crate) struct Incoming {
    partial: Mutex<Option<Partial>>,
    /// Who has a stream open, and what ends it.
    stream: Mutex<Option<(u64, CancellationToken)>>,
}

impl Incoming {
    /// Notes a stream of a node; what ends it when that node asks how far it came.
    pub(crate) fn open(&self, from: u64) -> CancellationToken {
        let stop = CancellationToken::new();
        *self.stream.lock() = Some((from, stop.clone()));
        stop
    }

    /// What came in part.
    pub(crate) fn partial(&self) -> Option<Partial> {
        self.partial.lock().clone()
    }

    /// One more page is staged, or none yet; and none of any other snapshot.
    pub(crate) fn note(&self, partial: &Partial) {
        *self.partial.lock() = Some(partial.clone());
    }

    /// It is whole, or of no use any more.
    pub(crate) fn forget(&self) {
        *self.partial.lock() = None;
    }
}

impl Machine {
    /// What has come in part from a node, which has given up its stream if it asks. None if that does not end in time.
    pub(crate) async fn taken_from(&self, node: u64) -> Option<pb::SnapshotSession> {
        let stream = self.incoming.stream.lock().clone();
        if let Some((_, stop)) = stream.filter(|(from, _)| *from == node) {
            stop.cancel();
            let turn = tokio::time::timeout(STREAM_ENDS_WITHIN, self.installing.lock());
            drop(turn.await.ok()?);
        }
        let partial = self.incoming.partial().filter(|partial| partial.from == node);
        partial.map(|partial| pb::SnapshotSession { id: partial.session, pages: partial.pages })
    }
}
