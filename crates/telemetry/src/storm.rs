//! Keeps one fault that many requests meet from filling the log.
//!
//! ```
//! # use buzon_telemetry::storm::Storm;
//! # use std::time::Duration;
//! static STORE_AWAY: Storm = Storm::new(Duration::from_secs(10));
//! if let Some(silenced) = STORE_AWAY.pass() {
//!     tracing::warn!(silenced, "object store is away");
//! }
//! ```

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lets one line through per interval and counts the others.
#[derive(Debug)]
pub struct Storm {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Option<Instant>,
    silenced: u64,
}

impl Storm {
    /// One line per `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::new(State { last: None, silenced: 0 }) }
    }

    /// Whether to log now, and how many were kept back since the last time.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        // Two numbers are never half written: a panic elsewhere while it was held does not matter.
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < self.interval) {
            state.silenced += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.silenced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_an_interval_passes_and_tells_how_many_did_not() {
        let storm = Storm::new(Duration::from_secs(10));
        let start = Instant::now();
        let passed = [0, 1, 9, 10, 11, 25].map(|at| storm.pass_at(start + Duration::from_secs(at)));
        assert_eq!(passed, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
