//! What a node does all the time for its groups that rest: lists those that it leads, and wakes those that are left alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Settled, Standing, Times, settled};
use crate::group::Group;
use crate::node::NodeInner;
use crate::pb;
use crate::record;
use crate::task;

/// How often followers are looked at between two lists: an election is late by no more than a quarter of a heartbeat.
const LOOKS_PER_BEAT: u32 = 4;

/// What one node is told: by its id and address, since a node that moved is another one.
type Lists = BTreeMap<(u64, String), Vec<(Group, Standing)>>;

/// Runs until the node stops.
pub(crate) async fn keep(node: Weak<NodeInner>, times: Times, stop: CancellationToken) {
    let mut looks = tokio::time::interval(times.beat / LOOKS_PER_BEAT);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for look in (0..LOOKS_PER_BEAT).cycle() {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let Some(node) = node.upgrade() else { return };
        let groups = node.groups();
        for group in groups.iter().filter(|group| group.pulse().is_left_alone()) {
            tracing::info!(group = %group.id(), "the leader's node is silent: the group awakes");
            group.pulse().wake(group.raft());
        }
        if look == 0 {
            for (to, list) in lists(&groups, times) {
                task::spawn(tell(Arc::clone(&node), to, list, times));
            }
        }
    }
}

/// Puts groups to rest and wakes them as their members agree, and says whom to ask.
fn lists(groups: &[Group], times: Times) -> Lists {
    let mut lists = Lists::new();
    for group in groups {
        let (pulse, raft) = (group.pulse(), group.raft());
        let idle = pulse.idle() >= times.after;
        let Some(Settled { standing, members }) = idle.then(|| settled(raft)).flatten() else {
            if pulse.leads_at_rest() {
                pulse.wake(raft);
            }
            continue;
        };
        if pulse.all_agreed(members.iter().map(|(id, _)| id), &standing, times.fresh) {
            pulse.rest_as_leader(raft, times.after);
        } else if pulse.leads_at_rest() {
            pulse.wake(raft);
            continue;
        }
        for member in members {
            lists.entry(member).or_default().push((group.clone(), standing.clone()));
        }
    }
    lists
}

/// Sends a list and notes who agrees. An error is as good as no answer.
async fn tell(node: Arc<NodeInner>, to: (u64, String), list: Vec<(Group, Standing)>, times: Times) {
    let asked = Instant::now();
    let entry = |(group, standing): &(Group, Standing)| pb::RestingGroup {
        group: group.id().0,
        vote: Some(record::vote(&standing.vote)),
        last: Some(record::log_id(&standing.last)),
    };
    let groups = list.iter().map(entry).collect();
    // Later it would be of no use.
    let told = tokio::time::timeout(times.fresh, node.heartbeats().rest((to.0, &to.1), groups)).await;
    let answer = match told {
        Ok(Ok(answer)) => answer,
        Ok(Err(status)) => return tracing::debug!(node = to.0, %status, "list groups at rest"),
        Err(_) => return tracing::debug!(node = to.0, "list groups at rest: no answer"),
    };
    for (position, (group, standing)) in (0..).zip(list) {
        if !answer.awake.contains(&position) {
            group.pulse().note_agreed(to.0, standing, asked);
        }
    }
}
