//! What a seed stands for, before anything happens.

use std::time::Duration;

use buzon_types::id::GroupId;

use super::random::Random;
use crate::node::RaftOptions;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// They found the groups: 1 to `founders`.
    pub(crate) founders: u64,
    /// They have no group at first.
    pub(crate) spares: u64,
    pub(crate) groups: Vec<GroupId>,
    pub(crate) clients: u64,
    /// Requests that each of them has in flight.
    pub(crate) lanes: u64,
    /// How long faults happen.
    pub(crate) faults_for: Duration,
    /// Between two of them, in milliseconds.
    pub(crate) fault_every: u64,
    /// Parts of snapshots that break their stream, of a thousand; after all else is healed, too.
    pub(crate) snapshots_broken: u64,
    pub(crate) raft: RaftOptions,
    pub(crate) cache_bytes_max: usize,
    pub(crate) tail_bytes_max: usize,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let founders = *random.pick(&[3, 3, 3, 3, 3, 5, 1]).unwrap_or(&3);
        let spares = random.below(3);
        let groups = if random.permille(250) { vec![GroupId(1), GroupId(2)] } else { vec![GroupId(1)] };
        let lanes = 1 + random.below(3);
        let raft = RaftOptions {
            // Most runs never see a group go to rest and wake again with the usual time.
            rest_after: if random.permille(300) {
                Duration::from_millis(1_500)
            } else {
                Duration::from_secs(3)
            },
            snapshot_entries: 10 + random.below(60),
            ..RaftOptions::default()
        };
        let plan = Self {
            seed,
            founders,
            spares,
            groups,
            clients: 1 + random.below(3),
            lanes,
            faults_for: Duration::from_secs(5 + random.below(8)),
            fault_every: 100 + random.below(900),
            snapshots_broken: 0,
            raft,
            // Small ones, so that rows are loaded again and again, and the log is read from its disk.
            cache_bytes_max: if random.permille(400) { 2_000 } else { 64 << 20 },
            tail_bytes_max: if random.permille(400) { 500 } else { 2 << 20 },
        };
        plan.with_snapshots(&random)
    }

    /// Logs that go while somebody needs them, now and then, and snapshots that come in several streams.
    fn with_snapshots(mut self, random: &Random) -> Self {
        self.snapshots_broken = *random.pick(&[0, 50, 150]).unwrap_or(&0);
        self.raft.keep_entries = if random.permille(500) { 0 } else { random.below(40) };
        self.raft.keep_entries_max = if random.permille(500) { 1_000 } else { 20 + random.below(100) };
        self.raft.heard_within = random.millis(1_000..10_000);
        self
    }

    pub(crate) fn nodes(&self) -> u64 {
        self.founders + self.spares
    }
}
