//! A server in memory, and scripts of what clients and server say.
//!
//! ```text
//! C: a1 SELECT INBOX        sent with CRLF (`C2:` by the second client …)
//! S: * 0 EXISTS             the very next line; `…` in it stands for anything
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use argon2::{Argon2, Params, PasswordHasher};
use buzon_bodies::{Bodies, Options};
use buzon_model::row::Quota;
use buzon_types::id::AccountId;
use object_store::memory::InMemory;
use opentelemetry::global;
use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::backend::MemoryMeta;
use crate::imap::{Dependencies, Imap, Security};
use crate::incoming::Budget;
use crate::options::ImapOptions;
use crate::wire::{Io, Stream};

pub(super) const ADDRESS: &str = "ana@example.com";
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Cheap to check: tests log in often.
static CREDENTIAL: LazyLock<String> = LazyLock::new(|| {
    let params = Params::new(8, 1, 1, None).unwrap();
    Argon2::from(params).hash_password(b"secret").unwrap().to_string()
});

pub(super) struct Server {
    pub(super) meta: Arc<MemoryMeta>,
    pub(super) imap: Imap,
    pub(super) account: AccountId,
    pub(super) drain: CancellationToken,
    /// Memory for messages on their way in.
    pub(super) budget: Budget,
    pub(super) store: Arc<InMemory>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(ImapOptions { failure_delay: Duration::ZERO, ..ImapOptions::default() }, Quota::default())
    }

    pub(super) fn with(options: ImapOptions, quota: Quota) -> Self {
        Self::secured(options, quota, None)
    }

    /// With so much memory for messages on their way in.
    pub(super) fn with_budget(bytes: u64) -> Self {
        let options = ImapOptions {
            failure_delay: Duration::ZERO,
            append_bytes_max: 1 << 20,
            ..ImapOptions::default()
        };
        Self::assembled(options, Quota::default(), None, Budget::new(bytes))
    }

    pub(super) fn secured(options: ImapOptions, quota: Quota, tls: Option<Arc<ServerConfig>>) -> Self {
        Self::assembled(options, quota, tls, Budget::new(256 << 20))
    }

    fn assembled(options: ImapOptions, quota: Quota, tls: Option<Arc<ServerConfig>>, budget: Budget) -> Self {
        let meta = MemoryMeta::new();
        let account = meta.create_account(ADDRESS, &CREDENTIAL, quota);
        Self::over((meta, Arc::new(InMemory::new())), account, options, tls, budget)
    }

    /// Another process beside this one: it shares metadata and bodies, and nothing else.
    pub(super) fn beside(&self) -> Self {
        let options = ImapOptions { failure_delay: Duration::ZERO, ..ImapOptions::default() };
        let stores = (Arc::clone(&self.meta), Arc::clone(&self.store));
        Self::over(stores, self.account, options, None, Budget::new(256 << 20))
    }

    fn over(
        (meta, store): (Arc<MemoryMeta>, Arc<InMemory>),
        account: AccountId,
        options: ImapOptions,
        tls: Option<Arc<ServerConfig>>,
        budget: Budget,
    ) -> Self {
        let meter = global::meter("test");
        let bodies = Bodies::over(Arc::<InMemory>::clone(&store), &Options::folder("unused"), &meter);
        let dependencies = Dependencies {
            meta: Arc::<MemoryMeta>::clone(&meta),
            bodies,
            budget: budget.clone(),
            meter,
            tls,
        };
        let imap = Imap::new(options, dependencies);
        Self { meta, imap, account, drain: CancellationToken::new(), budget, store }
    }

    /// A client from the same machine, the greeting not yet read.
    pub(super) fn connect(&self) -> Line {
        self.connect_from(IpAddr::V4(Ipv4Addr::LOCALHOST), Security::Plaintext)
    }

    pub(super) fn connect_from(&self, peer: IpAddr, security: Security) -> Line {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (imap, drain) = (self.imap.clone(), self.drain.clone());
        tokio::spawn(imap.serve(Box::new(theirs), peer, security, drain));
        Line::over(ours)
    }

    /// A client that is logged in.
    pub(super) async fn log_in(&self) -> Line {
        let mut line = self.connect();
        line.read().await;
        line.send(&format!("l LOGIN {ADDRESS} secret")).await;
        let answer = line.read().await;
        assert!(answer.starts_with("l OK"), "{answer}");
        line
    }

    /// Plays a script; clients are logged in first.
    pub(super) async fn play(&self, script: &str) {
        let mut clients: Vec<Line> = Vec::new();
        for (at, step) in script.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            let (who, text) = step.split_once(':').expect("C: or S:");
            let text = text.strip_prefix(' ').unwrap_or(text);
            let number: usize = who[1..].parse().unwrap_or(1);
            while clients.len() < number {
                clients.push(self.log_in().await);
            }
            let client = &mut clients[number - 1];
            match &who[..1] {
                "C" => client.send(text).await,
                "S" => {
                    let line = client.read().await;
                    assert!(fits(text, &line), "step {at}\n expected: {text}\n      got: {line}\n{script}");
                }
                other => panic!("{other}: who is that?"),
            }
        }
    }
}

/// A client's end of a connection.
pub(super) struct Line {
    stream: BufReader<Stream>,
}

impl Line {
    pub(super) fn over(stream: impl Io + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)) }
    }

    /// For a handshake in the midst of a session.
    pub(super) fn into_stream(self) -> Stream {
        self.stream.into_inner()
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.send_raw(format!("{text}\r\n").as_bytes()).await;
    }

    pub(super) async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// The next line without its end; empty at the end of the connection.
    pub(super) async fn read(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line);
        timeout(ANSWER_MAX, read).await.expect("the server answers").unwrap();
        let line = String::from_utf8_lossy(&line);
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// The next line, however long it takes: for tests in paused time.
    pub(super) async fn read_patiently(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// Everything up to the end of the connection.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = self.stream.read_to_end(&mut rest);
        timeout(ANSWER_MAX, read).await.expect("the connection ends").unwrap();
        rest
    }

    pub(super) async fn read_exact(&mut self, bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        let read = self.stream.read_exact(&mut content);
        timeout(ANSWER_MAX, read).await.expect("the server answers").unwrap();
        content
    }

    /// All lines up to the tagged one.
    pub(super) async fn until_tagged(&mut self, tag: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.read().await;
            assert!(!line.is_empty() || !lines.is_empty(), "connection ended before {tag}");
            let done = line.starts_with(&format!("{tag} "));
            lines.push(line);
            if done {
                return lines;
            }
        }
    }

    pub(super) async fn command(&mut self, tag: &str, text: &str) -> Vec<String> {
        self.send(&format!("{tag} {text}")).await;
        self.until_tagged(tag).await
    }
}

/// Whether a line is what was expected.
fn fits(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn expected_lines_may_leave_things_open() {
    assert!(fits("a…c", "abbc") && fits("…", "") && fits("a", "a"));
    assert!(!fits("a…c", "abcd") && !fits("a", "ab"));
}
