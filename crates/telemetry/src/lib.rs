//! Tracing, OpenTelemetry export and the metric registry.
