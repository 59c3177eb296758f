//! Which signals go out over OTLP, as the standard variables say
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>). No endpoint, no export:
//! unlike the specification's default, nothing is sent to localhost unasked.
//!
//! Headers, compression, timeouts, intervals, limits and the sampler are read from their variables by the SDK itself.

use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::error::TelemetryError;
use crate::options::Options;

/// The endpoint for each signal; none switches it off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Export {
    /// For spans.
    pub traces: Option<String>,
    /// For metrics.
    pub metrics: Option<String>,
    /// For log lines.
    pub logs: Option<String>,
}

impl Export {
    /// What this process's environment asks for.
    ///
    /// # Errors
    /// [`TelemetryError::Protocol`] if it asks for another protocol than gRPC.
    pub fn from_environment() -> Result<Self, TelemetryError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// What the variables ask for that `variable` looks up.
    ///
    /// # Errors
    /// As [`Export::from_environment`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, TelemetryError> {
        // The specification has an empty variable mean the same as none.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        let signal = |names: &SignalNames| names.endpoint(&variable);
        Ok(Self { traces: signal(&TRACES)?, metrics: signal(&METRICS)?, logs: signal(&LOGS)? })
    }

    /// Whether anything is exported.
    pub fn is_on(&self) -> bool {
        self.traces.is_some() || self.metrics.is_some() || self.logs.is_some()
    }
}

/// The variables of one signal.
struct SignalNames {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
}

const TRACES: SignalNames = SignalNames {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
};
const METRICS: SignalNames = SignalNames {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
};
const LOGS: SignalNames = SignalNames {
    exporter: "OTEL_LOGS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
};
const ALL_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const ALL_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

impl SignalNames {
    fn endpoint(&self, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, TelemetryError> {
        if variable(self.exporter).is_some_and(|exporter| exporter == "none") {
            return Ok(None);
        }
        let Some(endpoint) = variable(self.endpoint).or_else(|| variable(ALL_ENDPOINT)) else {
            return Ok(None);
        };
        for name in [self.protocol, ALL_PROTOCOL] {
            match variable(name) {
                Some(protocol) if protocol == "grpc" => break,
                Some(protocol) => return Err(TelemetryError::Protocol { variable: name, protocol }),
                None => {}
            }
        }
        Ok(Some(endpoint))
    }
}

/// Who the data is from. The environment's own words come before the options'.
pub(crate) fn resource(options: &Options) -> Resource {
    let detected = Resource::builder().build();
    let has = |key: &'static str| detected.get(&Key::from_static_str(key));
    let mut attributes = Vec::new();
    // Without a name from the environment the SDK makes one up.
    if has("service.name").is_none_or(|name| name.as_str().starts_with("unknown_service")) {
        attributes.push(KeyValue::new("service.name", options.service_name.clone()));
    }
    if has("service.version").is_none() {
        attributes.push(KeyValue::new("service.version", options.service_version.clone()));
    }
    if let (None, Some(instance)) = (has("service.instance.id"), &options.service_instance) {
        attributes.push(KeyValue::new("service.instance.id", instance.clone()));
    }
    Resource::builder().with_attributes(attributes).build()
}

pub(crate) fn tracer_provider(
    endpoint: &str,
    resource: Resource,
) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|source| TelemetryError::Exporter { signal: "traces", source })?;
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

pub(crate) fn logger_provider(
    endpoint: &str,
    resource: Resource,
) -> Result<SdkLoggerProvider, TelemetryError> {
    let exporter = LogExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|source| TelemetryError::Exporter { signal: "logs", source })?;
    Ok(SdkLoggerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

pub(crate) fn metric_exporter(endpoint: &str) -> Result<MetricExporter, TelemetryError> {
    let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build();
    exporter.map_err(|source| TelemetryError::Exporter { signal: "metrics", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Export, TelemetryError> {
        Export::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        assert!(!read(&[]).unwrap().is_on());
        assert!(!read(&[(ALL_ENDPOINT, "")]).unwrap().is_on());
    }

    #[test]
    fn a_signal_s_own_endpoint_comes_before_the_general_one() {
        let export = read(&[(ALL_ENDPOINT, "http://all"), (LOGS.endpoint, "http://logs")]).unwrap();
        assert_eq!(export.traces.as_deref(), Some("http://all"));
        assert_eq!(export.logs.as_deref(), Some("http://logs"));
    }

    #[test]
    fn one_signal_alone_can_be_switched_on_or_off() {
        let on = read(&[(METRICS.endpoint, "http://m")]).unwrap();
        assert_eq!(on, Export { metrics: Some("http://m".into()), ..Export::default() });
        let off = read(&[(ALL_ENDPOINT, "http://all"), ("OTEL_TRACES_EXPORTER", "none")]).unwrap();
        assert_eq!((off.traces, off.metrics.as_deref()), (None, Some("http://all")));
    }

    #[test]
    fn a_disabled_sdk_exports_nothing() {
        assert!(!read(&[(ALL_ENDPOINT, "http://all"), ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_on());
    }

    #[test]
    fn another_protocol_is_refused_by_name() {
        let error = read(&[(ALL_ENDPOINT, "http://all"), (ALL_PROTOCOL, "http/protobuf")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"OTEL_EXPORTER_OTLP_PROTOCOL asks for the protocol "http/protobuf", only grpc is known"#
        );
        let own = [(ALL_ENDPOINT, "http://all"), (ALL_PROTOCOL, "http/json"), (TRACES.protocol, "grpc")];
        assert!(read(&own).is_err(), "metrics and logs still ask for it");
    }
}
