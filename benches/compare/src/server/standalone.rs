//! Buzon in one process: `buzon standalone` with its defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use buzon_tests::server::{Server as Process, Start};

use super::admin::Admin;
use super::{Account, Security, Server};
use crate::cost::syncs::Syncs;
use crate::cost::tree::Root;

/// See the module.
#[derive(Debug)]
pub(super) struct Standalone {
    process: Process,
    syncs: Syncs,
}

impl Standalone {
    /// On an empty folder.
    ///
    /// # Errors
    /// If it does not start; with its log.
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut process = Process::prepare()?;
        let syncs = Syncs::build()?;
        process.start_as(Start { environment: syncs.variables(), ..Start::default() });
        process.restart()?;
        Ok(Self { process, syncs })
    }
}

impl Server for Standalone {
    fn about(&self) -> anyhow::Result<String> {
        Ok(format!("{}: standalone with its defaults; SQLite, bodies in a folder", super::version()?))
    }

    fn imap(&self, security: Security) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(vec![self.process.address(match security {
            Security::Plain => "imap",
            Security::Tls => "imaps",
        })])
    }

    fn lmtp(&self) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(vec![self.process.address("lmtp")])
    }

    fn ca(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.process.ca()])
    }

    fn roots(&self) -> anyhow::Result<Vec<Root>> {
        Ok(vec![Root { role: "buzon", pid: self.process.pid().context("it does not run")? }])
    }

    fn syncs(&self) -> anyhow::Result<u64> {
        self.syncs.read()
    }

    fn requests(&self) -> anyhow::Result<u64> {
        super::requests(self.process.address("http"))
    }

    fn add_accounts(&mut self, accounts: &[Account]) -> anyhow::Result<()> {
        let token = self.process.data_dir().join("admin-token");
        Admin::open(self.process.address("admin"), &token, &self.process.ca())?.add_accounts(accounts)
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.process.terminate()?;
        self.process.restart()
    }

    fn complaints(&self) -> Vec<String> {
        self.process.complaints()
    }
}
