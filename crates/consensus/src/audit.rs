//! Replicas compare their state digests at equal indexes (DESIGN D10): leaders ask, now and then, in one call to each
//! node for all their groups.
//!
//! ```text
//! leader: where did my rows stand? ─▶ ask all members about these entries ─▶ a majority of voters agrees?
//!    all members do:           nothing to ask until there are new entries
//!    some differ from it:      they are told, and quarantine themselves; so does the leader if it is one of them
//!    there is no majority:     nobody can tell who is right; it is said aloud, and asked again
//! ```
//! Raft is not involved: nobody is woken, and a group at rest is not asked about twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use buzon_model::digest::StateDigest;
use buzon_types::id::{GroupId, LogIndex, NodeId};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::apply::Point;
use crate::group::{Group, GroupStatus};
use crate::node::NodeInner;
use crate::pb;
use crate::quarantine::{self, Quarantine};
use crate::task;

/// A member that does not answer in this time is asked again later.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);
/// Groups without a majority are told of this often.
const DISPUTE_SAID_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// By member: its digest after one entry. Those that did not answer, or do not know it, are missing.
type Answers = BTreeMap<NodeId, StateDigest>;

/// What the digests after one entry say.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// All members that answered have the same.
    Same {
        /// And all members answered.
        by_all: bool,
    },
    /// A majority of the voters has this one, and these members another.
    Odd(StateDigest, Vec<NodeId>),
    /// They differ, and none is that of a majority.
    Disputed,
}

fn judge(members: &BTreeSet<NodeId>, voters: &BTreeSet<NodeId>, answers: &Answers) -> Verdict {
    let mut votes: BTreeMap<u128, usize> = BTreeMap::new();
    for (node, digest) in answers {
        *votes.entry(digest.0).or_default() += usize::from(voters.contains(node));
    }
    if votes.len() <= 1 {
        return Verdict::Same { by_all: members.iter().all(|node| answers.contains_key(node)) };
    }
    match votes.into_iter().find(|(_, votes)| votes * 2 > voters.len()) {
        Some((right, _)) => {
            let odd = answers.iter().filter(|(_, digest)| digest.0 != right).map(|(node, _)| *node);
            Verdict::Odd(StateDigest(right), odd.collect())
        }
        None => Verdict::Disputed,
    }
}

/// What is remembered between rounds, for the groups that this node leads.
#[derive(Default)]
struct Auditor {
    /// All members agree up to here.
    agreed: HashMap<GroupId, LogIndex>,
    /// When it was last said that there is no majority.
    disputed: HashMap<GroupId, Instant>,
}

/// A group, who belongs to it, and what its members are asked about.
struct Question {
    group: Group,
    status: GroupStatus,
    points: Vec<Point>,
}

/// Runs until the node stops.
pub(crate) async fn keep(node: Weak<NodeInner>, every: Duration, stop: CancellationToken) {
    let mut auditor = Auditor::default();
    let mut rounds = tokio::time::interval(every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = rounds.tick() => {}
        }
        let Some(node) = node.upgrade() else { return };
        for group in node.groups() {
            step_down(&group).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = auditor.round(&node) => {}
        }
    }
}

/// A replica in quarantine that leads asks another voter to do so; again and again, since that one may be away.
async fn step_down(group: &Group) {
    if group.machine().quarantine().is_none() {
        return;
    }
    let status = group.status();
    let heard = |node: &NodeId| status.followers.get(node).and_then(|follower| follower.heard);
    let others = status.voters.iter().filter(|node| status.followers.contains_key(node));
    let successor = others.min_by_key(|node| heard(node).unwrap_or(Duration::MAX));
    if let Some(to) = successor.filter(|_| status.leads)
        && let Err(error) = group.transfer_leader(*to).await
    {
        tracing::warn!(group = %group.id(), %to, %error, "hand over a group that is in quarantine here");
    }
}

impl Auditor {
    async fn round(&mut self, node: &NodeInner) {
        let me = node.owner().node;
        let questions = self.questions(node);
        let mut asked: BTreeMap<(NodeId, String), Vec<pb::AskedDigests>> = BTreeMap::new();
        for Question { group, status, points } in &questions {
            let positions: Vec<u64> = points.iter().map(|point| point.index.0).collect();
            for (member, address) in status.members.iter().filter(|(member, _)| **member != me) {
                let question = pb::AskedDigests { group: group.id().0, positions: positions.clone() };
                asked.entry((*member, address.clone())).or_default().push(question);
            }
        }
        let calls = asked.into_iter().map(|((member, address), asked)| async move {
            let answer = node.peers().digests((member, &address), asked);
            let found = tokio::time::timeout(ANSWER_WAIT_MAX, answer).await;
            // Whoever does not answer is down, or does not know this question: raft tells of the first.
            found.ok().and_then(Result::ok).map(|found| (member, found))
        });
        let answers: Vec<_> = futures::future::join_all(calls).await.into_iter().flatten().collect();
        for question in questions {
            self.conclude(node, &question, &answers).await;
        }
    }

    /// What has not been agreed upon yet. Replicas in quarantine ask nobody: they may be wrong in everything.
    fn questions(&self, node: &NodeInner) -> Vec<Question> {
        let mut questions = Vec::new();
        for group in node.groups() {
            let agreed = self.agreed.get(&group.id()).copied().unwrap_or_default();
            let mut points = group.machine().points();
            points.retain(|point| point.index > agreed);
            if points.is_empty() || group.machine().quarantine().is_some() {
                continue;
            }
            let status = group.status();
            if status.leads && status.members.len() > 1 {
                questions.push(Question { group, status, points });
            }
        }
        questions
    }

    async fn conclude(
        &mut self,
        node: &NodeInner,
        question: &Question,
        found: &[(NodeId, Vec<pb::FoundDigest>)],
    ) {
        let (me, group) = (node.owner().node, question.group.id());
        let members = question.status.members.keys().copied().collect();
        for point in &question.points {
            let here = |found: &&pb::FoundDigest| found.group == group.0 && found.position == point.index.0;
            let mut answers: Answers = found
                .iter()
                .filter_map(|(member, found)| {
                    let found = found.iter().find(here)?;
                    Some((*member, quarantine::decode_digest(&found.digest)?))
                })
                .filter(|(member, _)| question.status.members.contains_key(member))
                .collect();
            answers.insert(me, point.digest);
            match judge(&members, &question.status.voters, &answers) {
                Verdict::Same { by_all: true } => _ = self.agreed.insert(group, point.index),
                Verdict::Same { by_all: false } => {}
                Verdict::Disputed => self.say_disputed(group, point.index, &answers),
                Verdict::Odd(expected, odd) => {
                    for member in odd {
                        let found = answers.get(&member).copied().unwrap_or(point.digest);
                        let quarantine = Quarantine::new(point.index, found, expected);
                        tell(node, question, member, quarantine).await;
                    }
                    return;
                }
            }
        }
    }

    fn say_disputed(&mut self, group: GroupId, index: LogIndex, answers: &Answers) {
        let now = Instant::now();
        let said = self.disputed.get(&group).is_some_and(|at| now - *at < DISPUTE_SAID_AGAIN_AFTER);
        if !said {
            self.disputed.insert(group, now);
            tracing::error!(
                %group, %index, ?answers,
                "replicas differ and too few answer to tell which are right: bring the missing members back"
            );
        }
    }
}

/// Puts a member into quarantine, which may be this node.
async fn tell(node: &NodeInner, question: &Question, member: NodeId, quarantine: Quarantine) {
    let group = &question.group;
    if member == node.owner().node {
        if let Err(error) = group.enter_quarantine(quarantine).await {
            tracing::error!(group = %group.id(), %error, "note the quarantine");
        }
        return;
    }
    let Some(address) = question.status.members.get(&member) else { return };
    tracing::error!(
        group = %group.id(), %member, ?quarantine,
        "the rows of this member are not those of the majority: it is put into quarantine"
    );
    let told = node.peers().quarantine((member, address), group.id(), &quarantine);
    match tokio::time::timeout(ANSWER_WAIT_MAX, told).await {
        Ok(Ok(())) => {}
        Ok(Err(status)) => tracing::warn!(group = %group.id(), %member, %status, "tell of the quarantine"),
        Err(late) => tracing::warn!(group = %group.id(), %member, error = %late, "tell of the quarantine"),
    }
}

/// What this node answers that is asked.
pub(crate) fn answer(node: &NodeInner, asked: &[pb::AskedDigests]) -> pb::DigestsResponse {
    let mut found = Vec::new();
    for question in asked {
        let group = node.group(GroupId(question.group));
        // Of one in quarantine it is known that it differs.
        let Some(group) = group.filter(|group| group.machine().quarantine().is_none()) else { continue };
        // A few are asked about; more is nothing that we would ask.
        for position in question.positions.iter().take(8) {
            if let Some(digest) = group.machine().digest_at(LogIndex(*position)) {
                let digest = quarantine::encode_digest(digest);
                found.push(pb::FoundDigest { group: question.group, position: *position, digest });
            }
        }
    }
    pb::DigestsResponse { found }
}

/// Shares a node between the task and those who look at it.
pub(crate) fn start(node: &Arc<NodeInner>, every: Duration, stop: CancellationToken) {
    task::spawn(keep(Arc::downgrade(node), every, stop));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn judged(members: &[u64], voters: &[u64], answers: &[(u64, u128)]) -> Verdict {
        let answers = answers.iter().map(|(node, digest)| (NodeId(*node), StateDigest(*digest))).collect();
        judge(&ids(members), &ids(voters), &answers)
    }

    #[test]
    fn a_majority_of_voters_decides_who_is_odd() {
        let three = &[1, 2, 3];
        assert_eq!(judged(three, three, &[(1, 7), (2, 7), (3, 7)]), Verdict::Same { by_all: true });
        assert_eq!(judged(three, three, &[(1, 7), (3, 7)]), Verdict::Same { by_all: false });
        let odd = |node| Verdict::Odd(StateDigest(7), vec![NodeId(node)]);
        assert_eq!(judged(three, three, &[(1, 7), (2, 7), (3, 8)]), odd(3));
        assert_eq!(judged(three, three, &[(1, 8), (2, 7), (3, 7)]), odd(1));
        assert_eq!(judged(three, three, &[(1, 7), (3, 8)]), Verdict::Disputed);
        assert_eq!(judged(three, three, &[(1, 7), (2, 8), (3, 9)]), Verdict::Disputed);
        let two = &[1, 2];
        assert_eq!(judged(two, two, &[(1, 7), (2, 8)]), Verdict::Disputed);
    }

    #[test]
    fn learners_are_judged_and_do_not_vote() {
        let members = &[1, 2, 3, 4, 5];
        let voters = &[1, 2, 3];
        let odd = Verdict::Odd(StateDigest(7), vec![NodeId(4), NodeId(5)]);
        assert_eq!(judged(members, voters, &[(1, 7), (2, 7), (4, 8), (5, 8)]), odd);
        assert_eq!(judged(members, voters, &[(1, 7), (4, 8), (5, 8)]), Verdict::Disputed);
    }
}
