//! A metadata node: its log, its database, its groups.

mod options;
mod replicas;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use buzon_meta_store::store::{Identity, MetaStore};
use buzon_types::id::{GroupId, NodeId};
use openraft::errors::{InitializeError, RaftError};
use openraft::impls::BasicNode;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::service::{Interceptor, Routes};

pub use self::options::{NodeOptions, RaftOptions};
use crate::apply::budget::{self, Budget};
use crate::apply::{Applier, ApplyError, Machine, MachineParts};
use crate::audit;
use crate::error::OpenError;
use crate::group::Group;
use crate::keep::{self, Keep, Room};
use crate::log::backend::LogBackend;
use crate::log::group::GroupLog;
use crate::log::identity::LogOwner;
use crate::log::raft_engine::RaftEngineLog;
use crate::log::shared::{AbortProcess, FatalHandler, LogCounts, SharedLog};
use crate::network::{Addresses, Heartbeats, Network, Peers, Transport};
use crate::pulse::Pulse;
use crate::quarantine;
use crate::raft_log::RaftLog;
use crate::refill::{Refill, RefillError};
use crate::rest::{self, Times};
use crate::task;
use crate::type_config::Raft;

/// What was sent to keep followers quiet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeartbeatCounts {
    /// Heartbeats of single groups.
    pub heartbeats: u64,
    /// Calls that carried them.
    pub calls: u64,
    /// Lists of groups at rest.
    pub lists: u64,
}

/// See the module. Clones are the same node.
#[derive(Clone)]
pub struct Node {
    inner: Arc<NodeInner>,
}

pub(crate) struct NodeInner {
    options: NodeOptions,
    config: Arc<openraft::Config>,
    log: SharedLog,
    store: Arc<dyn MetaStore>,
    peers: Arc<Peers>,
    heartbeats: Arc<Heartbeats>,
    times: Times,
    budget: Arc<Budget>,
    groups: Mutex<BTreeMap<GroupId, Group>>,
    /// One start at a time of each group: two raft cores over one log would undo each other's promises.
    starting: Mutex<BTreeMap<GroupId, Arc<tokio::sync::Mutex<()>>>>,
    /// Ends what waits in a group's start or apply.
    stops: Mutex<BTreeMap<GroupId, CancellationToken>>,
    /// Groups that wait for rows.
    refilling: Mutex<BTreeSet<GroupId>>,
    fatal: Arc<dyn FatalHandler>,
    stop: CancellationToken,
}

impl NodeInner {
    pub(crate) fn owner(&self) -> LogOwner {
        self.options.owner
    }

    pub(crate) fn group(&self, id: GroupId) -> Option<Group> {
        self.groups.lock().get(&id).cloned()
    }

    pub(crate) fn groups(&self) -> Vec<Group> {
        self.groups.lock().values().cloned().collect()
    }

    fn machines(&self) -> Vec<Arc<Machine>> {
        self.groups.lock().values().map(|group| Arc::clone(group.machine())).collect()
    }

    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    pub(crate) fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }

    pub(crate) fn times(&self) -> &Times {
        &self.times
    }

    /// See [`Node::log_bytes`].
    fn log_bytes(&self) -> Option<u64> {
        let files = std::fs::read_dir(&self.options.log.directory).ok()?;
        // A file may be given back between the two looks.
        Some(files.flatten().filter_map(|file| file.metadata().ok()).map(|it| it.len()).sum())
    }
}

impl Node {
    /// Opens the node's log and claims its database. Groups are started one by one after.
    ///
    /// # Errors
    /// When log or database belong to somebody else, or are damaged. Both carry the same ids (DESIGN D2); a log that
    /// is new while the database is not, is refused: the log held this node's votes. The disk of either failing ends
    /// the process.
    pub async fn open(options: NodeOptions, store: Arc<dyn MetaStore>) -> Result<Self, OpenError> {
        let log_options = options.log.clone();
        let opened = tokio::task::spawn_blocking(move || RaftEngineLog::open(&log_options)).await;
        let backend = opened.map_err(|error| OpenError::Options(error.into()))??;
        Self::open_over(Arc::new(backend), options, store, Arc::new(AbortProcess)).await
    }

    /// The same over a log that is open already, and with another answer to one that fails: for tests of faults.
    pub async fn open_over(
        backend: Arc<dyn LogBackend>,
        options: NodeOptions,
        store: Arc<dyn MetaStore>,
        fatal: Arc<dyn FatalHandler>,
    ) -> Result<Self, OpenError> {
        let config = Arc::new(options.raft.config()?);
        let times = Times::new(&options.raft);
        let LogOwner { cluster, node, incarnation } = options.owner;
        store.claim(&Identity { cluster, node: node.0, incarnation }).await?;
        refuse_new_log(backend.as_ref(), store.as_ref()).await?;
        let log = SharedLog::start(backend, options.owner, &options.log, Arc::clone(&fatal))?;
        let peers = Arc::new(Peers::new(options.owner, options.connector.clone()));
        let heartbeats = Arc::new(Heartbeats::new(Arc::clone(&peers)));
        let budget = Budget::new(options.cache_bytes_max);
        let inner = NodeInner {
            options,
            config,
            log,
            store,
            peers,
            heartbeats,
            times,
            budget,
            groups: Mutex::default(),
            starting: Mutex::default(),
            stops: Mutex::default(),
            refilling: Mutex::default(),
            fatal,
            stop: CancellationToken::new(),
        };
        let node = Self { inner: Arc::new(inner) };
        node.refuse_lost_log().await?;
        node.finish_removals().await?;
        task::spawn(rest::keep(Arc::downgrade(&node.inner), times, node.inner.stop.clone()));
        audit::start(&node.inner, node.inner.options.raft.compare_every, node.inner.stop.clone());
        let node_of = Arc::downgrade(&node.inner);
        let machines = move || node_of.upgrade().map_or_else(Vec::new, |node| node.machines());
        task::spawn(budget::keep(Arc::clone(&node.inner.budget), machines, node.inner.stop.clone()));
        task::spawn(relieve(Arc::downgrade(&node.inner), node.inner.stop.clone()));
        Ok(node)
    }

    /// Who this is.
    pub fn owner(&self) -> LogOwner {
        self.inner.owner()
    }

    /// The groups that this node carries, as its log says.
    pub fn stored_groups(&self) -> Vec<GroupId> {
        let mut groups = self.inner.log.stored_groups();
        // A damaged record is told of when the group starts.
        groups.retain(|id| !self.is_removed(*id).unwrap_or(false));
        groups
    }

    /// Starts a group that is in the log, or one that waits to be made a member by the group's leader.
    ///
    /// If the database was lost, or is an old copy that the log cannot replay any more, its rows are fetched from another
    /// member first: this returns when one has been found, however long that takes ([`Node::refilling`] tells). Start
    /// groups side by side, so that none waits for another.
    ///
    /// # Errors
    /// When rows and log do not fit each other and no other member is known. Nothing has been changed.
    pub async fn start_group(&self, id: GroupId) -> Result<Group, OpenError> {
        let turn = Arc::clone(self.inner.starting.lock().entry(id).or_default());
        let _turn = turn.lock().await;
        self.start_in_turn(id).await
    }

    async fn start_in_turn(&self, id: GroupId) -> Result<Group, OpenError> {
        if let Some(group) = self.group(id) {
            return Ok(group);
        }
        if self.is_removed(id)? {
            return Err(OpenError::Removed(id));
        }
        let group = self.start_core(id).await?;
        self.elect_if_alone(&group).await;
        Ok(group)
    }

    async fn start_core(&self, id: GroupId) -> Result<Group, OpenError> {
        let inner = &self.inner;
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Group { group: id, source };
        let log = inner.log.group(id)?;
        let stop = inner.stop.child_token();
        inner.stops.lock().insert(id, stop.clone());
        let machine = self.machine(&log, stop);
        machine.set_quarantine(quarantine::noted(&log).map_err(|error| failed(error.into()))?);
        self.refill(&machine, &log).await?;
        let raft_log = RaftLog::new(log, Some(Arc::clone(&machine)));
        let pulse = Arc::new(Pulse::new());
        let keep = Arc::new(Keep::new(&inner.options.raft));
        let addresses = Arc::new(Addresses::default());
        let network = Network {
            peers: Arc::clone(&inner.peers),
            heartbeats: Arc::clone(&inner.heartbeats),
            group: id.0,
            pulse: Arc::clone(&pulse),
            keep: Arc::clone(&keep),
            addresses: Arc::clone(&addresses),
        };
        let (config, applier) = (Arc::clone(&inner.config), Applier::new(Arc::clone(&machine)));
        let raft = Raft::new(inner.owner().node.0, config, network, raft_log, applier).await;
        let raft = match raft {
            // What it could not read or write then says nothing.
            Err(_) if machine.stop().is_cancelled() => return Err(OpenError::Closed),
            raft => raft.map_err(|error| failed(error.into()))?,
        };
        let group = Group::new(raft, machine, (pulse, keep, addresses));
        group.raft().runtime_config().elect(group.machine().quarantine().is_none());
        if group.machine().stop().is_cancelled() {
            group.shutdown().await;
            group.machine().close().await;
            return Err(OpenError::Closed);
        }
        inner.groups.lock().insert(id, group.clone());
        task::spawn(keep::watch(group.clone()));
        task::spawn(Arc::clone(group.machine()).mend());
        Ok(group)
    }

    fn machine(&self, log: &GroupLog, stop: CancellationToken) -> Arc<Machine> {
        let inner = &self.inner;
        Arc::new(Machine::new(MachineParts {
            group: log.group(),
            store: Arc::clone(&inner.store),
            log: Some(log.clone()),
            budget: Arc::clone(&inner.budget),
            fatal: Arc::clone(&inner.fatal),
            stop,
        }))
    }

    /// Says what is wrong before openraft does, and mends it if the database was lost alone.
    async fn refill(&self, machine: &Arc<Machine>, log: &GroupLog) -> Result<(), OpenError> {
        let (inner, group) = (&self.inner, log.group());
        let (peers, refilling, stop) = (inner.peers.as_ref(), &inner.refilling, machine.stop());
        let refill = Refill { machine, log, peers, me: self.owner().node, refilling, stop };
        refill.run().await.map_err(|error| match error {
            RefillError::Stopping | RefillError::Apply(ApplyError::Stopping) => OpenError::Closed,
            error => OpenError::Group { group, source: error.into() },
        })
    }

    /// Starts a group and, if it is new, founds it with these voters and their addresses. Every founding node may
    /// do so with the same voters.
    pub async fn found_group(
        &self,
        id: GroupId,
        voters: &BTreeMap<NodeId, String>,
    ) -> Result<Group, OpenError> {
        let group = self.start_group(id).await?;
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Group { group: id, source };
        if !group.raft().is_initialized().await.map_err(|error| failed(error.into()))? {
            let nodes = voters.iter().map(|(node, address)| (node.0, BasicNode::new(address)));
            match group.raft().initialize(nodes.collect::<BTreeMap<_, _>>()).await {
                // Another founder was faster and has asked for this node's vote already.
                Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(group)
    }

    /// The groups whose start waits for rows from another member, for their database was lost.
    pub fn refilling(&self) -> Vec<GroupId> {
        self.inner.refilling.lock().iter().copied().collect()
    }

    /// A group that was started.
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.inner.group(id)
    }

    /// All groups that were started, by id.
    pub fn groups(&self) -> Vec<Group> {
        self.inner.groups()
    }

    /// The raft transport of all groups, to be served to the other nodes of the cluster and to nobody else: `only` says
    /// who that is.
    pub fn transport(&self, only: impl Interceptor + Clone + Send + Sync + 'static) -> Routes {
        Routes::new(InterceptedService::new(Transport::service(&self.inner), only))
    }

    /// What the log has written so far.
    pub fn log_counts(&self) -> LogCounts {
        self.inner.log.counts()
    }

    /// What the log takes of its disk, in bytes: the files of all groups. None if they cannot be looked at.
    pub fn log_bytes(&self) -> Option<u64> {
        self.inner.log_bytes()
    }

    /// What the rows take that all groups hold in memory, in bytes, nearly.
    pub fn cache_bytes(&self) -> u64 {
        self.inner.budget.bytes() as u64
    }

    /// The heartbeats of all groups so far.
    pub fn heartbeat_counts(&self) -> HeartbeatCounts {
        self.inner.heartbeats.counts()
    }

    /// Stops all groups, writes what waits in the log and behind it, and closes the log. The log's files are free once all
    /// handles on the node and its groups are dropped; the database may be closed after.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        let groups: Vec<Group> = std::mem::take(&mut *self.inner.groups.lock()).into_values().collect();
        for group in &groups {
            group.shutdown().await;
        }
        futures::future::join_all(groups.iter().map(|group| group.machine().close())).await;
        self.inner.log.close().await;
    }

    /// A lost log takes its votes with it: the node must come back under a new id (DESIGN D2).
    async fn refuse_lost_log(&self) -> Result<(), OpenError> {
        if !self.inner.log.stored_groups().is_empty() {
            return Ok(());
        }
        let heads = self.inner.store.groups().await?;
        match heads.into_iter().find(|head| head.applied.index > 0) {
            None => Ok(()),
            Some(head) => {
                self.close().await;
                Err(lost_log(head.group))
            }
        }
    }

    /// A lone voter need not wait for silence from others.
    async fn elect_if_alone(&self, group: &Group) {
        let members = group.status().members;
        if members.len() == 1
            && members.contains_key(&self.owner().node)
            && let Err(error) = group.raft().trigger().elect(false).await
        {
            tracing::warn!(group = %group.id(), %error, "begin an election");
        }
    }
}

/// Steps of a start by themselves, and the transport without a router around it.
#[cfg(test)]
impl Node {
    pub(crate) fn inner(&self) -> &Arc<NodeInner> {
        &self.inner
    }

    pub(crate) fn group_log(&self, id: GroupId) -> GroupLog {
        self.inner.log.group(id).expect("read the log")
    }

    /// What peers speak to.
    pub(crate) fn raft_transport(&self) -> Transport {
        Transport::of(&self.inner)
    }

    /// Rows from a member, as if the process ended right after.
    pub(crate) async fn only_fetch_rows(&self, id: GroupId, (node, address): (NodeId, &str)) {
        let machine = self.machine(&self.group_log(id), CancellationToken::new());
        let fetched =
            crate::network::fetch_snapshot(&self.inner.peers, (node, address), &machine, None).await;
        machine.install_staged(fetched.expect("fetch rows")).await.expect("install them");
    }
}

/// Before the log is claimed, which would make a second attempt look right: groups get rows only once it is, so rows
/// without an owned log mean that it was lost, even where nothing is applied. This node may have voted there.
async fn refuse_new_log(backend: &dyn LogBackend, store: &dyn MetaStore) -> Result<(), OpenError> {
    if backend.owner()?.is_some() {
        return Ok(());
    }
    match store.groups().await?.into_iter().next() {
        None => Ok(()),
        Some(head) => Err(lost_log(head.group)),
    }
}

fn lost_log(group: GroupId) -> OpenError {
    let source = "the database has rows, but the raft log is empty: it was lost, and this node's votes with it; remove \
                  this node from its groups and let it join them anew, with an empty log and database and a new node id";
    OpenError::Group { group, source: source.into() }
}

/// Lets groups purge whose old entries keep files of the log alive.
async fn relieve(node: std::sync::Weak<NodeInner>, stop: CancellationToken) {
    let Some(mut blocking) = node.upgrade().map(|node| node.log.blocking_groups()) else { return };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = blocking.changed() => if changed.is_err() { return },
        }
        let groups = blocking.borrow_and_update().clone();
        for id in groups {
            let Some(node) = node.upgrade() else { return };
            let Some(group) = node.group(id) else { continue };
            // The target may be passed for those that need it, not without end.
            let is_full = node.log_bytes().is_none_or(|bytes| bytes > node.options.log.bytes_max);
            let room = if is_full { Room::None } else { Room::Little };
            if let Err(error) = group.relieve_log(room).await {
                tracing::warn!(group = %id, %error, "purge the log");
            }
        }
    }
}
