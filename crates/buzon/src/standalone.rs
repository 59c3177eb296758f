//! `buzon standalone`: everything in one process. Two raft groups of one voter (the directory and one shard) over
//! one log, SQLite, bodies in a folder or S3; the front-end calls the metadata services without a socket.
//!
//! ```text
//! data directory ─▶ metadata (log, database, groups) ─▶ Meta ─▶ front-end listeners ─▶ ready … SIGTERM ─▶ drain
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use buzon_bodies::{Backend, Bodies, S3Options};
use buzon_frontend::incoming::Budget;
use buzon_frontend::limits::ConnectionLimits;
use buzon_frontend::listener::Listeners;
use buzon_frontend::tls::Certificate;
use buzon_telemetry::Telemetry;
use buzon_telemetry::options::{Format, Options as TelemetryOptions};
use buzon_types::secret::Secret;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

mod admin;
mod mail;
mod metadata;

use crate::cli;
use crate::config::{Config, LogFormat};
use crate::ctl::connection::Running;
use crate::data_dir::DataDir;
use crate::demo;
use crate::http::{self, Health};
use crate::pki::Pki;
use metadata::Metadata;

/// Holds the S3 secret when no file does.
const S3_SECRET_VARIABLE: &str = "BUZON_S3_SECRET_ACCESS_KEY";

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If something cannot be started; names the setting.
pub(crate) fn main(arguments: cli::Standalone) -> anyhow::Result<ExitCode> {
    let demo = arguments.demo;
    let config = configuration(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(config, demo))?;
    Ok(ExitCode::SUCCESS)
}

/// File, environment, then flags.
fn configuration(arguments: cli::Standalone) -> anyhow::Result<Config> {
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(data_dir) = arguments.data_dir {
        config.data_dir = data_dir;
    }
    let listen = &mut config.listen;
    for (setting, flag) in [
        (&mut listen.imaps, arguments.imaps_listen),
        (&mut listen.imap, arguments.imap_listen),
        (&mut listen.lmtp, arguments.lmtp_listen),
        (&mut listen.admin, arguments.admin_listen),
        (&mut listen.http, arguments.http_listen),
    ] {
        *setting = flag.unwrap_or(*setting);
    }
    Ok(config)
}

/// What a running server is made of, in the order in which it ends.
struct Server {
    stop: CancellationToken,
    health: Health,
    listeners: Listeners,
    admin: Option<admin::AdminListener>,
    metadata: Metadata,
    telemetry: Telemetry,
    _data_dir: DataDir,
}

async fn run(config: Config, demo: bool) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (server, running) = start(&config).await?;
    if demo {
        show_demo(&config, &running).await?;
    }
    server.set_ready(true).await;
    println!("ready: {}", describe(&running));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    server.drain(Duration::from_secs(config.drain_seconds)).await;
    Ok(())
}

async fn start(config: &Config) -> anyhow::Result<(Server, Running)> {
    let telemetry = buzon_telemetry::init(&telemetry_options(config)).context("telemetry")?;
    let data_dir = DataDir::open(&config.data_dir)?;
    let pki = Pki::ensure(data_dir.path(), &config.host_name)?;
    let (stop, health) = (CancellationToken::new(), Health::new(telemetry.clone()));
    let mut running = Running::default();
    if let Some(address) = config.listen.http.address() {
        running.http = Some(http::serve(address, health.clone(), stop.clone()).await?);
    }
    let metadata = Metadata::open(config, &data_dir, &telemetry).await?;
    let bodies = bodies(config, &data_dir, &telemetry).await?;
    let budget = Budget::new(config.memory.incoming_bytes_max);
    let chain = config.tls.certificate.as_deref().unwrap_or(&pki.certificate);
    let certificate =
        Certificate::open(chain, config.tls.key.as_deref().unwrap_or(&pki.key)).context("tls")?;
    tokio::spawn(certificate.clone().follow(stop.clone()));

    let limits = ConnectionLimits::new(config.imap.connections_max, config.imap.connections_per_peer_max);
    let listeners = Listeners::new(limits);
    let parts = mail::Parts {
        config,
        meta: &metadata.meta,
        bodies: &bodies,
        budget: &budget,
        certificate: &certificate,
    };
    mail::listen(&parts, &listeners, &telemetry, &mut running).await?;
    let admin = match config.listen.admin.address() {
        Some(address) => Some(admin::listen(address, &parts, &metadata, &pki, config).await?),
        None => None,
    };
    running.admin = admin.as_ref().map(|admin| admin.address);
    running.announce(data_dir.path())?;
    Ok((Server { stop, health, listeners, admin, metadata, telemetry, _data_dir: data_dir }, running))
}

impl Server {
    /// What probes are told, over HTTP and gRPC.
    async fn set_ready(&self, is_ready: bool) {
        self.health.set_ready(is_ready);
        self.metadata.metad.set_ready(is_ready).await;
    }

    /// No new connections; what runs finishes; then metadata is closed.
    async fn drain(self, deadline: Duration) {
        self.set_ready(false).await;
        self.listeners.drain(deadline).await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        self.metadata.close().await;
        self.stop.cancel();
        self.telemetry.shutdown().await;
    }
}

fn telemetry_options(config: &Config) -> TelemetryOptions {
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

async fn bodies(config: &Config, data_dir: &DataDir, telemetry: &Telemetry) -> anyhow::Result<Bodies> {
    let backend = match &config.bodies.s3 {
        None => {
            Backend::Folder { path: config.bodies.folder.clone().unwrap_or_else(|| data_dir.join("bodies")) }
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

async fn show_demo(config: &Config, running: &Running) -> anyhow::Result<()> {
    let connection =
        cli::Connection { data_dir: config.data_dir.clone(), endpoint: None, token_file: None, ca: None };
    let mut admin =
        crate::ctl::connection::connect(&connection).await.context("--demo needs the admin listener")?;
    let password = demo::prepare(&mut admin, running.lmtp).await.context("--demo")?;
    if let Some(imaps) = running.imaps {
        println!("host: {}", imaps.ip());
        println!("port: {}", imaps.port());
    }
    println!("account: {}", demo::ACCOUNT);
    println!("password: {password}");
    println!("ca: {}", Pki::in_dir(&config.data_dir).ca.display());
    Ok(())
}

fn describe(running: &Running) -> String {
    let listener =
        |name: &str, address: Option<SocketAddr>| address.map(|address| format!("{name} {address}"));
    let all = [
        listener("imaps", running.imaps),
        listener("imap", running.imap),
        listener("lmtp", running.lmtp),
        listener("admin", running.admin),
        listener("http", running.http),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
