//! Buzon as a cluster of processes on this machine: metadata nodes with a Postgres each, front-ends, bodies in S3 or a folder.
//!
//! Postgres runs with its own `fsync` on, as the documentation asks of operators. The S3 server is a thread of this process and
//! not a part of what is measured: its time is told apart.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::process::Process;

use super::admin::Admin;
use super::{Account, Security, Server, listener};
use crate::cost::syncs::Syncs;
use crate::cost::tree::Root;

/// As durable as in production; only what a client may set apart from the file.
const DATABASE: [&str; 3] = ["fsync=on", "full_page_writes=on", "shared_buffers=128MB"];
/// A node that replays its log starts well within this.
const START_MAX: Duration = Duration::from_secs(120);
/// Shards of a cluster; more are added by [`Server::add_groups`].
const SHARDS: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Nodes {
    cluster: Cluster,
    syncs: Syncs,
    bodies: Bodies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bodies {
    Folder,
    S3,
}

impl Nodes {
    /// One metadata node with one shard, one front-end, a folder.
    ///
    /// # Errors
    /// If something does not start; with its log.
    pub(super) fn start_one() -> anyhow::Result<Self> {
        Self::start(Size { metads: 1, frontends: 1, shards: 1 }, Bodies::Folder)
    }

    /// Three metadata nodes, two front-ends, S3.
    ///
    /// # Errors
    /// As [`Nodes::start_one`].
    pub(super) fn start_three() -> anyhow::Result<Self> {
        Self::start(Size { metads: 3, frontends: 2, shards: SHARDS }, Bodies::S3)
    }

    fn start(size: Size, bodies: Bodies) -> anyhow::Result<Self> {
        let syncs = Syncs::build()?;
        let mut cluster = Cluster::prepare_with(size, &DATABASE, &syncs.variables())?;
        for process in cluster.metads.iter_mut().chain(&mut cluster.frontends) {
            process.environment(syncs.variables());
        }
        if bodies == Bodies::Folder {
            let folder = cluster.scratch().join("bodies");
            fs::create_dir(&folder)?;
            for frontend in &cluster.frontends {
                let file = frontend.data_dir().with_file_name("buzon.toml");
                let text = fs::read_to_string(&file)?;
                let (before, _) = text.split_once("[bodies.s3]").context("a section [bodies.s3]")?;
                fs::write(&file, format!("{before}[bodies]\nfolder = \"{}\"\n", folder.display()))?;
            }
        }
        Ok(Self { cluster: cluster.found(size)?, syncs, bodies })
    }

    fn fronts(&self, name: &str) -> anyhow::Result<Vec<SocketAddr>> {
        let fronts = self.cluster.frontends.iter();
        fronts.map(|frontend| listener(&frontend.running()?, name)).collect()
    }
}

impl Server for Nodes {
    fn about(&self) -> anyhow::Result<String> {
        Ok(format!(
            "{}: {} metadata nodes with a Postgres each ({}), {} front-ends, {}",
            super::version()?,
            self.cluster.metads.len(),
            DATABASE.join(" "),
            self.cluster.frontends.len(),
            match self.bodies {
                Bodies::Folder => "bodies in a folder",
                Bodies::S3 => "bodies in an S3 server for tests, which does not flush what it answers",
            }
        ))
    }

    fn imap(&self, security: Security) -> anyhow::Result<Vec<SocketAddr>> {
        self.fronts(match security {
            Security::Plain => "imap",
            Security::Tls => "imaps",
        })
    }

    fn lmtp(&self) -> anyhow::Result<Vec<SocketAddr>> {
        self.fronts("lmtp")
    }

    fn ca(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(self.cluster.frontends.iter().map(|frontend| frontend.data_dir().join("pki/ca.pem")).collect())
    }

    fn roots(&self) -> anyhow::Result<Vec<Root>> {
        let of = |role, process: &Process| {
            let pid = process.pid().with_context(|| format!("{} does not run", process.name))?;
            anyhow::Ok(Root { role, pid })
        };
        let fronts = self.cluster.frontends.iter().map(|process| of("front-ends", process));
        let metads = self.cluster.metads.iter().map(|process| of("metads", process));
        let databases = self.cluster.databases.iter().map(|database| {
            let file = fs::read_to_string(database.data().join("postmaster.pid"))?;
            let pid = file.lines().next().context("a postmaster")?.parse()?;
            anyhow::Ok(Root { role: "databases", pid })
        });
        fronts.chain(metads).chain(databases).collect()
    }

    fn syncs(&self) -> anyhow::Result<u64> {
        self.syncs.read()
    }

    fn requests(&self) -> anyhow::Result<u64> {
        self.fronts("http")?.into_iter().map(super::requests).sum()
    }

    fn has_own_store(&self) -> bool {
        self.bodies == Bodies::S3
    }

    fn add_accounts(&mut self, accounts: &[Account]) -> anyhow::Result<()> {
        let address = listener(&self.cluster.metads[0].running()?, "admin")?;
        let token = self.cluster.scratch().join("token");
        Admin::open(address, &token, &self.cluster.ca())?.add_accounts(accounts)
    }

    /// Metadata nodes are killed: one that ends orderly waits for others to lead, and here all end.
    fn restart(&mut self) -> anyhow::Result<()> {
        for frontend in &mut self.cluster.frontends {
            frontend.terminate()?;
        }
        for metad in &mut self.cluster.metads {
            metad.kill();
        }
        // All at once: one alone has no majority to get ready with.
        for metad in &mut self.cluster.metads {
            metad.start()?;
        }
        for metad in &mut self.cluster.metads {
            metad.wait_line("ready", START_MAX)?;
        }
        for at in 0..self.cluster.frontends.len() {
            self.cluster.restart_frontend(at)?;
        }
        Ok(())
    }

    fn has_groups(&self) -> bool {
        true
    }

    fn add_groups(&mut self, count: usize) -> anyhow::Result<()> {
        self.cluster.ctl_anywhere(&["shard", "add", &count.to_string()])?;
        (0..self.cluster.metads.len()).try_for_each(|at| self.cluster.wait_replicas(at))
    }

    fn complaints(&self) -> Vec<String> {
        self.cluster.complaints()
    }
}
