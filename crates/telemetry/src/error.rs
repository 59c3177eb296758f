//! Why telemetry cannot start. All are faults of configuration: the process should end and say so.

/// Failures of [`crate::init`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The log filter is not one.
    #[error("log filter {filter:?} from {origin}")]
    Filter {
        /// Its text.
        filter: String,
        /// `RUST_LOG` or the options.
        origin: &'static str,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Only gRPC is spoken.
    #[error("{variable} asks for the protocol {protocol:?}, only grpc is known")]
    Protocol {
        /// The variable that asks.
        variable: &'static str,
        /// What it asks for.
        protocol: String,
    },
    /// An exporter refuses its settings.
    #[error("set up OTLP export of {signal}")]
    Exporter {
        /// Traces, metrics or logs.
        signal: &'static str,
        /// Why.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The metric registry refuses the exporter.
    #[error("set up the metric registry")]
    Registry(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// OTLP needs the runtime: call from within it.
    #[error("OTLP export is asked for outside a tokio runtime")]
    NoRuntime,
    /// Something else in this process receives the log lines already.
    #[error("take over the log of the process")]
    AlreadySet(#[source] tracing::subscriber::SetGlobalDefaultError),
}
