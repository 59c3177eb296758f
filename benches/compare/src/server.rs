//! A server that is measured: where it listens, which processes it is made of, and what is done to it between measurements.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use crate::cost::tree::Root;

mod admin;
mod cluster;
mod dovecot;
mod standalone;

/// The password of every account that has one.
pub(crate) const PASSWORD: &str = "bench";
/// All accounts are in it.
pub(crate) const DOMAIN: &str = "example.org";

/// Which servers there are, by the names they have on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// Dovecot, a file for each message; fsync as delivery needs it (`mail_fsync = optimized`).
    DovecotSdbox,
    /// Dovecot, files of many messages.
    DovecotMdbox,
    /// Dovecot's sdbox with `mail_fsync = always`: flags are flushed too.
    DovecotSdboxAlways,
    /// Buzon in one process: SQLite, bodies in a folder.
    Standalone,
    /// Buzon with one metadata node, its Postgres and one front-end; bodies in a folder.
    Metad,
    /// Buzon with three metadata nodes, a Postgres each, two front-ends, bodies in S3.
    Cluster,
}

impl Kind {
    /// Whether it is the one that others are compared with.
    pub(crate) fn is_dovecot(self) -> bool {
        matches!(self, Self::DovecotSdbox | Self::DovecotMdbox | Self::DovecotSdboxAlways)
    }

    /// Started, without accounts.
    ///
    /// # Errors
    /// If it does not start; with its log.
    pub(crate) fn start(self) -> anyhow::Result<Box<dyn Server>> {
        Ok(match self {
            Self::DovecotSdbox => Box::new(dovecot::Dovecot::start("sdbox", "optimized")?),
            Self::DovecotMdbox => Box::new(dovecot::Dovecot::start("mdbox", "optimized")?),
            Self::DovecotSdboxAlways => Box::new(dovecot::Dovecot::start("sdbox", "always")?),
            Self::Standalone => Box::new(standalone::Standalone::start()?),
            Self::Metad => Box::new(cluster::Nodes::start_one()?),
            Self::Cluster => Box::new(cluster::Nodes::start_three()?),
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("?", |value| value.get_name()))
    }
}

/// Whether IMAP is spoken over TLS; on all servers of a run alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// As it is.
    Plain,
    /// From the first byte.
    Tls,
}

/// See the module. Every method that waits may block: nothing is measured meanwhile.
pub(crate) trait Server {
    /// Version and what was set, for the report.
    fn about(&self) -> anyhow::Result<String>;

    /// Where IMAP is spoken; connections take turns.
    fn imap(&self, security: Security) -> anyhow::Result<Vec<SocketAddr>>;

    /// Where LMTP is.
    fn lmtp(&self) -> anyhow::Result<Vec<SocketAddr>>;

    /// Who signed its certificates, one for each of the addresses.
    fn ca(&self) -> anyhow::Result<Vec<PathBuf>>;

    /// Its processes' roots.
    fn roots(&self) -> anyhow::Result<Vec<Root>>;

    /// Calls so far that waited for the disk, over all its processes.
    fn syncs(&self) -> anyhow::Result<u64>;

    /// Requests to the object store so far.
    fn requests(&self) -> anyhow::Result<u64>;

    /// Whether its object store runs in this process.
    fn has_own_store(&self) -> bool {
        false
    }

    /// More accounts; those without a password only get mail. Sessions that are open may end.
    fn add_accounts(&mut self, accounts: &[Account]) -> anyhow::Result<()>;

    /// Stops it orderly and starts it again; addresses may change.
    fn restart(&mut self) -> anyhow::Result<()>;

    /// The same; and what it keeps of messages because a client asked once is gone.
    fn restart_cold(&mut self) -> anyhow::Result<()> {
        self.restart()
    }

    /// Whether it has raft groups that can be added to.
    fn has_groups(&self) -> bool {
        false
    }

    /// More raft groups; returns when they serve.
    fn add_groups(&mut self, _count: usize) -> anyhow::Result<()> {
        anyhow::bail!("it has no groups")
    }

    /// Lines of its logs that a human must look at.
    fn complaints(&self) -> Vec<String>;
}

/// An account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// Before the `@`.
    pub(crate) name: String,
    /// Whether it can log in, with [`PASSWORD`].
    pub(crate) can_log_in: bool,
}

impl Account {
    /// Its address.
    pub(crate) fn address(&self) -> String {
        address(&self.name)
    }
}

/// The address of an account.
pub(crate) fn address(name: &str) -> String {
    format!("{name}@{DOMAIN}")
}

/// A listener's address from a process's `running.json`.
fn listener(running: &serde_json::Value, name: &str) -> anyhow::Result<SocketAddr> {
    let text = running[name].as_str().with_context(|| format!("no listener {name}"))?;
    Ok(text.parse()?)
}

/// Requests to the object store as a process's `/metrics` tells them.
fn requests(http: SocketAddr) -> anyhow::Result<u64> {
    let (code, text) = buzon_tests::http::get(http, "/metrics")?;
    anyhow::ensure!(code == 200, "/metrics: {code}");
    let lines = text.lines().filter(|line| line.starts_with("buzon_bodies_requests_total"));
    let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(numbers.sum::<f64>() as u64)
}

/// `buzon --version`.
fn version() -> anyhow::Result<String> {
    let output = std::process::Command::new(buzon_tests::server::binary()?).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A file system whose fsync costs nothing says nothing about durable servers.
///
/// # Errors
/// If temporary files are kept in memory.
pub(crate) fn file_system_of_data(dir: &Path) -> anyhow::Result<String> {
    let output =
        std::process::Command::new("stat").args(["-f", "-c", "%T"]).arg(dir).output().context("run stat")?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    anyhow::ensure!(
        name != "tmpfs" && name != "ramfs",
        "{} is in memory, where fsync costs nothing: set TMPDIR to a folder on a disk",
        dir.display()
    );
    Ok(name)
}
