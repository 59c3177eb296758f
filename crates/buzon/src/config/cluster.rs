//! What the roles of a cluster need: mutual TLS, who is where, a metadata node's database, the admin token.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use buzon_meta_store::postgres::PostgresOptions;
use buzon_tls::mutual::Files;
use buzon_types::secret::Secret;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Config;

/// Holds the database's password when no file does.
pub(super) const DATABASE_PASSWORD_VARIABLE: &str = "BUZON_DATABASE_PASSWORD";

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Standalone,
    Metad,
    Frontend,
}

/// How the nodes of a cluster reach each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cluster {
    /// Metadata node: HOST:PORT under which the others reach its internal listener.
    pub(crate) address: Option<String>,
    /// Front-end: metadata nodes to ask first, as HOST:PORT; the others are learned from them.
    pub(crate) metads: Vec<String>,
    /// Metadata node: its failure domain; replicas of a group are kept in different ones.
    pub(crate) zone: Option<String>,
    /// PEM file: the CA that signs nodes' certificates. These three are read again when they change.
    pub(crate) ca: Option<PathBuf>,
    /// PEM file: this node's certificate, with the URI buzon:metad or buzon:frontend.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file: its key.
    pub(crate) key: Option<PathBuf>,
}

/// A metadata node's own Postgres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Database {
    /// A host name, or the folder of a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    /// The database; it must exist and belong to the user.
    pub(crate) database: String,
    /// File with the password, unless the server trusts the user; or `BUZON_DATABASE_PASSWORD` in the environment.
    pub(crate) password_file: Option<PathBuf>,
    /// PEM file with the CA of the server's certificate; needed unless it is a socket or loopback.
    pub(crate) ca: Option<PathBuf>,
    /// Connections at a time.
    pub(crate) connections_max: u32,
}

/// Who may administer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// File with the token; `admin-token` in the data directory, made at the first start, when it is not given. The nodes of
    /// a cluster share one.
    pub(crate) token_file: Option<PathBuf>,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            host: "/run/postgresql".to_owned(),
            port: 5432,
            user: "buzon".to_owned(),
            database: "buzon".to_owned(),
            password_file: None,
            ca: None,
            // A group that applies holds one for a moment; readers of cold rows take the others.
            connections_max: 16,
        }
    }
}

impl Database {
    /// How to reach it.
    ///
    /// # Errors
    /// If the file with the password cannot be read.
    pub(crate) fn options(&self) -> anyhow::Result<PostgresOptions> {
        let password = match &self.password_file {
            Some(file) => {
                let text = std::fs::read_to_string(file);
                Some(text.with_context(|| format!("database.password_file: read {}", file.display()))?)
            }
            None => std::env::var(DATABASE_PASSWORD_VARIABLE).ok(),
        };
        Ok(PostgresOptions {
            host: self.host.clone(),
            port: self.port,
            user: self.user.clone(),
            password: password.map(|text| Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())),
            database: self.database.clone(),
            ca: self.ca.clone(),
            connections_max: self.connections_max,
        })
    }
}

impl Cluster {
    /// The files of mutual TLS.
    ///
    /// # Errors
    /// Names the one that is not set.
    pub(crate) fn files(&self) -> anyhow::Result<Files> {
        let hint = "set it: `buzon pki init` and `buzon pki issue` make the files";
        let set = |file: &Option<PathBuf>, name| {
            file.clone().with_context(|| format!("cluster.{name} is not set: {hint}"))
        };
        Ok(Files {
            ca: set(&self.ca, "ca")?,
            certificate: set(&self.certificate, "certificate")?,
            key: set(&self.key, "key")?,
        })
    }
}

pub(super) fn validate(config: &Config, role: Role) -> anyhow::Result<()> {
    let cluster = &config.cluster;
    if role == Role::Standalone {
        return Ok(());
    }
    cluster.files()?;
    for address in cluster.metads.iter().chain(&cluster.address) {
        check_address(address)?;
    }
    if role == Role::Metad {
        ensure!(
            cluster.address.is_some(),
            "cluster.address is not set: give HOST:PORT under which other nodes reach listen.internal"
        );
        ensure!(
            config.listen.internal.address().is_some(),
            "listen.internal is off: a metadata node needs it"
        );
        ensure!(config.database.connections_max >= 2, "database.connections_max is less than 2: raise it");
    } else {
        ensure!(
            !cluster.metads.is_empty(),
            "cluster.metads is empty: give HOST:PORT of at least one metadata node's internal listener"
        );
        ensure!(
            config.bodies.s3.is_some() || config.bodies.folder.is_some(),
            "bodies.s3 is not set: front-ends need an object store that all of them reach (bodies.folder on a shared \
             file system is one too)"
        );
    }
    Ok(())
}

fn check_address(address: &str) -> anyhow::Result<()> {
    let port =
        address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    ensure!(matches!(port, Some(Ok(1..))), "cluster: address `{address}` is no HOST:PORT");
    Ok(())
}
