//! `buzon frontend`: IMAP and LMTP for a cluster. Keeps nothing that a reconnect would miss.
//!
//! ```text
//! mutual TLS ─▶ Meta (metadata nodes) ─┐
//! object store ────────────────────────┴▶ IMAP and LMTP listeners ─▶ ready … SIGTERM ─▶ drain
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use buzon_frontend::incoming::Budget;
use buzon_frontend::limits::ConnectionLimits;
use buzon_frontend::listener::Listeners;
use buzon_meta_client::meta::{Meta, Options as MetaOptions};
use buzon_metad::auth::Bearer;
use buzon_telemetry::Telemetry;
use buzon_tls::certificate::Certificate;
use buzon_tls::connect::Connector;
use buzon_tls::mutual::Mutual;
use buzon_types::secret::Secret;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::config::{Config, Role};
use crate::ctl::connection::Running;
use crate::data_dir::DataDir;
use crate::http::{self, Health};
use crate::mail::{self, Parts};
use crate::pki::Pki;
use crate::process::{Stop, bodies, describe, observe_certificate, telemetry_options};
use crate::{admin, cli};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If something cannot be started; names the setting.
pub(crate) fn main(arguments: &cli::Node) -> anyhow::Result<ExitCode> {
    let config = Config::load(Some(&arguments.config))?;
    config.validate_for(Role::Frontend)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(config))?;
    Ok(ExitCode::SUCCESS)
}

/// What a running front-end is made of, in the order in which it ends.
struct Frontend {
    stop: CancellationToken,
    health: Health,
    listeners: Listeners,
    admin: Option<admin::AdminListener>,
    meta: Meta,
    telemetry: Telemetry,
    _data_dir: DataDir,
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut stop = Stop::catch()?;
    let (frontend, running) = start(&config).await?;
    tokio::select! {
        () = frontend.meta.wait_for_topology() => {}
        () = stop.asked() => {
            frontend.drain(Duration::ZERO).await;
            return Ok(());
        }
    }
    frontend.health.set_ready(true);
    println!("ready: {}", describe(&running));
    stop.asked().await;
    tracing::info!("draining");
    frontend.drain(Duration::from_secs(config.drain_seconds)).await;
    Ok(())
}

async fn start(config: &Config) -> anyhow::Result<(Frontend, Running)> {
    let telemetry = buzon_telemetry::init(&telemetry_options(config)).context("telemetry")?;
    let data_dir = DataDir::open(&config.data_dir)?;
    let (stop, health) = (CancellationToken::new(), Health::new(telemetry.clone()));
    let mut running = Running { ca: config.cluster.ca.clone(), ..Running::default() };
    if let Some(address) = config.listen.http.address() {
        running.http = Some(http::serve(address, health.clone(), stop.clone()).await?);
    }
    let mutual = Mutual::open(config.cluster.files()?).context("cluster.certificate")?;
    tokio::spawn(Arc::clone(&mutual).follow(stop.clone()));
    let shown = Arc::clone(&mutual);
    observe_certificate(&telemetry, "cluster", move || shown.ends());
    // An owner of its own: two front-ends never close each other's instances, whatever they are called.
    let meta = Meta::cluster(&Connector::Mutual(mutual), &config.cluster.metads, MetaOptions::default())
        .context("cluster.metads")?;
    meta.follow_topology(stop.clone());
    let bodies = bodies(config, Some(&data_dir), &telemetry).await?;
    let certificate = certificate(config, &data_dir)?;
    tokio::spawn(Arc::clone(&certificate).follow(stop.clone()));
    let limits = ConnectionLimits::new(config.imap.connections_max, config.imap.connections_per_peer_max);
    let listeners = Listeners::new(limits);
    let budget = Budget::new(config.memory.incoming_bytes_max);
    let parts = Parts { config, meta: &meta, bodies: &bodies, budget: &budget, certificate: &certificate };
    mail::listen(&parts, &listeners, &telemetry, &mut running).await?;
    let admin = administration(&parts, &data_dir, &mut running, &stop).await?;
    running.announce(data_dir.path())?;
    Ok((Frontend { stop, health, listeners, admin, meta, telemetry, _data_dir: data_dir }, running))
}

/// What mail clients are shown: the configured certificate, or a private one.
fn certificate(config: &Config, data_dir: &DataDir) -> anyhow::Result<Arc<Certificate>> {
    let opened = match (&config.tls.certificate, &config.tls.key) {
        (Some(chain), Some(key)) => Certificate::open(chain, key),
        _ => {
            let pki = Pki::ensure(data_dir.path(), &config.host_name)?;
            Certificate::open(&pki.certificate, &pki.key)
        }
    };
    opened.context("tls")
}

/// Import of mail: bodies go through a front-end.
async fn administration(
    parts: &Parts<'_>,
    data_dir: &DataDir,
    running: &mut Running,
    stop: &CancellationToken,
) -> anyhow::Result<Option<admin::AdminListener>> {
    let config = parts.config;
    let Some(address) = config.listen.admin.address() else { return Ok(None) };
    let files = config.cluster.files()?;
    let certificate = Certificate::open(&files.certificate, &files.key).context("cluster.certificate")?;
    tokio::spawn(Arc::clone(&certificate).follow(stop.clone()));
    let bearer = Bearer::new(Secret::new(data_dir.admin_token(config)?));
    let routes = Routes::new(admin::importer(parts, bearer));
    let admin = admin::serve(admin::bind(address).await?, &certificate, routes)?;
    running.admin = Some(admin.address);
    running.token_file = Some(data_dir.admin_token_file(config));
    Ok(Some(admin))
}

impl Frontend {
    /// No new connections; what runs finishes; then the client's instances are closed.
    async fn drain(self, deadline: Duration) {
        self.health.set_ready(false);
        self.listeners.drain(deadline).await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        if let Err(error) = self.meta.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "close client instances");
        }
        self.stop.cancel();
        self.telemetry.shutdown().await;
    }
}
