//! Nodes in one process that talk over loopback.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{MetaStore, OutcomeCodec};
use buzon_model::reply::Outcome;
use buzon_types::id::{DIRECTORY, GroupId, LogIndex, NodeId};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;

use super::flaky::Flaky;
use super::wire::Old;
use crate::error::OpenError;
use crate::group::Group;
use crate::log::identity::LogOwner;
use crate::log::options::LogOptions;
use crate::log::raft_engine::RaftEngineLog;
use crate::log::shared::AbortProcess;
use crate::log::testing::FaultyFileSystem;
use crate::node::{Node, NodeOptions, RaftOptions};

/// The group that most tests use.
pub(super) const GROUP: GroupId = DIRECTORY;
/// Far more than any step takes; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Outcomes;

impl OutcomeCodec for Outcomes {
    fn encode(&self, outcome: &Outcome) -> Vec<u8> {
        buzon_proto::log::encode_outcome(outcome).to_vec()
    }

    fn decode(&self, bytes: &[u8]) -> Option<Outcome> {
        buzon_proto::log::decode_outcome(bytes::Bytes::copy_from_slice(bytes)).ok()
    }
}

/// A node with its directory, which outlives its restarts.
pub(super) struct TestNode {
    pub(super) id: NodeId,
    pub(super) directory: TempDir,
    address: SocketAddr,
    options: RaftOptions,
    disk: FaultyFileSystem,
    /// Sizes of its log.
    log: fn(&mut LogOptions),
    /// Whether it knows of snapshots what versions of old do.
    is_old: bool,
    /// Whether requests of other nodes are refused.
    deaf: Arc<AtomicBool>,
    running: Option<Running>,
}

struct Running {
    node: Node,
    store: Arc<dyn MetaStore>,
    server: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl TestNode {
    /// A new node that runs.
    pub(super) async fn open(id: NodeId, options: RaftOptions) -> Self {
        Self::open_with(id, options, |_| {}).await
    }

    /// The same with other sizes of its log.
    async fn open_with(id: NodeId, options: RaftOptions, log: fn(&mut LogOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let disk = FaultyFileSystem::new();
        let deaf = Arc::default();
        let (is_old, running) = (false, None);
        let mut node = Self { id, directory, address, options, disk, log, is_old, deaf, running };
        node.run(listener).await.unwrap();
        node
    }

    /// The same, where each fsync of the log takes as long as on a disk.
    pub(super) async fn open_on_slow_disk(id: NodeId, sync_takes: Duration) -> Self {
        let node = Self::open(id, RaftOptions::default()).await;
        node.disk_takes(sync_takes);
        node
    }

    /// Each fsync of the log takes this long from now on.
    pub(super) fn disk_takes(&self, sync_takes: Duration) {
        self.disk.sync_takes(sync_takes);
    }

    /// No request of another node gets through from now on, or all do; answers come.
    pub(super) fn hear_nothing(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }

    /// Once it is opened again.
    pub(super) fn is_old_from_now_on(&mut self) {
        self.is_old = true;
    }

    pub(super) async fn reopen(&mut self) -> Result<(), OpenError> {
        self.run(TcpListener::bind(self.address).await.unwrap()).await
    }

    /// At another address.
    pub(super) async fn reopen_elsewhere(&mut self) -> Result<(), OpenError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.run(listener).await
    }

    async fn run(&mut self, listener: TcpListener) -> Result<(), OpenError> {
        let path = self.directory.path().join("rows.sqlite");
        let store: Arc<dyn MetaStore> = Arc::new(SqliteStore::open(&path, Arc::new(Outcomes)).await.unwrap());
        self.run_over(listener, store).await
    }

    pub(super) async fn run_over(
        &mut self,
        listener: TcpListener,
        store: Arc<dyn MetaStore>,
    ) -> Result<(), OpenError> {
        let owner = LogOwner { cluster: 1, node: self.id, incarnation: 1 };
        let mut options = NodeOptions::new(owner, LogOptions::new(self.directory.path().join("log")));
        options.raft = self.options.clone();
        (self.log)(&mut options.log);
        let backend = Arc::new(RaftEngineLog::open_with(&options.log, &Arc::new(self.disk.clone()))?);
        let node = Node::open_over(backend, options, Arc::clone(&store), Arc::new(AbortProcess)).await?;
        let deaf = Arc::clone(&self.deaf);
        let routes = if self.is_old {
            Routes::new(Old::service(node.raft_transport()))
        } else {
            node.transport(move |request: tonic::Request<()>| {
                if deaf.load(Ordering::SeqCst) {
                    Err(tonic::Status::unavailable("cut off"))
                } else {
                    Ok(request)
                }
            })
        };
        let serve = tonic::transport::Server::builder().tcp_nodelay(true).add_routes(routes);
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            // Closes the connections too, as the end of a process would.
            serve.serve_with_incoming_shutdown(incoming, async { drop(stopped.await) }).await.unwrap();
        });
        self.running = Some(Running { node, store, server, stop });
        Ok(())
    }

    pub(super) async fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.node.close().await;
        running.stop.send(()).unwrap();
        // The port and the log's files are free before the next start.
        running.server.await.unwrap();
        running.store.close().await;
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn node(&self) -> &Node {
        &self.running.as_ref().unwrap().node
    }

    pub(super) fn store(&self) -> &Arc<dyn MetaStore> {
        &self.running.as_ref().unwrap().store
    }

    pub(super) fn group(&self) -> Group {
        self.node().group(GROUP).unwrap()
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where the rows are while the node is stopped, in this file alone: SQLite removes the others when it is closed.
    pub(super) fn database(&self) -> PathBuf {
        let directory = self.directory.path();
        assert!(self.running.is_none() && !directory.join("rows.sqlite-wal").exists());
        directory.join("rows.sqlite")
    }

    /// As if the disk of the database alone had died.
    pub(super) fn lose_database(&self) {
        assert!(self.running.is_none());
        for name in ["rows.sqlite", "rows.sqlite-wal", "rows.sqlite-shm"] {
            // Some are gone when the database was closed, unless a checkpoint was under way.
            let _ = std::fs::remove_file(self.directory.path().join(name));
        }
    }

    /// The same as [`TestNode::reopen`] over a database that fails on command.
    pub(super) async fn reopen_flaky(&mut self) -> Arc<Flaky> {
        let path = self.directory.path().join("rows.sqlite");
        let store = Arc::new(SqliteStore::open(&path, Arc::new(Outcomes)).await.unwrap());
        let flaky = Arc::new(Flaky::over(store));
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.run_over(listener, Arc::clone(&flaky) as _).await.unwrap();
        flaky
    }

    pub(super) async fn found(&mut self, group: GroupId, voters: &BTreeMap<NodeId, String>) -> Group {
        self.node().found_group(group, voters).await.unwrap()
    }

    /// Waits for what no channel tells.
    pub(super) async fn wait(&self, condition: impl Fn() -> bool) {
        wait(condition).await;
    }

    /// All that was applied by now is in the rows.
    async fn settle(&self) {
        for group in self.node().groups() {
            group.rows().await.unwrap();
        }
    }

    /// Of a group's rows.
    pub(super) async fn digest(&self, group: GroupId) -> u128 {
        self.settle().await;
        self.store().digest(group).await.unwrap()
    }

    pub(super) async fn tenants(&self) -> usize {
        self.settle().await;
        self.store().tenants(None, 10_000).await.unwrap().len()
    }
}

/// Nodes that carry the directory group.
pub(super) struct Cluster {
    nodes: Vec<TestNode>,
    options: RaftOptions,
}

impl Cluster {
    pub(super) async fn start(count: u64, options: RaftOptions) -> Self {
        Self::start_with(count, options, |_| {}).await
    }

    /// The same with other sizes of the logs.
    pub(super) async fn start_with(count: u64, options: RaftOptions, log: fn(&mut LogOptions)) -> Self {
        let mut nodes = Vec::new();
        for id in 1..=count {
            nodes.push(TestNode::open_with(NodeId(id), options.clone(), log).await);
        }
        let voters: BTreeMap<_, _> = nodes.iter().map(|node| (node.id, node.address())).collect();
        for node in &mut nodes {
            node.found(GROUP, &voters).await;
        }
        Self { nodes, options }
    }

    /// A node that carries the group, but is not yet its member.
    pub(super) async fn add(&mut self) -> (NodeId, String) {
        let node = TestNode::open(NodeId(self.nodes.len() as u64 + 1), self.options.clone()).await;
        node.node().start_group(GROUP).await.unwrap();
        let found = (node.id, node.address());
        self.nodes.push(node);
        found
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &TestNode> {
        self.nodes.iter().filter(|node| node.is_running())
    }

    /// The group on all nodes that run it.
    pub(super) fn groups(&self) -> impl Iterator<Item = Group> {
        self.nodes().filter_map(|node| node.node().group(GROUP))
    }

    pub(super) fn node(&self, id: NodeId) -> &TestNode {
        self.nodes().find(|node| node.id == id).unwrap()
    }

    /// One that may be stopped.
    pub(super) fn any(&mut self, id: NodeId) -> &mut TestNode {
        self.nodes.iter_mut().find(|node| node.id == id).unwrap()
    }

    pub(super) async fn stop(&mut self, id: NodeId) {
        self.any(id).stop().await;
    }

    pub(super) async fn restart(&mut self, id: NodeId) {
        let node = self.any(id);
        node.reopen().await.unwrap();
        node.node().start_group(GROUP).await.unwrap();
    }

    /// A group that leads, as it thinks itself.
    pub(super) async fn leader(&self) -> Group {
        let leading = || self.groups().find(|group| group.status().leads);
        self.wait(|| leading().is_some()).await;
        match leading() {
            Some(group) => group,
            None => Box::pin(self.leader()).await,
        }
    }

    pub(super) async fn wait_applied(&self, index: LogIndex) {
        for group in self.groups() {
            let mut applied = group.applied();
            let reached = applied.wait_for(|applied| *applied >= index);
            tokio::time::timeout(PATIENCE, reached).await.unwrap().unwrap();
        }
    }

    /// The digest of each node's rows, by node; all stand at the same index.
    pub(super) async fn digests(&self) -> Vec<u128> {
        let mut digests = Vec::new();
        for node in self.nodes() {
            digests.push(node.digest(GROUP).await);
        }
        digests
    }

    /// How many tenants each node's rows hold, by node.
    pub(super) async fn tenants(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for node in self.nodes() {
            counts.push(node.tenants().await);
        }
        counts
    }

    /// Waits for what no channel tells.
    pub(super) async fn wait(&self, condition: impl Fn() -> bool) {
        wait(condition).await;
    }
}

async fn wait(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}
