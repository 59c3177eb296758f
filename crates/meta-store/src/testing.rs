//! For tests: a throw-away Postgres, its own server on its own data, gone with the value; and small things.
//!
//! `cargo xtask test` installs Postgres; without it the tests that need it fail and say so.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buzon_model::reply::Outcome;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::error::{DatabaseError, StoreError};
use crate::postgres::PostgresOptions;
use crate::store::OutcomeCodec;

/// How long a server may take to start: it takes some 0.3 s, recovery after a crash and a loaded machine more.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Between two attempts to reach a server that starts or to see a process gone.
const POLL: Duration = Duration::from_millis(10);

/// The server's settings. `fsync` is off: these servers are killed, their machine is not.
const SETTINGS: [&str; 6] = [
    "fsync=off",
    "shared_buffers=64MB",
    "max_connections=100",
    "listen_addresses=",
    "wal_level=replica",
    "max_wal_size=1GB",
];

/// What a database answers that is away, for simulated ones.
pub fn unavailable() -> StoreError {
    StoreError::Unavailable(DatabaseError::Busy)
}

/// Where no outcomes are recorded.
#[derive(Debug)]
pub struct NoOutcomes;

impl OutcomeCodec for NoOutcomes {
    fn encode(&self, _: &Outcome) -> Vec<u8> {
        Vec::new()
    }

    fn decode(&self, _: &[u8]) -> Option<Outcome> {
        None
    }
}

/// The tables whose rows belong to a group, by name.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    crate::table::TABLES.into_iter().map(|table| table.name)
}

/// How many steps have made the schema of a SQLite file.
pub fn sqlite_steps() -> usize {
    crate::migrate::SQLITE.len()
}

/// A running server.
#[derive(Debug)]
pub struct TestPostgres {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    server: Option<Child>,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
}

impl TestPostgres {
    /// Makes a cluster in a folder of its own and starts its server.
    ///
    /// # Panics
    /// If Postgres is not installed, or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with further settings (`name=value`), which win.
    ///
    /// # Panics
    /// As there.
    pub async fn start_with(settings: &[&str]) -> Self {
        Self::start_in(settings, &[]).await
    }

    /// The same, with variables in its processes' environment.
    ///
    /// # Panics
    /// As there.
    pub async fn start_in(settings: &[&str], environment: &[(String, String)]) -> Self {
        let binaries = binaries().unwrap_or_else(|| {
            panic!("Postgres is not installed (no /usr/lib/postgresql/*/bin/initdb): run `cargo xtask test`, which installs it")
        });
        // Not TMPDIR: a socket's path has room for some hundred bytes.
        let folder = tempfile::Builder::new().prefix("buzon-pg-").tempdir_in("/tmp").expect("make a folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))
            .expect("open the folder");
        if let Some((user, group)) = other_user() {
            chown(folder.path(), Some(user), Some(group)).expect("give the folder away");
        }
        let settings = SETTINGS.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let mut it = Self { folder, binaries, server: None, settings, environment: environment.to_vec() };
        it.initialise();
        it.resume().await;
        it
    }

    /// How to connect to its first database.
    pub fn options(&self) -> PostgresOptions {
        PostgresOptions {
            host: self.folder.path().display().to_string(),
            port: 5432, // a name in the folder, not a port
            user: "postgres".to_owned(),
            password: None,
            database: "postgres".to_owned(),
            ca: None,
            connections_max: 8,
        }
    }

    /// Makes one more, empty database in it.
    ///
    /// # Panics
    /// If the server does not.
    pub async fn database(&self, name: &str) -> PostgresOptions {
        let options = self.options();
        let mut connection = options.connect_options().connect().await.expect("connect");
        let sql = format!("CREATE DATABASE \"{name}\"");
        connection.execute(sqlx::AssertSqlSafe(sql)).await.expect("create database");
        connection.close().await.expect("close");
        PostgresOptions { database: name.to_owned(), ..options }
    }

    /// Kills all its processes at once, as a crash does.
    ///
    /// # Panics
    /// If it is not running.
    pub fn crash(&mut self) {
        let mut server = self.server.take().expect("server runs");
        // Before the parent goes: afterwards nobody knows whose they were.
        let children = children(server.id());
        server.kill().expect("kill server");
        server.wait().expect("wait for server");
        kill(&children);
        let until = Instant::now() + START_TIME_MAX;
        while children.iter().any(|id| is_running(*id)) {
            assert!(Instant::now() < until, "processes of Postgres do not go: {children:?}");
            std::thread::sleep(POLL);
        }
    }

    /// Kills one process that serves a connection: the server then ends all others, recovers and goes on.
    ///
    /// # Panics
    /// If it is not running.
    pub async fn crash_one_backend(&self) {
        let mut connection = self.options().connect_options().connect().await.expect("connect");
        let id: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await.expect("ask");
        let id = u32::try_from(id).expect("a process id");
        assert!(children(self.server.as_ref().expect("server runs").id()).contains(&id), "not ours");
        kill(&[id]);
    }

    /// Starts the server again after [`Self::crash`]; ready to be used when it returns.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn resume(&mut self) {
        let log =
            File::options().create(true).append(true).open(self.folder.path().join("log")).expect("open log");
        let socket = format!("unix_socket_directories={}", self.folder.path().display());
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-c", &socket]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command.envs(self.environment.iter().cloned());
        let log_too = log.try_clone().expect("share log");
        self.server = Some(command.stdout(log).stderr(log_too).spawn().expect("start postgres"));
        self.wait().await;
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// If it does not in a minute.
    pub async fn wait(&self) {
        let until = Instant::now() + START_TIME_MAX;
        let options = self.options().connect_options();
        loop {
            match options.connect().await {
                Ok(connection) => return connection.close().await.expect("close"),
                Err(error) if Instant::now() > until => {
                    panic!("postgres does not start: {error}\n{}", self.log())
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Runs one statement in the database of [`TestPostgres::options`]; how many rows it touched.
    ///
    /// # Panics
    /// If the server does not take it.
    pub async fn execute(&self, sql: &'static str) -> u64 {
        let mut connection = self.options().connect_options().connect().await.expect("connect");
        let done = connection.execute(sql).await.expect("execute the statement");
        connection.close().await.expect("close");
        done.rows_affected()
    }

    /// Transactions that other connections have open now, and views of the data that hold back vacuum.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn open_transactions(&self) -> i64 {
        let mut connection = self.options().connect_options().connect().await.expect("connect");
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                   AND pid <> pg_backend_pid() AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL)";
        let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("ask");
        connection.close().await.expect("close");
        count
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn initialise(&self) {
        let mut command = self.command("initdb");
        command.arg("-D").arg(self.data());
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]);
        let output = command.stderr(Stdio::piped()).output().expect("run initdb");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Postgres refuses to run as root.
    fn command(&self, binary: &str) -> Command {
        let mut command = Command::new(self.binaries.join(binary));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("LC_ALL", "C.UTF-8").env("HOME", self.folder.path());
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for TestPostgres {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.crash();
        }
    }
}

/// The newest one installed.
fn binaries() -> Option<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let installed = versions.map(|path| (number(&path), path.join("bin")));
    installed.filter(|(_, binaries)| binaries.join("initdb").exists()).max().map(|(_, binaries)| binaries)
}

/// User and group that run the server when we are root.
fn other_user() -> Option<(u32, u32)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?;
    if user != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

/// Processes whose parent is this one.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("read /proc").filter_map(Result::ok);
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| state_of(*id).is_some_and(|(_, of)| of == parent)).collect()
}

/// `pid (name) state ppid …`, where the name may hold anything: state and parent.
fn state_of(id: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// One that is dead but not yet buried by its new parent holds nothing any more.
fn is_running(id: u32) -> bool {
    state_of(id).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// Some may have gone by themselves meanwhile.
fn kill(ids: &[u32]) {
    if !ids.is_empty() {
        let ids = ids.iter().map(u32::to_string);
        let _gone =
            Command::new("kill").arg("-9").args(ids).stderr(Stdio::null()).status().expect("run kill");
    }
}
