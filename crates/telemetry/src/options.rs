//! What the operator chooses, besides the `OTEL_*` variables. Plain values: the binary reads them from its
//! configuration.

/// How the process logs and what it calls itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is logged, as a level (`info`) or in the language of `RUST_LOG` (`info,buzon_frontend=debug`).
    pub filter: String,
    /// The form of log lines.
    pub format: Format,
    /// The name in exported data, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` gives one.
    pub service_name: String,
    /// The version in exported data.
    pub service_version: String,
    /// Which of many processes this is, if it has a name.
    pub service_instance: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: "info".into(),
            format: Format::Text,
            service_name: "buzon".into(),
            service_version: env!("CARGO_PKG_VERSION").into(),
            service_instance: None,
        }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people; in colour on a terminal.
    #[default]
    Text,
    /// One object a line, for collectors.
    Json,
}
