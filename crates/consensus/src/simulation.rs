//! Deterministic simulation: whole nodes with their groups, and clients, in one thread and in virtual time, from one seed.
//!
//! ```text
//! client ─▶ network ─▶ Node ─ Group ─ openraft ─ network/client ─▶ network ─▶ network/server of another Node
//!                                │ log/shared, log/writer ─▶ disk: written, synced
//!                                └ apply/machine, decide ──▶ database: rows, rows on its disk
//!  faults ─▶ all of them        oracle ◀─ everything: history, invariants, trace
//! ```
//! What is ours and openraft's is the real code. Simulated are time (tokio's, paused), the way between nodes (`network`),
//! the disk under the log (`disk`), the database (`database`), processes (`life`), and chance (`random`). A run ends with
//! everything healed and the demand that it serves. See `docs/decisions/0011-simulation.md`.

mod client;
pub(crate) mod cluster;
mod database;
mod digest;
pub(crate) mod disk;
mod faults;
mod history;
mod invariants;
pub(crate) mod life;
pub(crate) mod network;
mod oracle;
mod plan;
mod random;
pub(crate) mod runtime;
mod tests;
pub(crate) mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use buzon_types::id::{GroupId, LogIndex};

use self::cluster::Cluster;
use self::oracle::Violation;
use self::plan::Plan;

/// Virtual time after which healed clusters must serve: an election after the longest silence, a restart's replay, a
/// snapshot, clients' pauses between attempts.
const SERVES_WITHIN: Duration = Duration::from_secs(40);

/// What became of a seed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of everything that happened, and how much that was.
    pub(crate) trace: (u64, u64),
    pub(crate) violation: Option<Violation>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Of virtual time.
    pub(crate) took: Duration,
    /// Kept if asked for.
    pub(crate) lines: Vec<String>,
}

/// The node whose task this is called from has decided the entries between two positions, and tells of them from now on.
pub(crate) fn decided(group: GroupId, entries: (u64, u64)) {
    if let Some(life) = life::current() {
        life.oracle().decided(life.node(), group, (LogIndex(entries.0), LogIndex(entries.1)));
    }
}

/// Runs a seed from its beginning to its end.
pub(crate) fn run(seed: u64, with_lines: bool) -> Outcome {
    run_plan(&Plan::new(seed), with_lines)
}

fn run_plan(plan: &Plan, with_lines: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("build a runtime").block_on(async {
        let began = tokio::time::Instant::now();
        let cluster = Cluster::new(plan, with_lines);
        cluster.live(plan).await;
        let oracle = cluster.end();
        let (trace, lines) = (oracle.trace_hash(), oracle.take_lines());
        let (violation, counts) = (oracle.violation(), oracle.counts());
        Outcome { trace, violation, counts, took: began.elapsed(), lines }
    })
}
