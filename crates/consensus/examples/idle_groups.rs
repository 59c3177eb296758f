//! What groups cost that nobody uses: three nodes in this process, with real logs, SQLite and gRPC over loopback.
//!
//! Prints the CPU that one node takes (a third of the process) as percent of one core, from the founding of the groups
//! on, second by second, and then the mean of the last seconds. With `awake` the groups never rest:
//!
//! ```text
//! cargo run --release -p buzon-consensus --example idle_groups -- [groups] [seconds] [awake]
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use buzon_consensus::log::identity::LogOwner;
use buzon_consensus::log::options::LogOptions;
use buzon_consensus::node::{Node, NodeOptions, RaftOptions};
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::OutcomeCodec;
use buzon_model::reply::Outcome;
use buzon_types::id::{GroupId, NodeId};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

const NODES: u64 = 3;
const GROUPS: u64 = 200;
const SECONDS: u64 = 15;
/// The mean is taken over the last seconds, when nothing of the start is left.
const MEAN_SECONDS: usize = 5;

struct Outcomes;

impl OutcomeCodec for Outcomes {
    fn encode(&self, outcome: &Outcome) -> Vec<u8> {
        buzon_proto::log::encode_outcome(outcome).to_vec()
    }

    fn decode(&self, bytes: &[u8]) -> Option<Outcome> {
        buzon_proto::log::decode_outcome(bytes::Bytes::copy_from_slice(bytes)).ok()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let groups = arguments.next().map_or(Ok(GROUPS), |groups| groups.parse())?;
    let seconds = arguments.next().map_or(Ok(SECONDS), |seconds| seconds.parse())?;
    let raft = match arguments.next().as_deref() {
        None => RaftOptions::default(),
        Some("awake") => RaftOptions { rest_after: Duration::MAX, ..RaftOptions::default() },
        Some(other) => anyhow::bail!("{other} is not known"),
    };
    let directory = tempfile::tempdir()?;
    let (mut nodes, mut voters) = (Vec::new(), BTreeMap::new());
    for id in 1..=NODES {
        let (node, address) = open(id, &directory.path().join(id.to_string()), &raft).await?;
        voters.insert(NodeId(id), address);
        nodes.push(node);
    }
    let began = Instant::now();
    for group in 1..=groups {
        for node in &nodes {
            node.found_group(GroupId(group), &voters).await?;
        }
    }
    for group in nodes.iter().flat_map(Node::groups) {
        group.wait_for_leader().await?;
    }
    println!("{groups} groups on {NODES} nodes have leaders after {:.1} s", began.elapsed().as_secs_f64());
    measure(&nodes, usize::try_from(seconds)?).await?;
    for node in nodes {
        node.close().await;
    }
    Ok(())
}

async fn open(id: u64, directory: &Path, raft: &RaftOptions) -> anyhow::Result<(Node, String)> {
    std::fs::create_dir_all(directory)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let store = SqliteStore::open(&directory.join("rows.sqlite"), Arc::new(Outcomes)).await?;
    let owner = LogOwner { cluster: 1, node: NodeId(id), incarnation: 1 };
    let mut options = NodeOptions::new(owner, LogOptions::new(directory.join("log")));
    options.raft = raft.clone();
    let node = Node::open(options, Arc::new(store)).await?;
    let server = tonic::transport::Server::builder().tcp_nodelay(true).add_routes(node.transport(Ok));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Ok((node, address))
}

async fn measure(nodes: &[Node], seconds: usize) -> anyhow::Result<()> {
    let mut percents = Vec::new();
    for second in 1..=seconds {
        let (before, began) = (cpu_time()?, Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = cpu_time()? - before;
        let percent = 100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64() / nodes.len() as f64;
        println!("second {second}: {percent:.1}% of a core per node");
        percents.push(percent);
    }
    let last = &percents[percents.len().saturating_sub(MEAN_SECONDS)..];
    println!("mean of the last {}: {:.2}%", last.len(), last.iter().sum::<f64>() / last.len() as f64);
    Ok(())
}

/// What the process has used so far, in user and system mode.
fn cpu_time() -> anyhow::Result<Duration> {
    /// `USER_HZ` is 100 wherever Linux is used for this.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field is the program's name in brackets, which may hold anything.
    let fields = stat.rsplit_once(')').context("read /proc/self/stat")?.1.split_whitespace();
    let times: Vec<u32> = fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * times.iter().sum::<u32>())
}
