//! Bytes read lately, by body: so that a client that reads a part in slices costs one request per window, and not
//! one per slice. Bodies are immutable, so nothing here is ever stale.

use std::ops::Range;
use std::sync::Arc;

use buzon_types::body_ref::{BodyRef, ObjectId};
use bytes::Bytes;
use moka::future::Cache as Moka;

/// A body keeps this many pieces: several clients may read different parts of it at one time.
const SEGMENTS_MAX: usize = 8;
/// What an entry costs beside its bytes.
const ENTRY_OVERHEAD_BYTES: u64 = 200;
/// One body may take at most this share of the memory, or it would push all others out.
const SHARE_OF_ONE_BODY: u64 = 8;

/// A piece of a body.
#[derive(Debug, Clone)]
struct Segment {
    start: u64,
    bytes: Bytes,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn covers(&self, range: &Range<u64>) -> bool {
        self.start <= range.start && range.end <= self.end()
    }
}

/// Pieces of a body, oldest first; never changed, only replaced.
type Segments = Arc<[Segment]>;

/// The cache; bounded in bytes.
#[derive(Debug)]
pub(crate) struct Cache {
    bodies: Moka<(ObjectId, u64), Segments>,
    body_bytes_max: u64,
}

impl Cache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let weigh = |_: &(ObjectId, u64), segments: &Segments| {
            let bytes: u64 = segments.iter().map(|segment| segment.bytes.len() as u64).sum();
            u32::try_from(bytes + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let bodies = Moka::builder().max_capacity(bytes_max).weigher(weigh).build();
        Self { bodies, body_bytes_max: bytes_max / SHARE_OF_ONE_BODY }
    }

    /// The bytes of this range of the body, if one piece has them all.
    pub(crate) async fn find(&self, body: &BodyRef, range: &Range<u64>) -> Option<Bytes> {
        let segments = self.bodies.get(&(body.object, body.offset)).await?;
        let segment = segments.iter().find(|segment| segment.covers(range))?;
        let start = (range.start - segment.start) as usize;
        let end = (range.end - segment.start) as usize;
        Some(segment.bytes.slice(start..end))
    }

    /// Remembers a piece. Two writers at one time may lose one piece, which costs a read and no more.
    pub(crate) async fn keep(&self, body: &BodyRef, start: u64, bytes: &Bytes) {
        if bytes.is_empty() || bytes.len() as u64 > self.body_bytes_max {
            return;
        }
        // A copy: the bytes may be a slice of a far larger buffer of the client's, which they would keep alive.
        let new = Segment { start, bytes: Bytes::copy_from_slice(bytes) };
        let key = (body.object, body.offset);
        let old = self.bodies.get(&key).await.unwrap_or_default();
        let mut kept: Vec<Segment> =
            old.iter().filter(|segment| !new.covers(&(segment.start..segment.end()))).cloned().collect();
        let mut room = self.body_bytes_max - new.bytes.len() as u64;
        let fitting = kept.iter().rev().take(SEGMENTS_MAX - 1).take_while(|segment| {
            let fits = segment.bytes.len() as u64 <= room;
            room = room.saturating_sub(segment.bytes.len() as u64);
            fits
        });
        let fitting = fitting.count();
        kept.drain(..kept.len() - fitting);
        kept.push(new);
        self.bodies.insert(key, kept.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buzon_types::body_ref::{Encoding, KeyId};

    fn body() -> BodyRef {
        BodyRef { object: ObjectId(7), offset: 16, length: 1000, encoding: Encoding::Plain, key: KeyId(0) }
    }

    #[tokio::test]
    async fn a_piece_answers_for_every_range_inside_it() {
        let cache = Cache::new(1 << 20);
        cache.keep(&body(), 100, &Bytes::from_static(b"0123456789")).await;
        assert_eq!(cache.find(&body(), &(103..105)).await.as_deref(), Some(&b"34"[..]));
        assert_eq!(cache.find(&body(), &(100..110)).await.as_deref(), Some(&b"0123456789"[..]));
        assert_eq!(cache.find(&body(), &(99..101)).await, None);
        assert_eq!(cache.find(&body(), &(109..111)).await, None);
    }

    #[tokio::test]
    async fn a_body_keeps_a_bounded_number_of_pieces_and_the_newest() {
        let cache = Cache::new(1 << 20);
        for start in 0..20 {
            cache.keep(&body(), start * 10, &Bytes::from_static(b"x")).await;
        }
        assert!(cache.find(&body(), &(0..1)).await.is_none());
        assert!(cache.find(&body(), &(190..191)).await.is_some());
        assert!(cache.find(&body(), &(120..121)).await.is_some());
        assert!(cache.find(&body(), &(110..111)).await.is_none());
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_kept() {
        let cache = Cache::new(800);
        cache.keep(&body(), 0, &Bytes::from(vec![0; 101])).await;
        assert!(cache.find(&body(), &(0..1)).await.is_none());
        cache.keep(&body(), 0, &Bytes::from(vec![0; 60])).await;
        cache.keep(&body(), 500, &Bytes::from(vec![0; 60])).await;
        assert!(cache.find(&body(), &(500..501)).await.is_some());
        assert!(cache.find(&body(), &(0..1)).await.is_none(), "both are more than the share of one body");
    }
}
