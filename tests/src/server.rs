//! The real binary as a child process.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// A debug build with a cold cache on a busy machine starts well within this.
const START_MAX: Duration = Duration::from_secs(60);
/// A drain is bounded by the server's own setting, which tests leave at its default of 25 s.
const STOP_MAX: Duration = Duration::from_secs(40);

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// More arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment, like `LD_PRELOAD`.
    pub environment: Vec<(String, String)>,
}

/// A data directory, and the server on it while it runs.
#[derive(Debug)]
pub struct Server {
    dir: TempDir,
    start: Start,
    child: Option<Child>,
    running: Value,
    /// What it printed on standard output until it was ready.
    pub printed: Vec<String>,
}

impl Server {
    /// A server on a new data directory.
    ///
    /// # Errors
    /// If it does not get ready; with what it said.
    pub fn start(start: Start) -> anyhow::Result<Self> {
        let mut server = Self::prepare()?;
        server.start_as(start);
        server.restart()?;
        Ok(server)
    }

    /// A new folder, nothing started.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn prepare() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("buzon-test-").tempdir()?;
        Ok(Self { dir, start: Start::default(), child: None, running: Value::Null, printed: Vec::new() })
    }

    /// Says how the next start is done.
    pub fn start_as(&mut self, start: Start) {
        self.start = start;
    }

    /// With the demo's account; see [`Server::demo_password`].
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn demo() -> anyhow::Result<Self> {
        Self::start(Start { arguments: vec!["--demo".into()], ..Start::default() })
    }

    /// Starts it on the data that is there. It must not run.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let stdout = self.spawn()?;
        self.printed = self.wait_ready(stdout)?;
        let running = std::fs::read_to_string(self.data_dir().join("running.json"))?;
        self.running = serde_json::from_str(&running)?;
        Ok(())
    }

    /// Starts it and kills it after that time, ready or not: recovery is interrupted too.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_and_kill(&mut self, after: Duration) -> anyhow::Result<()> {
        let stdout = self.spawn()?;
        std::thread::sleep(after); // the moment is the point
        self.kill();
        drop(stdout);
        Ok(())
    }

    fn spawn(&mut self) -> anyhow::Result<ChildStdout> {
        ensure!(self.child.is_none(), "it runs");
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log"))?;
        let mut command = Command::new(binary()?);
        command.args(["standalone", "--data-dir"]).arg(self.data_dir());
        for listener in ["imaps", "imap", "lmtp", "admin", "http"] {
            let flag = format!("--{listener}-listen");
            if !self.start.arguments.contains(&flag) {
                command.args([&flag, "127.0.0.1:0"]);
            }
        }
        command.args(&self.start.arguments).envs(self.start.environment.iter().cloned());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take().context("its standard output")?;
        self.child = Some(child);
        Ok(stdout)
    }

    fn wait_ready(&mut self, stdout: impl std::io::Read + Send + 'static) -> anyhow::Result<Vec<String>> {
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line); // after it is ready nobody listens
            }
        });
        let (mut printed, began) = (Vec::new(), Instant::now());
        loop {
            match lines.recv_timeout(START_MAX.saturating_sub(began.elapsed())) {
                Ok(line) if line.starts_with("ready") => return Ok(printed),
                Ok(line) => printed.push(line),
                Err(_) => {
                    self.kill();
                    bail!("the server did not get ready; its log:\n{}", self.log());
                }
            }
        }
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A folder beside the data, for files of the test.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// What it logged, over all its runs.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Lines of its log that a human must look at: errors and panics.
    pub fn complaints(&self) -> Vec<String> {
        let bad = |line: &&str| {
            line.contains(" ERROR ") || line.contains("panicked at") || line.contains("overflow")
        };
        self.log().lines().filter(bad).map(str::to_owned).collect()
    }

    /// The CA that signed its certificate.
    pub fn ca(&self) -> PathBuf {
        self.data_dir().join("pki/ca.pem")
    }

    /// Where a listener (`imaps`, `imap`, `lmtp`, `admin`, `http`) is.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let address = self.running[listener].as_str().and_then(|it| it.parse().ok());
        address.unwrap_or_else(|| panic!("no listener {listener} in {}", self.running))
    }

    /// The password that `--demo` printed.
    ///
    /// # Errors
    /// If it printed none.
    pub fn demo_password(&self) -> anyhow::Result<String> {
        let line = self.printed.iter().find_map(|line| line.strip_prefix("password:"));
        Ok(line.context("a line with the password")?.trim().to_owned())
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits until it has drained.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal_term()?;
        self.wait_end()
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal_term(&self) -> anyhow::Result<()> {
        let pid = self.pid().context("it does not run")?;
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
        ensure!(sent.success(), "kill -TERM: {sent}");
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it does not within the bound of a drain.
    pub fn wait_end(&mut self) -> anyhow::Result<ExitStatus> {
        let began = Instant::now();
        let mut child = self.child.take().context("it does not run")?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if began.elapsed() > STOP_MAX {
                let _ = child.kill();
                let _ = child.wait();
                bail!("it did not drain within {STOP_MAX:?}; its log:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20)); // there is no event to wait for in std
        }
    }

    /// The most memory it has had, in KiB.
    ///
    /// # Errors
    /// If it does not run.
    pub fn memory_max_kib(&self) -> anyhow::Result<u64> {
        let pid = self.pid().context("it does not run")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Code and body of a GET.
    ///
    /// # Errors
    /// If nobody answers.
    pub fn http(&self, path: &str) -> anyhow::Result<(u16, String)> {
        crate::http::get(self.address("http"), path)
    }

    /// A command of the binary, with `--data-dir` where it belongs.
    ///
    /// # Errors
    /// If it was not built.
    pub fn buzon(&self, verb: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary()?);
        command.args([verb, "--data-dir"]).arg(self.data_dir()).args(arguments);
        command.env("XDG_STATE_HOME", self.dir.path().join("state"));
        Ok(command)
    }

    /// `buzon ctl …` whatever it ends with.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn ctl_output(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        let mut command = self.buzon("ctl", arguments)?;
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let _ = child.stdin.take().context("its standard input")?.write_all(input.as_bytes()); // it may not read
        Ok(child.wait_with_output()?)
    }

    /// `buzon ctl --json …`, with standard input.
    ///
    /// # Errors
    /// If it fails; with what it said.
    pub fn ctl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Value> {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let output = self.ctl_output(&all, input)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctl {arguments:?}: {}: {error}", output.status);
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// `buzon ctl --json …`.
    ///
    /// # Errors
    /// If it fails; with what it said.
    pub fn ctl(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        self.ctl_with(arguments, "")
    }

    /// An account with that password; its tenant `test` and its domain are made when they are missing.
    ///
    /// # Errors
    /// If something is refused.
    pub fn account(&self, address: &str, password: &str) -> anyhow::Result<()> {
        let domain = address.rsplit_once('@').context("an address")?.1;
        let _ = self.ctl(&["tenant", "create", "test"]); // may be there
        let _ = self.ctl(&["domain", "add", "test", domain]);
        self.ctl_with(&["account", "create", address], password)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}

/// The binary that was built together with the tests.
///
/// # Errors
/// If it was not built: `cargo xtask test` builds it first.
pub fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?; // target/debug/deps/test-…
    let dir = test.ancestors().find(|dir| dir.join("buzon").is_file());
    let dir =
        dir.context("the buzon binary is not built: run `cargo xtask test`, or `cargo build -p buzon`")?;
    Ok(dir.join("buzon"))
}
