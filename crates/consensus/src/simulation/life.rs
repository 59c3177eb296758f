//! One run of one node's process: its tasks stop when it is paused and are gone when it ends, wherever they are.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use buzon_types::id::NodeId;
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinHandle};

use super::network::Network;
use super::oracle::Oracle;
use super::random::Random;
use crate::log::shared::FatalHandler;

/// Ended tasks are forgotten when there are so many more than before.
const TASKS_SLACK: usize = 256;

/// See the module.
pub(crate) struct Life {
    node: NodeId,
    /// Tells a node's processes apart.
    count: u64,
    random: Random,
    network: Arc<Network>,
    oracle: Arc<Oracle>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    paused: bool,
    wakers: Vec<Waker>,
    tasks: Vec<AbortHandle>,
    prune_at: usize,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Life>>> = const { RefCell::new(None) };
}

/// Whose task is running; nobody's outside of the simulation, and in its clients.
pub(crate) fn current() -> Option<Arc<Life>> {
    CURRENT.with_borrow(Clone::clone)
}

impl Life {
    pub(crate) fn new(
        (node, count): (NodeId, u64),
        random: Random,
        network: Arc<Network>,
        oracle: Arc<Oracle>,
    ) -> Arc<Self> {
        Arc::new(Self { node, count, random, network, oracle, state: Mutex::default() })
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    pub(crate) fn oracle(&self) -> &Arc<Oracle> {
        &self.oracle
    }

    pub(crate) fn network(&self) -> &Arc<Network> {
        &self.network
    }

    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(Scoped { life: Arc::clone(self), future: Box::pin(future) });
        let mut state = self.state.lock();
        if state.tasks.len() >= state.prune_at {
            state.tasks.retain(|task| !task.is_finished());
            state.prune_at = state.tasks.len() + TASKS_SLACK;
        }
        state.tasks.push(task.abort_handle());
        if state.ended {
            task.abort();
        }
        task
    }

    /// The process is gone: none of its tasks takes another step.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.wakers.clear();
        let tasks = std::mem::take(&mut state.tasks);
        drop(state);
        tasks.iter().for_each(AbortHandle::abort);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// As `SIGSTOP` and `SIGCONT` do.
    pub(crate) fn pause(&self, paused: bool) {
        let mut state = self.state.lock();
        state.paused = paused;
        let wakers = if paused { Vec::new() } else { std::mem::take(&mut state.wakers) };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state.lock().paused
    }
}

/// A disk that failed ends the process.
impl FatalHandler for Life {
    fn fatal(&self, error: &(dyn std::error::Error + 'static)) {
        self.oracle.note(|| format!("node {}: fatal: {error}", self.node));
        self.end();
    }
}

struct Scoped<F> {
    life: Arc<Life>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let life = Arc::clone(&self.life);
        {
            let mut state = life.state.lock();
            if state.ended {
                return Poll::Pending;
            }
            if state.paused {
                state.wakers.push(context.waker().clone());
                return Poll::Pending;
            }
        }
        let before = CURRENT.replace(Some(Arc::clone(&life)));
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(context)));
        CURRENT.set(before);
        match polled {
            // What it made in its last breath is not seen by anybody.
            _ if life.is_ended() => Poll::Pending,
            Ok(polled) => polled,
            Err(panic) => {
                life.oracle.panicked(life.node, panic.as_ref());
                Poll::Pending
            }
        }
    }
}
