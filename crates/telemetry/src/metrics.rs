//! The registry of this process's metrics, read by `/metrics` and, where asked for, exported over OTLP.

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

use crate::error::TelemetryError;
use crate::process;

/// The registry and what fills it.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
}

impl Metrics {
    pub(crate) fn new(resource: Resource, otlp: Option<MetricExporter>) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        // Names say which part counts ("buzon.bodies.requests"): labels with the same would only cost.
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(TelemetryError::Registry)?;
        let mut builder = SdkMeterProvider::builder().with_resource(resource).with_reader(reader);
        if let Some(exporter) = otlp {
            builder = builder.with_periodic_exporter(exporter);
        }
        let metrics = Self { registry, provider: builder.build() };
        process::observe(&metrics.meter("buzon.process"));
        Ok(metrics)
    }

    pub(crate) fn meter(&self, name: &'static str) -> Meter {
        self.provider.meter(name)
    }

    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::warn!(error = &error as &dyn std::error::Error, "some metrics cannot be rendered");
        }
        text
    }

    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }
}
