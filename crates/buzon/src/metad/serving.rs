//! The listeners of a metadata node, without an identity and with one.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_consensus::node::{Node, NodeOptions};
use buzon_meta_client::meta::{Meta, Options as MetaOptions};
use buzon_meta_store::error::StoreError;
use buzon_meta_store::postgres::PostgresStore;
use buzon_meta_store::store::MetaStore;
use buzon_metad::auth::Bearer;
use buzon_metad::cluster::balance::Balancer;
use buzon_metad::cluster::mover::Mover;
use buzon_metad::cluster::peers::Peers;
use buzon_metad::cluster::{Cluster, Control, init};
use buzon_metad::groups::Groups;
use buzon_metad::node::NodeGroups;
use buzon_metad::server::{Options as MetadOptions, Server as Metad};
use buzon_tls::listen::incoming;
use buzon_types::id::{DIRECTORY, NodeId};
use buzon_types::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use super::Base;
use crate::admin::{self, AdminListener};
use crate::config::Config;
use crate::outcomes::Outcomes;

/// The log says every so often that the database is not to be had.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);
/// Calls that run when a phase ends get so long.
const CALLS_END_MAX: Duration = Duration::from_secs(5);
/// A voter that was not heard for longer is down: it is not asked to lead.
const HEARD_MAX: Duration = Duration::from_secs(2);

/// The listening sockets, bound once: each phase accepts from them.
pub(super) struct Sockets {
    internal: StdListener,
    admin: Option<StdListener>,
}

impl Sockets {
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = |name: &str, address: SocketAddr| {
            let bound =
                StdListener::bind(address).with_context(|| format!("listen.{name}: bind {address}"))?;
            bound.set_nonblocking(true)?;
            anyhow::Ok(bound)
        };
        let internal = config.listen.internal.address().context("listen.internal is off")?;
        let admin = config.listen.admin.address().map(|address| bind("admin", address)).transpose()?;
        Ok(Self { internal: bind("internal", internal)?, admin })
    }

    pub(super) fn addresses(&self) -> anyhow::Result<(Option<SocketAddr>, Option<SocketAddr>)> {
        let admin = self.admin.as_ref().map(StdListener::local_addr).transpose()?;
        Ok((Some(self.internal.local_addr()?), admin))
    }

    fn internal(&self) -> anyhow::Result<TcpListener> {
        Ok(TcpListener::from_std(self.internal.try_clone()?)?)
    }

    fn admin(&self) -> anyhow::Result<Option<TcpListener>> {
        let clone = |listener: &StdListener| anyhow::Ok(TcpListener::from_std(listener.try_clone()?)?);
        self.admin.as_ref().map(clone).transpose()
    }
}

/// The nodes' listener while it serves.
struct Internal {
    stop: CancellationToken,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Internal {
    fn serve(base: &Base, routes: Routes) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let incoming = incoming(base.sockets.internal()?, Arc::clone(&base.mutual));
        let server = Server::builder()
            // One connection carries all groups of a peer: a snapshot must not starve heartbeats.
            .http2_adaptive_window(Some(true))
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .add_routes(routes);
        let serving =
            tokio::spawn(server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned()));
        Ok(Self { stop, serving })
    }

    async fn stop(self) {
        self.stop.cancel();
        let abort = self.serving.abort_handle();
        if tokio::time::timeout(CALLS_END_MAX, self.serving).await.is_err() {
            abort.abort();
        }
    }
}

/// The services of a node without an identity.
pub(super) struct Unassigned {
    internal: Internal,
    admin: Option<AdminListener>,
}

impl Unassigned {
    pub(super) fn serve(base: &Base) -> anyhow::Result<Self> {
        let cluster = Cluster::new(base.host.clone());
        let internal = Internal::serve(base, Routes::new(cluster.service()))?;
        let routes = Routes::new(init::service(Peers::new(base.connector()), bearer(base)?));
        let admin = base.sockets.admin()?.map(|listener| admin::serve(listener, &base.certificate, routes));
        Ok(Self { internal, admin: admin.transpose()? })
    }

    /// Lets running calls finish: the one that founds the cluster goes on without this node's listener.
    pub(super) async fn stop(self) {
        let admin = async {
            if let Some(admin) = self.admin {
                admin.stop().await;
            }
        };
        tokio::join!(self.internal.stop(), admin);
    }
}

fn bearer(base: &Base) -> anyhow::Result<Bearer> {
    Ok(Bearer::new(Secret::new(base.data_dir.admin_token(&base.config)?)))
}

/// A node whose groups run.
pub(super) struct Opened {
    node: Node,
    store: Arc<dyn MetaStore>,
}

/// Opens database and log and starts the groups that are in them.
pub(super) async fn open(base: &Base) -> anyhow::Result<Opened> {
    let store: Arc<dyn MetaStore> = Arc::new(database(&base.config).await?);
    let mut options = NodeOptions::new(base.host.owner(), base.config.raft.log(&base.data_dir.join("log")));
    options.cache_bytes_max = usize::try_from(base.config.memory.metadata_cache_bytes).unwrap_or(usize::MAX);
    options.connector = base.connector();
    let node = Node::open(options, Arc::clone(&store)).await.context("open the raft log")?;
    let stored = node.stored_groups();
    ensure!(
        !base.host.identity().founded || !stored.is_empty(),
        "{} has no raft log, though this node carried replicas: the log is lost, and this node's votes with it. Empty the \
         data directory and the database, start the node again, and add it as a new one: `buzon ctl node add`",
        base.data_dir.path().display()
    );
    let mut starting = JoinSet::new();
    for group in stored {
        let node = node.clone();
        starting.spawn(async move { node.start_group(group).await.map(drop) });
    }
    while let Some(started) = starting.join_next().await {
        started.context("start a raft group")?.context("start a raft group")?;
    }
    Ok(Opened { node, store })
}

/// Waits for the server: the node and its database start together.
async fn database(config: &Config) -> anyhow::Result<PostgresStore> {
    let options = config.database.options()?;
    loop {
        match PostgresStore::connect(&options, Arc::new(Outcomes)).await {
            Ok(store) => return Ok(store),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Full(_))) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "database: not to be had yet");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            Err(error) => return Err(error).context("database"),
        }
    }
}

/// All services of a node.
pub(super) struct Serving {
    node: Node,
    store: Arc<dyn MetaStore>,
    metad: Metad,
    meta: Meta,
    internal: Internal,
    admin: Option<AdminListener>,
    balancer: JoinHandle<()>,
    mover: JoinHandle<()>,
}

/// Serves a node. Raft goes on with its peers from here on.
pub(super) async fn serve(base: &Base, opened: Opened) -> anyhow::Result<Serving> {
    let Opened { node, store } = opened;
    let admin_token = Secret::new(base.data_dir.admin_token(&base.config)?);
    let options = MetadOptions { admin_token, meter: base.telemetry.meter("buzon.metad") };
    let groups = Arc::new(NodeGroups::new(node.clone()));
    let metad = Metad::new(Arc::clone(&groups) as Arc<dyn Groups>, options);
    // Itself first; the others come by hints and topology.
    let own = base.config.cluster.address.clone().context("cluster.address is not set")?;
    let meta = Meta::cluster(&base.connector(), &[own], MetaOptions::default()).context("cluster.address")?;
    meta.follow_topology(base.stop.clone());
    let (cluster, peers) = (Cluster::new(base.host.clone()), Peers::new(base.connector()));
    let look_now = Arc::new(Notify::new());
    let control =
        Control { peers: peers.clone(), cluster: node.owner().cluster, look_now: Arc::clone(&look_now) };
    let internal = Internal::serve(base, metad.node_routes(&node, cluster, &meta, control.clone()))?;
    base.host.set_node(node.clone());
    let routes =
        metad.admin_routes(&meta, Some(control)).add_service(init::service(peers.clone(), bearer(base)?));
    let admin = base.sockets.admin()?.map(|listener| admin::serve(listener, &base.certificate, routes));
    let mover = tokio::spawn(Mover::new(Arc::clone(&groups) as Arc<dyn Groups>, meta.clone()).run());
    let balancer = tokio::spawn(Balancer::new(groups, peers, meta.clone(), look_now).run());
    Ok(Serving { node, store, metad, meta, internal, admin: admin.transpose()?, balancer, mover })
}

impl Serving {
    /// Waits until this node has a replica of the directory and knows its leader: from then on it can tell front-ends
    /// where everything is.
    pub(super) async fn usable(&self) {
        loop {
            if let Some(group) = self.node.group(DIRECTORY)
                && group.wait_for_leader().await.is_ok()
            {
                return;
            }
            // A node waits here until it is made a member: once in its life.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn set_ready(&self, base: &Base, is_ready: bool) {
        if is_ready && let Err(error) = base.host.set_founded() {
            tracing::error!(error = format!("{error:#}"), "note that this node carries groups");
        }
        base.health.set_ready(is_ready);
        self.metad.set_ready(is_ready).await;
    }

    /// Hands leadership over, lets calls finish, closes groups, log and database.
    pub(super) async fn drain(self, base: &Base, deadline: Duration) {
        self.set_ready(base, false).await;
        self.balancer.abort();
        self.mover.abort();
        hand_over(&self.node, deadline).await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        if let Err(error) = self.meta.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "close client instances");
        }
        self.internal.stop().await;
        self.node.close().await;
        self.store.close().await;
    }
}

/// Asks another voter to lead each group that this node leads, and waits until they do.
async fn hand_over(node: &Node, deadline: Duration) {
    let began = Instant::now();
    let handed = async {
        // Another voter each time: the first may be down.
        for turn in 0.. {
            let (led, asked) = ask_to_lead(node, turn).await;
            // The last node of a cluster that goes finds nobody.
            if led == 0 || (asked == 0 && began.elapsed() > HEARD_MAX) {
                return led;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        0
    };
    if tokio::time::timeout(deadline, handed).await != Ok(0) {
        tracing::warn!("some groups are still led here: the others elect leaders when this node is gone");
    }
}

/// How many groups are led here and have other voters, and in how many of them one that is alive was asked to lead.
async fn ask_to_lead(node: &Node, turn: usize) -> (usize, usize) {
    let own = node.owner().node;
    let (mut led, mut asked) = (0, 0);
    for group in node.groups() {
        let status = group.status();
        if !status.leads || status.voters.iter().all(|voter| *voter == own) {
            continue;
        }
        led += 1;
        let is_heard = |voter: &&NodeId| {
            let heard = status.followers.get(voter).and_then(|follower| follower.heard);
            heard.is_some_and(|ago| ago < HEARD_MAX)
        };
        let successors: Vec<_> = status.voters.iter().filter(is_heard).collect();
        if successors.is_empty() {
            continue;
        }
        asked += 1;
        if let Err(error) = group.transfer_leader(*successors[turn % successors.len()]).await {
            tracing::warn!(group = %group.id(), %error, "hand a group over");
        }
    }
    (led, asked)
}
