//! What a follower's node says to the groups that another node leads at rest, and to those who want votes meanwhile.

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::VoteResponse;
use tokio::time::Instant;

use super::group;
use crate::group::Group;
use crate::node::NodeInner;
use crate::pb;
use crate::record;
use crate::rest::follows_at;
use crate::type_config::TypeConfig;

/// Puts those groups to rest that stand where their leader says.
pub(super) fn agree(node: &NodeInner, listed: Vec<pb::RestingGroup>) -> pb::RestResponse {
    let mut awake = Vec::new();
    for (position, one) in (0..).zip(listed) {
        // Not woken when it stands elsewhere: its leader will send heartbeats, or silence wakes it.
        match group(node, one.group).ok().filter(|group| stands_there(group, &one)) {
            Some(group) => {
                let patience = node.times().patience(node.owner().node.0, one.group);
                group.pulse().rest_as_follower(group.raft(), Instant::now() + patience);
            }
            None => awake.push(position),
        }
    }
    pb::RestResponse { awake }
}

fn stands_there(group: &Group, listed: &pb::RestingGroup) -> bool {
    let Some(standing) = follows_at(group.raft()) else { return false };
    Some(record::vote(&standing.vote)) == listed.vote && Some(record::log_id(&standing.last)) == listed.last
}

/// The answer to a candidate whom the leader did not ask to stand, while the group rests; none when raft is to answer.
/// Refusing is always safe. At rest openraft's lease, which refuses else, has run out.
pub(super) fn refuse(node: &NodeInner, group: &Group, by_transfer: bool) -> Option<VoteResponse<TypeConfig>> {
    let pulse = group.pulse();
    if by_transfer || !pulse.holds_lease(node.times().lease) {
        return None;
    }
    // A member misses its leader: if that is this node, it shall hear heartbeats.
    pulse.touch(group.raft());
    let metrics = group.raft().data_metrics().borrow_watched().last_log;
    let vote = group.raft().server_metrics().borrow_watched().vote;
    Some(VoteResponse::new(vote, metrics, false))
}
