//! Repeats an attempt until it is answered or time runs out.

use std::future::Future;
use std::time::Duration;

use buzon_proto::status::{CallError, ErrorCode, WriteOutcome};
use buzon_types::id::GroupId;
use tokio::time::Instant;
use tonic::Status;

use crate::error::MetaError;
use crate::router::Router;
use crate::transport::Transport;

/// The first pause; doubled with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(10);
/// The longest pause: an election takes about a second, so this loses little of it.
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// Hints followed without a pause, before two nodes that point at each other are taken for a loop.
const HINTS_MAX: u32 = 3;

/// How long calls may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// All attempts together.
    pub total: Duration,
    /// One attempt: a node that does not answer is given up for another.
    pub attempt: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { total: Duration::from_secs(10), attempt: Duration::from_secs(4) }
    }
}

/// One call with all its attempts.
pub(crate) struct Retry {
    router: Router,
    group: GroupId,
    deadlines: Deadlines,
    until: Instant,
    pauses: u32,
    hints: u32,
    /// An attempt may have been applied.
    unknown: bool,
}

impl Retry {
    pub(crate) fn new(router: &Router, group: GroupId, deadlines: Deadlines) -> Self {
        let until = Instant::now() + deadlines.total;
        Self { router: router.clone(), group, deadlines, until, pauses: 0, hints: 0, unknown: false }
    }

    /// Whether an attempt may have been applied, of all made so far.
    pub(crate) const fn outcome(&self) -> WriteOutcome {
        if self.unknown { WriteOutcome::Unknown } else { WriteOutcome::NotApplied }
    }

    /// Attempts until one is answered. Every attempt must carry the same request id.
    pub(crate) async fn run<T, F>(&mut self, mut attempt: impl FnMut(Transport) -> F) -> Result<T, MetaError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        loop {
            let (at, transport) = self.router.node(self.group);
            let limit = self.until.min(Instant::now() + self.deadlines.attempt);
            let error = match tokio::time::timeout_at(limit, attempt(transport)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => CallError::from(&status),
                Err(_) => CallError::unknown(ErrorCode::DeadlineExceeded, "no answer in time"),
            };
            self.unknown |= error.outcome == WriteOutcome::Unknown;
            let again = matches!(
                error.code,
                ErrorCode::NotLeader | ErrorCode::Unavailable | ErrorCode::DeadlineExceeded
            );
            if !again {
                return Err(MetaError::of_call(error, self.outcome()));
            }
            let at_once = self.router.failed(self.group, at, &error) && self.hints < HINTS_MAX;
            if !self.pause(at_once).await {
                return Err(MetaError::of_call(error, self.outcome()));
            }
        }
    }

    /// Waits before the next attempt; false when there is no time left for one.
    pub(crate) async fn pause(&mut self, at_once: bool) -> bool {
        if at_once {
            self.hints += 1;
            return Instant::now() < self.until;
        }
        self.hints = 0;
        let next = Instant::now() + backoff(self.pauses);
        self.pauses += 1;
        if next >= self.until {
            return false;
        }
        tokio::time::sleep_until(next).await;
        true
    }
}

/// Between half and the whole of a doubled pause, so that clients of a lost leader do not come back in step.
pub(crate) fn backoff(pauses: u32) -> Duration {
    let whole = BACKOFF_MAX.min(BACKOFF_FIRST * 2u32.saturating_pow(pauses.min(16)));
    whole.mul_f64(rand::random_range(0.5..1.0))
}
