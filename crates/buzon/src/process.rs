//! What all roles that serve are made of: telemetry, the object store, signals.

use std::net::SocketAddr;

use anyhow::Context;
use buzon_bodies::{Backend, Bodies, S3Options};
use buzon_telemetry::Telemetry;
use buzon_telemetry::options::{Format, Options as TelemetryOptions};
use buzon_types::secret::Secret;
use opentelemetry::KeyValue;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, LogFormat};
use crate::ctl::connection::Running;
use crate::data_dir::DataDir;

/// Holds the S3 secret when no file does.
const S3_SECRET_VARIABLE: &str = "BUZON_S3_SECRET_ACCESS_KEY";

/// SIGTERM and SIGINT: both ask for a drain.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Catches them from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Starts logs, metrics and traces.
pub(crate) fn telemetry_options(config: &Config) -> TelemetryOptions {
    TelemetryOptions {
        filter: config.log.filter.clone(),
        format: match config.log.format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        },
        service_version: env!("CARGO_PKG_VERSION").to_owned(),
        service_instance: Some(config.host_name.clone()),
        ..TelemetryOptions::default()
    }
}

/// Opens the object store.
///
/// # Errors
/// If it cannot be reached; names the setting.
pub(crate) async fn bodies(
    config: &Config,
    data_dir: Option<&DataDir>,
    telemetry: &Telemetry,
) -> anyhow::Result<Bodies> {
    let backend = match &config.bodies.s3 {
        None => {
            let in_data_dir = || data_dir.map(|dir| dir.join("bodies"));
            let path = config.bodies.folder.clone().or_else(in_data_dir);
            Backend::Folder { path: path.context("bodies: set bodies.s3, or bodies.folder")? }
        }
        Some(s3) => {
            let secret = match &s3.secret_access_key_file {
                Some(file) => std::fs::read_to_string(file)
                    .with_context(|| format!("bodies.s3.secret_access_key_file: read {}", file.display()))?,
                None => std::env::var(S3_SECRET_VARIABLE).with_context(|| {
                    format!(
                        "bodies.s3: set secret_access_key_file, or {S3_SECRET_VARIABLE} in the environment"
                    )
                })?,
            };
            Backend::S3(S3Options {
                endpoint: Some(s3.endpoint.clone()),
                bucket: s3.bucket.clone(),
                region: s3.region.clone(),
                access_key_id: s3.access_key_id.clone(),
                secret_access_key: Secret::new(secret.trim().to_owned()),
                allow_http: s3.endpoint.starts_with("http://"),
                addressing: buzon_bodies::Addressing::Path,
            })
        }
    };
    let mut options = buzon_bodies::Options::new(backend);
    options.cache_bytes_max = config.memory.body_cache_bytes;
    Bodies::open(&options, &telemetry.meter("buzon.bodies")).await.context("bodies")
}

/// Shows operators when a certificate ends, which may be renewed while the process runs: the one that mail clients see
/// (`mail`), or the node's own (`cluster`).
pub(crate) fn observe_certificate(
    telemetry: &Telemetry,
    certificate: &'static str,
    ends: impl Fn() -> Option<u64> + Send + Sync + 'static,
) {
    let label = [KeyValue::new("certificate", certificate)];
    telemetry
        .meter("buzon.certificate")
        .u64_observable_gauge("buzon.certificate.expiry")
        .with_unit("s")
        .with_description("When the certificate ends, in seconds since 1970.")
        .with_callback(move |observer| {
            if let Some(ends) = ends() {
                observer.observe(ends, &label);
            }
        })
        .build();
}

/// For people: where it listens.
pub(crate) fn describe(running: &Running) -> String {
    let listener =
        |name: &str, address: Option<SocketAddr>| address.map(|address| format!("{name} {address}"));
    let all = [
        listener("imaps", running.imaps),
        listener("imap", running.imap),
        listener("lmtp", running.lmtp),
        listener("admin", running.admin),
        listener("internal", running.internal),
        listener("http", running.http),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
