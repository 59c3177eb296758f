//! The handle that the rest of the program holds.

use std::ops::Range;
use std::sync::Arc;

use buzon_types::body_ref::{BodyRef, ObjectId};
use bytes::Bytes;
use futures::stream::{BoxStream, Stream};
use object_store::ObjectStore;
use opentelemetry::metrics::Meter;

use crate::backend;
use crate::cache::Cache;
use crate::error::{BodiesError, Corruption};
use crate::format::{self, FOOTER_BYTES, HEADER_BYTES};
use crate::grow::Growing;
use crate::list::{self, ListedObject};
use crate::metrics::Metrics;
use crate::options::{Backend, Options};
use crate::pack::{PACKED_BYTES_MAX, Packer};
use crate::read::Reader;
use crate::requests::Requests;
use crate::writer::BodyWriter;

/// The store of bodies; clones share everything.
#[derive(Debug, Clone)]
pub struct Bodies {
    requests: Arc<Requests>,
    packer: Arc<Packer>,
    reader: Arc<Reader>,
}

impl Bodies {
    /// Opens the store. A folder is made and flushed; a bucket is not asked (see [`Bodies::check`]).
    ///
    /// # Errors
    /// [`BodiesError::Options`] if it cannot be used.
    pub async fn open(options: &Options, meter: &Meter) -> Result<Self, BodiesError> {
        let store = backend::open(&options.backend, options.deadline).await?;
        let growing = match &options.backend {
            Backend::Folder { path } => Some(Growing::new(path.clone())),
            Backend::S3(_) => None,
        };
        Ok(Self::with(store, growing, options, meter))
    }

    /// Over a store that the caller made; of `options.backend` only counts whether it is a folder.
    pub fn over(store: Arc<dyn ObjectStore>, options: &Options, meter: &Meter) -> Self {
        Self::with(store, None, options, meter)
    }

    fn with(store: Arc<dyn ObjectStore>, growing: Option<Growing>, options: &Options, meter: &Meter) -> Self {
        let metrics = Metrics::new(meter);
        let is_remote = !matches!(options.backend, Backend::Folder { .. });
        let in_flight_max = options.requests_in_flight_max;
        let requests = Arc::new(Requests::new(store, in_flight_max, options.deadline, metrics, is_remote));
        let cache = (options.cache_bytes_max > 0).then(|| Cache::new(options.cache_bytes_max));
        let read_ahead_bytes = options.read_ahead_bytes;
        let reader = Arc::new(Reader { requests: requests.clone(), cache, read_ahead_bytes });
        let packer = Arc::new(Packer::new(requests.clone(), growing));
        Self { requests, packer, reader }
    }

    /// Stores a body. It is durable when this returns: only then may metadata name it.
    ///
    /// Small bodies put at one time share an object, in a folder also those put one after another; nobody may read
    /// anything into `object` or `offset`.
    ///
    /// # Errors
    /// No such body exists then; put it again if the error is retryable.
    pub async fn put(&self, body: Bytes) -> Result<BodyRef, BodiesError> {
        self.requests.metrics().stored();
        if body.len() <= PACKED_BYTES_MAX {
            return self.packer.put(body).await;
        }
        let mut writer = BodyWriter::new(self.requests.clone(), body.len());
        writer.write(body).await?;
        writer.finish().await
    }

    /// For a body that is too large to hold in memory, or whose size is not known.
    pub fn writer(&self) -> BodyWriter {
        BodyWriter::new(self.requests.clone(), 0)
    }

    /// The whole body, verified. For large ones see [`Bodies::stream`].
    ///
    /// # Errors
    /// As [`BodiesError`] tells.
    pub async fn get(&self, body: &BodyRef) -> Result<Bytes, BodiesError> {
        self.reader.whole(body).await
    }

    /// These bytes of the body: from the cache, or by one request for exactly them.
    ///
    /// # Errors
    /// As [`BodiesError`] tells.
    pub async fn range(&self, body: &BodyRef, range: Range<u64>) -> Result<Bytes, BodiesError> {
        self.reader.range(body, range).await
    }

    /// Like [`Bodies::range`], for a client that reads slice after slice: what follows, up to `limit` (the end of the
    /// part) and `read_ahead_bytes`, is fetched in the same request and kept.
    ///
    /// # Errors
    /// As [`BodiesError`] tells.
    pub async fn range_ahead(
        &self,
        body: &BodyRef,
        range: Range<u64>,
        limit: u64,
    ) -> Result<Bytes, BodiesError> {
        self.reader.range_ahead(body, range, limit).await
    }

    /// These bytes of the body in pieces of at most 1 MiB, fetched as they are polled for: one piece is in memory, and
    /// nothing is held at the store while the reader is slow. The stream ends after an error. A whole body
    /// (`0..body.length`) is verified before its last piece is given out. Passes by the cache.
    pub fn stream(
        &self,
        body: &BodyRef,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, BodiesError>> + Send + 'static {
        self.reader.clone().stream(*body, range)
    }

    /// Removes an object with all its bodies: for the collector alone. One that is gone already is no error.
    ///
    /// # Errors
    /// It may or may not be gone; remove it again. In a folder a removal is not flushed: a power cut may undo it.
    pub async fn delete(&self, object: ObjectId) -> Result<(), BodiesError> {
        self.packer.end_growth(object).await;
        self.requests.delete(object).await
    }

    /// The objects of one of the 256 shards of the name space, in no order.
    pub fn list(&self, shard: u8) -> BoxStream<'static, Result<ListedObject, BodiesError>> {
        list::shard(&self.requests, shard)
    }

    /// What an object says of itself: the references of its bodies. For the collector and for salvage.
    ///
    /// # Errors
    /// [`BodiesError::Corrupt`] if it is not one of ours or damaged.
    pub async fn index(&self, object: ObjectId) -> Result<Vec<format::Entry>, BodiesError> {
        let corrupt = |what| BodiesError::Corrupt { object, what };
        let header = self.requests.get_range(object, 0..HEADER_BYTES).await?;
        format::check_header(object, &header).map_err(corrupt)?;
        let size = self.requests.size(object).await?;
        let footer_at = size.checked_sub(FOOTER_BYTES).ok_or(corrupt(Corruption::Truncated))?;
        let footer = self.requests.get_range(object, footer_at..size).await?;
        let index_bytes = format::index_bytes(&footer).map_err(corrupt)?;
        let index_at = size.checked_sub(index_bytes).ok_or(corrupt(Corruption::Index))?;
        let index = self.requests.get_range(object, index_at..size).await?;
        format::read_index(object, &index).map_err(corrupt)
    }

    /// Whether the store answers: for readiness.
    ///
    /// # Errors
    /// It does not, or refuses, or there is no such bucket.
    pub async fn check(&self) -> Result<(), BodiesError> {
        self.requests.check().await
    }
}
