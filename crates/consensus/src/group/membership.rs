//! Who belongs to a group: asked of its leader, one step at a time, each safe to repeat.
//!
//! ```text
//! nobody ─ add_learner ─▶ learner ─ wait_caught_up ─ set_voters ─▶ voter
//!    ▲                       │  ▲                                    │
//!    └──── remove_members ───┘  └────────────── set_voters ──────────┘
//! ```
//! A step that finds what it wants returns at once and writes nothing; one that finds another step half done (a leader
//! died between the two memberships of a change) finishes that first.

use std::collections::{BTreeMap, BTreeSet};

use buzon_proto::status::LeaderHint;
use buzon_types::id::{LogIndex, NodeId};
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::impls::BasicNode;

use super::Group;
use crate::error::{ReadError, hint, is_lease_over};
use crate::type_config::{Membership, TypeConfig};

/// A member that a group shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where its raft transport listens, as HOST:PORT.
    pub address: String,
    /// A voter, or only a learner.
    pub votes: bool,
}

/// What becomes of voters that are voters no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// They go on following.
    Learns,
    /// They are no members any more.
    Leaves,
}

/// A change of members that did not happen, or not whole: repeat it, at the leader.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// This node does not lead the group, or no longer.
    #[error("this node does not lead the group")]
    NotLeader {
        /// Who does, if it is known.
        leader: Option<LeaderHint>,
    },
    /// No group is left by it, or a voter that is no member.
    #[error("the members cannot be changed like this")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The group has stopped on this node.
    #[error("the group has stopped")]
    Stopped(#[source] Box<dyn std::error::Error + Send + Sync>),
}

type Change = ChangeMembers<u64, BasicNode>;
type WriteError = RaftError<TypeConfig, ClientWriteError<TypeConfig>>;

impl Group {
    /// Makes a node a member that only follows; one that is a member stays what it is. It need not have caught up when
    /// this returns.
    pub async fn add_learner(&self, node: NodeId, address: &str) -> Result<(), ChangeError> {
        self.change(|membership| match membership.get_node(&node.0) {
            Some(known) if known.addr == address => None,
            // The header of each call says which node is meant, so that a wrong address does no harm.
            Some(_) => Some((Change::SetNodes([(node.0, BasicNode::new(address))].into()), true)),
            None => Some((Change::AddNodes([(node.0, BasicNode::new(address))].into()), true)),
        })
        .await?;
        self.addresses.set(node.0, address);
        Ok(())
    }

    /// Waits until a member has all that this leader's log has now. Drop this to give up.
    pub async fn wait_caught_up(&self, node: NodeId) -> Result<(), ChangeError> {
        let mut metrics = self.raft.metrics();
        let wanted = metrics.borrow_watched().last_log_index;
        loop {
            self.check_leading()?;
            let matched = self.status().followers.get(&node).map(|follower| follower.matched);
            if node.0 == metrics.borrow_watched().id
                || matched >= Some(LogIndex(wanted.map_or(0, |index| index + 1)))
            {
                return Ok(());
            }
            metrics.changed().await.map_err(|error| ChangeError::Stopped(error.into()))?;
        }
    }

    /// Makes these the voters; each must be a member. Let them catch up first: while they do not, nothing may be
    /// committed. A leader that is not among them leads until it is done.
    pub async fn set_voters(
        &self,
        voters: impl IntoIterator<Item = NodeId>,
        rest: Rest,
    ) -> Result<(), ChangeError> {
        let voters: BTreeSet<u64> = voters.into_iter().map(|node| node.0).collect();
        self.change(|membership| {
            let is_done = membership.voter_ids().eq(voters.iter().copied());
            (!is_done).then(|| (Change::ReplaceAllVoters(voters.clone()), rest == Rest::Learns))
        })
        .await
    }

    /// Makes these no members any more, voters or learners. Then each may forget the group ([`crate::node::Node::remove_group`]).
    pub async fn remove_members(&self, nodes: &BTreeSet<NodeId>) -> Result<(), ChangeError> {
        self.change(|membership| {
            let stay = membership.voter_ids().filter(|node| !nodes.contains(&NodeId(*node)));
            let stay: BTreeSet<u64> = stay.collect();
            if stay.len() < membership.voter_ids().count() {
                return Some((Change::ReplaceAllVoters(stay), false));
            }
            let gone =
                membership.nodes().map(|(node, _)| *node).filter(|node| nodes.contains(&NodeId(*node)));
            let gone: BTreeSet<u64> = gone.collect();
            (!gone.is_empty()).then_some((Change::RemoveNodes(gone), false))
        })
        .await
    }

    /// Makes these the members, and nobody else: new ones learn and catch up before they vote, old voters go last.
    pub async fn set_members(&self, members: &BTreeMap<NodeId, Member>) -> Result<(), ChangeError> {
        for (node, member) in members {
            self.add_learner(*node, &member.address).await?;
        }
        let status = self.status();
        let voters: BTreeSet<NodeId> = members.iter().filter(|it| it.1.votes).map(|it| *it.0).collect();
        for node in voters.difference(&status.voters) {
            self.wait_caught_up(*node).await?;
        }
        let learners: BTreeSet<NodeId> = status.learners().collect();
        let is_gone = |node: &NodeId| !members.contains_key(node);
        self.remove_members(&learners.into_iter().filter(is_gone).collect()).await?;
        // A leader that goes itself cannot take another step afterwards.
        let leave = status.voters.difference(&voters).all(is_gone);
        self.set_voters(voters, if leave { Rest::Leaves } else { Rest::Learns }).await?;
        self.remove_members(&status.voters.into_iter().filter(is_gone).collect()).await
    }

    /// Changes the members until `next` finds nothing left to do. `next` sees a membership that is committed and no
    /// change in progress.
    async fn change(
        &self,
        next: impl Fn(&Membership) -> Option<(Change, bool)> + Send,
    ) -> Result<(), ChangeError> {
        self.pulse.touch(&self.raft);
        loop {
            let membership = self.settled().await?;
            let (change, retain) = if membership.get_joint_config().len() > 1 {
                // Somebody else's second step.
                (Change::AddVoterIds(BTreeSet::new()), true)
            } else if let Some(step) = next(&membership) {
                step
            } else {
                return Ok(());
            };
            // A leader that has left leads on until the others elect one, and is not to change who they are.
            if membership.get_node(&self.raft.metrics().borrow_watched().id).is_none() {
                return Err(ChangeError::NotLeader { leader: None });
            }
            match self.raft.change_membership(change, retain).await {
                Ok(_) => {}
                // As after a rest: nothing is written then, and a quorum that is heard makes it possible.
                Err(error) if is_lease_over(&error) => drop(self.confirm().await?),
                Err(error) => self.can_go_on(error)?,
            }
        }
    }

    /// The membership, once it is committed.
    async fn settled(&self) -> Result<Membership, ChangeError> {
        let mut metrics = self.raft.metrics();
        loop {
            self.check_leading()?;
            {
                let metrics = metrics.borrow_watched();
                // Told of after the change that was asked for here, so a change is never asked for twice.
                if metrics.membership_config.log_id() == metrics.committed_membership_config.log_id() {
                    return Ok(metrics.membership_config.membership().clone());
                }
            }
            metrics.changed().await.map_err(|error| ChangeError::Stopped(error.into()))?;
        }
    }

    fn check_leading(&self) -> Result<(), ChangeError> {
        match self.check_leads() {
            Ok(()) => Ok(()),
            Err(_) => Err(ChangeError::NotLeader { leader: self.leader() }),
        }
    }

    /// Whether trying again can help.
    fn can_go_on(&self, error: WriteError) -> Result<(), ChangeError> {
        use ChangeMembershipError::{InProgress, UncommittedLeaderLog};
        match error {
            RaftError::APIError(ClientWriteError::ChangeMembershipError(
                InProgress(_) | UncommittedLeaderLog(_),
            )) => Ok(()),
            RaftError::APIError(
                ClientWriteError::ForwardToLeader(to) | ClientWriteError::LogEntryDiscarded(to),
            ) => Err(ChangeError::NotLeader { leader: hint(to) }),
            RaftError::APIError(error) => Err(ChangeError::Refused(error.into())),
            RaftError::Fatal(error) => Err(ChangeError::Stopped(error.into())),
        }
    }
}

impl From<ReadError> for ChangeError {
    /// No quorum was heard: nothing was changed.
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotLeader { leader } => Self::NotLeader { leader },
            ReadError::Unavailable(_) => Self::NotLeader { leader: None },
            ReadError::Stopped(source) => Self::Stopped(source),
        }
    }
}
