//! What makes a retry apply once: the client instance of one group, its sequence numbers, and below which of them
//! all answers are here (DESIGN promise 4).
//!
//! A session ends when the group says it does not know the instance. A new instance is opened then, and requests
//! of the old one that were sent before stay unknown: they are never sent again under the new one.

use std::collections::BTreeSet;
use std::sync::Arc;

use buzon_types::request::{InstanceId, RequestId};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// How far sequences may run ahead of the oldest one without an answer; far below what the group keeps
/// ([`buzon_model::limits::RECORDS_PER_INSTANCE_MAX`]), so that one stuck request never loses records.
const WINDOW_MAX: u64 = 16_384;

/// One instance in one group.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) instance: InstanceId,
    /// Set once the group knows it.
    pub(crate) opened: OnceCell<()>,
    sequences: Mutex<Sequences>,
}

#[derive(Debug)]
struct Sequences {
    next: u64,
    outstanding: BTreeSet<u64>,
}

/// A sequence in use; dropping it says that nobody waits for its answer any more.
#[derive(Debug)]
pub(crate) struct Ticket {
    session: Arc<Session>,
    sequence: u64,
}

impl Session {
    /// A new instance of that owner.
    pub(crate) fn new(owner: u64) -> Arc<Self> {
        let random = uuid::Uuid::new_v4().as_u128() as u64;
        Arc::new(Self {
            instance: InstanceId::owned(owner, random),
            opened: OnceCell::new(),
            sequences: Mutex::new(Sequences { next: 1, outstanding: BTreeSet::new() }),
        })
    }

    /// The next sequence; `None` while an old one blocks the window.
    pub(crate) fn ticket(self: &Arc<Self>) -> Option<Ticket> {
        let mut sequences = self.sequences.lock();
        let oldest = sequences.oldest();
        if sequences.next - oldest >= WINDOW_MAX {
            return None;
        }
        let sequence = sequences.next;
        sequences.next += 1;
        sequences.outstanding.insert(sequence);
        Some(Ticket { session: Arc::clone(self), sequence })
    }
}

impl Sequences {
    /// All below it are answered or given up.
    fn oldest(&self) -> u64 {
        self.outstanding.first().copied().unwrap_or(self.next)
    }
}

impl Ticket {
    /// The request's id; the mark may rise from one attempt to the next.
    pub(crate) fn request(&self) -> RequestId {
        RequestId {
            instance: self.session.instance,
            sequence: self.sequence,
            acknowledged_below: self.session.sequences.lock().oldest(),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.session.sequences.lock().outstanding.remove(&self.sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_the_oldest_without_an_answer() {
        let session = Session::new(1);
        let first = session.ticket().unwrap();
        let second = session.ticket().unwrap();
        let third = session.ticket().unwrap();
        assert_eq!((third.request().sequence, third.request().acknowledged_below), (3, 1));
        drop(second);
        assert_eq!(third.request().acknowledged_below, 1);
        drop(first);
        assert_eq!(third.request().acknowledged_below, 3);
    }

    #[test]
    fn a_stuck_request_closes_the_window() {
        let session = Session::new(1);
        let stuck = session.ticket().unwrap();
        let taken = (1..WINDOW_MAX).filter(|_| session.ticket().is_some()).count() as u64;
        assert_eq!(taken, WINDOW_MAX - 1);
        assert!(session.ticket().is_none());
        drop(stuck);
        assert!(session.ticket().is_some());
    }
}
