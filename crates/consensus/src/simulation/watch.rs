//! Watch channels whose receivers wake in the order in which they waited. What of tokio's is used here, and no more.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use openraft::async_runtime::watch::{self as raft, WatchReceiver, WatchSender};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

/// All senders are gone.
#[derive(Debug, thiserror::Error)]
#[error("channel closed")]
pub(crate) struct RecvError;

struct Shared<T> {
    value: RwLock<T>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    version: u64,
    senders: usize,
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl<T> Shared<T> {
    fn notify(&self) {
        let mut waiting = self.waiting.lock();
        waiting.version += 1;
        let wakers = std::mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_values().for_each(Waker::wake);
    }

    fn borrow(&self) -> Ref<'_, T> {
        // As in tokio, one that is held does not keep a second one of the same task away.
        Ref(self.value.read_recursive())
    }
}

/// A look at the value.
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The end that tells.
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.waiting.lock().senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        waiting.senders -= 1;
        let is_last = waiting.senders == 0;
        drop(waiting);
        if is_last {
            // Nothing changed, but whoever waits shall see that nothing will.
            let wakers = std::mem::take(&mut self.0.waiting.lock().wakers);
            wakers.into_values().for_each(Waker::wake);
        }
    }
}

/// The end that waits.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), seen: self.seen }
    }
}

pub(crate) fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    pub(crate) fn new(value: T) -> Self {
        let waiting = Mutex::new(Waiting { senders: 1, ..Waiting::default() });
        Self(Arc::new(Shared { value: RwLock::new(value), waiting }))
    }

    pub(crate) fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.waiting.lock().version;
        Receiver { shared: Arc::clone(&self.0), seen }
    }

    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.0.borrow()
    }

    pub(crate) fn send_replace(&self, value: T) -> T {
        let old = std::mem::replace(&mut *self.0.value.write(), value);
        self.0.notify();
        old
    }

    pub(crate) fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = modify(&mut self.0.value.write());
        if modified {
            self.0.notify();
        }
        modified
    }
}

impl<T> Receiver<T> {
    pub(crate) fn borrow(&self) -> Ref<'_, T> {
        self.shared.borrow()
    }

    pub(crate) fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = self.shared.waiting.lock().version;
        self.shared.borrow()
    }

    pub(crate) fn has_changed(&self) -> Result<bool, RecvError> {
        let waiting = self.shared.waiting.lock();
        if waiting.senders == 0 { Err(RecvError) } else { Ok(waiting.version != self.seen) }
    }

    pub(crate) fn changed(&mut self) -> Changed<'_, T> {
        Changed { receiver: self, place: None }
    }

    pub(crate) async fn wait_for(&mut self, wanted: impl Fn(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        while !wanted(&self.borrow_and_update()) {
            self.changed().await?;
        }
        Ok(self.shared.borrow())
    }
}

/// See [`Receiver::changed`].
pub(crate) struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
    /// Where its waker is.
    place: Option<u64>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = Arc::clone(&self.receiver.shared);
        let mut waiting = shared.waiting.lock();
        if waiting.version != self.receiver.seen {
            self.receiver.seen = waiting.version;
            return Poll::Ready(Ok(()));
        }
        if waiting.senders == 0 {
            return Poll::Ready(Err(RecvError));
        }
        let place = self.place.unwrap_or_else(|| {
            waiting.next += 1;
            waiting.next
        });
        self.place = Some(place);
        waiting.wakers.insert(place, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.receiver.shared.waiting.lock().wakers.remove(&place);
        }
    }
}

/// For openraft.
pub(crate) struct Watch;

impl raft::Watch for Watch {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = Ref<'a, T>;

    fn channel<T: Send + Sync>(init: T) -> (Sender<T>, Receiver<T>) {
        channel(init)
    }
}

impl<T: Send + Sync> WatchSender<Watch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), raft::SendError<T>> {
        if Arc::strong_count(&self.0) <= self.0.waiting.lock().senders {
            return Err(raft::SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        Self::send_if_modified(self, modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        Self::subscribe(self)
    }
}

impl<T: Send + Sync> WatchReceiver<Watch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), raft::RecvError> {
        Self::changed(self).await.map_err(|_| raft::RecvError(()))
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        Self::borrow_and_update(self)
    }
}
