//! A cluster of real processes on loopback: metadata nodes with a Postgres each, front-ends, one S3 server.

mod replicas;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_meta_store::testing::TestPostgres;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::load::person::Addresses;
use crate::net::{self, Net};
use crate::process::Process;
use crate::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use crate::server::binary;
use crate::wire::Wire;

/// A debug build on a busy machine starts well within this.
const START_MAX: Duration = Duration::from_secs(120);
/// After everything is healed the cluster must serve again within this (issue of the fault suite: 10 s), with room for a
/// busy machine.
const HEAL_MAX: Duration = Duration::from_secs(60);

/// How large.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Metadata nodes.
    pub metads: usize,
    /// Front-ends.
    pub frontends: usize,
    /// Shards.
    pub shards: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Cluster {
    /// Metadata nodes.
    pub metads: Vec<Process>,
    /// Their node ids, in the same order.
    pub ids: Vec<u64>,
    /// Front-ends.
    pub frontends: Vec<Process>,
    /// Each metadata node's database.
    pub databases: Vec<TestPostgres>,
    /// The object store.
    pub s3: S3,
    /// HOST:PORT of each metadata node.
    pub addresses: Vec<String>,
    binary: PathBuf,
    dir: TempDir,
    runtime: Runtime,
}

impl Cluster {
    /// Founded and serving.
    ///
    /// # Errors
    /// If something does not start; with its log.
    pub fn start(size: Size) -> anyhow::Result<Self> {
        Self::prepare(size)?.found(size)
    }

    /// The same, where what nodes and front-ends send to a node goes through a wire that can be made longer.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_over(size: Size) -> anyhow::Result<(Self, Vec<Wire>)> {
        let listens = free_addresses(size.metads)?;
        let wires = listens.iter().map(|address| Wire::to(address)).collect::<anyhow::Result<Vec<_>>>()?;
        let addresses = wires.iter().map(|wire| format!("localhost:{}", wire.port)).collect();
        let mut cluster = Self::prepare_at(size, addresses)?;
        for (at, listen) in listens.iter().enumerate() {
            let port = |address: &str| address.rsplit_once(':').map_or("0", |(_, port)| port).to_owned();
            let line = |address: &str| format!("internal = \"127.0.0.1:{}\"", port(address));
            let config = cluster.metad_config(at).replacen(&line(&cluster.addresses[at]), &line(listen), 1);
            let name = format!("metad-{}", at + 1);
            cluster.metads[at] = cluster.process("metad", &name, &config)?;
        }
        Ok((cluster.found(size)?, wires))
    }

    /// The same, each metadata node in a network namespace of its own ([`crate::net`]).
    ///
    /// # Errors
    /// As [`Cluster::start`], or if the network cannot be made.
    pub fn start_in(size: Size) -> anyhow::Result<(Self, Net)> {
        let net = Net::start(size.metads)?;
        let addresses = (0..size.metads).map(|at| format!("{}:7071", net::address(at))).collect();
        let mut cluster = Self::prepare_at(size, addresses)?;
        for (at, metad) in cluster.metads.iter_mut().enumerate() {
            metad.prefix(Net::prefix(at));
        }
        Ok((cluster.found(size)?, net))
    }

    /// Starts and founds what was prepared.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn found(self, size: Size) -> anyhow::Result<Self> {
        let mut cluster = self;
        for metad in &mut cluster.metads {
            metad.start()?;
        }
        for metad in &mut cluster.metads {
            metad.wait_line("listening", START_MAX)?;
        }
        cluster.init(size.shards)?;
        for metad in &mut cluster.metads {
            metad.wait_line("ready", START_MAX)?;
        }
        for frontend in &mut cluster.frontends {
            frontend.start()?;
        }
        for frontend in &mut cluster.frontends {
            frontend.wait_line("ready", START_MAX)?;
        }
        Ok(cluster)
    }

    /// Everything is there, nothing of ours runs yet.
    ///
    /// # Errors
    /// If databases or the S3 server do not start.
    pub fn prepare(size: Size) -> anyhow::Result<Self> {
        Self::prepare_with(size, &[], &[])
    }

    /// The same, with further settings (`name=value`) of the databases, and variables in their environment.
    ///
    /// # Errors
    /// As [`Cluster::prepare`].
    pub fn prepare_with(
        size: Size,
        settings: &[&str],
        environment: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let addresses = free_addresses(size.metads)?;
        Self::prepare_databases(size, addresses, (settings, environment), binary()?)
    }

    /// The same with another build of the binary, for all processes and for `buzon ctl`.
    ///
    /// # Errors
    /// As [`Cluster::prepare`].
    pub fn prepare_from(size: Size, binary: PathBuf) -> anyhow::Result<Self> {
        let addresses = free_addresses(size.metads)?;
        Self::prepare_databases(size, addresses, (&[], &[]), binary)
    }

    fn prepare_at(size: Size, addresses: Vec<String>) -> anyhow::Result<Self> {
        Self::prepare_databases(size, addresses, (&[], &[]), binary()?)
    }

    fn prepare_databases(
        size: Size,
        addresses: Vec<String>,
        (settings, environment): (&[&str], &[(String, String)]),
        binary: PathBuf,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("buzon-cluster-").tempdir()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let s3 = S3::start()?;
        std::fs::write(dir.path().join("token"), "a token for tests")?;
        std::fs::write(dir.path().join("s3-secret"), SECRET_KEY)?;
        let pki = dir.path().join("pki");
        run(Command::new(&binary).args(["pki", "init"]).arg(&pki))?;
        let hosts: BTreeSet<&str> =
            addresses.iter().filter_map(|it| it.rsplit_once(':')).map(|(host, _)| host).collect();
        issue(&binary, &pki, ("metad", "metad"), &hosts)?;
        issue(&binary, &pki, ("frontend", "frontend"), &BTreeSet::new())?;
        let mut cluster = Self {
            metads: Vec::new(),
            ids: (1..=size.metads as u64).collect(),
            frontends: Vec::new(),
            databases: Vec::new(),
            s3,
            addresses,
            binary,
            dir,
            runtime,
        };
        for at in 0..size.metads {
            let database = cluster.runtime.block_on(TestPostgres::start_in(settings, environment));
            cluster.prepare_metad(at, database)?;
        }
        for at in 0..size.frontends {
            let name = format!("frontend-{}", at + 1);
            let config = cluster.frontend_config(&name);
            let frontend = cluster.process("frontend", &name, &config)?;
            cluster.frontends.push(frontend);
        }
        Ok(cluster)
    }

    fn prepare_metad(&mut self, at: usize, database: TestPostgres) -> anyhow::Result<()> {
        self.databases.push(database);
        let (name, config) = (format!("metad-{}", at + 1), self.metad_config(at));
        self.metads.push(self.process("metad", &name, &config)?);
        Ok(())
    }

    fn process(&self, role: &'static str, name: &str, config: &str) -> anyhow::Result<Process> {
        let mut process = Process::new(role, name, self.dir.path(), config)?;
        process.run_binary(self.binary.clone());
        Ok(process)
    }

    /// Another build of the binary, for `buzon ctl` and for processes that are made from now on.
    pub fn run_binary(&mut self, binary: &Path) {
        self.binary = binary.to_owned();
    }

    /// One more node, with `buzon ctl node add`; its place.
    ///
    /// # Errors
    /// If it does not start or is not taken.
    pub fn add_metad(&mut self) -> anyhow::Result<usize> {
        let at = self.metads.len();
        self.addresses.extend(free_addresses(1)?);
        let database = self.runtime.block_on(TestPostgres::start());
        self.prepare_metad(at, database)?;
        self.ids.push(0);
        self.join(at, &[])?;
        Ok(at)
    }

    /// Takes a node's disk away, log and database, and has an empty one take its place.
    ///
    /// # Errors
    /// If that does not start or is not taken.
    pub fn lose_disk(&mut self, at: usize) -> anyhow::Result<()> {
        self.metads[at].kill();
        std::fs::remove_dir_all(self.metads[at].data_dir())?;
        self.databases[at] = self.runtime.block_on(TestPostgres::start());
        let config = self.metad_config(at);
        let name = format!("metad-{}", at + 1);
        self.metads[at] = self.process("metad", &name, &config)?;
        let lost = self.ids[at].to_string();
        self.join(at, &["--replaces", &lost])
    }

    /// Gives a node that does not run an empty database; its log stays.
    ///
    /// # Errors
    /// If its files cannot be written.
    pub fn lose_database(&mut self, at: usize) -> anyhow::Result<()> {
        self.databases[at] = self.runtime.block_on(TestPostgres::start());
        let config = self.metad_config(at);
        self.metads[at] = self.process("metad", &format!("metad-{}", at + 1), &config)?;
        Ok(())
    }

    /// Starts an empty node and gives it an id.
    fn join(&mut self, at: usize, how: &[&str]) -> anyhow::Result<()> {
        self.metads[at].start()?;
        self.metads[at].wait_line("listening", START_MAX)?;
        let address = self.addresses[at].clone();
        let arguments = [&["node", "add", &address], how].concat();
        let added = self.ctl_anywhere_but(Some(at), &arguments)?;
        self.ids[at] = added["node"].as_u64().context("a node id")?;
        self.metads[at].wait_line("ready", START_MAX)
    }

    /// Kills a node and starts it under another address, which the directory is not told: that is for the caller.
    ///
    /// # Errors
    /// If it does not start.
    pub fn relocate_metad(&mut self, at: usize) -> anyhow::Result<()> {
        self.metads[at].kill();
        let mut new = free_addresses(1)?;
        self.addresses[at] = new.remove(0);
        let config = self.metad_config(at);
        self.metads[at].configure(&config)?;
        self.restart_metad(at)
    }

    /// Waits until a node carries voters of shards, as their leaders say.
    ///
    /// # Errors
    /// If it does not get any in time.
    pub fn wait_replicas(&self, at: usize) -> anyhow::Result<()> {
        let until = Instant::now() + HEAL_MAX;
        loop {
            let nodes = self.ctl_anywhere(&["node", "list"]).unwrap_or_default();
            let own = nodes.as_array().into_iter().flatten().find(|node| node["node"] == self.ids[at]);
            let count = |name: &str| own.and_then(|node| node[name].as_u64()).unwrap_or_default();
            if count("voters_wanted") > 0 && count("replicas") == count("voters_wanted") {
                return Ok(());
            }
            ensure!(Instant::now() < until, "node {} has not all its replicas: {nodes}", self.ids[at]);
            std::thread::sleep(Duration::from_millis(100)); // there is no event to wait for
        }
    }

    /// `buzon ctl cluster init` with all nodes.
    ///
    /// # Errors
    /// If it fails; with what it said.
    pub fn init(&self, shards: usize) -> anyhow::Result<Value> {
        let (nodes, shards) = (self.addresses.join(","), shards.to_string());
        self.ctl(0, &["cluster", "init", "--nodes", &nodes, "--shards", &shards])
    }

    /// The sizes of the log can be set in all later versions than the oldest that is upgraded.
    fn is_of_today(&self) -> bool {
        binary().is_ok_and(|today| today == self.binary)
    }

    fn metad_config(&self, at: usize) -> String {
        let (dir, address) = (self.dir.path().display(), &self.addresses[at]);
        let database = self.databases[at].options();
        let (host, port) = address.rsplit_once(':').unwrap_or(("localhost", "0"));
        let host = if host == "localhost" { "127.0.0.1" } else { host };
        format!(
            "data_dir = \"{dir}/metad-{number}/data\"\nhost_name = \"metad-{number}\"\n\
             [listen]\ninternal = \"{host}:{port}\"\nadmin = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [cluster]\naddress = \"{address}\"\n{tls}\
             [database]\nhost = \"{socket}\"\nport = {db_port}\nuser = \"{user}\"\ndatabase = \"{database}\"\n\
             {raft}[admin]\ntoken_file = \"{dir}/token\"\n",
            number = at + 1,
            tls = self.tls("metad"),
            raft = if self.is_of_today() { "[raft]\nlog_file_bytes = 65536\n" } else { "" },
            socket = database.host,
            db_port = database.port,
            user = database.user,
            database = database.database,
        )
    }

    fn frontend_config(&self, name: &str) -> String {
        let dir = self.dir.path().display();
        let metads: Vec<String> = self.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        format!(
            "data_dir = \"{dir}/{name}/data\"\nhost_name = \"localhost\"\n\
             [listen]\nimaps = \"127.0.0.1:0\"\nimap = \"127.0.0.1:0\"\nlmtp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
             http = \"127.0.0.1:0\"\n\
             [cluster]\nmetads = [{metads}]\n{tls}\
             [admin]\ntoken_file = \"{dir}/token\"\n\
             [bodies.s3]\nendpoint = \"{endpoint}\"\nbucket = \"{BUCKET}\"\naccess_key_id = \"{ACCESS_KEY}\"\n\
             secret_access_key_file = \"{dir}/s3-secret\"\n",
            metads = metads.join(", "),
            tls = self.tls("frontend"),
            endpoint = self.s3.endpoint,
        )
    }

    fn tls(&self, name: &str) -> String {
        let pki = self.dir.path().join("pki");
        let pki = pki.display();
        format!("ca = \"{pki}/ca.pem\"\ncertificate = \"{pki}/{name}.pem\"\nkey = \"{pki}/{name}-key.pem\"\n")
    }

    /// `buzon ctl …` at a metadata node, whatever it ends with.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn ctl_output(&self, metad: usize, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        let mut command = self.metads[metad].command(&self.binary);
        command.args(["ctl", "--json", "--data-dir"]).arg(self.metads[metad].data_dir()).args(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().context("its standard input")?;
        let _ = std::io::Write::write_all(&mut stdin, input.as_bytes()); // it may not read
        drop(stdin);
        Ok(child.wait_with_output()?)
    }

    /// `buzon ctl --json …` at a metadata node, with standard input.
    ///
    /// # Errors
    /// If it fails; with what it said.
    pub fn ctl_with(&self, metad: usize, arguments: &[&str], input: &str) -> anyhow::Result<Value> {
        let output = self.ctl_output(metad, arguments, input)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctl {arguments:?}: {}: {error}", output.status);
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// `buzon ctl --json …` at a metadata node.
    ///
    /// # Errors
    /// If it fails; with what it said.
    pub fn ctl(&self, metad: usize, arguments: &[&str]) -> anyhow::Result<Value> {
        self.ctl_with(metad, arguments, "")
    }

    /// `buzon ctl --json …` at the first metadata node that answers.
    ///
    /// # Errors
    /// If none does; with what the last one said.
    pub fn ctl_anywhere(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        self.ctl_anywhere_but(None, arguments)
    }

    fn ctl_anywhere_but(&self, except: Option<usize>, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut last = anyhow::anyhow!("no node");
        for at in (0..self.metads.len()).filter(|at| Some(*at) != except) {
            match self.ctl(at, arguments) {
                Ok(value) => return Ok(value),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// An account with that password; its tenant `test` and its domain are made when they are missing.
    ///
    /// # Errors
    /// If something is refused.
    pub fn account(&self, address: &str, password: &str) -> anyhow::Result<Value> {
        let domain = address.rsplit_once('@').context("an address")?.1;
        let at =
            (0..self.metads.len()).find(|at| self.metads[*at].pid().is_some()).context("no node runs")?;
        let _ = self.ctl(at, &["tenant", "create", "test"]); // may be there
        let _ = self.ctl(at, &["domain", "add", "test", domain]);
        self.ctl_with(at, &["account", "create", address], password)
    }

    /// Where a front-end is.
    ///
    /// # Errors
    /// If it has not said so.
    pub fn front(&self, at: usize) -> anyhow::Result<Addresses> {
        let (frontend, running) = (&self.frontends[at], self.frontends[at].running()?);
        let address = |name: &str| -> anyhow::Result<SocketAddr> {
            running[name].as_str().with_context(|| format!("no listener {name}"))?.parse().map_err(Into::into)
        };
        Ok(Addresses {
            imaps: address("imaps")?,
            lmtp: address("lmtp")?,
            ca: frontend.data_dir().join("pki/ca.pem"),
        })
    }

    /// Who leads a group, as a node that runs says: the place of a metadata node.
    ///
    /// # Errors
    /// If nobody says.
    pub fn leader(&self, group: u64) -> anyhow::Result<usize> {
        let until = Instant::now() + HEAL_MAX;
        loop {
            for at in 0..self.metads.len() {
                let Ok(Value::Array(rows)) = self.ctl(at, &["status"]) else { continue };
                let of = rows.iter().find(|row| row["group"] == group);
                let leader = of.and_then(|row| row["leader"].as_u64());
                if leader == Some(self.ids[at]) {
                    return Ok(at);
                }
            }
            ensure!(Instant::now() < until, "group {group} has no leader for {HEAL_MAX:?}");
            std::thread::sleep(Duration::from_millis(50)); // there is no event to wait for
        }
    }

    /// Starts a metadata node again and waits until it serves.
    ///
    /// # Errors
    /// If it does not.
    pub fn restart_metad(&mut self, at: usize) -> anyhow::Result<()> {
        self.metads[at].start()?;
        self.metads[at].wait_line("ready", START_MAX)
    }

    /// Starts a front-end again and waits until it serves. Its ports are new.
    ///
    /// # Errors
    /// If it does not.
    pub fn restart_frontend(&mut self, at: usize) -> anyhow::Result<()> {
        self.frontends[at].start()?;
        self.frontends[at].wait_line("ready", START_MAX)
    }

    /// Kills a node's database, all of it.
    pub fn crash_database(&mut self, at: usize) {
        self.databases[at].crash();
    }

    /// Starts it again.
    pub fn resume_database(&mut self, at: usize) {
        let Self { databases, runtime, .. } = self;
        runtime.block_on(databases[at].resume());
    }

    /// Runs a statement in a node's database behind its back; how many rows it touched.
    pub fn change_database(&self, at: usize, sql: &'static str) -> u64 {
        self.runtime.block_on(self.databases[at].execute(sql))
    }

    /// The groups whose replica on a node is in quarantine, as the group's leader says.
    ///
    /// # Errors
    /// If nobody says.
    pub fn quarantined(&self, at: usize) -> anyhow::Result<Vec<u64>> {
        let mut found = Vec::new();
        for row in self.ctl_anywhere(&["shard", "list"])?.as_array().into_iter().flatten() {
            let group = row["group"].as_u64().context("a group")?;
            let replicas = self.ctl_anywhere(&["shard", "show", &group.to_string()])?;
            let here = replicas.as_array().into_iter().flatten().find(|it| it["node"] == self.ids[at]);
            if here.is_some_and(|it| it["quarantined"] == true) {
                found.push(group);
            }
        }
        Ok(found)
    }

    /// Lines of all logs that a human must look at.
    pub fn complaints(&self) -> Vec<String> {
        self.metads.iter().chain(&self.frontends).flat_map(Process::complaints).collect()
    }

    /// A folder for files of the test.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The CA of the nodes.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("pki/ca.pem")
    }
}

fn issue(
    binary: &Path,
    pki: &Path,
    (role, name): (&str, &str),
    hosts: &BTreeSet<&str>,
) -> anyhow::Result<()> {
    let mut command = Command::new(binary);
    command.args(["pki", "issue"]).arg(pki).args(["--role", role, "--name", name]);
    for host in hosts.iter().filter(|host| **host != "localhost") {
        command.args(["--host", host]);
    }
    run(command.args(["--host", "localhost", "--host", "127.0.0.1"]))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Ports that nobody listens on now; all are held until the last is found, so that they differ.
fn free_addresses(count: usize) -> anyhow::Result<Vec<String>> {
    let held = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    held.iter().map(|listener| Ok(format!("localhost:{}", listener.local_addr()?.port()))).collect()
}
