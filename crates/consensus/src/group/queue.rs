//! Proposals of one group that wait for a majority and for apply: so many, and no more.
//!
//! Who comes when it is full is told at once to come again, since nothing of it is written. A place is taken until raft has
//! answered, also when the caller gave up long before: the entry is in memory until then.

use std::sync::Arc;

use buzon_model::limits::ENTRY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is proposed in a second at the rate that one group reaches (some thousands a second): more would wait for longer than
/// their callers do, once the disk is slow.
pub(crate) const PROPOSALS_MAX: usize = 4_096;
/// So many of the largest entries; usual ones take some hundred bytes. A node that leads a hundred groups is not
/// brought down by one of them.
pub(crate) const PROPOSAL_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(PROPOSAL_BYTES_MAX >= ENTRY_BYTES_MAX && PROPOSAL_BYTES_MAX <= u32::MAX as usize);

/// See the module.
pub(super) struct Queue {
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// Taken until it is dropped.
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Queue {
    pub(super) fn new() -> Self {
        let places = Arc::new(Semaphore::new(PROPOSALS_MAX));
        Self { places, bytes: Arc::new(Semaphore::new(PROPOSAL_BYTES_MAX)) }
    }

    /// A place for an entry of this size; none when there is none now.
    pub(super) fn place(&self, bytes: usize) -> Option<Place> {
        let bytes = u32::try_from(bytes).ok()?;
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some(Place { _place: place, _bytes: bytes })
    }

    /// How many places are taken.
    pub(super) fn taken(&self) -> usize {
        PROPOSALS_MAX - self.places.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_bytes_are_counted_and_come_back() {
        let queue = Queue::new();
        let small: Vec<_> = (0..PROPOSALS_MAX).map(|_| queue.place(1).unwrap()).collect();
        assert!(queue.place(1).is_none());
        assert_eq!(queue.taken(), PROPOSALS_MAX);
        drop(small);
        let large = PROPOSAL_BYTES_MAX / ENTRY_BYTES_MAX;
        let large: Vec<_> = (0..large).map(|_| queue.place(ENTRY_BYTES_MAX).unwrap()).collect();
        assert!(queue.place(1).is_none());
        // A refusal takes nothing.
        assert_eq!(queue.taken(), large.len());
        drop(large);
        assert!(queue.place(ENTRY_BYTES_MAX).is_some());
        assert_eq!(queue.taken(), 0);
    }
}
