//! Log lines on standard error, and the same events and spans for OTLP.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::error::TelemetryError;
use crate::options::{Format, Options};

/// What the exporters' own requests log and trace: exported, it would make further requests, for ever.
const NOT_EXPORTED: &str = "h2=off,hyper=off,hyper_util=off,tonic=off,tower=off,opentelemetry=off,\
                            opentelemetry_sdk=off,opentelemetry_otlp=off";
/// The target of spans that only traces show. Lines would be told what these are about, which costs each call a
/// microsecond, whether or not there ever is a line: without traces such a span costs nothing.
pub const TRACED: &str = "buzon::traced";

/// The text of the filter and where it is from: `RUST_LOG` comes before the options.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    text: String,
    origin: &'static str,
}

impl Filter {
    pub(crate) fn from_environment_or(options: &Options) -> Self {
        match std::env::var(EnvFilter::DEFAULT_ENV) {
            Ok(text) if !text.is_empty() => Self { text, origin: EnvFilter::DEFAULT_ENV },
            _ => Self::from_options(options),
        }
    }

    pub(crate) fn from_options(options: &Options) -> Self {
        Self { text: options.filter.clone(), origin: "the options" }
    }

    fn layer(&self, more: &str) -> Result<EnvFilter, TelemetryError> {
        EnvFilter::try_new(format!("{},{more}", self.text)).map_err(|source| TelemetryError::Filter {
            filter: self.text.clone(),
            origin: self.origin,
            source,
        })
    }
}

/// Everything that receives events and spans, in one.
pub(crate) fn subscriber<W>(
    filter: &Filter,
    format: Format,
    writer: W,
    traces: Option<&SdkTracerProvider>,
    logs: Option<&SdkLoggerProvider>,
) -> Result<impl Subscriber + Send + Sync + 'static + use<W>, TelemetryError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // A list, not a layer that may be none: such a one counts as having no filter, and all that no filter lets through
    // would be made and thrown away.
    let untraced = format!("{TRACED}=off");
    let mut layers = vec![lines(format, writer).with_filter(filter.layer(&untraced)?).boxed()];
    if let Some(provider) = traces {
        let traces = tracing_opentelemetry::layer().with_tracer(provider.tracer("buzon"));
        layers.push(traces.with_filter(filter.layer(NOT_EXPORTED)?).boxed());
    }
    if let Some(provider) = logs {
        let exported = filter.layer(&format!("{NOT_EXPORTED},{untraced}"))?;
        layers.push(OpenTelemetryTracingBridge::new(provider).with_filter(exported).boxed());
    }
    Ok(Registry::default().with(layers))
}

fn lines<S, W>(format: Format, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        Format::Text => Box::new(lines.with_ansi(std::io::stderr().is_terminal())),
        Format::Json => Box::new(lines.json().flatten_event(true).with_span_list(false)),
    }
}
