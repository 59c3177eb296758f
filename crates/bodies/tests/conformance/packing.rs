//! Bodies put at one time share objects, and nothing else.

use std::time::Duration;

use buzon_bodies::{Bodies, Options};
use buzon_types::body_ref::BodyRef;
use bytes::Bytes;
use futures::future::join_all;
use futures::{FutureExt, TryStreamExt};
use hyper::Method;

use crate::support::{Fault, S3, bytes, meter};

async fn open(server: &S3) -> Bodies {
    Bodies::open(&Options { cache_bytes_max: 0, ..server.options() }, &meter()).await.unwrap()
}

/// Bodies of several sizes, each different.
fn several(count: usize) -> Vec<Bytes> {
    (0..count).map(|number| bytes(number * 997 % 20_000).slice(number % 7..).slice(..)).collect()
}

async fn check(bodies: &Bodies, body: &BodyRef, content: &Bytes) {
    assert_eq!(bodies.get(body).await.unwrap(), content);
    let streamed: Vec<Bytes> = bodies.stream(body, 0..body.length).try_collect().await.unwrap();
    assert_eq!(streamed.concat(), *content);
    let middle = body.length / 3..body.length / 2;
    let expected = content.slice(middle.start as usize..middle.end as usize);
    assert_eq!(bodies.range(body, middle).await.unwrap(), expected);
}

#[tokio::test]
async fn bodies_put_at_one_time_share_objects_and_each_is_read_alone() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    let contents: Vec<Bytes> = std::iter::once(Bytes::new()).chain(several(60).split_off(1)).collect();
    let put = join_all(contents.iter().map(|content| bodies.put(content.clone()))).await;
    // Two go at once, the others in one.
    assert_eq!(server.plan.count(&Method::PUT), 3);
    let put: Vec<BodyRef> = put.into_iter().map(Result::unwrap).collect();
    for (body, content) in put.iter().zip(&contents) {
        check(&bodies, body, content).await;
    }
    let shared = put[59].object;
    let told: Vec<BodyRef> =
        bodies.index(shared).await.unwrap().into_iter().map(|entry| entry.body).collect();
    assert_eq!(told, put[2..]);
}

#[tokio::test]
async fn one_after_another_none_waits_for_company() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    for content in several(5) {
        let body = bodies.put(content.clone()).await.unwrap();
        check(&bodies, &body, &content).await;
    }
    assert_eq!(server.plan.count(&Method::PUT), 5);
}

#[tokio::test]
async fn an_object_that_is_full_is_sent_and_a_large_body_has_its_own() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    // Two go at once; of ten of 200 KiB six fill an object.
    let mut contents = vec![bytes(200 << 10); 12];
    contents.push(bytes(300 << 10));
    let put = join_all(contents.iter().map(|content| bodies.put(content.clone()))).await;
    assert_eq!(server.plan.count(&Method::PUT), 5);
    let put: Vec<BodyRef> = put.into_iter().map(Result::unwrap).collect();
    for (body, content) in put.iter().zip(&contents) {
        check(&bodies, body, content).await;
    }
    assert_eq!(bodies.index(put[12].object).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_object_that_does_not_arrive_fails_all_its_bodies_and_they_may_be_put_again() {
    let server = S3::start().await;
    let options = Options { cache_bytes_max: 0, deadline: Duration::from_millis(400), ..server.options() };
    let bodies = Bodies::open(&options, &meter()).await.unwrap();
    server.plan.next(Method::PUT, [Fault::Refuse; 1_000]);
    let contents = several(10);
    for failed in join_all(contents.iter().map(|content| bodies.put(content.clone()))).await {
        let error = failed.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
    let bodies = open(&server).await;
    for shard in 0..=u8::MAX {
        assert_eq!(bodies.list(shard).try_collect::<Vec<_>>().await.unwrap(), []);
    }
    let server = S3::start().await;
    let bodies = open(&server).await;
    for again in join_all(contents.iter().map(|content| bodies.put(content.clone()))).await {
        again.unwrap();
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_no_other_body_with_it() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    let contents = several(6);
    let mut put: Vec<_> = contents.iter().map(|content| Box::pin(bodies.put(content.clone()))).collect();
    for begun in &mut put {
        assert!(begun.now_or_never().is_none());
    }
    // The first of those that gather; it lies there, and nobody names it.
    drop(put.remove(2));
    let put: Vec<BodyRef> = join_all(put).await.into_iter().map(Result::unwrap).collect();
    let mut left = contents;
    left.remove(2);
    for (body, content) in put.iter().zip(&left) {
        check(&bodies, body, content).await;
    }
    assert_eq!(bodies.index(put[4].object).await.unwrap().len(), 4);
}

#[tokio::test]
async fn requests_that_hang_hold_up_no_body_that_comes_after_them() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    server.plan.next(Method::PUT, [Fault::Hang, Fault::Hang]);
    let contents = several(5);
    let mut hanging: Vec<_> =
        contents[..2].iter().map(|content| Box::pin(bodies.put(content.clone()))).collect();
    for begun in &mut hanging {
        assert!(begun.now_or_never().is_none());
    }
    while server.plan.count(&Method::PUT) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let later = join_all(contents[2..].iter().map(|content| bodies.put(content.clone()))).await;
    for (body, content) in later.into_iter().zip(&contents[2..]) {
        check(&bodies, &body.unwrap(), content).await;
    }
    for begun in &mut hanging {
        assert!(begun.now_or_never().is_none());
    }
}
