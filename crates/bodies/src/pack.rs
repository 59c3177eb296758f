//! Small bodies put at one time share an object (DESIGN D7): stores bill and limit by request, a disk by flush.
//!
//! A body that finds few objects on their way is sent at once. The others gather in the next object, which goes when
//! one of those has arrived, when it is full, or when its first body has waited long enough: a request that hangs
//! holds up nobody else for longer than that. In a folder objects grow ([`crate::grow`]): one addition at a time.

use std::sync::Arc;
use std::time::Duration;

use buzon_types::body_ref::{BodyRef, ObjectId};
use bytes::{Bytes, BytesMut};
use object_store::PutPayload;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{BodiesError, RequestKind};
use crate::format::{self, Entry, Frame, HEADER_BYTES, SEAL_BYTES};
use crate::grow::Growing;
use crate::name;
use crate::requests::Requests;

/// Larger bodies get an object of their own: a request costs little beside them.
pub(crate) const PACKED_BYTES_MAX: usize = 256 << 10;
/// An object that has so many bytes is sent: it is held in memory twice until it has arrived.
const OBJECT_BYTES_FULL: u64 = 1 << 20;
/// Two, so that one is on its way while the store works on the other; with more on their way fewer bodies gather.
const IN_FLIGHT_USUAL: usize = 2;
/// To a file one thing can be added at a time.
const IN_FLIGHT_GROWING: usize = 1;
/// How long a body waits for company while requests are slow.
const GATHER_MAX: Duration = Duration::from_millis(30);

/// Puts bodies into objects.
#[derive(Debug)]
pub(crate) struct Packer {
    requests: Arc<Requests>,
    /// Where objects can grow.
    growing: Option<Growing>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts groups of bodies.
    number: u64,
    /// Bodies that gather.
    open: Option<Group>,
    /// Groups on their way.
    in_flight: usize,
}

/// Bodies that go together.
#[derive(Debug)]
struct Group {
    number: u64,
    bytes: u64,
    bodies: Vec<Packed>,
}

#[derive(Debug)]
struct Packed {
    bytes: Bytes,
    frame: Frame,
    /// Whoever waits for it; perhaps nobody any more.
    caller: oneshot::Sender<Result<BodyRef, BodiesError>>,
}

impl Packer {
    pub(crate) fn new(requests: Arc<Requests>, growing: Option<Growing>) -> Self {
        Self { requests, growing, state: Mutex::default() }
    }

    /// See [`Bodies::put`](crate::Bodies::put). The body is sent though the caller goes away.
    pub(crate) async fn put(self: &Arc<Self>, bytes: Bytes) -> Result<BodyRef, BodiesError> {
        let mut frame = Frame::begin(ObjectId(0), 0);
        frame.update(&bytes);
        let (caller, arrived) = oneshot::channel();
        self.add(Packed { bytes, frame, caller });
        arrived.await.unwrap_or(Err(BodiesError::Unavailable { request: RequestKind::Put, source: None }))
    }

    /// Nothing more goes into this object.
    pub(crate) async fn end_growth(&self, object: ObjectId) {
        if let Some(growing) = &self.growing {
            growing.end(object).await;
        }
    }

    fn in_flight_usual(&self) -> usize {
        if self.growing.is_some() { IN_FLIGHT_GROWING } else { IN_FLIGHT_USUAL }
    }

    fn add(self: &Arc<Self>, body: Packed) {
        let mut state = self.state.lock();
        let is_first = state.open.is_none();
        state.number += u64::from(is_first);
        let number = state.number;
        let group = state.open.get_or_insert_with(|| Group { number, bytes: 0, bodies: Vec::new() });
        group.bytes += body.frame.length() + SEAL_BYTES;
        group.bodies.push(body);
        if group.bytes >= OBJECT_BYTES_FULL || state.in_flight < self.in_flight_usual() {
            self.send(&mut state);
        } else if is_first {
            let packer = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER_MAX).await;
                packer.send_late(number);
            });
        }
    }

    fn send_late(self: &Arc<Self>, number: u64) {
        let mut state = self.state.lock();
        if state.open.as_ref().is_some_and(|open| open.number == number) {
            self.send(&mut state);
        }
    }

    fn send(self: &Arc<Self>, state: &mut State) {
        let Some(group) = state.open.take() else { return };
        state.in_flight += 1;
        let packer = Arc::clone(self);
        tokio::spawn(async move {
            let mut next = Some(group);
            while let Some(group) = next {
                group.put(&packer.requests, packer.growing.as_ref()).await;
                next = packer.arrived();
            }
        });
    }

    /// What to send next in this one's place.
    fn arrived(&self) -> Option<Group> {
        let mut state = self.state.lock();
        let next = if state.in_flight > self.in_flight_usual() { None } else { state.open.take() };
        state.in_flight -= usize::from(next.is_none());
        next
    }
}

impl Group {
    async fn put(self, requests: &Requests, growing: Option<&Growing>) {
        let bodies = self.bodies.iter().map(|body| (body.frame.clone(), body.bytes.clone()));
        let result = match growing {
            Some(growing) => requests.add(growing, bodies.collect(), self.bytes).await,
            None => self.put_new(requests).await,
        };
        let entries = result.as_ref().map_or(&[][..], |entries| entries);
        let mut bodies = entries.iter().map(|entry| entry.body);
        for waiting in self.bodies {
            let placed = bodies.next().ok_or_else(|| lost(result.as_ref().err()));
            drop(waiting.caller.send(placed)); // a caller that went away need not know
        }
    }

    /// Into an object of their own.
    async fn put_new(&self, requests: &Requests) -> Result<Vec<Entry>, BodiesError> {
        let object = name::fresh();
        let mut out = BytesMut::with_capacity((HEADER_BYTES + self.bytes) as usize);
        out.extend_from_slice(&format::header(object));
        let framed = self.bodies.iter().map(|body| (body.frame.clone(), &body.bytes));
        let entries = format::put_bodies(&mut out, object, HEADER_BYTES, framed);
        out.extend_from_slice(&format::trailer(object, &entries));
        requests.put(object, PutPayload::from_bytes(out.freeze())).await?;
        Ok(entries)
    }
}

/// What each caller of a group that did not arrive is told.
fn lost(error: Option<&BodiesError>) -> BodiesError {
    error.cloned().unwrap_or(BodiesError::Unavailable { request: RequestKind::Put, source: None })
}
