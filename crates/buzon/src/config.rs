//! The configuration: one TOML file, then environment variables, then command-line flags, each over the one before.
//!
//! `BUZON_LISTEN__IMAPS=0.0.0.0:993` sets `imaps` in `[listen]`. Keys that nobody knows are refused by name.
//! Secrets are named by the file that holds them, or come from the environment; they are never flags.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

mod cluster;
mod listen;
mod peers;
mod raft;

pub(crate) use cluster::{Admin, Cluster, Database, Role};
pub(crate) use listen::ListenOn;
pub(crate) use peers::Network;
pub(crate) use raft::Raft;

/// Prefix of environment variables that set keys.
const ENVIRONMENT_PREFIX: &str = "BUZON_";

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where this node keeps its log, database, bodies, keys.
    pub(crate) data_dir: PathBuf,
    /// The name this server gives itself in greetings, `Received:` and its own certificate.
    pub(crate) host_name: String,
    pub(crate) listen: Listen,
    /// How the nodes of a cluster reach each other; nothing to a standalone server.
    pub(crate) cluster: Cluster,
    /// A metadata node's own Postgres; a standalone server has SQLite.
    pub(crate) database: Database,
    pub(crate) raft: Raft,
    pub(crate) admin: Admin,
    pub(crate) tls: Tls,
    pub(crate) imap: Imap,
    pub(crate) lmtp: Lmtp,
    pub(crate) bodies: Bodies,
    pub(crate) memory: Memory,
    pub(crate) log: Log,
    /// SIGTERM: how long commands that run may take before the process ends anyway.
    pub(crate) drain_seconds: u64,
}

/// Addresses to listen on; `"off"` for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Listen {
    /// IMAP over TLS.
    pub(crate) imaps: ListenOn,
    /// IMAP with STARTTLS.
    pub(crate) imap: ListenOn,
    /// LMTP from the provider's MTA.
    pub(crate) lmtp: ListenOn,
    /// gRPC for `buzon ctl`, over TLS with a token.
    pub(crate) admin: ListenOn,
    /// `/livez`, `/readyz`, `/metrics`.
    pub(crate) http: ListenOn,
    /// gRPC between the nodes of a cluster, over mutual TLS; of metadata nodes.
    pub(crate) internal: ListenOn,
}

/// The server's certificate; both or none. Reloaded when the files change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// PEM file: the certificate and what chains it to its root.
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file: its key.
    pub(crate) key: Option<PathBuf>,
}

/// IMAP limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Imap {
    /// Largest message that APPEND takes.
    pub(crate) message_bytes_max: u64,
    /// Connections at a time.
    pub(crate) connections_max: usize,
    /// Connections at a time from one address.
    pub(crate) connections_per_peer_max: usize,
    /// An idle session ends after this (RFC 9051 §5.4: at least 30 minutes).
    pub(crate) autologout_seconds: u64,
    /// IDLE says something this often, for clients and NATs that drop silence.
    pub(crate) idle_keepalive_seconds: u64,
}

/// LMTP limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lmtp {
    /// Networks whose hosts may deliver, like `10.1.0.0/16`.
    pub(crate) peers: Vec<Network>,
    /// PEM file: hosts with a certificate from this CA may deliver from anywhere, over STARTTLS.
    pub(crate) client_ca: Option<PathBuf>,
    /// Largest message.
    pub(crate) message_bytes_max: u64,
    /// Recipients of one message.
    pub(crate) recipients_max: usize,
    /// Connections at a time.
    pub(crate) connections_max: usize,
    /// What a full mailbox says to the MTA.
    pub(crate) over_quota: OverQuota,
}

/// What a full mailbox says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OverQuota {
    /// 552: the MTA bounces the message.
    Reject,
    /// 452: the MTA tries again.
    Defer,
}

/// Where message bodies go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Bodies {
    /// A folder; `bodies` in the data directory when nothing is set.
    pub(crate) folder: Option<PathBuf>,
    /// Or an S3-compatible server.
    pub(crate) s3: Option<S3>,
}

/// An S3-compatible server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct S3 {
    /// Like `https://s3.example.com`.
    pub(crate) endpoint: String,
    /// The bucket; it must exist.
    pub(crate) bucket: String,
    #[serde(default = "S3::default_region")]
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    /// File with the secret access key; or `BUZON_S3_SECRET_ACCESS_KEY` in the environment.
    #[serde(default)]
    pub(crate) secret_access_key_file: Option<PathBuf>,
}

/// What may be held in memory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Memory {
    /// Index columns of the mailboxes in use.
    pub(crate) metadata_cache_bytes: u64,
    /// Bodies read lately.
    pub(crate) body_cache_bytes: u64,
    /// What lists of messages show of them, and searches of their headers look through, read lately.
    pub(crate) summary_cache_bytes: u64,
    /// Messages on their way in.
    pub(crate) incoming_bytes_max: u64,
}

/// What is logged to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    /// As in `RUST_LOG`, which goes before it.
    pub(crate) filter: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./buzon-data"),
            host_name: "localhost".to_owned(),
            listen: Listen::default(),
            cluster: Cluster::default(),
            database: Database::default(),
            raft: Raft::default(),
            admin: Admin::default(),
            tls: Tls::default(),
            imap: Imap::default(),
            lmtp: Lmtp::default(),
            bodies: Bodies::default(),
            memory: Memory::default(),
            log: Log::default(),
            drain_seconds: 25, // Kubernetes kills after 30
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let on = |port| ListenOn::Address(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            imaps: on(1993),
            imap: on(1143),
            lmtp: on(2424),
            admin: on(7070),
            http: on(8080),
            internal: on(7071),
        }
    }
}

impl Default for Imap {
    fn default() -> Self {
        Self {
            message_bytes_max: 64 << 20,
            connections_max: 20_000,
            connections_per_peer_max: 200,
            autologout_seconds: 30 * 60,
            idle_keepalive_seconds: 120,
        }
    }
}

impl Default for Lmtp {
    fn default() -> Self {
        Self {
            peers: vec![Network::LOOPBACK_V4, Network::LOOPBACK_V6],
            client_ca: None,
            message_bytes_max: 64 << 20,
            recipients_max: 1000,
            connections_max: 1000,
            over_quota: OverQuota::Reject,
        }
    }
}

impl S3 {
    fn default_region() -> String {
        "us-east-1".to_owned()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            metadata_cache_bytes: 512 << 20,
            body_cache_bytes: 128 << 20,
            summary_cache_bytes: 256 << 20,
            incoming_bytes_max: 512 << 20,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,openraft=warn".to_owned() }
    }
}

impl Config {
    /// Reads file and environment. Without a file, defaults and environment.
    ///
    /// # Errors
    /// Names the key, where it is, and what is wrong with it.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let text = match file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("read configuration {}", path.display()))?,
            None => String::new(),
        };
        let name = file.map_or_else(|| "environment".to_owned(), |path| path.display().to_string());
        Self::parse(&text, std::env::vars()).with_context(|| format!("configuration from {name}"))
    }

    fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let _: Self = toml::from_str(text)?; // the file alone: its errors tell the line
        let mut table: toml::Table = toml::from_str(text)?;
        let mut set = BTreeMap::new();
        for (name, value) in environment {
            if let Some(key) = key_of_variable(&name) {
                insert(&mut table, &key, &value).with_context(|| format!("environment variable {name}"))?;
                set.insert(key.join("."), name);
            }
        }
        let config: Self = table.try_into().with_context(|| {
            let names: Vec<_> = set.values().map(String::as_str).collect();
            format!("after the environment variables {}", names.join(", "))
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what types cannot say.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            bail!("tls.certificate and tls.key go together: set both or none");
        }
        ensure!(!self.host_name.is_empty(), "host_name is empty: give the name clients connect to");
        ensure!(
            self.bodies.s3.is_none() || self.bodies.folder.is_none(),
            "bodies.folder and bodies.s3 are both set: keep one"
        );
        ensure!(
            self.imap.autologout_seconds >= 30 * 60,
            "imap.autologout_seconds is {}: RFC 9051 section 5.4 asks for at least 1800",
            self.imap.autologout_seconds
        );
        self.raft.validate()?;
        let largest = self.imap.message_bytes_max.max(self.lmtp.message_bytes_max);
        ensure!(
            self.memory.incoming_bytes_max >= largest,
            "memory.incoming_bytes_max is {}, less than the largest message ({largest}): raise it",
            self.memory.incoming_bytes_max
        );
        ensure!(
            self.imap.idle_keepalive_seconds > 0,
            "imap.idle_keepalive_seconds is 0: give seconds, like 120"
        );
        Ok(())
    }

    /// Checks that what a role needs is there.
    pub(crate) fn validate_for(&self, role: Role) -> anyhow::Result<()> {
        cluster::validate(self, role)
    }

    /// As TOML. It holds no secrets: those are named by their files.
    pub(crate) fn show(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }
}

/// `BUZON_LISTEN__IMAPS` → `listen.imaps`. Variables with secrets are not keys.
fn key_of_variable(name: &str) -> Option<Vec<String>> {
    const SECRETS: [&str; 2] = ["BUZON_S3_SECRET_ACCESS_KEY", cluster::DATABASE_PASSWORD_VARIABLE];
    const OTHERS: [&str; 1] = ["BUZON_TEST_"];
    let rest = name.strip_prefix(ENVIRONMENT_PREFIX)?;
    if SECRETS.contains(&name) || OTHERS.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    Some(rest.split("__").map(str::to_ascii_lowercase).collect())
}

/// Puts a value in; numbers, booleans and arrays as TOML reads them, else a string.
fn insert(table: &mut toml::Table, key: &[String], value: &str) -> anyhow::Result<()> {
    let (last, path) = key.split_last().context("no key after the prefix")?;
    let mut at = table;
    for level in path {
        let next = at.entry(level.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = next.as_table_mut().with_context(|| format!("{level} is a value, not a section"))?;
    }
    let parsed =
        toml::from_str::<toml::Table>(&format!("value = {value}")).ok().and_then(|mut it| it.remove("value"));
    at.insert(last.clone(), parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, environment).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let config = parse(
            "host_name = \"a\"\n[listen]\nhttp = \"off\"",
            &[
                ("BUZON_HOST_NAME", "mx.example.com"),
                ("BUZON_LISTEN__IMAPS", "0.0.0.0:993"),
                ("BUZON_LMTP__RECIPIENTS_MAX", "7"),
                ("HOME", "/"),
            ],
        )
        .unwrap();
        assert_eq!(config.host_name, "mx.example.com");
        assert_eq!(config.listen.imaps.to_string(), "0.0.0.0:993");
        assert_eq!(config.listen.http, ListenOn::Off);
        assert_eq!(config.lmtp.recipients_max, 7);
    }

    #[test]
    fn unknown_keys_are_refused_by_name_and_line() {
        let error = parse("host_name = \"a\"\n[imap]\nfoo = 1", &[]).unwrap_err();
        assert!(error.contains("foo") && error.contains("line 3"), "{error}");
        let error = parse("", &[("BUZON_IMAP__BAR", "1")]).unwrap_err();
        assert!(error.contains("bar") && error.contains("BUZON_IMAP__BAR"), "{error}");
    }

    #[test]
    fn values_that_do_not_fit_together_are_refused() {
        assert!(parse("[tls]\nkey = \"k\"", &[]).unwrap_err().contains("tls.certificate"));
        assert!(parse("[imap]\nautologout_seconds = 60", &[]).unwrap_err().contains("1800"));
        assert!(parse("[raft]\nlog_file_bytes = 1000", &[]).unwrap_err().contains("raft.log_file_bytes"));
        assert!(parse("[raft]\nlog_bytes_max = 100000000", &[]).unwrap_err().contains("4 files"));
        assert!(parse("[lmtp]\npeers = [\"10.0.0.0/33\"]", &[]).unwrap_err().contains("10.0.0.0/33"));
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let config = Config::default();
        assert_eq!(parse(&config.show().unwrap(), &[]).unwrap(), config);
    }
}
