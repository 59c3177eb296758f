//! The mail half: IMAP and LMTP listeners.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use buzon_bodies::Bodies;
use buzon_frontend::imap::{Dependencies as ImapDependencies, Imap, Security};
use buzon_frontend::incoming::Budget;
use buzon_frontend::limits::ConnectionLimits;
use buzon_frontend::listener::Listeners;
use buzon_frontend::lmtp::{Dependencies as LmtpDependencies, Lmtp, Options as LmtpOptions};
use buzon_frontend::options::ImapOptions;
use buzon_meta_client::meta::Meta;
use buzon_telemetry::Telemetry;
use buzon_tls::certificate::Certificate;
use tokio_rustls::TlsAcceptor;

use crate::config::{Config, OverQuota};
use crate::ctl::connection::Running;
use crate::process::observe_certificate;

/// What the listeners share.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) meta: &'a Meta,
    pub(crate) bodies: &'a Bodies,
    pub(crate) budget: &'a Budget,
    pub(crate) certificate: &'a Arc<Certificate>,
}

/// Binds them; notes where they are.
///
/// # Errors
/// If an address cannot be bound; names the setting.
pub(crate) async fn listen(
    parts: &Parts<'_>,
    listeners: &Listeners,
    telemetry: &Telemetry,
    running: &mut Running,
) -> anyhow::Result<()> {
    let listen = &parts.config.listen;
    let imap = imap(parts, telemetry)?;
    let meter = telemetry.meter("buzon.frontend");
    parts.budget.observe(&meter);
    listeners.observe(&meter, "imap");
    let certificate = Arc::clone(parts.certificate);
    observe_certificate(telemetry, "mail", move || certificate.ends());
    if let Some(address) = listen.imaps.address() {
        let imap = imap.clone();
        let bound = listeners
            .listen("imaps", address, move |accepted| imap.clone().accept(accepted, Security::Tls))
            .await;
        running.imaps = Some(bound.with_context(|| format!("listen.imaps: bind {address}"))?);
    }
    if let Some(address) = listen.imap.address() {
        let bound = listeners
            .listen("imap", address, move |accepted| imap.clone().accept(accepted, Security::Plaintext))
            .await;
        running.imap = Some(bound.with_context(|| format!("listen.imap: bind {address}"))?);
    }
    if let Some(address) = listen.lmtp.address() {
        let lmtp = lmtp(parts, telemetry)?;
        // A few MTAs hold all of them, and must not lose their places to mail clients, nor take theirs.
        let connections_max = parts.config.lmtp.connections_max;
        let listeners = listeners.with_limits(ConnectionLimits::new(connections_max, connections_max));
        listeners.observe(&meter, "lmtp");
        let bound =
            listeners.listen("lmtp", address, move |accepted| lmtp.clone().serve_accepted(accepted)).await;
        running.lmtp = Some(bound.with_context(|| format!("listen.lmtp: bind {address}"))?);
    }
    Ok(())
}

fn imap(parts: &Parts<'_>, telemetry: &Telemetry) -> anyhow::Result<Imap> {
    let config = parts.config;
    let options = ImapOptions {
        host_name: config.host_name.clone(),
        append_bytes_max: config.imap.message_bytes_max,
        summary_cache_bytes_max: config.memory.summary_cache_bytes,
        autologout: Duration::from_secs(config.imap.autologout_seconds),
        idle_keepalive: Duration::from_secs(config.imap.idle_keepalive_seconds),
        ..ImapOptions::default()
    };
    let dependencies = ImapDependencies {
        meta: Arc::new(parts.meta.clone()),
        bodies: parts.bodies.clone(),
        budget: parts.budget.clone(),
        meter: telemetry.meter("buzon.imap"),
        tls: Some(parts.certificate.server_config().context("tls")?),
    };
    Ok(Imap::new(options, dependencies))
}

fn lmtp(parts: &Parts<'_>, telemetry: &Telemetry) -> anyhow::Result<Lmtp> {
    let config = &parts.config.lmtp;
    let tls = match &config.client_ca {
        Some(ca) => Some(parts.certificate.server_config_asking(ca).context("lmtp.client_ca")?),
        None => None,
    };
    let networks = config.peers.clone();
    let options = LmtpOptions {
        host_name: parts.config.host_name.clone(),
        message_bytes_max: config.message_bytes_max,
        recipients_max: config.recipients_max,
        over_quota_defers: config.over_quota == OverQuota::Defer,
    };
    let dependencies = LmtpDependencies {
        peers: Arc::new(move |peer| networks.iter().any(|network| network.contains(peer))),
        tls: tls.map(TlsAcceptor::from),
        meta: parts.meta.clone(),
        bodies: parts.bodies.clone(),
        budget: parts.budget.clone(),
        meter: telemetry.meter("buzon.lmtp"),
    };
    Ok(Lmtp::new(options, dependencies))
}
