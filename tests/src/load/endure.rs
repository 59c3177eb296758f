//! The same load against a cluster in trouble: an account goes on through any front-end, and settles what became of an
//! unanswered change before the next one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use parking_lot::Mutex;
use rand::seq::IndexedRandom;

use super::check::Bodies;
use super::person::{Addresses, Person, Violation};
use crate::imap::Imap;

/// No fault of the suite lasts so long.
const AWAY_MAX: Duration = Duration::from_secs(180);
/// Between two attempts of a client that was refused.
const PAUSE: Duration = Duration::from_millis(200);
/// Messages that were read back before are read again: one in so many.
const AGAIN_ONE_IN: u32 = 20;

/// The front-ends that are there now.
pub type Fronts = Mutex<Vec<Addresses>>;

impl Person {
    /// Works through whatever front-end answers, until `stop`. Every unanswered change is settled.
    ///
    /// # Errors
    /// A broken promise, or no service for longer than any fault lasts.
    pub fn endure(&mut self, fronts: &Fronts, stop: &AtomicBool) -> anyhow::Result<()> {
        while !stop.load(Ordering::Acquire) {
            let Some(at) = self.front(fronts) else {
                std::thread::sleep(PAUSE); // all are gone: part of a fault
                continue;
            };
            let Err(error) = self.work_until(&at, stop) else { break };
            if error.downcast_ref::<Violation>().is_some() {
                return Err(error).with_context(|| format!("{} while {:?}", self.user, self.model.pending));
            }
            self.interrupted += 1;
            self.settle_through(fronts)?;
        }
        self.settle_through(fronts)
    }

    fn front(&mut self, fronts: &Fronts) -> Option<Addresses> {
        fronts.lock().choose(&mut self.random).cloned()
    }

    /// Waits for service, then compares.
    ///
    /// # Errors
    /// As [`Person::endure`].
    pub fn settle_through(&mut self, fronts: &Fronts) -> anyhow::Result<()> {
        let until = Instant::now() + AWAY_MAX;
        let (before, unknown) = (self.model.clone(), self.unknown);
        loop {
            let settled = match self.front(fronts) {
                Some(at) => self.barrier(&at).and_then(|()| self.check(&at, Bodies::Some(AGAIN_ONE_IN))),
                None => Err(anyhow!("no front-end is there")),
            };
            let Err(error) = settled else { return Ok(()) };
            if !is_trouble(&error) {
                return Err(error);
            }
            (self.model, self.unknown) = (before.clone(), unknown);
            if Instant::now() > until {
                bail!("{}: no service for {AWAY_MAX:?}: {error:#}", self.user);
            }
            std::thread::sleep(PAUSE); // there is no event to wait for
        }
    }

    /// A change of the account that is acknowledged: whatever its shard's log held before is decided by then.
    fn barrier(&mut self, at: &Addresses) -> anyhow::Result<()> {
        let mut imap = Imap::login(at.imaps, &at.ca, &self.user, &self.password)?;
        imap.ok("UNSUBSCRIBE INBOX")?;
        imap.ok("SUBSCRIBE INBOX").map(drop)
    }
}

/// A connection that broke, or a refusal for now.
pub(crate) fn is_trouble(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    let broken = error.chain().any(|cause| cause.is::<std::io::Error>());
    broken || text.contains("[UNAVAILABLE]") || text.contains("connection closed") || text.contains("* BYE")
}
