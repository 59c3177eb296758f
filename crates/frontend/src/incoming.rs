//! Messages on their way in, by LMTP, APPEND or import: what they take of memory, and the step that makes their
//! bodies durable and derives their summaries.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use buzon_bodies::Bodies;
use buzon_bodies::BodiesError;
use buzon_message::summary::Summary;
use buzon_types::body_ref::BodyRef;
use buzon_types::id::AccountId;
use bytes::Bytes;
use opentelemetry::metrics::Meter;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget is counted in these, as a semaphore takes at most `u32::MAX` permits at once.
const UNIT_BYTES: u64 = 1024;
/// A message that finds the budget used up waits so long before it is told to come again.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Larger messages are parsed on a thread of their own, so that no other connection waits.
const PARSE_INLINE_BYTES_MAX: usize = 128 * 1024;

/// One account holds at most this part of a budget: eight that hold all they can leave none waiting for a ninth alone.
const SHARES: u64 = 8;

/// Memory for all messages on their way in, over all connections of the process.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    units_max: u64,
    shares: Arc<Mutex<HashMap<AccountId, Weak<Semaphore>>>>,
}

/// What one message holds of the budget; given back on drop.
#[derive(Debug)]
pub struct Reservation {
    /// The account's share if it has one, then what all have together: in this order, so that who has used up its own
    /// does not stand in the way of others.
    places: [Option<Place>; 2],
    bytes: u64,
    bytes_max: u64,
}

/// Where a reservation takes from, and what it took.
#[derive(Debug)]
struct Place {
    units: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

/// The budget is used up: the client should come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("memory for incoming messages is used up")]
pub struct BudgetExhausted;

impl Budget {
    /// So many bytes for all messages together.
    pub fn new(bytes_max: u64) -> Self {
        let units_max = (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS as u64);
        let units = Arc::new(Semaphore::new(units_max as usize));
        Self { units, units_max, shares: Arc::default() }
    }

    /// Shows operators what is held, and how much there is.
    pub fn observe(&self, meter: &Meter) {
        let (units, units_max) = (Arc::clone(&self.units), self.units_max);
        meter
            .u64_observable_gauge("buzon.incoming.held")
            .with_unit("By")
            .with_description("Memory that messages on their way in hold")
            .with_callback(move |observer| {
                observer
                    .observe(units_max.saturating_sub(units.available_permits() as u64) * UNIT_BYTES, &[]);
            })
            .build();
        meter
            .u64_observable_gauge("buzon.incoming.max")
            .with_unit("By")
            .with_description("Memory that messages on their way in may hold")
            .with_callback(move |observer| observer.observe(units_max * UNIT_BYTES, &[]))
            .build();
    }

    /// Nothing yet, for who may take all there is.
    pub fn reserve(&self) -> Reservation {
        let all = Place { units: Arc::clone(&self.units), held: None };
        Reservation { places: [None, Some(all)], bytes: 0, bytes_max: self.units_max * UNIT_BYTES }
    }

    /// Nothing yet, for an account: all its reservations together hold an eighth of the budget, or one of its largest
    /// messages.
    pub fn reserve_for(&self, account: AccountId, message_bytes_max: u64) -> Reservation {
        let of_message = message_bytes_max.div_ceil(UNIT_BYTES);
        let share = (self.units_max / SHARES).max(of_message).min(self.units_max);
        let mut reservation = self.reserve();
        reservation.places[0] = Some(Place { units: self.share(account, share), held: None });
        reservation.bytes_max = share * UNIT_BYTES;
        reservation
    }

    fn share(&self, account: AccountId, units: u64) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(&account).and_then(Weak::upgrade) {
            return share;
        }
        // Those that nobody holds any more go before the map would grow.
        if shares.len() == shares.capacity() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(units as usize));
        shares.insert(account, Arc::downgrade(&share));
        share
    }
}

impl Reservation {
    /// What it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it can hold at most; waiting for more would never end.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Makes it so many bytes in all. Nothing happens if it holds as much already.
    ///
    /// # Errors
    /// If the budget stays used up for ten seconds: several growing messages may hold what each other needs.
    pub async fn grow_to(&mut self, bytes: u64) -> Result<(), BudgetExhausted> {
        tokio::time::timeout(WAIT_MAX, self.wait_for(bytes)).await.map_err(|_| BudgetExhausted)?
    }

    /// As [`Self::grow_to`], however long it takes. Only for who takes all at once: nobody then waits for another that
    /// waits itself.
    pub(crate) async fn wait_for(&mut self, bytes: u64) -> Result<(), BudgetExhausted> {
        let missing = bytes.div_ceil(UNIT_BYTES).saturating_sub(self.bytes.div_ceil(UNIT_BYTES));
        if missing > 0 {
            let units = u32::try_from(missing).map_err(|_| BudgetExhausted)?;
            let mut permits = Vec::with_capacity(self.places.len());
            for place in self.places.iter().flatten() {
                let permit = Arc::clone(&place.units).acquire_many_owned(units).await;
                permits.push(permit.map_err(|_| BudgetExhausted)?);
            }
            for (place, permit) in self.places.iter_mut().flatten().zip(permits) {
                match &mut place.held {
                    Some(held) => held.merge(permit),
                    None => place.held = Some(permit),
                }
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
    #[tokio::test(start_paused = true)]
    async fn one_account_cannot_take_what_others_need() {
        let budget = Budget::new(16 * UNIT_BYTES);
        let (ana, bea) = (AccountId(1), AccountId(2));
        let mut first = budget.reserve_for(ana, 4 * UNIT_BYTES);
        first.grow_to(4 * UNIT_BYTES).await.unwrap();
        let mut second = budget.reserve_for(ana, 4 * UNIT_BYTES);
        assert_eq!(second.grow_to(1).await, Err(BudgetExhausted));
        let mut others = budget.reserve_for(bea, 4 * UNIT_BYTES);
        others.grow_to(4 * UNIT_BYTES).await.unwrap();
        budget.reserve().grow_to(8 * UNIT_BYTES).await.unwrap();
        drop(first);
        second.grow_to(4 * UNIT_BYTES).await.unwrap();
    }
}
