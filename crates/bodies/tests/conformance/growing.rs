//! In a folder objects grow: small bodies put one after another lie in one file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use buzon_bodies::{Bodies, BodiesError, Corruption, Options};
use buzon_types::body_ref::{BodyRef, ObjectId};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use tempfile::TempDir;

use crate::support::{bytes, meter};

async fn open(root: &TempDir) -> Bodies {
    let options = Options { cache_bytes_max: 0, ..Options::folder(root.path()) };
    Bodies::open(&options, &meter()).await.unwrap()
}

fn file(root: &Path, object: ObjectId) -> PathBuf {
    let name = object.to_string();
    root.join("b").join(&name[30..]).join(&name)
}

fn several(count: usize) -> Vec<Bytes> {
    (0..count).map(|number| bytes(100 + number * 97).slice(number % 7..)).collect()
}

async fn put_in_turn(bodies: &Bodies, contents: &[Bytes]) -> Vec<BodyRef> {
    let mut put = Vec::new();
    for content in contents {
        put.push(bodies.put(content.clone()).await.unwrap());
    }
    put
}

async fn are_there(bodies: &Bodies, put: &[BodyRef], contents: &[Bytes]) {
    for (body, content) in put.iter().zip(contents) {
        assert_eq!(bodies.get(body).await.unwrap(), content);
        let streamed: Vec<Bytes> = bodies.stream(body, 0..body.length).try_collect().await.unwrap();
        assert_eq!(streamed.concat(), *content);
        let expected = content.slice(10..50);
        assert_eq!(bodies.range(body, 10..50).await.unwrap(), expected);
    }
}

fn objects(put: &[BodyRef]) -> BTreeSet<ObjectId> {
    put.iter().map(|body| body.object).collect()
}

#[tokio::test]
async fn one_after_another_share_an_object_whose_index_tells_all_at_any_time() {
    let root = tempfile::tempdir().unwrap();
    let bodies = open(&root).await;
    let contents = several(20);
    let mut put = Vec::new();
    for content in &contents {
        put.push(bodies.put(content.clone()).await.unwrap());
        let told = bodies.index(put[0].object).await.unwrap();
        assert_eq!(told.iter().map(|entry| entry.body).collect::<Vec<_>>(), put);
    }
    are_there(&bodies, &put, &contents).await;
    let mut listed = Vec::new();
    for shard in 0..=u8::MAX {
        listed.extend(bodies.list(shard).try_collect::<Vec<_>>().await.unwrap());
    }
    assert_eq!(listed.iter().map(|it| it.object).collect::<Vec<_>>(), [put[0].object]);
    assert_eq!(listed[0].bytes, std::fs::metadata(file(root.path(), put[0].object)).unwrap().len());
}

#[tokio::test]
async fn an_object_does_not_grow_without_end() {
    let root = tempfile::tempdir().unwrap();
    let bodies = open(&root).await;
    let contents = several(130);
    let put = put_in_turn(&bodies, &contents).await;
    assert_eq!(objects(&put).len(), 3, "64 additions each");
    let at_once = join_all(vec![bytes(200); 1_000].into_iter().map(|content| bodies.put(content))).await;
    let at_once: Vec<BodyRef> = at_once.into_iter().map(Result::unwrap).collect();
    let next = put_in_turn(&bodies, &contents[..2]).await;
    assert_ne!(next[0].object, at_once[999].object, "it has more than 256 bodies");
    let large = put_in_turn(&bodies, &vec![bytes(250 << 10); 20]).await;
    assert_eq!(objects(&large).len(), 2, "4 MiB each");
    are_there(&bodies, &put, &contents).await;
    are_there(&bodies, &next, &contents).await;
}

/// As a power cut may leave it.
#[tokio::test]
async fn an_addition_that_is_torn_takes_no_body_along() {
    let root = tempfile::tempdir().unwrap();
    let bodies = open(&root).await;
    let contents = several(6);
    let put = put_in_turn(&bodies, &contents).await;
    let path = file(root.path(), put[0].object);
    let last = put.last().unwrap();
    let torn = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    torn.set_len(last.offset + last.length / 2).unwrap();
    let bodies = open(&root).await;
    are_there(&bodies, &put[..5], &contents).await;
    let error = bodies.get(last).await.unwrap_err();
    assert!(matches!(error, BodiesError::Corrupt { what: Corruption::Truncated, .. }), "{error:?}");
    let again = put_in_turn(&bodies, &contents).await;
    assert!(objects(&again).is_disjoint(&objects(&put)), "another process begins another object");
    are_there(&bodies, &again, &contents).await;
}

#[tokio::test]
async fn an_addition_that_fails_is_told_and_later_bodies_begin_another_object() {
    let root = tempfile::tempdir().unwrap();
    let bodies = open(&root).await;
    let (there, away) = (root.path().join("b"), root.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    for failed in join_all(several(10).into_iter().map(|content| bodies.put(content))).await {
        assert!(failed.unwrap_err().is_retryable());
    }
    std::fs::rename(&away, &there).unwrap();
    let contents = several(3);
    let put = put_in_turn(&bodies, &contents).await;
    are_there(&bodies, &put, &contents).await;
}

#[tokio::test]
async fn nothing_is_added_to_an_object_that_was_removed() {
    let root = tempfile::tempdir().unwrap();
    let bodies = open(&root).await;
    let first = bodies.put(bytes(100)).await.unwrap();
    bodies.delete(first.object).await.unwrap();
    let contents = several(2);
    let put = put_in_turn(&bodies, &contents).await;
    assert_ne!(put[0].object, first.object);
    are_there(&bodies, &put, &contents).await;
}
