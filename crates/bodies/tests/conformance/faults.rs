//! What callers see when the store is busy, loses answers, hangs or is damaged.

use futures::FutureExt;
use std::time::Duration;

use crate::support::{Fault, S3, bytes, meter};
use buzon_bodies::{Bodies, BodiesError, Corruption, Options};
use hyper::Method;

async fn open(server: &S3) -> Bodies {
    Bodies::open(&Options { cache_bytes_max: 0, ..server.options() }, &meter()).await.unwrap()
}

/// Gives up quickly; for requests that are never answered.
async fn open_impatient(server: &S3) -> Bodies {
    let options = Options { cache_bytes_max: 0, deadline: Duration::from_millis(400), ..server.options() };
    Bodies::open(&options, &meter()).await.unwrap()
}

#[tokio::test]
async fn a_put_survives_refusals_and_a_lost_answer() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    server.plan.next(Method::PUT, [Fault::Refuse, Fault::LoseAnswer]);
    let body = bodies.put(bytes(5000)).await.unwrap();
    assert_eq!(server.plan.count(&Method::PUT), 3);
    assert_eq!(bodies.get(&body).await.unwrap(), bytes(5000));
}

#[tokio::test]
async fn a_get_survives_refusals() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    let body = bodies.put(bytes(5000)).await.unwrap();
    server.plan.next(Method::GET, [Fault::Refuse, Fault::LoseAnswer]);
    assert_eq!(bodies.range(&body, 10..20).await.unwrap(), bytes(5000)[10..20]);
    assert_eq!(server.plan.count(&Method::GET), 3);
}

#[tokio::test]
async fn a_hanging_attempt_leaves_time_for_another() {
    let server = S3::start().await;
    let options = Options { cache_bytes_max: 0, deadline: Duration::from_secs(4), ..server.options() };
    let bodies = Bodies::open(&options, &meter()).await.unwrap();
    server.plan.next(Method::PUT, [Fault::Hang]);
    let body = bodies.put(bytes(5000)).await.unwrap();
    assert_eq!(bodies.get(&body).await.unwrap(), bytes(5000));
}

#[tokio::test]
async fn a_large_body_survives_faults_in_every_step() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    // POST: start, complete. PUT: parts.
    server.plan.next(Method::POST, [Fault::Refuse, Fault::None, Fault::Refuse]);
    server.plan.next(Method::PUT, [Fault::Refuse, Fault::LoseAnswer, Fault::None, Fault::Refuse]);
    let body = bodies.put(bytes(12_000_000)).await.unwrap();
    assert!(bodies.get(&body).await.unwrap() == bytes(12_000_000));
}

#[tokio::test]
async fn a_complete_whose_answer_is_lost_is_complete() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    server.plan.next(Method::POST, [Fault::None, Fault::LoseAnswer]);
    let body = bodies.put(bytes(12_000_000)).await.unwrap();
    assert!(bodies.get(&body).await.unwrap() == bytes(12_000_000));
}

#[tokio::test]
async fn a_store_that_stays_away_is_unavailable_within_the_deadline() {
    let server = S3::start().await;
    let body = open(&server).await.put(bytes(10)).await.unwrap();
    let bodies = open_impatient(&server).await;
    server.plan.next(Method::PUT, [Fault::Refuse; 100]);
    server.plan.next(Method::GET, [Fault::Hang; 100]);
    let started = std::time::Instant::now();
    let put = bodies.put(bytes(10)).await.unwrap_err();
    let get = bodies.get(&body).await.unwrap_err();
    assert!(put.is_retryable() && get.is_retryable(), "{put:?} {get:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn waiting_for_a_turn_counts_against_the_deadline() {
    let server = S3::start().await;
    let options = Options {
        requests_in_flight_max: 1,
        deadline: Duration::from_millis(400),
        cache_bytes_max: 0,
        ..server.options()
    };
    let body = open(&server).await.put(bytes(10)).await.unwrap();
    let bodies = Bodies::open(&options, &meter()).await.unwrap();
    server.plan.next(Method::GET, [Fault::Hang; 100]);
    let (first, second) = tokio::join!(bodies.get(&body), bodies.get(&body));
    assert!(first.unwrap_err().is_retryable() && second.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_writer_that_lost_a_part_never_makes_a_body() {
    let root = tempfile::tempdir().unwrap();
    let bodies = Bodies::open(&Options::folder(root.path()), &meter()).await.unwrap();
    // The caller goes away in the middle of a part; on a busy machine a part may be done at the first look.
    let lost = (0..100).find_map(|_| {
        let mut writer = bodies.writer();
        let interrupted = Box::pin(writer.write(bytes(6 << 20))).now_or_never().is_none();
        interrupted.then_some(writer)
    });
    let mut writer = lost.unwrap();
    writer.write(bytes(10)).await.unwrap_or_default();
    assert!(writer.finish().await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_dropped_writer_removes_its_parts() {
    let server = S3::start().await;
    let bodies = open(&server).await;
    let mut writer = bodies.writer();
    writer.write(bytes(6 << 20)).await.unwrap();
    drop(writer);
    // The removal runs in the background: wait for its request, which is the level to wait for.
    let removed = async {
        while server.plan.count(&Method::DELETE) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), removed).await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_told_and_wait_for_the_operator() {
    let server = S3::start().await;
    let mut options = server.options();
    if let buzon_bodies::Backend::S3(s3) = &mut options.backend {
        s3.access_key_id = "somebody".into();
    }
    let bodies = Bodies::open(&options, &meter()).await.unwrap();
    assert!(bodies.check().await.is_err());
    assert!(bodies.put(bytes(10)).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn a_missing_bucket_is_trouble_and_not_a_missing_body() {
    let server = S3::start().await;
    let body = open(&server).await.put(bytes(10)).await.unwrap();
    let mut options = server.options();
    if let buzon_bodies::Backend::S3(s3) = &mut options.backend {
        s3.bucket = "elsewhere".into();
    }
    let bodies = Bodies::open(&options, &meter()).await.unwrap();
    assert!(bodies.check().await.is_err());
    let error = bodies.get(&body).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_flipped_bit_on_disk_is_corrupt() {
    let root = tempfile::tempdir().unwrap();
    let options = Options { cache_bytes_max: 0, ..Options::folder(root.path()) };
    let bodies = Bodies::open(&options, &meter()).await.unwrap();
    let body = bodies.put(bytes(3000)).await.unwrap();
    let name = body.object.to_string();
    let file = root.path().join("b").join(&name[30..]).join(&name);
    let mut content = std::fs::read(&file).unwrap();
    content[1000] ^= 4;
    std::fs::write(&file, content).unwrap();
    let error = bodies.get(&body).await.unwrap_err();
    assert!(matches!(error, BodiesError::Corrupt { what: Corruption::Seal, .. }), "{error:?}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_of_the_options() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Bodies::open(&Options::folder(file.join("below")), &meter()).await.unwrap_err();
    assert!(matches!(error, BodiesError::Options { .. }), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_of_mail_is_open_to_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("new/bodies");
    Bodies::open(&Options::folder(&folder), &meter()).await.unwrap();
    for made in ["", "b", "b/00", "b/ff"] {
        let mode = std::fs::metadata(folder.join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}
