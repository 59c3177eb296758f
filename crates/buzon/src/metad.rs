//! `buzon metad`: a metadata node of a cluster.
//!
//! ```text
//! no identity: listens, waits to be assigned ─▶ database, log, groups ─▶ all services ─▶ ready … SIGTERM ─▶ drain
//! ```
//! A node without an identity answers who it is, and takes the identity that a cluster gives it, once.

mod host;
mod serving;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use buzon_telemetry::Telemetry;
use buzon_tls::certificate::Certificate;
use buzon_tls::connect::Connector;
use buzon_tls::mutual::Mutual;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::config::{Config, Role};
use crate::ctl::connection::Running;
use crate::data_dir::DataDir;
use crate::http::{self, Health};
use crate::process::{Stop, describe, observe_certificate, telemetry_options};
use host::ProcessHost;
use serving::{Sockets, Unassigned};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// If something cannot be started; names the setting.
pub(crate) fn main(arguments: &cli::Node) -> anyhow::Result<ExitCode> {
    let config = Config::load(Some(&arguments.config))?;
    config.validate_for(Role::Metad)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(config))?;
    Ok(ExitCode::SUCCESS)
}

/// What every phase of the process has.
pub(super) struct Base {
    config: Config,
    telemetry: Telemetry,
    data_dir: Arc<DataDir>,
    host: Arc<ProcessHost>,
    mutual: Arc<Mutual>,
    /// The node's own certificate, for those who administer.
    certificate: Arc<Certificate>,
    sockets: Sockets,
    health: Health,
    stop: CancellationToken,
}

impl Base {
    fn connector(&self) -> Connector {
        Connector::Mutual(Arc::clone(&self.mutual))
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut stop = Stop::catch()?;
    let (base, running) = start(config).await?;
    println!("listening: {}", describe(&running));
    if !base.host.is_assigned() {
        let unassigned = Unassigned::serve(&base)?;
        let stopped = tokio::select! {
            () = base.host.assigned() => false,
            () = stop.asked() => true,
        };
        unassigned.stop().await;
        if stopped {
            base.telemetry.shutdown().await;
            return Ok(());
        }
    }
    let node = tokio::select! {
        node = serving::open(&base) => node?,
        () = stop.asked() => {
            base.telemetry.shutdown().await;
            return Ok(());
        }
    };
    let serving = serving::serve(&base, node).await?;
    tokio::select! {
        () = serving.usable() => {
            serving.set_ready(&base, true).await;
            println!("ready: {}", describe(&running));
            stop.asked().await;
        }
        () = stop.asked() => {}
    }
    tracing::info!("draining");
    serving.drain(&base, Duration::from_secs(base.config.drain_seconds)).await;
    base.stop.cancel();
    base.telemetry.shutdown().await;
    Ok(())
}

async fn start(config: Config) -> anyhow::Result<(Base, Running)> {
    let telemetry = buzon_telemetry::init(&telemetry_options(&config)).context("telemetry")?;
    let data_dir = Arc::new(DataDir::open(&config.data_dir)?);
    telemetry.observe_disk(data_dir.path());
    let (stop, health) = (CancellationToken::new(), Health::new(telemetry.clone()));
    let mut running = Running { ca: config.cluster.ca.clone(), ..Running::default() };
    if let Some(address) = config.listen.http.address() {
        running.http = Some(http::serve(address, health.clone(), stop.clone()).await?);
    }
    let files = config.cluster.files()?;
    let certificate = Certificate::open(&files.certificate, &files.key).context("cluster.certificate")?;
    let mutual = Mutual::open(files).context("cluster.certificate")?;
    tokio::spawn(Arc::clone(&mutual).follow(stop.clone()));
    let shown = Arc::clone(&mutual);
    observe_certificate(&telemetry, "cluster", move || shown.ends());
    tokio::spawn(Arc::clone(&certificate).follow(stop.clone()));
    let sockets = Sockets::bind(&config)?;
    (running.internal, running.admin) = sockets.addresses()?;
    running.token_file = Some(data_dir.admin_token_file(&config));
    data_dir.admin_token(&config)?;
    running.announce(data_dir.path())?;
    let host = ProcessHost::new(Arc::clone(&data_dir), &config)?;
    Ok((Base { config, telemetry, data_dir, host, mutual, certificate, sockets, health, stop }, running))
}
