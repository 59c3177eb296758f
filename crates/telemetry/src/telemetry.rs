//! Starts it all, hands out meters, and ends it without losing what is on its way.

use std::path::Path;

use opentelemetry::metrics::Meter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;

use crate::disk;
use crate::error::TelemetryError;
use crate::export::{self, Export};
use crate::logging::{self, Filter};
use crate::metrics::Metrics;
use crate::options::Options;

/// What [`Telemetry::render_metrics`] gives, for the `Content-Type` of its answer.
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Boundaries for a histogram of durations in seconds, from a cached read to a slow store. Give them to
/// `with_boundaries`: the SDK's own are made for milliseconds.
pub const DURATION_BOUNDARIES_S: [f64; 12] =
    [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];

/// The telemetry of a process; clones share it.
#[derive(Debug, Clone)]
pub struct Telemetry {
    metrics: Metrics,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

/// Takes over the log of the process: lines go to standard error, and over OTLP what the environment asks for. Once per
/// process, and within the tokio runtime.
///
/// # Errors
/// The configuration is at fault; nothing was taken over.
pub fn init(options: &Options) -> Result<Telemetry, TelemetryError> {
    let export = Export::from_environment()?;
    let filter = Filter::from_environment_or(options);
    let (telemetry, subscriber) = build_filtered(options, &filter, &export, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::AlreadySet)?;
    Ok(telemetry)
}

/// The same without taking anything over and without the environment: for tests and for several in one process.
///
/// # Errors
/// As [`init`].
pub fn build<W>(
    options: &Options,
    export: &Export,
    writer: W,
) -> Result<(Telemetry, impl Subscriber + Send + Sync + 'static + use<W>), TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    build_filtered(options, &Filter::from_options(options), export, writer)
}

fn build_filtered<W>(
    options: &Options,
    filter: &Filter,
    export: &Export,
    writer: W,
) -> Result<(Telemetry, impl Subscriber + Send + Sync + 'static + use<W>), TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    if export.is_on() && tokio::runtime::Handle::try_current().is_err() {
        return Err(TelemetryError::NoRuntime);
    }
    let resource = export::resource(options);
    let traces = export.traces.as_deref();
    let traces = traces.map(|endpoint| export::tracer_provider(endpoint, resource.clone())).transpose()?;
    let logs = export.logs.as_deref();
    let logs = logs.map(|endpoint| export::logger_provider(endpoint, resource.clone())).transpose()?;
    let metric_exporter = export.metrics.as_deref().map(export::metric_exporter).transpose()?;
    let subscriber = logging::subscriber(filter, options.format, writer, traces.as_ref(), logs.as_ref())?;
    let metrics = Metrics::new(resource, metric_exporter)?;
    Ok((Telemetry { metrics, traces, logs }, subscriber))
}

impl Telemetry {
    /// For the instruments of one part of the program: `meter("buzon.bodies")`.
    pub fn meter(&self, name: &'static str) -> Meter {
        self.metrics.meter(name)
    }

    /// Metrics of the disk that holds this folder: what is free, of what.
    pub fn observe_disk(&self, folder: &Path) {
        disk::observe(&self.meter("buzon.disk"), folder);
    }

    /// All metrics as text for Prometheus, see [`METRICS_CONTENT_TYPE`].
    pub fn render_metrics(&self) -> String {
        self.metrics.render()
    }

    /// Sends what is still on its way and stops exporting. Call it last, within the runtime; an exporter that does not
    /// answer costs its own timeout (10 s, `OTEL_EXPORTER_OTLP_TIMEOUT`). Log lines on standard error go on.
    pub async fn shutdown(self) {
        let Self { metrics, traces, logs } = self;
        // They block on their worker threads, which need the runtime to send: so not on its threads.
        let traces = tokio::task::spawn_blocking(move || traces.map_or(Ok(()), |traces| traces.shutdown()));
        let metrics = tokio::task::spawn_blocking(move || metrics.provider().shutdown());
        let logs = tokio::task::spawn_blocking(move || logs.map_or(Ok(()), |logs| logs.shutdown()));
        let (traces, metrics, logs) = tokio::join!(traces, metrics, logs);
        for (signal, result) in [("traces", traces), ("metrics", metrics), ("logs", logs)] {
            report(signal, result);
        }
    }
}

fn report(signal: &'static str, result: Result<OTelSdkResult, tokio::task::JoinError>) {
    let error: Box<dyn std::error::Error> = match result {
        Ok(Ok(())) => return,
        Ok(Err(error)) => Box::new(error),
        Err(error) => Box::new(error),
    };
    tracing::warn!(signal, error = &*error, "telemetry is lost at the end");
}
