//! What arrives: lines on the writer, metrics as text, and spans, metrics and logs at a collector in this process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sink;

use std::io;
use std::sync::{Arc, Mutex};

use buzon_telemetry::export::Export;
use buzon_telemetry::options::{Format, Options};
use buzon_telemetry::{TRACED, TelemetryError, build, propagation};
use buzon_types::secret::Secret;
use sink::Sink;
use tracing::{info, info_span, subscriber};

/// Keeps what is written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn make(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let lines = self.clone();
        move || lines.clone()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn options(format: Format) -> Options {
    Options { format, service_name: "buzon-test".into(), ..Options::default() }
}

#[test]
fn metrics_are_text_with_unit_and_description() {
    let (telemetry, _) = build(&Options::default(), &Export::default(), io::sink).unwrap();
    let meter = telemetry.meter("buzon.test");
    let counter = meter
        .u64_counter("buzon.test.written")
        .with_unit("By")
        .with_description("Bytes that a test wrote.")
        .build();
    counter.add(42, &[opentelemetry::KeyValue::new("kind", "small")]);
    let text = telemetry.render_metrics();
    assert!(text.contains("# HELP buzon_test_written_bytes_total Bytes that a test wrote."), "{text}");
    assert!(text.contains("# TYPE buzon_test_written_bytes_total counter"), "{text}");
    assert!(text.contains(r#"buzon_test_written_bytes_total{kind="small"} 42"#), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_tells_its_memory_files_and_time() {
    let (telemetry, _) = build(&Options::default(), &Export::default(), io::sink).unwrap();
    let text = telemetry.render_metrics();
    for name in [
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_cpu_seconds_total ",
        "process_start_time_seconds ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} in {text}");
    }
}

#[test]
fn a_line_of_json_has_the_event_and_its_span() {
    let lines = Lines::default();
    let (_telemetry, subscriber) = build(&options(Format::Json), &Export::default(), lines.make()).unwrap();
    subscriber::with_default(subscriber, || {
        info_span!("command", tag = "a7").in_scope(|| info!(uid = 9, "stored"));
    });
    let line: serde_json::Value = serde_json::from_str(&lines.text()).unwrap();
    assert_eq!(line["message"], "stored");
    assert_eq!(line["uid"], 9);
    assert_eq!(line["span"]["name"], "command");
    assert_eq!(line["span"]["tag"], "a7");
    assert_eq!(line["level"], "INFO");
}

#[test]
fn the_filter_decides_what_is_logged() {
    let lines = Lines::default();
    let options = Options { filter: "warn,telemetry::loud=debug".into(), ..options(Format::Text) };
    let (_telemetry, subscriber) = build(&options, &Export::default(), lines.make()).unwrap();
    subscriber::with_default(subscriber, || {
        info!("kept back");
        tracing::debug!(target: "telemetry::loud", "told");
    });
    assert!(!lines.text().contains("kept back") && lines.text().contains("told"), "{}", lines.text());
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let options = Options { filter: "info,=what=".into(), ..Options::default() };
    let refused = build(&options, &Export::default(), io::sink).map(drop);
    assert!(matches!(refused, Err(TelemetryError::Filter { origin: "the options", .. })), "{refused:?}");
}

#[test]
fn export_outside_a_runtime_is_refused() {
    let export = Export { traces: Some("http://127.0.0.1:1".into()), ..Export::default() };
    let refused = build(&Options::default(), &export, io::sink).map(drop);
    assert!(matches!(refused, Err(TelemetryError::NoRuntime)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_receives_spans_metrics_and_logs() {
    let sink = Sink::start().await;
    let (telemetry, subscriber) = build(&options(Format::Text), &sink.export(), io::sink).unwrap();
    telemetry.meter("buzon.test").u64_counter("buzon.test.things").build().add(3, &[]);
    subscriber::with_default(subscriber, || {
        info_span!("command", tag = "a7").in_scope(|| info!(uid = 9, "stored"));
    });
    telemetry.shutdown().await;
    let received = sink.received();
    assert_eq!(received.spans, ["command"]);
    assert!(received.metrics.contains(&"buzon.test.things".to_owned()), "{received:?}");
    assert_eq!(received.logs, ["stored"]);
    assert_eq!(received.services.iter().collect::<Vec<_>>(), ["buzon-test"]);
    assert!(received.log_trace_ids.iter().eq(&received.trace_ids), "the line names its trace: {received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_for_traces_alone_are_in_no_line_and_are_nothing_without_traces() {
    let sink = Sink::start().await;
    let lines = Lines::default();
    let options = options(Format::Json);
    let (telemetry, subscriber) = build(&options, &sink.export(), lines.make()).unwrap();
    subscriber::with_default(subscriber, || {
        let call = info_span!(target: TRACED, "rpc", method = "Fetch");
        info_span!("command", tag = "a7").in_scope(|| call.in_scope(|| info!("told")));
    });
    telemetry.shutdown().await;
    let line: serde_json::Value = serde_json::from_str(&lines.text()).unwrap();
    assert_eq!(line["span"]["name"], "command");
    assert_eq!(sink.received().spans.iter().filter(|name| *name == "rpc").count(), 1);
    // Lines alone, and lines that are exported.
    let exports = [Export::default(), Export { logs: sink.export().logs, ..Export::default() }];
    for export in exports {
        let (_telemetry, subscriber) = build(&options, &export, io::sink).unwrap();
        subscriber::with_default(subscriber, || {
            assert!(info_span!(target: TRACED, "rpc").is_disabled());
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporters_own_doings_are_not_exported() {
    let sink = Sink::start().await;
    let options = Options { filter: "trace".into(), ..options(Format::Text) };
    let (telemetry, subscriber) = build(&options, &sink.export(), io::sink).unwrap();
    subscriber::with_default(subscriber, || {
        tracing::info!(target: "h2::codec", "frame");
        tracing::info!(target: "tonic::transport", "request");
        info!("ours");
    });
    telemetry.shutdown().await;
    assert_eq!(sink.received().logs, ["ours"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_at_the_other_side() {
    let sink = Sink::start().await;
    let (telemetry, subscriber) = build(&options(Format::Text), &sink.export(), io::sink).unwrap();
    subscriber::with_default(subscriber, || {
        let mut headers = http::HeaderMap::new();
        info_span!("asks").in_scope(|| propagation::inject(&mut headers));
        assert!(headers.contains_key("traceparent"));
        let answers = info_span!("answers");
        propagation::continue_trace(&answers, &headers);
        answers.in_scope(|| ());
    });
    telemetry.shutdown().await;
    let received = sink.received();
    assert_eq!(received.spans.len(), 2);
    assert_eq!(received.trace_ids.len(), 1, "one trace: {received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_nothing_but_its_data() {
    let export = Export { metrics: None, ..Sink::nobody() };
    let (telemetry, subscriber) = build(&options(Format::Text), &export, io::sink).unwrap();
    subscriber::with_default(subscriber, || info_span!("command").in_scope(|| info!("stored")));
    telemetry.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_shows_nowhere() {
    let sink = Sink::start().await;
    let lines = Lines::default();
    let (telemetry, subscriber) = build(&options(Format::Json), &sink.export(), lines.make()).unwrap();
    let password = Secret::new(String::from("correct horse"));
    subscriber::with_default(subscriber, || {
        info_span!("login", ?password).in_scope(|| info!(?password, "refused {password:?}"));
    });
    telemetry.shutdown().await;
    assert!(lines.text().contains("[secret]"));
    assert!(!lines.text().contains("horse") && !sink.received().raw.contains("horse"));
}
