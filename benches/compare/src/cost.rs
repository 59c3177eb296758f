//! What a server spent: processor time of all its processes by role, waits for the disk, requests to the object store. Read
//! before and after a piece of work; the difference is the work's.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::server::Server;

pub(crate) mod syncs;
pub(crate) mod tree;

/// The role of the object store, which is no part of Buzon: it runs in threads of this process.
pub(crate) const OBJECT_STORE: &str = "object store";

/// Readings of all counters at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    seconds: BTreeMap<&'static str, f64>,
    syncs: u64,
    requests: u64,
    generator: f64,
}

/// Between two readings.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Cost {
    /// Seconds of processor time by role.
    pub(crate) seconds: BTreeMap<&'static str, f64>,
    /// Calls that waited for the disk.
    pub(crate) syncs: u64,
    /// Requests to the object store, as the server counts them; a folder's are counted alike.
    pub(crate) requests: u64,
    /// Seconds of processor time of the load generator.
    pub(crate) generator: f64,
}

impl Reading {
    /// Now.
    ///
    /// # Errors
    /// If a process of the server has ended.
    pub(crate) fn take(server: &dyn Server) -> anyhow::Result<Self> {
        let mut seconds = tree::seconds(&server.roots()?)?;
        let (all, generator) = tree::own_seconds()?;
        if server.has_own_store() {
            seconds.insert(OBJECT_STORE, all - generator);
        }
        Ok(Self { seconds, syncs: server.syncs()?, requests: server.requests()?, generator })
    }

    /// What was spent since.
    pub(crate) fn until(&self, later: &Self) -> Cost {
        let seconds = later.seconds.iter();
        // The store's time is a difference of counters that are each rounded: it may seem to go back.
        let since = |role: &&'static str, now: &f64| (now - self.seconds.get(role).unwrap_or(&0.0)).max(0.0);
        let seconds = seconds.map(|(role, now)| (*role, since(role, now)));
        Cost {
            seconds: seconds.collect(),
            syncs: later.syncs.saturating_sub(self.syncs),
            requests: later.requests.saturating_sub(self.requests),
            generator: later.generator - self.generator,
        }
    }
}

impl Cost {
    /// Processor time of all that is the server's own; the object store's is not.
    pub(crate) fn server_seconds(&self) -> f64 {
        self.seconds.iter().filter(|(role, _)| **role != OBJECT_STORE).map(|(_, seconds)| seconds).sum()
    }
}
