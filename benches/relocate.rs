//! How long an account's writes wait while it moves to another shard (the bound: two seconds with a million
//! messages), and how long the whole move takes. One session flags message after message meanwhile, without a pause, and one
//! more keeps the mailbox selected. `MESSAGES=N` for another number. Build the binary in release first:
//! `cargo build --release -p buzon`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_benches::asked_for;
use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::imap::Imap;

const SIZE: Size = Size { metads: 3, frontends: 1, shards: 2 };
const USER: &str = "bench@example.org";
const PASSWORD: &str = "bench";
/// Copied at one time; they become visible together.
const COPIED_MAX: u64 = 100_000;
/// COPY of many, or a move, is not answered sooner.
const SILENCE_MAX: Duration = Duration::from_secs(3_600);

fn main() -> anyhow::Result<()> {
    if !asked_for("relocate") {
        return Ok(());
    }
    let messages = match std::env::var("MESSAGES") {
        Ok(number) => number.parse().context("MESSAGES")?,
        Err(_) => 1_000_000,
    };
    let cluster = Cluster::start(SIZE)?;
    let shard = cluster.account(USER, PASSWORD)?["shard"].as_u64().context("no shard")?;
    let login = || -> anyhow::Result<Imap> {
        let front = cluster.front(0)?;
        let mut imap = Imap::login(front.imaps, &front.ca, USER, PASSWORD)?;
        imap.set_silence_max(SILENCE_MAX)?;
        Ok(imap)
    };
    let mut imap = login()?;
    let filled = Instant::now();
    fill(&mut imap, messages)?;
    println!("relocate: {messages} messages made in {:.0?}", filled.elapsed());
    let mut quiet = login()?;
    quiet.ok("SELECT INBOX")?;
    let target = (3 - shard).to_string();
    let over = AtomicBool::new(false);
    let (took, waits) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| flag(&mut imap, messages, &over));
        let began = Instant::now();
        let moved = cluster.ctl(2, &["account", "move", USER, "--shard", &target]);
        let took = began.elapsed();
        over.store(true, Ordering::SeqCst);
        let waits = writer.join().expect("the writer");
        moved.and(waits.map(|waits| (took, waits)))
    })?;
    println!(
        "relocate: {messages} messages moved in {took:.1?}; of {} STOREs meanwhile the slowest waited {:.2?}, the second {:.2?}",
        waits.len(),
        waits[waits.len() - 1],
        waits[waits.len().saturating_sub(2)],
    );
    quiet.ok("NOOP")?;
    let counted = quiet.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"];
    ensure!(counted == messages, "{counted} messages after the move");
    Ok(())
}

/// A thousand messages, and copies of them.
fn fill(imap: &mut Imap, messages: u64) -> anyhow::Result<()> {
    let mut made = messages.min(1_000);
    for number in 0..made {
        let text = format!("From: a@example.org\r\nSubject: {number}\r\n\r\nbody {number}\r\n");
        let answer = imap.append("INBOX", "()", text.as_bytes())?;
        ensure!(answer.is_ok(), "{}", answer.status);
    }
    imap.ok("SELECT INBOX")?;
    while made < messages {
        let count = (messages - made).min(made).min(COPIED_MAX);
        imap.ok(&format!("COPY 1:{count} INBOX"))?;
        imap.ok("NOOP")?;
        made += count;
    }
    Ok(())
}

/// Flags messages one by one; how long each took, sorted.
fn flag(imap: &mut Imap, messages: u64, over: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    while !over.load(Ordering::SeqCst) {
        let number = 1 + waits.len() as u64 % messages;
        let begun = Instant::now();
        imap.ok(&format!("STORE {number} +FLAGS.SILENT (\\Flagged)"))?;
        waits.push(begun.elapsed());
    }
    waits.sort_unstable();
    Ok(waits)
}
