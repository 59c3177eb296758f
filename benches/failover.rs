//! How long mail is away when the leader of its shard is killed: `kill -9`, then APPEND through an open session until it is
//! answered OK. Twenty times, as issues and promises count it (median under two seconds). Build the binary in release first:
//! `cargo build --release -p buzon`.

use std::time::{Duration, Instant};

use anyhow::ensure;
use buzon_benches::asked_for;
use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::imap::Imap;

const SIZE: Size = Size { metads: 3, frontends: 1, shards: 4 };
const TRIES: usize = 20;
const USER: &str = "bench@example.org";
const PASSWORD: &str = "bench";

fn main() -> anyhow::Result<()> {
    if !asked_for("failover") {
        return Ok(());
    }
    let mut cluster = Cluster::start(SIZE)?;
    let shard = cluster.account(USER, PASSWORD)?["shard"].as_u64().unwrap_or_default();
    let front = cluster.front(0)?;
    let mut imap = Imap::login(front.imaps, &front.ca, USER, PASSWORD)?;
    imap.set_silence_max(Duration::from_secs(60))?;
    imap.ok("SELECT INBOX")?;
    let mut away = Vec::with_capacity(TRIES);
    for number in 0..TRIES {
        let leader = cluster.leader(shard)?;
        cluster.metads[leader].kill();
        let killed = Instant::now();
        let answer = imap.append("INBOX", "()", format!("Subject: {number}\r\n\r\n").as_bytes())?;
        ensure!(answer.is_ok(), "{}", answer.status);
        away.push(killed.elapsed());
        cluster.restart_metad(leader)?;
    }
    away.sort_unstable();
    let median = (away[TRIES / 2 - 1] + away[TRIES / 2]) / 2;
    println!(
        "failover: {TRIES} tries, session kept; away median {median:.2?}, least {:.2?}, most {:.2?}",
        away[0],
        away[TRIES - 1]
    );
    Ok(())
}
