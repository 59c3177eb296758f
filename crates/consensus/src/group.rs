//! One raft group on this node: propose, read, listen. Who belongs to it is in `membership`.

mod membership;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buzon_meta_store::store::MetaStore;
use buzon_model::command::{Command, Entry};
use buzon_model::limits::{ENTRY_BYTES_MAX, FEATURE_LEVEL_MAX};
use buzon_model::read::{AccountEvent, ReadAt};
use buzon_model::reply::Outcome;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::status::LeaderHint;
use buzon_types::id::{GroupId, LogIndex, NodeId};
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{Instant as _, RaftMetrics, ReadPolicy};
use tokio::sync::broadcast;
use tracing::Instrument as _;

pub use self::membership::{ChangeError, Member, Rest};
use self::queue::Queue;
use crate::apply::{Machine, View};
use crate::error::{self, ProposeError, ReadError};
use crate::keep::{Keep, Room};
use crate::log::LogError;
use crate::network::Addresses;
use crate::pulse::Pulse;
use crate::quarantine::{self, Quarantine};
use crate::type_config::{LogCommand, LogId, Raft, TypeConfig, Written};
use crate::{record, task, watch};

/// A read that waits longer for an index than this would be repeated by its client anyway.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);

/// After a rest a proposal needs a round between the members first; when the machine is so busy that what it gave is
/// over before the proposal comes, that is repeated so often.
const CONFIRMS_MAX: u32 = 3;

/// What a proposal came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// Where it stands in the log: a read at this index sees it.
    pub index: LogIndex,
    /// What the model says.
    pub outcome: Outcome,
}

/// What is known of a group on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// False after an error that a human must look at: the group serves nothing on this node until it restarts.
    pub is_running: bool,
    /// The term of this node's vote.
    pub term: u64,
    /// Who leads, as far as this node knows.
    pub leader: Option<LeaderHint>,
    /// Whether it is this node.
    pub leads: bool,
    /// If it is: how long ago a majority last agreed. A leader that is cut off goes on believing that it leads.
    pub majority_heard: Option<Duration>,
    /// The last entry of this node's log.
    pub last: LogIndex,
    /// How far it is applied.
    pub applied: LogIndex,
    /// How far its rows are written, which follow.
    pub rows: LogIndex,
    /// How far its log is purged.
    pub purged: LogIndex,
    /// Proposals that wait here for a majority and for apply.
    pub proposals: usize,
    /// Nobody uses it, and it costs next to nothing.
    pub rests: bool,
    /// This node's rows are not those of the majority: it serves nobody.
    pub quarantine: Option<Quarantine>,
    /// Voters and learners with their addresses.
    pub members: BTreeMap<NodeId, String>,
    /// The voters among them; of both sets while they change.
    pub voters: BTreeSet<NodeId>,
    /// The other members, as their leader sees them; empty on other nodes.
    pub followers: BTreeMap<NodeId, FollowerStatus>,
}

impl GroupStatus {
    /// The members that do not vote.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> {
        self.members.keys().copied().filter(|node| !self.voters.contains(node))
    }
}

/// How a leader sees another member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerStatus {
    /// Up to here its log is known to be the leader's.
    pub matched: LogIndex,
    /// How long ago it answered last; none if it never did.
    pub heard: Option<Duration>,
}

/// A group's handle; clones are the same group.
#[derive(Clone)]
pub struct Group {
    raft: Raft,
    machine: Arc<Machine>,
    pulse: Arc<Pulse>,
    queue: Arc<Queue>,
    keep: Arc<Keep>,
    addresses: Arc<Addresses>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Group").field(&self.id()).finish()
    }
}

impl Group {
    pub(crate) fn new(
        raft: Raft,
        machine: Arc<Machine>,
        (pulse, keep, addresses): (Arc<Pulse>, Arc<Keep>, Arc<Addresses>),
    ) -> Self {
        Self { raft, machine, pulse, queue: Arc::new(Queue::new()), keep, addresses }
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.raft
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    pub(crate) fn keep(&self) -> &Keep {
        &self.keep
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Which group.
    pub fn id(&self) -> GroupId {
        self.machine.group()
    }

    /// Puts an entry into the log. When this returns, the entry is durable on a majority and applied here.
    ///
    /// The caller sets a deadline by dropping this; what happened to the entry is unknown then.
    ///
    /// # Errors
    /// Ask [`ProposeError::outcome`]: an unknown one may only be repeated with the same request id.
    pub async fn propose(&self, entry: &Entry) -> Result<Proposed, ProposeError> {
        // Every member that does not know the level would stop, this one first.
        if let Command::RaiseFeatureLevel(level) = entry.command
            && level > FEATURE_LEVEL_MAX
        {
            return Err(ProposeError::FeatureLevel { level: level.0, known: FEATURE_LEVEL_MAX.0 });
        }
        if self.machine.quarantine().is_some() {
            return Err(ProposeError::NotLeader { leader: self.another_leader() });
        }
        let encoded = buzon_proto::log::encode_entry(entry);
        if encoded.len() > ENTRY_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes: encoded.len() });
        }
        let place = self.queue.place(encoded.len()).ok_or(ProposeError::QueueFull)?;
        self.pulse.touch(&self.raft);
        let group = self.clone();
        // By itself: a caller that gives up does not take the entry out of raft's memory, and so not out of the queue.
        let writing = async move {
            let _place = place;
            group.write(&LogCommand(encoded)).await
        };
        let written = task::spawn(writing.in_current_span()).await;
        let written = written.map_err(|error| ProposeError::Stopped(error.into()))??;
        let index = record::position(&written.log_id);
        let outcome = written.data.0.ok_or(ProposeError::OutcomeLost)?;
        Ok(Proposed { index, outcome })
    }

    /// The state as fresh as asked for, with the rows that `needs` names; `needs` is asked again after each load,
    /// until it names none ([`State::missing_of`] leaves out what is loaded).
    ///
    /// Linearizable reads that wait at the same time share one ReadIndex round. No lease is trusted.
    pub async fn read(
        &self,
        at: ReadAt,
        needs: impl Fn(&State) -> Vec<Need> + Send,
    ) -> Result<View, ReadError> {
        if self.machine.quarantine().is_some() {
            return Err(ReadError::NotLeader { leader: self.another_leader() });
        }
        let index = match at {
            ReadAt::Linearizable => {
                self.pulse.touch(&self.raft);
                self.confirm().await?
            }
            ReadAt::Index(index) => {
                self.check_leads()?;
                index
            }
            ReadAt::Local => LogIndex(0),
        };
        self.wait_applied(index).await?;
        let look = self.machine.look(needs).await;
        let guard = look.map_err(|error| ReadError::Unavailable(error.into()))?;
        Ok(View::new(Arc::clone(&self.machine), guard))
    }

    /// The database, once it has all that was applied here by now: for what is in rows only. Later entries may be there too.
    pub async fn rows(&self) -> Result<&Arc<dyn MetaStore>, ReadError> {
        self.machine.rows().await.map_err(|error| ReadError::Unavailable(error.into()))
    }

    /// From now on nobody is served from this node's rows, and it does not stand for elections. Nothing happens if the
    /// digest that was found wrong is not this node's, or not any more.
    pub(crate) async fn enter_quarantine(&self, quarantine: Quarantine) -> Result<(), LogError> {
        let (machine, index) = (&self.machine, quarantine.index);
        if machine.quarantine().is_some() || machine.digest_at(index) != Some(quarantine.found) {
            return Ok(());
        }
        tracing::error!(
            group = %self.id(), ?quarantine,
            "the rows of this node are not those of the majority: the group serves nobody here; have a look, then have \
             them replaced (buzon ctl shard refill)"
        );
        machine.set_quarantine(Some(quarantine.clone()));
        self.raft.runtime_config().elect(false);
        match machine.log() {
            Some(log) => quarantine::note(log, Some(&quarantine)).await,
            None => Ok(()),
        }
    }

    /// Who leads, unless it is this node.
    fn another_leader(&self) -> Option<LeaderHint> {
        let me = self.raft.metrics().borrow_watched().id;
        self.leader().filter(|leader| leader.node.0 != me)
    }

    /// Proposes, also when openraft wants to hear from a quorum before, as after a rest: nothing is written then.
    async fn write(&self, command: &LogCommand) -> Result<Written, ProposeError> {
        for _ in 0..CONFIRMS_MAX {
            match self.raft.client_write(command.clone()).await {
                Err(error) if error::is_lease_over(&error) => {
                    self.confirm().await.map_err(ProposeError::not_confirmed)?;
                }
                written => return Ok(written?),
            }
        }
        Err(ProposeError::NotLeader { leader: None })
    }

    /// Asks a quorum whether this node leads; a state that has applied this index is as of now or later.
    async fn confirm(&self) -> Result<LogIndex, ReadError> {
        let _waiting = self.pulse.reader();
        let linearizer = self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await?;
        Ok(LogIndex(linearizer.read_log_id().index() + 1))
    }

    /// How far the group is applied on this node.
    pub fn applied(&self) -> watch::Receiver<LogIndex> {
        self.machine.applied()
    }

    /// What happens to accounts from now on. A listener that falls behind is told that it lagged, and must ask for
    /// everything again, as after [`buzon_model::read::EventKind::Gap`].
    pub fn events(&self) -> broadcast::Receiver<AccountEvent> {
        self.machine.events()
    }

    /// What this node knows of the group.
    pub fn status(&self) -> GroupStatus {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let nodes = metrics.membership_config.nodes();
        let leads = metrics.current_leader == Some(metrics.id);
        let applied = *self.machine.applied().borrow();
        GroupStatus {
            is_running: metrics.running_state.is_ok(),
            term: metrics.current_term,
            leader: self.leader(),
            leads,
            majority_heard: if leads { self.majority_heard(&metrics) } else { None },
            last: position(metrics.last_log_index),
            applied,
            rows: self.machine.rows_at().min(applied),
            purged: position(metrics.purged.map(|id| id.index)),
            proposals: self.queue.taken(),
            rests: self.pulse.rests(),
            quarantine: self.machine.quarantine(),
            members: nodes.map(|(id, node)| (NodeId(*id), node.addr.clone())).collect(),
            voters: metrics.membership_config.voter_ids().map(NodeId).collect(),
            followers: followers(&metrics),
        }
    }

    /// At rest the answers to lists stand for those to heartbeats.
    fn majority_heard(&self, metrics: &RaftMetrics<TypeConfig>) -> Option<Duration> {
        if metrics.membership_config.voter_ids().eq([metrics.id]) {
            return Some(Duration::ZERO);
        }
        let awake = metrics.last_quorum_acked.map(|at| at.elapsed());
        awake.into_iter().chain(self.pulse.all_agreed_ago()).min()
    }

    /// Who leads the group, as far as this node knows.
    pub fn leader(&self) -> Option<LeaderHint> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let leader = metrics.current_leader?;
        let node = metrics.membership_config.membership().get_node(&leader)?;
        Some(LeaderHint { node: NodeId(leader), address: node.addr.clone() })
    }

    /// Waits until this node knows of a leader.
    pub async fn wait_for_leader(&self) -> Result<LeaderHint, ReadError> {
        let mut metrics = self.raft.metrics();
        loop {
            if let Some(leader) = self.leader() {
                return Ok(leader);
            }
            metrics.changed().await.map_err(|error| ReadError::Stopped(error.into()))?;
        }
    }

    /// Asks another member to lead: before this node goes away. Nothing happens if it is this node.
    ///
    /// # Errors
    /// If it does not vote: raft would let its lease go and wait for an election that nobody begins.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), ReadError> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        if to.0 == metrics.id {
            return Ok(());
        }
        if !metrics.membership_config.voter_ids().any(|voter| voter == to.0) {
            let why = format!("node {to} does not vote in group {}", self.id());
            return Err(ReadError::Unavailable(why.into()));
        }
        self.pulse.touch(&self.raft);
        let asked = self.raft.trigger().transfer_leader(to.0).await;
        asked.map_err(|error| ReadError::Stopped(error.into()))
    }

    /// Notes where the rows stand, and lets the log go that is not needed for that.
    pub async fn snapshot(&self) -> Result<(), ReadError> {
        self.raft.trigger().snapshot().await.map_err(|error| ReadError::Stopped(error.into()))
    }

    /// Gives up as much of the log as the database's disk and those allow who need it, and more if there is no room.
    pub(crate) async fn relieve_log(&self, room: Room) -> Result<(), ReadError> {
        self.keep.press(room);
        // What may go goes once it is noted, and so on the database's disk.
        self.snapshot().await
    }

    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(group = %self.id(), %error, "stop a raft group");
        }
    }

    fn check_leads(&self) -> Result<(), ReadError> {
        let metrics = self.raft.metrics();
        let leads = {
            let metrics = metrics.borrow_watched();
            metrics.current_leader == Some(metrics.id)
        };
        if leads { Ok(()) } else { Err(ReadError::NotLeader { leader: self.leader() }) }
    }

    async fn wait_applied(&self, index: LogIndex) -> Result<(), ReadError> {
        let mut applied = self.machine.applied();
        let reached =
            tokio::time::timeout(READ_WAIT_MAX, applied.wait_for(|applied| *applied >= index)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(ReadError::Stopped(error.into())),
            Err(late) => Err(ReadError::Unavailable(late.into())),
        }
    }
}

/// Positions count from 1, openraft's indexes from 0.
fn position(index: Option<u64>) -> LogIndex {
    LogIndex(index.map_or(0, |index| index + 1))
}

fn followers(metrics: &RaftMetrics<TypeConfig>) -> BTreeMap<NodeId, FollowerStatus> {
    let matched = metrics.replication.iter().flatten().filter(|(node, _)| **node != metrics.id);
    let heard = |node: &u64| Some(metrics.heartbeat.as_ref()?.get(node)?.as_ref()?.elapsed());
    let status = |(node, matched): (&u64, &Option<LogId>)| {
        let matched = position(matched.as_ref().map(|id| id.index));
        (NodeId(*node), FollowerStatus { matched, heard: heard(node) })
    };
    matched.map(status).collect()
}
