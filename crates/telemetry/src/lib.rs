//! What the program tells of itself: log lines on standard error, metrics for `/metrics`, and traces, metrics and logs
//! over OTLP where the standard `OTEL_*` variables ask for it.
//!
//! ```text
//! tracing events, spans ─┬─▶ text or JSON lines ──▶ standard error
//!                        └─▶ traces, logs ────────▶ OTLP (only if an endpoint is set)
//! instruments of a Meter ─┬─▶ registry ───────────▶ Telemetry::render_metrics
//!                         └─▶ periodic reader ────▶ OTLP
//! ```
//!
//! Instruments are made by the crate that counts, from a `Meter` that is handed to it: there is no global registry.
//! Nothing here knows what is counted or logged.

mod disk;
mod error;
pub mod export;
mod logging;
mod metrics;
pub mod options;
mod process;
pub mod propagation;
pub mod storm;
mod telemetry;

pub use error::TelemetryError;
pub use logging::TRACED;
pub use telemetry::{DURATION_BOUNDARIES_S, METRICS_CONTENT_TYPE, Telemetry, build, init};
