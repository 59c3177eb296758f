//! The bounded queue between the groups and the writer.

use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::LogError;
use super::backend::Operation;
use super::group::GroupState;

/// Steps that may wait. Many groups with a few steps each; a step's bytes are bounded below.
const QUEUE_STEPS_MAX: usize = 4096;
/// What waits in memory for one fsync: at most 64 MiB, counted in KiB.
const QUEUE_KIB_MAX: u32 = 64 << 10;

/// Told when a step is durable, or that it never will be.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One step of one group, on its way to the disk.
pub(super) struct Step {
    pub(super) group: Arc<GroupState>,
    pub(super) operation: Operation,
    pub(super) done: Done,
    /// Returned to the queue when the step is dropped.
    _room: OwnedSemaphorePermit,
}

pub(super) enum Message {
    Step(Step),
    /// Carry out what waits, then end.
    Stop,
}

/// The groups' end of the queue.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
}

/// A place in the queue: sending from it cannot wait or fail.
pub(super) struct Slot<'a> {
    permit: mpsc::Permit<'a, Message>,
    room: OwnedSemaphorePermit,
}

impl Queue {
    pub(super) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(QUEUE_STEPS_MAX);
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize));
        (Self { sender, room }, receiver)
    }

    /// Waits for room for `bytes`. Nothing has happened yet when this is cancelled.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<Slot<'_>, LogError> {
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(QUEUE_KIB_MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.map_err(|_| LogError::Closed)?;
        let permit = self.sender.reserve().await.map_err(|_| LogError::Closed)?;
        Ok(Slot { permit, room })
    }

    pub(super) async fn stop(&self) {
        // An error means that the writer has ended already.
        let _ = self.sender.send(Message::Stop).await;
    }
}

impl Slot<'_> {
    pub(super) fn send(self, group: Arc<GroupState>, operation: Operation, done: Done) {
        self.permit.send(Message::Step(Step { group, operation, done, _room: self.room }));
    }
}
