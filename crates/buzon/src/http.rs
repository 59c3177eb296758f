//! `/livez`, `/readyz` and `/metrics` for Kubernetes and Prometheus. Plain HTTP: it says nothing of anybody's mail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use buzon_telemetry::Telemetry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the probes tell.
#[derive(Clone)]
pub(crate) struct Health {
    ready: Arc<AtomicBool>,
    telemetry: Telemetry,
}

impl Health {
    /// Alive, not ready yet.
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self { ready: Arc::new(AtomicBool::new(false)), telemetry }
    }

    /// Whether new connections should come here.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

/// Serves until `stop`; answers where it listens.
///
/// # Errors
/// If the address cannot be bound.
pub(crate) async fn serve(
    address: SocketAddr,
    health: Health,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listen.http: bind {address}"))?;
    let bound = listener.local_addr()?;
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "http listener ended");
        }
    });
    Ok(bound)
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], health.telemetry.render_metrics())
}
