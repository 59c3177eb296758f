//! A network of its own: each metadata node in a network namespace, front-ends and clients in another, a bridge between them.
//! What is dropped on the way is decided by nft in the namespace of the node that sends or hears it.
//!
//! ```text
//! namespace of the test: clients ─ loopback ─ front-ends        (10.91.0.254, bridge)
//!                                                   │
//!       ┌───────────────────────┬───────────────────┴───┐
//! node-1: metad (10.91.0.1)  node-2: metad (10.91.0.2)  node-3 …
//! ```
//! Nothing of it is seen outside: the test runs itself again under `unshare`, and all goes with that process.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::{Context, ensure};

/// Says to a test that it is inside.
const INSIDE: &str = "BUZON_TEST_NETWORK";
/// Of the namespace of the test.
const HOME: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 254);
const TABLE: &str = "table inet trouble {\n\
                     chain heard { type filter hook input priority 0; policy accept;\n}\n\
                     chain sent { type filter hook output priority 0; policy accept;\n}\n}";

/// Runs the calling test again in namespaces of its own, unless it is there already: `true` says that it ran and passed.
///
/// # Errors
/// If it did not; with what it said. Where the machine allows no namespaces it is not run, and that is said on standard error.
pub fn ran_inside(test: &str) -> anyhow::Result<bool> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(false);
    }
    let probe =
        unshared()?.args(["sh", "-c", "mkdir -p /run/netns && mount -t tmpfs none /run/netns"]).output();
    let probe = probe.context("unshare (Debian package util-linux)")?;
    if !probe.status.success() {
        let why = String::from_utf8_lossy(&probe.stderr);
        // Said where everybody sees it, since nothing was tested.
        eprintln!("NOT RUN: {test}: this machine allows no network namespaces: {}", why.trim());
        return Ok(true);
    }
    let mut command = unshared()?;
    command.arg(std::env::current_exe()?).args(["--exact", "--nocapture", test]).env(INSIDE, "1");
    let ended = command.output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "inside its network {test} ended with {}:\n{said}", ended.status);
    // All but its own counts, which would be counted twice.
    said.lines().filter(|line| !line.starts_with("test ")).for_each(|line| println!("{line}"));
    Ok(true)
}

fn unshared() -> anyhow::Result<Command> {
    let mut command = Command::new("unshare");
    if !is_root()? {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount"]);
    Ok(command)
}

fn is_root() -> anyhow::Result<bool> {
    Ok(Command::new("id").arg("-u").output()?.stdout.trim_ascii() == b"0")
}

/// Only inside: all else may then be as it is outside.
///
/// # Errors
/// If the machine does not allow it.
pub fn loopback_up() -> anyhow::Result<()> {
    run(&["ip", "link", "set", "lo", "up"])
}

/// The network of a cluster.
#[derive(Debug)]
pub struct Net {
    nodes: usize,
}

impl Net {
    /// With so many nodes. Only inside: see [`ran_inside`].
    ///
    /// # Errors
    /// If the machine does not allow it.
    pub fn start(nodes: usize) -> anyhow::Result<Self> {
        ensure!(std::env::var_os(INSIDE).is_some(), "not in a network of its own");
        std::fs::create_dir_all("/run/netns")?;
        run(&["mount", "-t", "tmpfs", "none", "/run/netns"])?;
        loopback_up()?;
        run(&["ip", "link", "add", "nodes", "type", "bridge"])?;
        run(&["ip", "address", "add", &format!("{HOME}/24"), "dev", "nodes"])?;
        run(&["ip", "link", "set", "nodes", "up"])?;
        for at in 0..nodes {
            let (node, wire) = (namespace(at), format!("wire-{at}"));
            run(&["ip", "netns", "add", &node])?;
            run(&["ip", "link", "add", &wire, "type", "veth", "peer", "name", "eth0", "netns", &node])?;
            run(&["ip", "link", "set", &wire, "master", "nodes", "up"])?;
            run(&["ip", "-n", &node, "address", "add", &format!("{}/24", address(at)), "dev", "eth0"])?;
            run(&["ip", "-n", &node, "link", "set", "eth0", "up"])?;
            run(&["ip", "-n", &node, "link", "set", "lo", "up"])?;
            nft(at, TABLE)?;
        }
        Ok(Self { nodes })
    }

    /// What a command in a node's namespace begins with.
    pub fn prefix(at: usize) -> Vec<String> {
        ["ip", "netns", "exec", &namespace(at)].map(str::to_owned).to_vec()
    }

    /// Nothing that one node sends reaches the other; the other way all is well.
    ///
    /// # Errors
    /// If nft refuses.
    pub fn cut(&self, from: usize, to: usize) -> anyhow::Result<()> {
        nft(from, &format!("add rule inet trouble sent ip daddr {} drop", address(to)))
    }

    /// A node hears nobody, and nobody hears it.
    ///
    /// # Errors
    /// As [`Net::cut`].
    pub fn isolate(&self, at: usize) -> anyhow::Result<()> {
        nft(at, "add rule inet trouble sent ip daddr 10.91.0.0/24 drop")?;
        nft(at, "add rule inet trouble heard ip saddr 10.91.0.0/24 drop")
    }

    /// Nobody hears a node, which hears all.
    ///
    /// # Errors
    /// As [`Net::cut`].
    pub fn mute(&self, at: usize) -> anyhow::Result<()> {
        nft(at, "add rule inet trouble sent ip daddr 10.91.0.0/24 drop")
    }

    /// A node hears nobody; all hear it.
    ///
    /// # Errors
    /// As [`Net::cut`].
    pub fn deafen(&self, at: usize) -> anyhow::Result<()> {
        nft(at, "add rule inet trouble heard ip saddr 10.91.0.0/24 drop")
    }

    /// Front-ends and a node do not hear each other; the nodes do.
    ///
    /// # Errors
    /// As [`Net::cut`].
    pub fn cut_home(&self, at: usize) -> anyhow::Result<()> {
        nft(at, &format!("add rule inet trouble sent ip daddr {HOME} drop"))?;
        nft(at, &format!("add rule inet trouble heard ip saddr {HOME} drop"))
    }

    /// So many of a hundred packets of each node are lost.
    ///
    /// # Errors
    /// As [`Net::cut`].
    pub fn lose(&self, percent: u32) -> anyhow::Result<()> {
        let rule = format!("ip daddr 10.91.0.0/24 numgen random mod 100 < {percent} drop");
        (0..self.nodes).try_for_each(|at| nft(at, &format!("add rule inet trouble sent {rule}")))
    }

    /// Everything arrives again.
    ///
    /// # Errors
    /// As [`Net::cut`].
    pub fn heal(&self) -> anyhow::Result<()> {
        (0..self.nodes).try_for_each(|at| nft(at, "flush table inet trouble"))
    }
}

/// Of a node.
pub fn address(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 91, 0, u8::try_from(at + 1).expect("few nodes"))
}

fn namespace(at: usize) -> String {
    format!("node-{}", at + 1)
}

fn nft(at: usize, what: &str) -> anyhow::Result<()> {
    let prefix = Net::prefix(at);
    let mut words: Vec<&str> = prefix.iter().map(String::as_str).collect();
    words.extend(["nft", what]);
    run(&words)
}

fn run(words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(words[0]).args(&words[1..]).output().with_context(|| words[0].to_owned())?;
    ensure!(output.status.success(), "{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(())
}
