//! `buzon standalone`: everything in one process. Two raft groups of one voter (the directory and one shard) over
//! one log, SQLite, bodies in a folder or S3; the front-end calls the metadata services without a socket.
//!
//! ```text
//! data directory ─▶ metadata (log, database, groups) ─▶ Meta ─▶ front-end listeners ─▶ ready … SIGTERM ─▶ drain
//! ```

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use buzon_frontend::incoming::Budget;
use buzon_frontend::limits::ConnectionLimits;
use buzon_frontend::listener::Listeners;
use buzon_telemetry::Telemetry;
use buzon_tls::certificate::Certificate;
use tokio_util::sync::CancellationToken;

mod metadata;

use crate::config::{Config, Role};
use crate::ctl::connection::Running;
use crate::data_dir::DataDir;
use crate::http::{self, Health};
use crate::mail::{self, Parts};
use crate::pki::Pki;
use crate::process::{Stop, bodies, describe, telemetry_options};
use crate::{admin, cli, demo};
use metadata::Metadata;

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
    config.validate_for(Role::Standalone)?;
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
    let mut stop = Stop::catch()?;
    let (server, running) = start(&config).await?;
    if demo {
        show_demo(&config, &running).await?;
    }
    server.set_ready(true).await;
    println!("ready: {}", describe(&running));
    stop.asked().await;
    tracing::info!("draining");
    server.drain(Duration::from_secs(config.drain_seconds)).await;
    Ok(())
}

async fn start(config: &Config) -> anyhow::Result<(Server, Running)> {
    let telemetry = buzon_telemetry::init(&telemetry_options(config)).context("telemetry")?;
    let data_dir = DataDir::open(&config.data_dir)?;
    telemetry.observe_disk(data_dir.path());
    let pki = Pki::ensure(data_dir.path(), &config.host_name)?;
    let (stop, health) = (CancellationToken::new(), Health::new(telemetry.clone()));
    let mut running = Running::default();
    if let Some(address) = config.listen.http.address() {
        running.http = Some(http::serve(address, health.clone(), stop.clone()).await?);
    }
    let metadata = Metadata::open(config, &data_dir, &telemetry).await?;
    let bodies = bodies(config, Some(&data_dir), &telemetry).await?;
    let budget = Budget::new(config.memory.incoming_bytes_max);
    let chain = config.tls.certificate.as_deref().unwrap_or(&pki.certificate);
    let certificate =
        Certificate::open(chain, config.tls.key.as_deref().unwrap_or(&pki.key)).context("tls")?;
    tokio::spawn(certificate.clone().follow(stop.clone()));

    let limits = ConnectionLimits::new(config.imap.connections_max, config.imap.connections_per_peer_max);
    let listeners = Listeners::new(limits);
    let parts =
        Parts { config, meta: &metadata.meta, bodies: &bodies, budget: &budget, certificate: &certificate };
    mail::listen(&parts, &listeners, &telemetry, &mut running).await?;
    let admin = match config.listen.admin.address() {
        Some(address) => {
            // Always the private certificate: `ctl` trusts its CA, whatever mail clients are shown.
            let private =
                Certificate::open(&pki.certificate, &pki.key).context("read the private certificate")?;
            let importer = admin::importer(&parts, metadata.metad.bearer());
            let routes = metadata.metad.admin_routes(&metadata.meta, None).add_service(importer);
            Some(admin::serve(admin::bind(address).await?, &private, routes)?)
        }
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
