//! A process of a cluster: started from its configuration, killed, paused, drained, started again.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::server::binary;

/// A drain is bounded by the process's own setting.
const STOP_MAX: Duration = Duration::from_secs(40);

/// See the module. Its folder is its own.
#[derive(Debug)]
pub struct Process {
    /// For messages.
    pub name: String,
    role: &'static str,
    dir: PathBuf,
    child: Option<Child>,
    printed: Option<Receiver<String>>,
    environment: Vec<(String, String)>,
    binary: PathBuf,
    prefix: Vec<String>,
}

impl Process {
    /// Nothing is started.
    ///
    /// # Errors
    /// If its files cannot be written, or the binary was not built.
    pub fn new(role: &'static str, name: &str, parent: &Path, config: &str) -> anyhow::Result<Self> {
        let dir = parent.join(name);
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join("buzon.toml"), config)?;
        let binary = binary()?;
        Ok(Self {
            name: name.to_owned(),
            role,
            dir,
            child: None,
            printed: None,
            environment: Vec::new(),
            binary,
            prefix: Vec::new(),
        })
    }

    /// Variables for its next start.
    pub fn environment(&mut self, variables: Vec<(String, String)>) {
        self.environment = variables;
    }

    /// Another configuration for its next start.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn configure(&mut self, config: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.dir.join("buzon.toml"), config)?)
    }

    /// Another build of the binary for its next start.
    pub fn run_binary(&mut self, binary: PathBuf) {
        self.binary = binary;
    }

    /// What its command line begins with, like a command that enters a namespace and becomes what follows.
    pub fn prefix(&mut self, words: Vec<String>) {
        self.prefix = words;
    }

    /// A command as this process is started: with its prefix.
    pub fn command(&self, binary: &Path) -> Command {
        match self.prefix.split_first() {
            None => Command::new(binary),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
        }
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts it; see [`Process::wait_line`] for when it is ready.
    ///
    /// # Errors
    /// If it runs, or cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} runs", self.name);
        let log = File::options().create(true).append(true).open(self.dir.join("log"))?;
        let mut command = self.command(&self.binary);
        command.arg(self.role).arg("--config").arg(self.dir.join("buzon.toml"));
        command.envs(self.environment.iter().cloned());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn()?;
        let stdout = child.stdout.take().context("its standard output")?;
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line); // nobody may listen any more
            }
        });
        (self.child, self.printed) = (Some(child), Some(lines));
        Ok(())
    }

    /// Waits until it prints a line that begins so.
    ///
    /// # Errors
    /// If it does not in time, or ends; with its log.
    pub fn wait_line(&mut self, begins: &str, within: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + within;
        let lines = self.printed.as_ref().context("it does not run")?;
        loop {
            match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with(begins) => return Ok(()),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{}: no line `{begins}` within {within:?}; its log:\n{}", self.name, self.log())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended before it printed `{begins}`; its log:\n{}", self.name, self.log())
                }
            }
        }
    }

    /// Whether it runs.
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

    /// Sends a signal by its name, like `STOP`.
    ///
    /// # Errors
    /// If it does not run.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.as_ref().context("it does not run")?.id();
        let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
        ensure!(sent.success(), "kill -{name}: {sent}");
        Ok(())
    }

    /// SIGTERM, and waits until it has drained.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        let mut child = self.child.take().context("it does not run")?;
        let until = Instant::now() + STOP_MAX;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                bail!("{} did not drain within {STOP_MAX:?}; its log:\n{}", self.name, self.log());
            }
            std::thread::sleep(Duration::from_millis(20)); // there is no event to wait for in std
        }
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it logged, over all its runs.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Lines of its log that a human must look at: errors and panics.
    pub fn complaints(&self) -> Vec<String> {
        let bad = |line: &&str| {
            line.contains(" ERROR ") || line.contains("panicked at") || line.contains("overflow")
        };
        self.log().lines().filter(bad).map(|line| format!("{}: {line}", self.name)).collect()
    }

    /// What it says of where it listens.
    ///
    /// # Errors
    /// If it has not said so yet.
    pub fn running(&self) -> anyhow::Result<Value> {
        let text = std::fs::read_to_string(self.data_dir().join("running.json"))?;
        Ok(serde_json::from_str(&text)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("--- the end of {}'s log", self.name);
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
