//! The database of a node: rows in memory over a write-ahead log of its own, of which a crash takes the last transactions,
//! since nobody waits for them to be on its disk (DESIGN D2).

mod pages;
mod store;
mod tables;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::error::StoreError;
use buzon_model::testing::Rows;
use buzon_types::id::{GroupId, LogIndex, NodeId};
use parking_lot::Mutex;
use tokio::time::Instant;

use self::tables::{Record, Tables};
use super::oracle::Oracle;
use super::random::Random;

pub(crate) use self::pages::Vault;
pub(crate) use self::store::Store;

/// See the module. Outlives its node's processes.
pub(crate) struct Database {
    node: NodeId,
    random: Random,
    oracle: Arc<Oracle>,
    /// Pages on their way between databases.
    vault: Arc<Vault>,
    state: Mutex<State>,
}

struct State {
    tables: Tables,
    /// What is on the disk.
    durable: Tables,
    /// What is not.
    log: Vec<Record>,
    /// Counts starts of the server.
    server: u64,
    down_until: Instant,
    /// What a statement takes, in milliseconds.
    takes: Range<u64>,
    /// Statements that fail, of a thousand; half of the commits among them are carried out.
    failing: u64,
    /// Kept for the day on which somebody puts back an old copy.
    copy: Tables,
}

impl Database {
    pub(crate) fn new(node: NodeId, random: Random, oracle: Arc<Oracle>, vault: Arc<Vault>) -> Arc<Self> {
        let state = State {
            tables: Tables::default(),
            durable: Tables::default(),
            log: Vec::new(),
            server: 1,
            down_until: Instant::now(),
            takes: 0..2,
            failing: 0,
            copy: Tables::default(),
        };
        Arc::new(Self { node, random, oracle, vault, state: Mutex::new(state) })
    }

    pub(crate) fn statements_take(&self, millis: Range<u64>) {
        self.state.lock().takes = millis;
    }

    pub(crate) fn statements_fail(&self, permille: u64) {
        self.state.lock().failing = permille;
    }

    /// The server ends and starts again after a while: what was not on its disk is lost, from some transaction on.
    pub(crate) fn restart(&self, after: Duration) {
        let mut state = self.state.lock();
        let survive = self.random.below(state.log.len() as u64 + 1) as usize;
        let survive: Vec<Record> = state.log.drain(..).take(survive).collect();
        for record in &survive {
            // It was carried out before.
            let _ = state.durable.carry_out(record);
        }
        state.tables = state.durable.clone();
        state.server += 1;
        state.down_until = Instant::now() + after;
        self.tell_durable(&state);
    }

    /// Somebody loses the disk and puts back an old copy, or nothing.
    pub(crate) fn lose(&self) {
        let mut state = self.state.lock();
        state.log.clear();
        let copy = if self.random.permille(500) { state.copy.clone() } else { Tables::default() };
        (state.tables, state.durable) = (copy.clone(), copy);
        state.server += 1;
        self.tell_durable(&state);
    }

    /// Takes a copy for later.
    pub(crate) fn back_up(&self) {
        let mut state = self.state.lock();
        state.copy = state.durable.clone();
    }

    /// A group's rows and where they stand.
    pub(crate) fn look<T>(&self, group: GroupId, look: impl FnOnce(LogIndex, &Rows) -> T) -> Option<T> {
        let state = self.state.lock();
        let stored = state.tables.groups.get(&group)?;
        Some(look(LogIndex(stored.head.applied.index), &stored.rows))
    }

    /// Begins a statement. Says which run of the server it is.
    async fn enter(&self) -> Result<u64, StoreError> {
        let takes = {
            let state = self.state.lock();
            if state.down_until > Instant::now() {
                return Err(unavailable());
            }
            state.takes.clone()
        };
        // Most are answered from memory.
        let is_quick = takes.end <= 2 && !self.random.permille(100);
        if !is_quick {
            tokio::time::sleep(self.random.millis(takes)).await;
        }
        let mut state = self.state.lock();
        if self.random.permille(30) {
            self.flush(&mut state);
        }
        let fails = state.failing > 0 && self.random.permille(state.failing);
        if fails || state.down_until > Instant::now() { Err(unavailable()) } else { Ok(state.server) }
    }

    /// Ends one that changed something.
    async fn leave(&self, server: u64) -> Result<(), StoreError> {
        if self.random.permille(50) {
            tokio::time::sleep(self.random.millis(1..20)).await;
        }
        let state = self.state.lock();
        let fails = state.failing > 0 && self.random.permille(state.failing);
        if fails || state.server != server { Err(unavailable()) } else { Ok(()) }
    }

    fn flush(&self, state: &mut State) {
        if state.log.is_empty() {
            return;
        }
        for record in std::mem::take(&mut state.log) {
            // It was carried out before.
            let _ = state.durable.carry_out(&record);
        }
        self.tell_durable(state);
    }

    fn tell_durable(&self, state: &State) {
        let known: BTreeMap<GroupId, LogIndex> = state.durable.heads().collect();
        for group in state.tables.groups.keys().chain(state.copy.groups.keys()) {
            let index = known.get(group).copied().unwrap_or_default();
            self.oracle.durable(self.node, *group, index);
        }
    }
}

fn unavailable() -> StoreError {
    buzon_meta_store::testing::unavailable()
}
