//! Accounts move between shards of a cluster of real processes, in use and through the death of whoever moves them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_tests::cluster::{Cluster, Size};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;

const SMALL: Size = Size { metads: 3, frontends: 2, shards: 2 };
const ANA: &str = "ana@example.com";
/// What INBOX holds before the move: a hundred messages, doubled five times.
const MESSAGES: u32 = 3_200;
/// A write waits for the freeze, of two seconds at most, and a few rounds of raft; on a busy machine much longer for its turn.
const WRITE_WAITS_MAX: Duration = Duration::from_secs(30);

/// An account with mail, a tombstone and a mailbox of its own; its shard, and the other one.
fn filled(cluster: &Cluster) -> anyhow::Result<(u64, u64)> {
    let shard = cluster.account(ANA, "word")?["shard"].as_u64().context("no shard")?;
    let mut imap = login(cluster, 0)?;
    for at in 0..100 {
        ensure!(
            imap.append("INBOX", "()", format!("Subject: {at}\r\n\r\nbody {at}\r\n").as_bytes())?.is_ok()
        );
    }
    imap.ok("SELECT INBOX")?;
    for _ in 0..5 {
        imap.ok("COPY 1:* INBOX")?;
        imap.ok("NOOP")?;
    }
    imap.ok("CREATE projects/buzon")?;
    imap.ok("SUBSCRIBE not/there")?;
    imap.ok("UID COPY 1:20 projects/buzon")?;
    imap.ok("UID STORE 7,3000 +FLAGS.SILENT (\\Deleted)")?;
    imap.ok("EXPUNGE")?;
    Ok((shard, 3 - shard))
}

fn login(cluster: &Cluster, front: usize) -> anyhow::Result<Imap> {
    let front = cluster.front(front)?;
    Imap::login(front.imaps, &front.ca, ANA, "word")
}

/// What a client may rely on to stay: UIDVALIDITY and HIGHESTMODSEQ of INBOX, all mailboxes, subscriptions.
fn fixed(imap: &mut Imap) -> anyhow::Result<Vec<String>> {
    let status = imap.ok("STATUS INBOX (UIDVALIDITY)")?.untagged;
    let other =
        imap.ok("STATUS projects/buzon (UIDVALIDITY UIDNEXT MESSAGES UNSEEN SIZE HIGHESTMODSEQ)")?.untagged;
    let names = imap.ok("LIST \"\" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)")?.untagged;
    let subscribed = imap.ok("LIST (SUBSCRIBED) \"\" *")?.untagged;
    Ok(status.into_iter().chain(other).chain(names).chain(subscribed).map(|it| it.text).collect())
}

fn uids(imap: &mut Imap, search: &str) -> anyhow::Result<BTreeSet<u32>> {
    let answer = imap.ok(&format!("UID SEARCH RETURN () {search}"))?;
    let all =
        answer.untagged.iter().find_map(|it| it.text.split_once(" ALL ")).map(|(_, set)| set.to_owned());
    let mut uids = BTreeSet::new();
    for run in all.iter().flat_map(|set| set.split(',')) {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        uids.extend(first.parse::<u32>()?..=last.parse::<u32>()?);
    }
    Ok(uids)
}

/// What went on during a move, and was acknowledged.
#[derive(Default)]
struct Work {
    over: AtomicBool,
    delivered: AtomicU32,
    stored: AtomicU32,
}

impl Work {
    /// Delivers through one front-end until it is over; how long the slowest took.
    fn deliver(&self, front: SocketAddr, may_defer: bool) -> anyhow::Result<Duration> {
        let mut lmtp = Lmtp::connect(front)?;
        let mut slowest = Duration::ZERO;
        while !self.over.load(Ordering::SeqCst) {
            let begun = Instant::now();
            let reply = lmtp.deliver("bob@example.net", &[ANA], b"Subject: new\r\n\r\n")?.remove(0);
            slowest = slowest.max(begun.elapsed());
            if reply.starts_with("250") {
                self.delivered.fetch_add(1, Ordering::SeqCst);
            } else {
                ensure!(may_defer && reply.starts_with('4'), "{reply}");
            }
        }
        Ok(slowest)
    }

    /// Reads all of INBOX again and again: a reading that is under way when the account goes is not cut short.
    fn read(&self, imap: &mut Imap) -> anyhow::Result<u32> {
        let mut readings = 0;
        while !self.over.load(Ordering::SeqCst) {
            let fetched = imap.ok("UID FETCH 1:3200 (UID ENVELOPE)")?;
            let uids = fetched
                .untagged
                .iter()
                .filter(|it| it.text.contains(" FETCH ") && it.text.contains("ENVELOPE"));
            assert_eq!(uids.count() as u32, MESSAGES - 2);
            readings += 1;
        }
        Ok(readings)
    }

    /// Flags message after message in a session that stays selected.
    fn store(&self, imap: &mut Imap) -> anyhow::Result<Duration> {
        let mut slowest = Duration::ZERO;
        while !self.over.load(Ordering::SeqCst) {
            let uid = 10 + self.stored.load(Ordering::SeqCst);
            let begun = Instant::now();
            imap.ok(&format!("UID STORE {uid} +FLAGS (\\Flagged $Moved)"))?;
            slowest = slowest.max(begun.elapsed());
            self.stored.fetch_add(1, Ordering::SeqCst);
        }
        Ok(slowest)
    }

    /// All that was acknowledged is there, and nothing else.
    fn check(&self, cluster: &Cluster, deferred: bool) -> anyhow::Result<()> {
        let mut imap = login(cluster, 1)?;
        imap.ok("SELECT INBOX")?;
        let (delivered, stored) = (self.delivered.load(Ordering::SeqCst), self.stored.load(Ordering::SeqCst));
        ensure!(delivered > 0 && stored > 0, "{delivered} deliveries and {stored} changes are no work");
        let mut old: BTreeSet<u32> = (1..=MESSAGES).collect();
        old.retain(|uid| ![7, 3000].contains(uid));
        let all = uids(&mut imap, "ALL")?;
        assert_eq!(all.iter().copied().filter(|uid| *uid <= MESSAGES).collect::<BTreeSet<_>>(), old);
        let new: Vec<u32> = all.into_iter().filter(|uid| *uid > MESSAGES).collect();
        let in_a_row: Vec<u32> = (MESSAGES + 1..).take(new.len()).collect();
        assert_eq!(new, in_a_row);
        // A delivery without an answer may have been made.
        ensure!(
            new.len() as u32 == delivered || deferred && new.len() as u32 > delivered,
            "{} {delivered}",
            new.len()
        );
        let flagged: BTreeSet<u32> = (10..10 + stored).collect();
        assert_eq!(uids(&mut imap, "FLAGGED KEYWORD $Moved")?, flagged);
        let fetched = imap.ok("UID FETCH 100 BODY.PEEK[TEXT]")?.fetched()?;
        assert_eq!(fetched[0].item("BODY[TEXT]")?.bytes()?, b"body 99\r\n");
        Ok(())
    }
}

#[test]
fn an_account_moves_while_it_is_used_and_sessions_stay() -> anyhow::Result<()> {
    let cluster = Cluster::start(SMALL)?;
    let (from, to) = filled(&cluster)?;
    let (mut busy, mut quiet) = (login(&cluster, 0)?, login(&cluster, 1)?);
    let before = fixed(&mut quiet)?;
    busy.ok("SELECT INBOX")?;
    quiet.ok("SELECT INBOX")?;
    let mut reader = login(&cluster, 0)?;
    reader.ok("SELECT INBOX")?;
    let (mut work, front) = (Work::default(), cluster.front(1)?.lmtp);
    // There, back and there again, so that a shard that knew the account takes it too.
    for shard in [to, from, to] {
        work.over.store(false, Ordering::SeqCst);
        let waits = std::thread::scope(|scope| {
            let deliver = scope.spawn(|| work.deliver(front, false));
            let store = scope.spawn(|| work.store(&mut busy));
            let read = scope.spawn(|| work.read(&mut reader));
            let moved = cluster.ctl(2, &["account", "move", ANA, "--shard", &shard.to_string()]);
            work.over.store(true, Ordering::SeqCst);
            let waits = [deliver.join().expect("deliver"), store.join().expect("store")];
            println!("{} readings", read.join().expect("read")?);
            moved?;
            waits.into_iter().collect::<anyhow::Result<Vec<_>>>()
        })?;
        println!("to shard {shard}: the slowest delivery and the slowest STORE took {waits:?}");
        ensure!(waits.iter().all(|it| *it < WRITE_WAITS_MAX), "{waits:?}");
        assert_eq!(cluster.ctl(0, &["account", "show", ANA])?["shard"], shard);
        work.check(&cluster, false)?;
    }
    // The one that only looked hears all of it, under the UIDs that it knows, and of what comes later.
    let delivered = work.delivered.load(Ordering::SeqCst);
    quiet.ok("NOOP")?;
    let exists = MESSAGES - 2 + delivered;
    assert_eq!(quiet.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"], u64::from(exists));
    let tag = quiet.idle()?;
    *work.delivered.get_mut() += 1;
    Lmtp::connect(cluster.front(0)?.lmtp)?.deliver("bob@example.net", &[ANA], b"Subject: late\r\n\r\n")?;
    let wanted = format!("* {} EXISTS", exists + 1);
    while quiet.response()?.text != wanted {}
    quiet.done(&tag)?;
    busy.ok("UID FETCH 1:* (FLAGS)")?;
    assert_eq!(fixed(&mut login(&cluster, 0)?)?, before);
    work.check(&cluster, false)?;
    assert_eq!(cluster.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn a_move_outlives_whoever_moves_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(SMALL)?;
    let (from, to) = filled(&cluster)?;
    let mut busy = login(&cluster, 0)?;
    let before = fixed(&mut busy)?;
    busy.ok("SELECT INBOX")?;
    let (work, front) = (Work::default(), cluster.front(1)?.lmtp);
    // The one who moves dies while it copies, and once it has committed.
    for (shard, begins) in [(to, "a move is copied"), (from, "a move is committed")] {
        work.over.store(false, Ordering::SeqCst);
        let leader = cluster.leader(0)?;
        let asked = (leader + 1) % SMALL.metads;
        let log = cluster.metads[leader].data_dir().with_file_name("log");
        let pid = cluster.metads[leader].pid().context("it runs")?;
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let deliver = scope.spawn(|| work.deliver(front, true));
            let store = scope.spawn(|| work.store(&mut busy));
            let kill = scope.spawn(|| kill_once_logged(&log, begins, pid));
            let moved = relocate(&cluster, asked, shard);
            work.over.store(true, Ordering::SeqCst);
            kill.join().expect("kill")?;
            let waits = [deliver.join().expect("deliver"), store.join().expect("store")];
            println!("to shard {shard}: {moved:?}, the slowest took {waits:?}");
            moved?;
            waits.into_iter().collect::<anyhow::Result<Vec<_>>>().map(drop)
        })?;
        cluster.metads[leader].kill();
        cluster.restart_metad(leader)?;
        assert_eq!(cluster.ctl(asked, &["account", "show", ANA])?["shard"], shard);
        work.check(&cluster, true)?;
    }
    busy.ok("NOOP")?;
    assert_eq!(fixed(&mut login(&cluster, 1)?)?, before);
    Ok(())
}

/// Kills a process as soon as its log has a new line of that kind.
fn kill_once_logged(log: &Path, line: &str, pid: u32) -> anyhow::Result<()> {
    let lines = || std::fs::read_to_string(log).unwrap_or_default().matches(line).count();
    let (before, until) = (lines(), Instant::now() + Duration::from_secs(60));
    while lines() == before {
        ensure!(Instant::now() < until, "no line `{line}`");
        std::thread::sleep(Duration::from_millis(1)); // a line in a file wakes nobody
    }
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status()?;
    ensure!(killed.success(), "kill: {killed}");
    Ok(())
}

/// `ctl account move`, again and again: it may be cut off, and what it began goes on.
fn relocate(cluster: &Cluster, metad: usize, shard: u64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    loop {
        match cluster.ctl(metad, &["account", "move", ANA, "--shard", &shard.to_string()]) {
            Ok(_) => return Ok(begun.elapsed()),
            Err(error) if begun.elapsed() > Duration::from_secs(90) => return Err(error),
            Err(error) => println!("{error:#}"),
        }
        std::thread::sleep(Duration::from_millis(200)); // nothing tells when the directory has a leader
    }
}
