//! Reading: whole bodies are verified by their seal, ranges are one request each, streams go window by window so
//! that a slow reader holds neither a connection to the store nor a place in the queue.

use std::ops::Range;
use std::sync::Arc;

use buzon_types::body_ref::{BodyRef, KeyId};
use bytes::Bytes;
use futures::stream::{self, Stream};

use crate::cache::Cache;
use crate::error::{BodiesError, Corruption};
use crate::format::{self, Frame, SEAL_BYTES};
use crate::requests::Requests;

/// What a stream holds in memory and asks in one request: large enough that a store's latency is small beside it.
pub(crate) const STREAM_WINDOW_BYTES: u64 = 1 << 20;

/// The reading side.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) requests: Arc<Requests>,
    pub(crate) cache: Option<Cache>,
    pub(crate) read_ahead_bytes: u64,
}

impl Reader {
    pub(crate) async fn whole(&self, body: &BodyRef) -> Result<Bytes, BodiesError> {
        check(body, &(0..body.length))?;
        if let Some(bytes) = self.cached(body, &(0..body.length)).await {
            return Ok(bytes);
        }
        let bytes = self.fetch_whole(body).await?;
        self.keep(body, 0, &bytes).await;
        Ok(bytes)
    }

    pub(crate) async fn range(&self, body: &BodyRef, range: Range<u64>) -> Result<Bytes, BodiesError> {
        self.range_ahead(body, range, 0).await
    }

    /// `limit`: reading ahead stops here.
    pub(crate) async fn range_ahead(
        &self,
        body: &BodyRef,
        range: Range<u64>,
        limit: u64,
    ) -> Result<Bytes, BodiesError> {
        check(body, &range)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if let Some(bytes) = self.cached(body, &range).await {
            return Ok(bytes);
        }
        let ahead = range.start.saturating_add(self.read_ahead_bytes).min(limit).min(body.length);
        let end = if self.cache.is_some() { ahead.max(range.end) } else { range.end };
        let window = range.start..end;
        let bytes = if window == (0..body.length) {
            self.fetch_whole(body).await?
        } else {
            self.fetch(body, window).await?
        };
        self.keep(body, range.start, &bytes).await;
        Ok(bytes.slice(..(range.end - range.start) as usize))
    }

    /// The bytes of a range in windows; a whole body's last window comes only once the seal was checked.
    pub(crate) fn stream(
        self: Arc<Self>,
        body: BodyRef,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, BodiesError>> + Send + 'static {
        let frame = (range == (0..body.length)).then(|| Frame::begin(body.object, body.offset));
        let begin = Streaming { reader: self, body, rest: range, frame };
        stream::try_unfold(begin, |mut state| async move {
            let window = state.next_window().await?;
            Ok(window.map(|bytes| (bytes, state)))
        })
    }

    async fn fetch_whole(&self, body: &BodyRef) -> Result<Bytes, BodiesError> {
        let sealed =
            self.requests.get_range(body.object, body.offset..body.offset + body.length + SEAL_BYTES);
        format::open_sealed(body, sealed.await?).map_err(|what| corrupt(body, what))
    }

    async fn fetch(&self, body: &BodyRef, range: Range<u64>) -> Result<Bytes, BodiesError> {
        let wanted = range.end - range.start;
        let at = body.offset + range.start..body.offset + range.end;
        let bytes = self.requests.get_range(body.object, at).await?;
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(corrupt(body, Corruption::Truncated)) }
    }

    async fn cached(&self, body: &BodyRef, range: &Range<u64>) -> Option<Bytes> {
        let found = self.cache.as_ref()?.find(body, range).await;
        self.requests.metrics().looked_up(found.is_some());
        found
    }

    async fn keep(&self, body: &BodyRef, start: u64, bytes: &Bytes) {
        if let Some(cache) = &self.cache {
            cache.keep(body, start, bytes).await;
        }
    }
}

/// A stream under way.
struct Streaming {
    reader: Arc<Reader>,
    body: BodyRef,
    rest: Range<u64>,
    /// Sums a whole body.
    frame: Option<Frame>,
}

impl Streaming {
    async fn next_window(&mut self) -> Result<Option<Bytes>, BodiesError> {
        check(&self.body, &self.rest)?;
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self.rest.end.min(self.rest.start + STREAM_WINDOW_BYTES);
        let window = self.rest.start..end;
        self.rest.start = end;
        let last = end == self.rest.end;
        match self.frame.as_mut() {
            Some(_) if last => self.last_of_whole(window).await.map(Some),
            Some(frame) => {
                let bytes = self.reader.fetch(&self.body, window).await?;
                frame.update(&bytes);
                Ok(Some(bytes))
            }
            None => self.reader.fetch(&self.body, window).await.map(Some),
        }
    }

    async fn last_of_whole(&mut self, window: Range<u64>) -> Result<Bytes, BodiesError> {
        let length = window.end - window.start;
        let mut bytes = self.reader.fetch(&self.body, window.start..window.end + SEAL_BYTES).await?;
        let seal = bytes.split_off(length as usize);
        if let Some(mut frame) = self.frame.take() {
            frame.update(&bytes);
            format::check_seal(frame, &seal).map_err(|what| corrupt(&self.body, what))?;
        }
        Ok(bytes)
    }
}

/// Whether this process can read the body at all, and whether the range lies inside it. Also keeps the sums of
/// offsets from overflowing.
fn check(body: &BodyRef, range: &Range<u64>) -> Result<(), BodiesError> {
    if body.key != KeyId(0) {
        return Err(BodiesError::KeyMissing { object: body.object, key: body.key });
    }
    if body.offset.checked_add(body.length).and_then(|end| end.checked_add(SEAL_BYTES)).is_none() {
        return Err(corrupt(body, Corruption::Truncated));
    }
    if range.start > range.end || range.end > body.length {
        return Err(BodiesError::OutOfRange { range: range.clone(), length: body.length });
    }
    Ok(())
}

pub(crate) fn corrupt(body: &BodyRef, what: Corruption) -> BodiesError {
    BodiesError::Corrupt { object: body.object, what }
}
