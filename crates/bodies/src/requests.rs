//! Every request to the store goes through here: limited in number, bounded in time, counted, its error typed.
//! Retries with backoff are the store client's (see `backend`), within the same deadline.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use buzon_types::body_ref::ObjectId;
use bytes::Bytes;
use futures::StreamExt;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use crate::error::{BodiesError, Corruption, RequestKind};
use crate::format::{Entry, Frame};
use crate::grow::Growing;
use crate::metrics::Metrics;
use crate::name;

/// The store, limited and counted.
#[derive(Debug)]
pub(crate) struct Requests {
    store: Arc<dyn ObjectStore>,
    permits: Semaphore,
    deadline: Duration,
    metrics: Metrics,
    /// A store behind a network may have done what it gave no answer to. A folder that says no has not made the body
    /// durable, even where it can be seen: its fsync failed.
    pub(crate) answers_can_be_lost: bool,
}

impl Requests {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        in_flight_max: usize,
        deadline: Duration,
        metrics: Metrics,
        answers_can_be_lost: bool,
    ) -> Self {
        let permits = Semaphore::new(in_flight_max.max(1));
        Self { store, permits, deadline, metrics, answers_can_be_lost }
    }

    pub(crate) async fn put(&self, object: ObjectId, payload: PutPayload) -> Result<(), BodiesError> {
        let path = name::path(object);
        let bytes = payload.content_length() as u64;
        self.run(RequestKind::Put, object, self.store.put(&path, payload)).await?;
        self.metrics.wrote(bytes);
        Ok(())
    }

    /// Bodies of so many bytes with their seals into an object that grows.
    pub(crate) async fn add(
        &self,
        growing: &Growing,
        bodies: Vec<(Frame, Bytes)>,
        bytes: u64,
    ) -> Result<Vec<Entry>, BodiesError> {
        let failed = |source: std::io::Error| object_store::Error::Generic {
            store: "folder",
            source: Box::new(source),
        };
        let add = async { growing.add(bodies).await.map_err(failed) };
        let entries = self.run(RequestKind::Put, ObjectId(0), add).await?;
        self.metrics.wrote(bytes);
        Ok(entries)
    }

    /// Bytes of an object; fewer than asked when it ends before.
    pub(crate) async fn get_range(&self, object: ObjectId, range: Range<u64>) -> Result<Bytes, BodiesError> {
        let path = name::path(object);
        let started = Instant::now();
        let end = range.end;
        let result = self.run(RequestKind::GetRange, object, self.store.get_range(&path, range)).await;
        let Err(error) = result else {
            return result.inspect(|bytes| self.metrics.read(bytes.len() as u64));
        };
        match error {
            // A bucket that is not there answers the same; no message is lost by that.
            BodiesError::NotFound { .. } => Err(self.check().await.err().unwrap_or(error)),
            // A range that begins past the end is refused at once, like much else: the size tells.
            BodiesError::Unavailable { .. } if started.elapsed() < self.deadline / 2 => {
                let too_short = self.size(object).await.is_ok_and(|size| size < end);
                let what = Corruption::Truncated;
                Err(if too_short { BodiesError::Corrupt { object, what } } else { error })
            }
            _ => Err(error),
        }
    }

    pub(crate) async fn size(&self, object: ObjectId) -> Result<u64, BodiesError> {
        let path = name::path(object);
        Ok(self.run(RequestKind::Head, object, self.store.head(&path)).await?.size)
    }

    /// Removes an object; one that is not there is removed already.
    pub(crate) async fn delete(&self, object: ObjectId) -> Result<(), BodiesError> {
        let path = name::path(object);
        match self.run(RequestKind::Delete, object, self.store.delete(&path)).await {
            Err(BodiesError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    pub(crate) async fn multipart_start(
        &self,
        object: ObjectId,
    ) -> Result<Box<dyn MultipartUpload>, BodiesError> {
        let path = name::path(object);
        self.run(RequestKind::MultipartStart, object, self.store.put_multipart(&path)).await
    }

    pub(crate) async fn multipart_part(
        &self,
        object: ObjectId,
        upload: &mut dyn MultipartUpload,
        part: PutPayload,
    ) -> Result<(), BodiesError> {
        let bytes = part.content_length() as u64;
        self.run(RequestKind::MultipartPart, object, upload.put_part(part)).await?;
        self.metrics.wrote(bytes);
        Ok(())
    }

    pub(crate) async fn multipart_complete(
        &self,
        object: ObjectId,
        upload: &mut dyn MultipartUpload,
    ) -> Result<(), BodiesError> {
        self.run(RequestKind::MultipartComplete, object, upload.complete()).await.map(drop)
    }

    pub(crate) async fn multipart_abort(
        &self,
        object: ObjectId,
        upload: &mut dyn MultipartUpload,
    ) -> Result<(), BodiesError> {
        self.run(RequestKind::MultipartAbort, object, upload.abort()).await
    }

    /// Whether the store answers at all.
    pub(crate) async fn check(&self) -> Result<(), BodiesError> {
        // No object is meant; the id only fills the place.
        let none = ObjectId(0);
        let root = object_store::path::Path::from(name::ROOT);
        let first = async { self.store.list(Some(&root)).next().await.transpose() };
        self.run(RequestKind::List, none, first).await.map(drop)
    }

    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Waits for its turn, runs the request, gives up at the deadline.
    async fn run<T>(
        &self,
        kind: RequestKind,
        object: ObjectId,
        request: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, BodiesError> {
        let started = Instant::now();
        let turn_and_answer = async {
            let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
            let _in_flight = self.metrics.started();
            request.await
        };
        let span = tracing::info_span!("object_request", kind = kind.name(), %object);
        let turn_and_answer = turn_and_answer.instrument(span);
        let result = match timeout_at(started + self.deadline, turn_and_answer).await {
            Ok(answer) => answer.map_err(|error| typed(kind, object, error)),
            Err(_) => Err(BodiesError::Unavailable { request: kind, source: None }),
        };
        self.metrics.finished(kind, result.as_ref().err(), started.elapsed());
        result
    }
}

/// Refusals (credentials, permissions) count as unavailable too: the operator mends them, the mail waits.
fn typed(request: RequestKind, object: ObjectId, error: object_store::Error) -> BodiesError {
    match error {
        object_store::Error::NotFound { .. } => BodiesError::NotFound { object },
        other => BodiesError::Unavailable { request, source: Some(Arc::new(other)) },
    }
}
