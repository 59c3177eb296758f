//! Groups that nobody uses rest: without ticks, heartbeats and elections of their own they cost next to nothing.
//!
//! ```text
//!  leader's node                                        follower's node
//!  unused for a while, all members have it all ──list──▶ stands there too? then it rests until silence
//!  all members agreed: it rests               ◀─answer─  or says that it does not
//!  again every heartbeat, all groups in one call ─list─▶ rests on
//!  used, or a member does not answer or agree:          entries, votes come: awake
//!  awake, heartbeats                                    nothing comes: awake, elections
//! ```
//! Nothing here is remembered: each list is checked against where the group stands now, so whatever goes wrong (a
//! restart, a new leader, a lost message) ends with the next list, or with the silence after the last one. Raft's safety
//! never depends on time, so resting can cost availability only. What guards that:
//! - A follower trusts a list as it trusts heartbeats, for as long, and begins elections after the same silence.
//! - A leader rests only while all members agreed a short while ago; if one is not heard, heartbeats tell raft.
//! - While a list is fresh, votes are refused for the group: openraft's lease, which does this else, runs out at rest.
//! - A follower is woken by what its leader sends, which renews that lease, or by silence; by nothing else. Woken with
//!   a lease that ran out it would begin an election at once.

mod keeper;

use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;

pub(crate) use self::keeper::keep;
use crate::node::RaftOptions;
use crate::type_config::{LogId, Raft, Vote};

/// Where a group stands whose log is committed and applied to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) vote: Vote,
    pub(crate) last: LogId,
}

/// A group that this node leads, with nothing left to do.
#[derive(Debug)]
struct Settled {
    standing: Standing,
    /// The other members and their addresses.
    members: Vec<(u64, String)>,
}

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Between two lists.
    pub(crate) beat: Duration,
    /// Votes are refused for so long after a list.
    pub(crate) lease: Duration,
    /// A follower that hears no list for so long begins elections, at the earliest.
    pub(crate) silence: Duration,
    /// Not all at once: spread over this.
    pub(crate) spread: Duration,
    /// A leader that was not answered for so long sends heartbeats: those still come before the silence is over.
    pub(crate) fresh: Duration,
    /// A leader that was not used for so long asks its followers to rest.
    pub(crate) after: Duration,
}

impl Times {
    /// The same times after which openraft acts on missing heartbeats.
    pub(crate) fn new(options: &RaftOptions) -> Self {
        let (shortest, longest) = options.election_after;
        let silence = longest + shortest;
        Self {
            beat: options.heartbeat,
            lease: longest,
            silence,
            spread: longest - shortest,
            fresh: silence.saturating_sub(options.heartbeat),
            after: options.rest_after,
        }
    }

    /// How long a follower waits for the next list. Differs by node, so that one of the followers comes first and there
    /// is no contest, and by group, so that it is not always the same one.
    pub(crate) fn patience(&self, node: u64, group: u64) -> Duration {
        /// Spreads the values over all 32 bits that are used (the golden ratio's, as in Fibonacci hashing).
        const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = (node.wrapping_mul(MIX) ^ group).wrapping_mul(MIX) >> 32;
        let part = u32::try_from(mixed).unwrap_or(u32::MAX);
        self.silence + self.spread.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }
}

/// Where a follower or learner stands; none while it runs after its leader.
pub(crate) fn follows_at(raft: &Raft) -> Option<Standing> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let follows = matches!(metrics.state, ServerState::Follower | ServerState::Learner);
    let last = metrics.last_applied.filter(|applied| Some(applied.index) == metrics.last_log_index)?;
    (metrics.running_state.is_ok() && follows).then_some(Standing { vote: metrics.vote, last })
}

/// What there is to rest of a group that this node leads; none while members run after it or change.
fn settled(raft: &Raft) -> Option<Settled> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    if metrics.state != ServerState::Leader || metrics.running_state.is_err() {
        return None;
    }
    let last = metrics.last_applied.filter(|applied| Some(applied.index) == metrics.last_log_index)?;
    let membership = &metrics.membership_config;
    if metrics.cluster_committed != Some(last) || membership.get_joint_config().len() != 1 {
        return None;
    }
    let replication = metrics.replication.as_ref()?;
    let others = membership.nodes().filter(|(id, _)| **id != metrics.id);
    let members: Vec<_> = others.map(|(id, node)| (*id, node.addr.clone())).collect();
    let all_have_it =
        members.iter().all(|(id, _)| replication.get(id).is_some_and(|matching| *matching == Some(last)));
    all_have_it.then(|| Settled { standing: Standing { vote: metrics.vote, last }, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_spreads_between_the_silence_and_its_end() {
        let times = Times::new(&RaftOptions::default());
        let all: Vec<Duration> = (0..100).map(|group| times.patience(2, group)).collect();
        let range = times.silence..=times.silence + times.spread;
        assert!(all.iter().all(|patience| range.contains(patience)), "{all:?}");
        let early = all.iter().filter(|patience| **patience < times.silence + times.spread / 2).count();
        assert!((20..80).contains(&early), "{early} of 100 in the first half");
        // The nodes take turns in being first.
        let first = (0..100).filter(|group| times.patience(2, *group) < times.patience(3, *group)).count();
        assert!((20..80).contains(&first), "node 2 is before node 3 in {first} of 100 groups");
    }
}
