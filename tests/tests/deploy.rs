//! What is in `deploy/`: manifests as kustomize builds them, held against schemas and against what they must mean;
//! their configurations read by the real binary; the database's files tried on a real Postgres; alerts and dashboard
//! run by a real Prometheus that scrapes a live server.
//!
//! There is no API server here: nothing was ever applied to a cluster by these tests.

#[path = "deploy/database.rs"]
mod database;
#[path = "deploy/image.rs"]
mod image;
#[path = "deploy/live.rs"]
mod live;
#[path = "deploy/manifests.rs"]
mod manifests;
#[path = "deploy/network.rs"]
mod network;
#[path = "deploy/pods.rs"]
mod pods;
#[path = "deploy/prometheus.rs"]
mod prometheus;
#[path = "deploy/promql.rs"]
mod promql;
#[path = "deploy/references.rs"]
mod references;
#[path = "deploy/rules.rs"]
mod rules;
#[path = "deploy/settings.rs"]
mod settings;
#[path = "deploy/tools.rs"]
mod tools;

/// Overlays that are meant to be applied.
const OVERLAYS: [&str; 2] = ["overlays/demo", "overlays/production"];
