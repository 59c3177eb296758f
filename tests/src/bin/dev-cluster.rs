//! A local cluster for people: three metadata nodes with their Postgres, two front-ends, an S3 server, all on loopback.
//! `cargo xtask dev` runs it; further calls of `cargo xtask dev --…` tell it what to do.
//!
//! ```text
//! dev-cluster SOCKET            starts, prints how to connect, shows its state until Ctrl-C or `--stop`
//! dev-cluster SOCKET COMMAND    asks a running one: status, kill-leader, kill-frontend, kill-database, stop
//! ```

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::lmtp::Lmtp;
use serde_json::Value;

const SIZE: Size = Size { metads: 3, frontends: 2, shards: 16 };
const ACCOUNT: &str = "ana@example.com";
const PASSWORD: &str = "demo";
/// The shard whose leader `kill-leader` kills.
const SHARD: u64 = 1;
/// A killed process stays away so long, so that its absence can be seen.
const AWAY: Duration = Duration::from_secs(3);
/// Between two lines of the live status.
const STATUS_EVERY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [socket] => serve(Path::new(socket)),
        [socket, command] => ask(Path::new(socket), command),
        _ => Err(anyhow::anyhow!("usage: dev-cluster SOCKET [COMMAND]")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dev-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ask(socket: &Path, command: &str) -> anyhow::Result<()> {
    let stream = UnixStream::connect(socket).context("no cluster runs: start one by `cargo xtask dev`")?;
    writeln!(&stream, "{command}")?;
    for line in BufReader::new(stream).lines() {
        println!("{}", line?);
    }
    Ok(())
}

fn serve(socket: &Path) -> anyhow::Result<()> {
    if UnixStream::connect(socket).is_ok() {
        bail!("a cluster runs already: `cargo xtask dev --stop` ends it");
    }
    let _ = std::fs::remove_file(socket); // of one that was killed
    println!("starting {} metadata nodes and {} front-ends …", SIZE.metads, SIZE.frontends);
    let mut cluster = Cluster::start(SIZE)?;
    cluster.account(ACCOUNT, PASSWORD)?;
    let front = cluster.front(0)?;
    let welcome =
        format!("From: Buzon <buzon@example.com>\r\nTo: {ACCOUNT}\r\nSubject: Welcome\r\n\r\nIt works.\r\n");
    Lmtp::connect(front.lmtp)?.deliver("buzon@example.com", &[ACCOUNT], welcome.as_bytes())?;
    explain(&cluster)?;
    let listener = UnixListener::bind(socket)?;
    listener.set_nonblocking(true)?;
    let outcome = run(&mut cluster, &listener);
    let _ = std::fs::remove_file(socket);
    for frontend in &mut cluster.frontends {
        frontend.terminate()?;
    }
    for metad in &mut cluster.metads {
        metad.terminate()?;
    }
    outcome
}

fn explain(cluster: &Cluster) -> anyhow::Result<()> {
    for at in 0..SIZE.frontends {
        let front = cluster.front(at)?;
        println!(
            "front-end {}: imaps {}, lmtp {}, ca {}",
            at + 1,
            front.imaps,
            front.lmtp,
            front.ca.display()
        );
    }
    for metad in &cluster.metads {
        println!("{}: buzon ctl --data-dir {} status", metad.name, metad.data_dir().display());
    }
    println!("account: {ACCOUNT}\npassword: {PASSWORD}");
    println!(
        "to see it survive: cargo xtask dev --kill-leader | --kill-frontend | --kill-database; --stop ends it"
    );
    println!("ready");
    Ok(())
}

/// Answers commands; between them shows the state, where people look.
fn run(cluster: &mut Cluster, listener: &UnixListener) -> anyhow::Result<()> {
    let live = std::io::stdout().is_terminal();
    let mut last = String::new();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if obey(cluster, &stream)? {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let status = status(cluster);
                if live && status != last {
                    println!("{status}");
                    last = status;
                }
                std::thread::sleep(STATUS_EVERY);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether it is to end.
fn obey(cluster: &mut Cluster, stream: &UnixStream) -> anyhow::Result<bool> {
    stream.set_nonblocking(false)?;
    let mut command = String::new();
    BufReader::new(stream).read_line(&mut command)?;
    let mut out = stream;
    match command.trim() {
        "status" => writeln!(out, "{}", status(cluster))?,
        "kill-leader" => {
            let leader = cluster.leader(SHARD)?;
            cluster.metads[leader].kill();
            writeln!(out, "killed {}, the leader of shard {SHARD}", cluster.metads[leader].name)?;
            std::thread::sleep(AWAY);
            let now = cluster.leader(SHARD)?;
            writeln!(out, "{} leads now", cluster.metads[now].name)?;
            cluster.restart_metad(leader)?;
            writeln!(out, "{} is back", cluster.metads[leader].name)?;
        }
        "kill-frontend" => {
            cluster.frontends[0].kill();
            writeln!(out, "killed {}: its clients connect to the other one", cluster.frontends[0].name)?;
            std::thread::sleep(AWAY);
            cluster.restart_frontend(0)?;
            let front = cluster.front(0)?;
            writeln!(out, "it is back: imaps {}, lmtp {}", front.imaps, front.lmtp)?;
        }
        "kill-database" => {
            cluster.crash_database(0);
            writeln!(out, "killed the Postgres of {}", cluster.metads[0].name)?;
            std::thread::sleep(AWAY);
            cluster.resume_database(0);
            writeln!(out, "it is back")?;
        }
        "stop" => {
            writeln!(out, "stopping")?;
            return Ok(true);
        }
        other => writeln!(out, "unknown command `{other}`")?,
    }
    Ok(false)
}

/// A line: who leads how many groups, and how far the log is.
fn status(cluster: &Cluster) -> String {
    let mut parts = Vec::new();
    for (at, metad) in cluster.metads.iter().enumerate() {
        let Ok(Value::Array(groups)) = cluster.ctl(at, &["status"]) else {
            parts.push(format!("{}: away", metad.name));
            continue;
        };
        let leads = groups.iter().filter(|group| group["leader"] == at as u64 + 1).count();
        let applied: u64 = groups.iter().filter_map(|group| group["applied"].as_u64()).sum();
        parts.push(format!(
            "{}: leads {leads} of {} groups, {applied} entries applied",
            metad.name,
            groups.len()
        ));
    }
    parts.join(" | ")
}
