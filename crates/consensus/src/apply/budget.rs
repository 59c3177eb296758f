//! The memory for rows that all groups of a node share.
//!
//! ```text
//! a group grows ─▶ within what the others leave, or half of all ─▶ too much together? ─▶ whoever was used least
//!                                                                  recently is cut down to an even share
//! ```
//! So one group may have nearly all of it while the others rest, and none keeps what others need.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::machine::Machine;

/// Between two looks at all groups: those in use grow again at once.
const CUT_EVERY: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
    groups: AtomicUsize,
    /// Counts uses.
    clock: AtomicU64,
    exceeded: Notify,
}

/// What one group has of it; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
    used: AtomicU64,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        let (bytes, groups, clock) = Default::default();
        Arc::new(Self { bytes_max, bytes, groups, clock, exceeded: Notify::new() })
    }

    /// For a group that has nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        self.groups.fetch_add(1, Ordering::Relaxed);
        Share { budget: Arc::clone(self), bytes: AtomicUsize::new(0), used: AtomicU64::new(0) }
    }

    /// What all groups have together, nearly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn is_exceeded(&self) -> bool {
        self.bytes() > self.bytes_max
    }

    fn even_share(&self) -> usize {
        self.bytes_max / self.groups.load(Ordering::Relaxed).max(1)
    }
}

impl Share {
    /// How much the group may have at its next use.
    pub(crate) fn bytes_max(&self) -> usize {
        let others = self.budget.bytes().saturating_sub(self.bytes.load(Ordering::Relaxed));
        let max = self.budget.bytes_max;
        max.saturating_sub(others).max(max / 2)
    }

    /// What it has now; the group is in use.
    pub(crate) fn set(&self, bytes: usize) {
        self.used.store(self.budget.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.replace(bytes);
        if self.budget.is_exceeded() {
            self.budget.exceeded.notify_one();
        }
    }

    fn replace(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        if bytes >= before {
            self.budget.bytes.fetch_add(bytes - before, Ordering::Relaxed);
        } else {
            self.budget.bytes.fetch_sub(before - bytes, Ordering::Relaxed);
        }
    }

    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.replace(0);
        self.budget.groups.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Cuts groups down whenever they have too much together, until stopped.
pub(crate) async fn keep(
    budget: Arc<Budget>,
    machines: impl Fn() -> Vec<Arc<Machine>> + Send,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = budget.exceeded.notified() => {}
        }
        cut(&budget, machines()).await;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(CUT_EVERY) => {}
        }
    }
}

/// Least recently used first, to an even share each, until all is within the bound.
pub(crate) async fn cut(budget: &Budget, machines: Vec<Arc<Machine>>) {
    let mut by_use = Vec::with_capacity(machines.len());
    for machine in machines {
        if let Some(loaded) = machine.loaded.read().await.as_ref() {
            by_use.push((loaded.share.used(), Arc::clone(&machine)));
        }
    }
    by_use.sort_by_key(|(used, _)| *used);
    for (_, machine) in by_use {
        if !budget.is_exceeded() {
            return;
        }
        if let Some(loaded) = machine.loaded.write().await.as_mut() {
            loaded.state.shrink(budget.even_share());
            loaded.share.replace(loaded.bytes());
        }
    }
}
