//! Messages on their way in, by LMTP, APPEND or import: what they take of memory, and the step that makes their
//! bodies durable and derives their summaries.

use std::sync::Arc;
use std::time::Duration;

use buzon_bodies::Bodies;
use buzon_bodies::BodiesError;
use buzon_message::summary::Summary;
use buzon_types::body_ref::BodyRef;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in these, as a semaphore takes at most `u32::MAX` permits at once.
const UNIT_BYTES: u64 = 1024;
/// A message that finds the budget used up waits so long before it is told to come again.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Larger messages are parsed on a thread of their own, so that no other connection waits.
const PARSE_INLINE_BYTES_MAX: usize = 128 * 1024;

/// Memory for all messages on their way in, over all connections of the process.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
}

/// What one message holds of the budget; given back on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    bytes: u64,
}

/// The budget is used up: the client should come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("memory for incoming messages is used up")]
pub struct BudgetExhausted;

impl Budget {
    /// So many bytes for all messages together.
    pub fn new(bytes_max: u64) -> Self {
        let units = usize::try_from(bytes_max / UNIT_BYTES).unwrap_or(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))) }
    }

    /// Nothing yet.
    pub fn reserve(&self) -> Reservation {
        Reservation { budget: self.clone(), held: None, bytes: 0 }
    }
}

impl Reservation {
    /// Makes it so many bytes in all. Nothing happens if it holds as much already.
    ///
    /// # Errors
    /// If the budget stays used up for ten seconds: several growing messages may hold what each other needs.
    pub async fn grow_to(&mut self, bytes: u64) -> Result<(), BudgetExhausted> {
        let missing = bytes.div_ceil(UNIT_BYTES).saturating_sub(self.bytes.div_ceil(UNIT_BYTES));
        if missing > 0 {
            let units = u32::try_from(missing).map_err(|_| BudgetExhausted)?;
            let wait = Arc::clone(&self.budget.units).acquire_many_owned(units);
            let permit = tokio::time::timeout(WAIT_MAX, wait).await.map_err(|_| BudgetExhausted)?;
            let permit = permit.map_err(|_| BudgetExhausted)?;
            match &mut self.held {
                Some(held) => held.merge(permit),
                None => self.held = Some(permit),
            }
        }
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }
}

/// A message whose body is durable: ready to be proposed.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Where its bytes are.
    pub body: BodyRef,
    /// RFC822.SIZE.
    pub size: u64,
    /// Encoded.
    pub summary: Bytes,
}

/// Makes the body durable while the summary is derived.
///
/// # Errors
/// If the object store does not take it; nothing refers to it then, and it may be tried again.
pub async fn keep(bodies: &Bodies, message: Bytes) -> Result<Kept, BodiesError> {
    let size = message.len() as u64;
    let (body, summary) = tokio::join!(bodies.put(message.clone()), summarize(message));
    Ok(Kept { body: body?, size, summary })
}

/// The encoded summary.
pub async fn summarize(message: Bytes) -> Bytes {
    if message.len() <= PARSE_INLINE_BYTES_MAX {
        return Summary::of(&message).encode();
    }
    let parse = tokio::task::spawn_blocking(move || Summary::of(&message).encode());
    parse.await.expect("deriving a summary does not panic, and the runtime outlives its connections")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_shared_and_given_back() {
        let budget = Budget::new(10 * UNIT_BYTES);
        let (mut one, mut two) = (budget.reserve(), budget.reserve());
        one.grow_to(6 * UNIT_BYTES).await.unwrap();
        one.grow_to(5).await.unwrap();
        assert_eq!(two.grow_to(5 * UNIT_BYTES).await, Err(BudgetExhausted));
        drop(one);
        two.grow_to(10 * UNIT_BYTES).await.unwrap();
    }
}
