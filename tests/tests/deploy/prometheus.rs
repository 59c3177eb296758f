//! A Prometheus on loopback, in a temporary folder, that scrapes what it is told every second.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use buzon_tests::http::get;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far more than it takes.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Prometheus {
    folder: TempDir,
    address: SocketAddr,
    server: Child,
}

impl Prometheus {
    /// Scrapes the targets, as the job `buzon`, and evaluates the groups of rules.
    pub(crate) fn start(targets: &[SocketAddr], groups: &Value) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("buzon-test-").tempdir()?;
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let config = json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": ["rules.yml"],
            "scrape_configs": [{ "job_name": "buzon", "static_configs": [{ "targets": targets }] }],
        });
        // JSON is YAML.
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string())?;
        std::fs::write(folder.path().join("rules.yml"), json!({ "groups": groups }).to_string())?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?; // free again at once
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let server = server.context("start prometheus: run `cargo xtask test` once")?;
        let this = Self { folder, address, server };
        this.wait("it is ready", |this| get(this.address, "/-/ready").is_ok_and(|(code, _)| code == 200))?;
        Ok(this)
    }

    /// Waits for a level; says what it waited for when it does not come.
    pub(crate) fn wait(&self, what: &str, reached: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !reached(self) {
            if began.elapsed() > WAIT_MAX {
                let log = std::fs::read_to_string(self.folder.path().join("log"))?;
                bail!("not within {WAIT_MAX:?}: {what}; prometheus says\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100)); // there is no event to wait for
        }
        Ok(())
    }

    /// What an expression gives now.
    ///
    /// # Errors
    /// If Prometheus refuses it; in its own words.
    pub(crate) fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.api(&format!("query?query={}", encoded(expression)))?;
        Ok(answer["result"].as_array().cloned().unwrap_or_default())
    }

    /// `data` of an answer of its API.
    pub(crate) fn api(&self, path: &str) -> anyhow::Result<Value> {
        let (_, body) = get(self.address, &format!("/api/v1/{path}"))?;
        let answer: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(answer["status"] == "success", "{}", answer["error"]);
        Ok(answer["data"].clone())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}
