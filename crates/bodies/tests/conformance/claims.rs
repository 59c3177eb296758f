//! One suite, every back end: what the rest of the program may rely on.

use crate::support::{S3, bytes, meter};
use buzon_bodies::{Bodies, BodiesError, Corruption, Options};
use buzon_types::body_ref::{BodyRef, KeyId, ObjectId};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

/// Longer than one part, not a multiple of one.
const LARGE: usize = 12_000_001;

/// Runs each claim on a folder and on a real S3 server.
macro_rules! on_every_back_end {
    ($($claim:ident),* $(,)?) => {
        mod folder {
            $(#[tokio::test]
            async fn $claim() {
                let root = tempfile::tempdir().unwrap();
                super::$claim(super::open(super::Options::folder(root.path().join("new/bodies"))).await).await;
            })*
        }
        mod s3 {
            $(#[tokio::test]
            async fn $claim() {
                let server = super::S3::start().await;
                super::$claim(super::open(server.options()).await).await;
            })*
        }
    };
}

on_every_back_end!(
    a_body_comes_back_whole_and_by_range,
    a_large_body_streams_in_and_out,
    an_empty_body_is_a_body,
    sizes_around_a_part_come_back,
    what_does_not_exist_is_not_found,
    nothing_is_visible_before_finish_nor_after_abort,
    many_at_once_do_not_mix,
    an_object_lists_and_tells_its_bodies,
    a_deleted_object_is_gone_and_deleting_again_is_fine,
    ranges_outside_the_body_are_refused,
    a_reference_that_lies_is_corrupt,
    a_living_store_passes_the_check,
);

async fn open(mut options: Options) -> Bodies {
    options.cache_bytes_max = 0;
    Bodies::open(&options, &meter()).await.unwrap()
}

async fn collect(bodies: &Bodies, body: &BodyRef) -> Result<Vec<u8>, BodiesError> {
    let pieces = bodies.stream(body, 0..body.length);
    pieces
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

async fn listed(bodies: &Bodies) -> Vec<ObjectId> {
    let shards = stream::iter(0..=u8::MAX).flat_map(|shard| bodies.list(shard));
    shards.map_ok(|listed| listed.object).try_collect().await.unwrap()
}

async fn a_body_comes_back_whole_and_by_range(bodies: Bodies) {
    let content = bytes(10_000);
    let body = bodies.put(content.clone()).await.unwrap();
    assert_eq!(body.length, 10_000);
    assert_eq!(bodies.get(&body).await.unwrap(), content);
    for range in [0..1, 0..10_000, 17..4711, 9_999..10_000, 5..5, 10_000..10_000] {
        let part = bodies.range(&body, range.clone()).await.unwrap();
        assert_eq!(part, content[range.start as usize..range.end as usize], "{range:?}");
    }
}

async fn a_large_body_streams_in_and_out(bodies: Bodies) {
    let content = bytes(LARGE);
    let mut writer = bodies.writer();
    for piece in content.chunks(70_001) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(writer.length(), LARGE as u64);
    let body = writer.finish().await.unwrap();
    assert!(collect(&bodies, &body).await.unwrap() == content);
    assert!(bodies.get(&body).await.unwrap() == content);
    let part = bodies.stream(&body, 5_000_000..9_000_000).try_collect::<Vec<_>>().await.unwrap().concat();
    assert!(part == content[5_000_000..9_000_000]);
}

async fn an_empty_body_is_a_body(bodies: Bodies) {
    let body = bodies.put(Bytes::new()).await.unwrap();
    assert_eq!(bodies.get(&body).await.unwrap(), Bytes::new());
    assert_eq!(collect(&bodies, &body).await.unwrap(), b"");
}

async fn sizes_around_a_part_come_back(bodies: Bodies) {
    let part = 5 << 20;
    // Header 16, seal 4, index 48: the first fills one part exactly, the last begins a third.
    for length in [part - 68, part - 67, part - 16, 2 * part - 68, 2 * part - 16] {
        let content = bytes(length);
        let body = bodies.put(content.clone()).await.unwrap();
        assert!(bodies.get(&body).await.unwrap() == content, "{length}");
        assert_eq!(bodies.index(body.object).await.unwrap()[0].body, body);
    }
}

async fn what_does_not_exist_is_not_found(bodies: Bodies) {
    let mut body = bodies.put(bytes(10)).await.unwrap();
    body.object.0 ^= 1 << 70;
    assert!(
        matches!(bodies.get(&body).await, Err(BodiesError::NotFound { object }) if object == body.object)
    );
    assert!(matches!(bodies.range(&body, 2..3).await, Err(BodiesError::NotFound { .. })));
    assert!(matches!(collect(&bodies, &body).await, Err(BodiesError::NotFound { .. })));
}

async fn nothing_is_visible_before_finish_nor_after_abort(bodies: Bodies) {
    let content = bytes(LARGE);
    let mut aborted = bodies.writer();
    aborted.write(content.clone()).await.unwrap();
    assert_eq!(listed(&bodies).await, []);
    aborted.abort().await;
    let mut dropped = bodies.writer();
    dropped.write(content).await.unwrap();
    drop(dropped);
    assert_eq!(listed(&bodies).await, []);
}

async fn many_at_once_do_not_mix(bodies: Bodies) {
    let work = (0..100).map(|at| {
        let bodies = bodies.clone();
        async move {
            let content = bytes(100 + at * 37);
            let body = bodies.put(content.clone()).await.unwrap();
            assert_eq!(bodies.get(&body).await.unwrap(), content);
            (body.object, body.offset)
        }
    });
    let mut places: Vec<(ObjectId, u64)> = stream::iter(work).buffer_unordered(100).collect().await;
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 100);
}

async fn an_object_lists_and_tells_its_bodies(bodies: Bodies) {
    let body = bodies.put(bytes(300)).await.unwrap();
    assert_eq!(listed(&bodies).await, [body.object]);
    let index = bodies.index(body.object).await.unwrap();
    assert_eq!(index.iter().map(|entry| entry.body).collect::<Vec<_>>(), [body]);
}

async fn a_deleted_object_is_gone_and_deleting_again_is_fine(bodies: Bodies) {
    let body = bodies.put(bytes(300)).await.unwrap();
    bodies.delete(body.object).await.unwrap();
    assert!(matches!(bodies.get(&body).await, Err(BodiesError::NotFound { .. })));
    bodies.delete(body.object).await.unwrap();
}

async fn ranges_outside_the_body_are_refused(bodies: Bodies) {
    let body = bodies.put(bytes(10)).await.unwrap();
    let backwards = std::ops::Range { start: 5, end: 4 };
    for range in [0..11, 11..12, backwards, 0..u64::MAX] {
        let refused = bodies.range(&body, range.clone()).await;
        assert!(matches!(refused, Err(BodiesError::OutOfRange { length: 10, .. })), "{range:?}");
        let refused = bodies.stream(&body, range).try_collect::<Vec<_>>().await;
        assert!(matches!(refused, Err(BodiesError::OutOfRange { .. })));
    }
    let encrypted = BodyRef { key: KeyId(3), ..body };
    assert!(matches!(bodies.get(&encrypted).await, Err(BodiesError::KeyMissing { key: KeyId(3), .. })));
}

async fn a_reference_that_lies_is_corrupt(bodies: Bodies) {
    let body = bodies.put(bytes(1000)).await.unwrap();
    let truncated = |what: Result<Bytes, BodiesError>| {
        matches!(what, Err(BodiesError::Corrupt { what: Corruption::Truncated, .. }))
    };
    let longer = BodyRef { length: 5000, ..body };
    assert!(truncated(bodies.get(&longer).await));
    assert!(truncated(bodies.range(&longer, 900..1200).await));
    assert!(truncated(bodies.range(&longer, 4000..4001).await), "a range that begins past the end");
    assert!(truncated(bodies.get(&BodyRef { offset: u64::MAX - 3, ..body }).await));
    let moved = BodyRef { offset: body.offset + 1, length: body.length - 1, ..body };
    let sealed = bodies.get(&moved).await;
    assert!(matches!(sealed, Err(BodiesError::Corrupt { what: Corruption::Seal, .. })));
    let streamed = collect(&bodies, &moved).await;
    assert!(matches!(streamed, Err(BodiesError::Corrupt { what: Corruption::Seal, .. })));
}

async fn a_living_store_passes_the_check(bodies: Bodies) {
    bodies.check().await.unwrap();
}
