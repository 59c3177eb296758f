//! The machines of a simulation, the processes on them, and their whole life: founding, faults, healing, the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buzon_types::id::{GroupId, LogIndex, NodeId};
use buzon_types::time::Timestamp;
use openraft::async_runtime::watch::WatchReceiver as _;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::client::Client;
use super::database::{Database, Store, Vault};
use super::disk::{Backend, Disk};
use super::faults::Faults;
use super::life::Life;
use super::network::Network;
use super::oracle::{Event, Oracle};
use super::plan::Plan;
use super::{SERVES_WITHIN, digest};
use crate::error::OpenError;
use crate::group::Group;
use crate::log::identity::LogOwner;
use crate::log::options::LogOptions;
use crate::log::shared::FatalHandler;
use crate::node::{Node, NodeOptions};
use crate::simulation::random::Random;

/// Where a node is reached: nobody listens there, but the name stands in memberships.
pub(crate) fn address(node: u64) -> String {
    format!("node-{node}:1")
}

/// A machine, whatever runs on it.
pub(crate) struct Machine {
    pub(crate) id: NodeId,
    pub(crate) disk: Arc<Disk>,
    pub(crate) database: Arc<Database>,
    /// The process, if there is one.
    pub(crate) life: Mutex<Option<Arc<Life>>>,
}

/// See the module. What faults and clients need of it too.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) network: Arc<Network>,
    pub(crate) machines: BTreeMap<u64, Machine>,
    lives: AtomicU64,
    /// How far a node's wall clock is from the others', in milliseconds.
    clocks: Mutex<BTreeMap<u64, i64>>,
    /// Groups that a process was told to carry, by the count of its life.
    ensured: Mutex<BTreeSet<(u64, u64, GroupId)>>,
}

pub(crate) struct Cluster {
    world: Arc<World>,
}

impl World {
    /// Starts a node's process, as its machine would: again and again until it is up.
    pub(crate) fn start(self: &Arc<Self>, id: u64) {
        let machine = &self.machines[&id];
        let before = machine.life.lock().as_ref().map(|life| life.is_ended());
        match before {
            Some(false) => return,
            // A disk that failed has ended it.
            Some(true) => self.end(id, false),
            None => {}
        }
        self.oracle.trace(|| format!("node {id} starts"));
        let (random, count) = (self.random.branch(), self.lives.fetch_add(1, Ordering::SeqCst));
        let life =
            Life::new((machine.id, count), random, Arc::clone(&self.network), Arc::clone(&self.oracle));
        *machine.life.lock() = Some(Arc::clone(&life));
        let world = Arc::clone(self);
        life.spawn(async move {
            let id = NodeId(id);
            match world.open(id).await {
                Ok(node) => world.run(id, &node).await,
                // Its database is away: a supervisor starts it again.
                Err(OpenError::Store(error)) => {
                    world.oracle.trace(|| format!("node {id} does not start: {error}"));
                    world.restart_later(id);
                }
                Err(error) => world.cannot_open(id, &error),
            }
        });
    }

    async fn open(&self, id: NodeId) -> Result<Node, OpenError> {
        let machine = &self.machines[&id.0];
        let owner = LogOwner { cluster: 1, node: id, incarnation: u128::from(id.0) };
        let mut options = NodeOptions::new(owner, LogOptions::new("nowhere"));
        options.raft = self.plan.raft.clone();
        options.cache_bytes_max = self.plan.cache_bytes_max;
        options.log.tail_bytes_max = self.plan.tail_bytes_max;
        options.log.collect_every = Duration::from_secs(1);
        let life = machine.life.lock().clone();
        let fatal: Arc<dyn FatalHandler> = life.expect("its life has begun");
        let store = Arc::new(Store(Arc::clone(&machine.database)));
        Node::open_over(Arc::new(Backend(Arc::clone(&machine.disk))), options, store, fatal).await
    }

    /// Listens, and starts what its log knows of, side by side.
    async fn run(self: &Arc<Self>, id: NodeId, node: &Node) {
        let life = crate::simulation::life::current().expect("this is a node's task");
        self.network.listen(&life, node);
        for group in node.stored_groups() {
            let (world, node) = (Arc::clone(self), node.clone());
            life.spawn(async move {
                match node.start_group(group).await {
                    Ok(_) | Err(OpenError::Removed(_) | OpenError::Closed) => {}
                    Err(error) => world.cannot_open(id, &error),
                }
            });
        }
        let world = Arc::clone(self);
        let node = node.clone();
        life.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                for group in node.groups() {
                    let running = group.raft().metrics().borrow_watched().running_state.clone();
                    let stopped = running.err().map(|error| format!("{error:?}"));
                    world.oracle.observe(group.id(), &Event::Status { node: id, stopped });
                }
            }
        });
    }

    fn cannot_open(&self, id: NodeId, error: &OpenError) {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        // Removed again while it started.
        if causes.iter().any(|cause| cause.contains("the group is stopping")) {
            return;
        }
        let cause = causes.join(": ");
        self.oracle.violated("groups_keep_running", format!("node {id} cannot open: {error}: {cause}"));
    }

    fn restart_later(self: &Arc<Self>, id: NodeId) {
        self.end(id.0, false);
        let (world, later) = (Arc::clone(self), self.random.millis(50..500));
        tokio::spawn(async move {
            tokio::time::sleep(later).await;
            world.start(id.0);
        });
    }

    /// Ends a node's process; with the power, what its database had not flushed may be lost too.
    pub(crate) fn end(&self, id: u64, power: bool) {
        let machine = &self.machines[&id];
        let life = machine.life.lock().take();
        if let Some(life) = life {
            life.end();
        }
        self.network.deafen(id);
        machine.disk.crash();
        if power {
            machine.database.restart(Duration::ZERO);
        }
    }

    /// What a node's wall clock shows.
    pub(crate) fn clock(&self, id: u64) -> Timestamp {
        let skew = self.clocks.lock().get(&id).copied().unwrap_or_default();
        Timestamp(1_000_000 + self.oracle.elapsed_ms() + skew)
    }

    pub(crate) fn jump(&self, id: u64) {
        let to = self.random.below(120_000) as i64 - 60_000;
        self.oracle.trace(|| format!("FAULT node {id}: its clock is off by {to} ms"));
        self.clocks.lock().insert(id, to);
    }

    /// Has these nodes carry a group, as the directory's leader does.
    pub(crate) fn ensure(self: &Arc<Self>, group: GroupId, ids: &BTreeSet<u64>) {
        let Some((_, leader)) = self.leader(group) else { return };
        let members = leader.status().members;
        for id in ids {
            let Some(listener) = self.network.listener(*id) else { continue };
            let is_here = listener.node.group(group).is_some();
            if is_here || !self.ensured.lock().insert((*id, listener.life.count(), group)) {
                continue;
            }
            let mut sources = members.clone();
            sources.remove(&NodeId(*id));
            // Where its log knows them, `run` starts them with the process.
            self.oracle.trace(|| format!("node {id} shall carry group {group}"));
            let (life, node, world, id) = (listener.life, listener.node, Arc::clone(self), *id);
            life.spawn(async move {
                if node.ensure_group(group, &sources).await.is_err() {
                    world.forget_ensured(id, group);
                }
            });
        }
    }

    /// Forgets that a node was told, once it was told the opposite.
    pub(crate) fn forget_ensured(&self, id: u64, group: GroupId) {
        self.ensured.lock().retain(|(node, _, of)| (*node, *of) != (id, group));
    }

    /// Members that do not carry their group are told again and again.
    async fn balance(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            for group in self.plan.groups.clone() {
                let Some((_, leader)) = self.leader(group) else { continue };
                self.ensure(group, &leader.status().members.keys().map(|id| id.0).collect());
            }
        }
    }

    pub(crate) fn life(&self, id: u64) -> Option<Arc<Life>> {
        self.machines[&id].life.lock().clone().filter(|life| !life.is_ended())
    }

    /// The group on a node that runs.
    pub(crate) fn group(&self, id: u64, group: GroupId) -> Option<Group> {
        self.network.listener(id)?.node.group(group)
    }

    /// A node that says that it leads; the one of the latest term, if several do.
    pub(crate) fn leader(&self, group: GroupId) -> Option<(u64, Group)> {
        let leads = |id: &u64| {
            let group = self.group(*id, group)?;
            let metrics = group.raft().metrics();
            let metrics = metrics.borrow_watched();
            let leads = metrics.current_leader == Some(metrics.id);
            leads.then(|| (metrics.current_term, *id, group.clone()))
        };
        let leaders = self.machines.keys().filter_map(leads);
        leaders.max_by_key(|(term, id, _)| (*term, *id)).map(|(_, id, group)| (id, group))
    }
}

impl Cluster {
    pub(crate) fn new(plan: &Plan, with_lines: bool) -> Self {
        let random = Random::new(plan.seed).branch();
        let oracle = Oracle::new(&plan.groups, with_lines);
        let network = Network::new(random.branch(), Arc::clone(&oracle), plan.snapshots_broken);
        let vault = Arc::new(Vault::default());
        let machine = |id: u64| {
            let disk = Disk::new(NodeId(id), random.branch(), Arc::clone(&oracle));
            oracle.add_disk(NodeId(id), &disk);
            let database =
                Database::new(NodeId(id), random.branch(), Arc::clone(&oracle), Arc::clone(&vault));
            (id, Machine { id: NodeId(id), disk, database, life: Mutex::default() })
        };
        let machines = (1..=plan.nodes()).map(machine).collect();
        oracle.trace(|| format!("{plan:?}"));
        let (lives, clocks, ensured) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        let world = World { plan: plan.clone(), random, oracle, network, machines, lives, clocks, ensured };
        Self { world: Arc::new(world) }
    }

    /// All of it. Stops where an invariant does not hold.
    pub(crate) async fn live(&self, plan: &Plan) {
        let world = Arc::clone(&self.world);
        for id in 1..=plan.nodes() {
            world.start(id);
        }
        self.found().await;
        let balance = tokio::spawn(Arc::clone(&world).balance());
        let clients: Vec<Client> =
            (1..=plan.clients).map(|number| Client::start(&world, 1_000 + number)).collect();
        let until = Instant::now() + plan.faults_for;
        let mut faults = Faults::new(&world);
        while Instant::now() < until && world.oracle.violation().is_none() {
            tokio::time::sleep(world.random.millis(plan.fault_every / 4..plan.fault_every)).await;
            faults.next();
        }
        faults.heal();
        world.oracle.trace(|| "healed".to_owned());
        self.serve(clients).await;
        balance.abort();
    }

    /// Every founder founds every group.
    async fn found(&self) {
        let world = &self.world;
        let voters: BTreeMap<NodeId, String> =
            (1..=world.plan.founders).map(|id| (NodeId(id), address(id))).collect();
        for id in 1..=world.plan.founders {
            let node = loop {
                if let Some(listener) = world.network.listener(id) {
                    break listener;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            for group in world.plan.groups.clone() {
                let (voters, world, node_) = (voters.clone(), Arc::clone(world), node.node.clone());
                let founded = node.life.spawn(async move {
                    if let Err(error) = node_.found_group(group, &voters).await {
                        world.cannot_open(NodeId(id), &error);
                    }
                });
                let _ = founded.await;
            }
        }
    }

    /// Healed: clients end, and everything must serve, and be the same everywhere.
    async fn serve(&self, clients: Vec<Client>) {
        let world = &self.world;
        let name = "everything_serves_after_healing";
        let until = Instant::now() + SERVES_WITHIN;
        // They go on for a while, so that what was cut off comes to an end under load.
        tokio::time::sleep(Duration::from_secs(1)).await;
        for client in clients {
            if tokio::time::timeout_at(until, client.finish()).await.is_err() {
                world.oracle.violated(name, "a client is not answered".to_owned());
            }
        }
        for group in world.plan.groups.clone() {
            if world.oracle.violation().is_some() {
                return;
            }
            let last = Client::prove(world, group);
            match tokio::time::timeout_at(until, last).await {
                Ok(last) => self.agree(group, last, until).await,
                Err(_) => world.oracle.violated(name, format!("group {group}: no write, no read")),
            }
        }
    }

    /// Every member gets there, and all rows are those of the history.
    async fn agree(&self, group: GroupId, last: LogIndex, until: Instant) {
        let world = &self.world;
        loop {
            let leader = world.leader(group);
            let members = leader.map(|(_, group)| group.status().members).unwrap_or_default();
            let stands = |id: &NodeId| {
                let database = &world.machines.get(&id.0)?.database;
                database.look(group, |at, rows| (*id, at, digest::of_rows(rows)))
            };
            let replicas: Option<Vec<_>> = members.keys().map(stands).collect();
            let replicas = replicas.filter(|all| !all.is_empty() && all.iter().all(|it| it.1 >= last));
            if let Some(replicas) = replicas {
                world.oracle.trace(|| format!("group {group}: over at {last}: {replicas:?}"));
                world.oracle.observe(group, &Event::Over { replicas: &replicas });
                return;
            }
            if Instant::now() >= until || world.oracle.violation().is_some() {
                let what = format!("group {group}: not all members have applied {last}");
                return world.oracle.violated("everything_serves_after_healing", what);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends all processes, so that nothing holds anything else.
    pub(crate) fn end(&self) -> Arc<Oracle> {
        for id in self.world.machines.keys() {
            self.world.end(*id, false);
        }
        self.world.oracle.forget_disks();
        Arc::clone(&self.world.oracle)
    }
}

/// A task of the node on which it is, if it runs.
pub(crate) fn on<F>(world: &World, id: u64, work: F) -> Option<JoinHandle<F::Output>>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Some(world.life(id)?.spawn(work))
}
