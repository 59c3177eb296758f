//! How many requests reads cost, and what operators see of them.

use crate::support::{S3, bytes, meter};
use buzon_bodies::{Bodies, Options};
use hyper::Method;

#[tokio::test]
async fn a_client_that_reads_a_part_in_slices_costs_one_request_per_window() {
    let server = S3::start().await;
    let bodies = Bodies::open(&server.options(), &meter()).await.unwrap();
    let content = bytes(4_000_000);
    let body = bodies.put(content.clone()).await.unwrap();
    // A part of 3 MB that begins somewhere: 48 slices of 64 KiB.
    let (start, end) = (500_123, 3_500_123);
    let mut at = start;
    while at < end {
        let slice = at..end.min(at + 65_536);
        let read = bodies.range_ahead(&body, slice.clone(), end).await.unwrap();
        assert!(read == content[slice.start as usize..slice.end as usize]);
        at = slice.end;
    }
    assert_eq!(server.plan.count(&Method::GET), 3);
}

#[tokio::test]
async fn a_body_read_again_costs_nothing_and_an_exact_range_reads_no_more_than_asked() {
    let server = S3::start().await;
    let bodies = Bodies::open(&server.options(), &meter()).await.unwrap();
    let body = bodies.put(bytes(20_000)).await.unwrap();
    bodies.range(&body, 0..100).await.unwrap();
    bodies.range(&body, 50..100).await.unwrap();
    assert_eq!(server.plan.count(&Method::GET), 1);
    bodies.range(&body, 50..101).await.unwrap();
    assert_eq!(server.plan.count(&Method::GET), 2);
    bodies.get(&body).await.unwrap();
    bodies.get(&body).await.unwrap();
    assert_eq!(bodies.range(&body, 7..19_000).await.unwrap(), bytes(20_000)[7..19_000]);
    assert_eq!(server.plan.count(&Method::GET), 3);
}

#[tokio::test]
async fn a_cache_that_is_off_keeps_nothing_and_reads_nothing_ahead() {
    let server = S3::start().await;
    let options = Options { cache_bytes_max: 0, ..server.options() };
    let bodies = Bodies::open(&options, &meter()).await.unwrap();
    let body = bodies.put(bytes(20_000)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bodies.range_ahead(&body, 0..10, 20_000).await.unwrap(), bytes(20_000)[..10]);
    }
    assert_eq!(server.plan.count(&Method::GET), 2);
}

#[tokio::test]
async fn requests_are_counted_by_kind_and_outcome() {
    let telemetry_options = buzon_telemetry::options::Options::default();
    let (telemetry, _) =
        buzon_telemetry::build(&telemetry_options, &Default::default(), std::io::sink).unwrap();
    let server = S3::start().await;
    let bodies = Bodies::open(&server.options(), &telemetry.meter("buzon.bodies")).await.unwrap();
    let mut body = bodies.put(bytes(2000)).await.unwrap();
    bodies.get(&body).await.unwrap();
    bodies.get(&body).await.unwrap();
    body.object.0 ^= 1 << 70;
    bodies.get(&body).await.unwrap_err();
    let text = telemetry.render_metrics();
    for line in [
        r#"buzon_bodies_requests_total{kind="put",outcome="ok"} 1"#,
        r#"buzon_bodies_requests_total{kind="get_range",outcome="ok"} 1"#,
        r#"buzon_bodies_requests_total{kind="get_range",outcome="not_found"} 1"#,
        r#"buzon_bodies_cache_lookups_total{found="true"} 1"#,
        "buzon_bodies_written_bytes_total 2068",
        "buzon_bodies_read_bytes_total 2004",
        "buzon_bodies_requests_in_flight 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}
