//! What an operator may set about a node and its groups.

use std::time::Duration;

use buzon_tls::connect::Connector;
use openraft::SnapshotPolicy;

use crate::error::OpenError;
use crate::log::identity::LogOwner;
use crate::log::options::LogOptions;

/// A node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Cluster, node and incarnation.
    pub owner: LogOwner,
    /// The shared log.
    pub log: LogOptions,
    /// The groups.
    pub raft: RaftOptions,
    /// How other nodes are reached.
    pub connector: Connector,
    /// Rows held in memory, of all groups together.
    pub cache_bytes_max: usize,
}

/// 64 MiB hold the indexes of some hundred mailboxes of 10,000 messages.
const CACHE_BYTES_MAX: usize = 64 << 20;

impl NodeOptions {
    /// The defaults.
    pub fn new(owner: LogOwner, log: LogOptions) -> Self {
        Self {
            owner,
            log,
            raft: RaftOptions::default(),
            connector: Connector::default(),
            cache_bytes_max: CACHE_BYTES_MAX,
        }
    }
}

/// Times and sizes of all groups.
#[derive(Debug, Clone)]
pub struct RaftOptions {
    /// How often a leader that has nothing to say says so.
    pub heartbeat: Duration,
    /// A follower that hears nothing for the greater of these, and then for a time between them, begins an election. The
    /// greater is also for how long a leader is believed; within the lesser a vote must be on disk and answered.
    pub election_after: (Duration, Duration),
    /// A group that nobody used for so long rests: it costs next to nothing until it is used again, and then one round
    /// between its members more. [`Duration::MAX`]: never.
    pub rest_after: Duration,
    /// Leaders compare the state digests of their groups' members this often.
    pub compare_every: Duration,
    /// A snapshot is noted after so many entries, so that the log can be purged.
    pub snapshot_entries: u64,
    /// Entries that are kept below the snapshot, for followers that were away.
    pub keep_entries: u64,
    /// Entries that a leader keeps at most, for followers that are slow, but heard. Who is further behind gets a snapshot.
    pub keep_entries_max: u64,
    /// A follower that was not heard for so long holds nothing.
    pub heard_within: Duration,
}

impl Default for RaftOptions {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            // Openraft adds the two: the lease, which is the greater, and then a time between them. So an election begins
            // 1.2 to 1.4 s after the last heartbeat, and there is a new leader within 2 s of the old one's death
            // (DESIGN §6). 250 and 330, which make it 0.7 s at most, were tried: a new leader came after 0.5 to 0.8 s, but
            // 200 groups founded at once on an overloaded machine did not get their leaders within 100 s, for elections
            // kept each other from ending; with these it took 17 s. Votes must be on disk and answered within the lesser.
            election_after: (Duration::from_millis(500), Duration::from_millis(700)),
            // Longer than an election takes, so that none begins while one may be going on; short, since resting is
            // what makes many groups cheap.
            rest_after: Duration::from_secs(3),
            // A replica that went wrong has served nobody (leaders serve); it must be found before it may lead.
            compare_every: Duration::from_secs(5),
            snapshot_entries: 5_000,
            keep_entries: 10_000,
            // The size of the log ends it sooner, where entries are large.
            keep_entries_max: 1_000_000,
            // A restart or a short cut is over by then.
            heard_within: Duration::from_secs(10),
        }
    }
}

/// openraft takes milliseconds.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl RaftOptions {
    pub(crate) fn config(&self) -> Result<openraft::Config, OpenError> {
        let config = openraft::Config {
            cluster_name: "buzon".to_owned(),
            heartbeat_interval: milliseconds(self.heartbeat),
            election_timeout_min: milliseconds(self.election_after.0),
            election_timeout_max: milliseconds(self.election_after.1),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            // `keep` says what goes: openraft knows neither who is slow nor how large the log is.
            max_in_snapshot_log_to_keep: u64::MAX,
            // Behind by more than what is kept is behind the log.
            replication_lag_threshold: self.keep_entries.max(self.snapshot_entries).saturating_mul(2),
            enable_pre_vote: Some(true),
            // Rows may be behind what this node has told before a restart: it must be elected again.
            enable_leader_restore: Some(false),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| OpenError::Options(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Openraft's clock must not add more than this to the silence after which an election begins.
    const ELECTION_AFTER_MAX: Duration = Duration::from_millis(1_450);

    #[test]
    fn an_election_begins_in_time_and_not_for_a_lost_heartbeat() {
        let options = RaftOptions::default();
        let config = options.config().unwrap();
        // As openraft has it.
        let tick = Duration::from_millis(config.heartbeat_interval * 13 / 64);
        let (shortest, longest) = options.election_after;
        let lease = longest;
        assert!(lease + longest + tick <= ELECTION_AFTER_MAX);
        let gap = options.heartbeat + tick + crate::network::LINGER;
        assert!(2 * gap < lease, "the lease of a leader outlives a heartbeat that is lost");
        assert!(3 * gap < lease + shortest, "two heartbeats may be lost");
    }
}
