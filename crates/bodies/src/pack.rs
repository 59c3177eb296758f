//! Small bodies put at one time share an object (DESIGN D7): stores bill and limit by request, a disk by flush.
//!
//! A body that finds few objects on their way is sent at once. The others gather in the next object, which goes when
//! one of those has arrived, when it is full, or when its first body has waited long enough: a request that hangs
//! holds up nobody else for longer than that.

use std::sync::Arc;
use std::time::Duration;

use buzon_types::body_ref::{BodyRef, ObjectId};
use bytes::{Bytes, BytesMut};
use object_store::PutPayload;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{BodiesError, RequestKind};
use crate::format::{self, Entry, Frame, HEADER_BYTES, SEAL_BYTES};
use crate::name;
use crate::requests::Requests;

/// Larger bodies get an object of their own: a request costs little beside them.
pub(crate) const PACKED_BYTES_MAX: usize = 256 << 10;
/// An object that has so many bytes is sent: it is held in memory twice until it has arrived.
const OBJECT_BYTES_FULL: u64 = 1 << 20;
/// Two, so that one is on its way while the store works on the other; with more on their way fewer bodies gather.
const IN_FLIGHT_USUAL: usize = 2;
/// How long a body waits for company while requests are slow.
const GATHER_MAX: Duration = Duration::from_millis(30);

/// Puts bodies into objects.
#[derive(Debug)]
pub(crate) struct Packer {
    requests: Arc<Requests>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The object that takes bodies.
    open: Option<Object>,
    /// Objects on their way.
    in_flight: usize,
}

/// An object that is being filled.
#[derive(Debug)]
struct Object {
    id: ObjectId,
    /// Where the next body begins.
    end: u64,
    bodies: Vec<Packed>,
}

#[derive(Debug)]
struct Packed {
    bytes: Bytes,
    entry: Entry,
    /// Whoever waits for it; perhaps nobody any more.
    caller: oneshot::Sender<Result<(), BodiesError>>,
}

impl Packer {
    pub(crate) fn new(requests: Arc<Requests>) -> Self {
        Self { requests, state: Mutex::default() }
    }

    /// See [`Bodies::put`](crate::Bodies::put). The body is sent though the caller goes away.
    pub(crate) async fn put(self: &Arc<Self>, bytes: Bytes) -> Result<BodyRef, BodiesError> {
        let mut frame = Frame::begin(ObjectId(0), 0);
        frame.update(&bytes);
        let (caller, arrived) = oneshot::channel();
        let body = self.add(frame, bytes, caller);
        let lost = |_| Err(BodiesError::Unavailable { request: RequestKind::Put, source: None });
        arrived.await.unwrap_or_else(lost).map(|()| body)
    }

    fn add(
        self: &Arc<Self>,
        frame: Frame,
        bytes: Bytes,
        caller: oneshot::Sender<Result<(), BodiesError>>,
    ) -> BodyRef {
        let mut state = self.state.lock();
        let is_first = state.open.is_none();
        let object = state.open.get_or_insert_with(Object::new);
        let entry = object.add(frame, bytes, caller);
        let (id, is_full) = (object.id, object.end >= OBJECT_BYTES_FULL);
        if is_full || state.in_flight < IN_FLIGHT_USUAL {
            self.send(&mut state);
        } else if is_first {
            let packer = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER_MAX).await;
                packer.send_late(id);
            });
        }
        entry.body
    }

    fn send_late(self: &Arc<Self>, id: ObjectId) {
        let mut state = self.state.lock();
        if state.open.as_ref().is_some_and(|open| open.id == id) {
            self.send(&mut state);
        }
    }

    fn send(self: &Arc<Self>, state: &mut State) {
        let Some(object) = state.open.take() else { return };
        state.in_flight += 1;
        let packer = Arc::clone(self);
        tokio::spawn(async move {
            let mut next = Some(object);
            while let Some(object) = next {
                object.put(&packer.requests).await;
                next = packer.arrived();
            }
        });
    }

    /// What to send next in this one's place.
    fn arrived(&self) -> Option<Object> {
        let mut state = self.state.lock();
        let next = if state.in_flight > IN_FLIGHT_USUAL { None } else { state.open.take() };
        state.in_flight -= usize::from(next.is_none());
        next
    }
}

impl Object {
    fn new() -> Self {
        Self { id: name::fresh(), end: HEADER_BYTES, bodies: Vec::new() }
    }

    fn add(&mut self, frame: Frame, bytes: Bytes, caller: oneshot::Sender<Result<(), BodiesError>>) -> Entry {
        let entry = frame.moved_to(self.id, self.end).finish();
        self.end += entry.body.length + SEAL_BYTES;
        self.bodies.push(Packed { bytes, entry, caller });
        entry
    }

    async fn put(self, requests: &Requests) {
        let result = requests.put(self.id, self.payload()).await;
        for body in self.bodies {
            drop(body.caller.send(result.clone())); // a caller that went away need not know
        }
    }

    fn payload(&self) -> PutPayload {
        let entries: Vec<Entry> = self.bodies.iter().map(|body| body.entry).collect();
        let trailer = format::trailer(self.id, &entries);
        let mut out = BytesMut::with_capacity(self.end as usize + trailer.len());
        out.extend_from_slice(&format::header(self.id));
        for body in &self.bodies {
            out.extend_from_slice(&body.bytes);
            out.extend_from_slice(&body.entry.seal.to_be_bytes());
        }
        out.extend_from_slice(&trailer);
        PutPayload::from_bytes(out.freeze())
    }
}
