//! `kill -9` at random moments under a mixed load: what was acknowledged is there, and nothing is done by half.

use std::time::Duration;

use anyhow::ensure;
use buzon_tests::imap::Imap;
use buzon_tests::load::Crowd;
use buzon_tests::load::check::Bodies;
use buzon_tests::seed::{is_long, seed};
use buzon_tests::server::{Server, Start};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[path = "kill9/accounts.rs"]
mod accounts;

const PEOPLE: u64 = 3;
/// Of the messages that were read back before, one in so many is read again after each kill; all at the end.
const AGAIN_ONE_IN: u32 = 30;
/// One start in so many is killed as well, while it recovers.
const RECOVERY_ONE_IN: u32 = 5;

#[test]
fn what_was_acknowledged_survives_kill_9_at_any_moment() -> anyhow::Result<()> {
    let moments = if is_long() { 300 } else { 50 };
    let seed = seed("kill9");
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Server::start(Start::default())?;
    let mut crowd = Crowd::new(&server, PEOPLE, seed)?;
    for moment in 0..moments {
        let work = Duration::from_millis(random.random_range(150..1200));
        crowd.work(&mut server, work, |server| {
            server.kill();
            Ok(())
        })?;
        while random.random_ratio(1, RECOVERY_ONE_IN) {
            server.start_and_kill(Duration::from_millis(random.random_range(0..600)))?;
        }
        server.restart()?;
        let bodies = if moment + 1 == moments { Bodies::All } else { Bodies::Some(AGAIN_ONE_IN) };
        crowd.check(&server, bodies)?;
    }
    println!("{moments} kills: {}", crowd.summary());
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}

/// More than one log entry may touch, so that COPY is staged in several and published in one more.
const STAGED: u64 = 12_000;
const STAGED_APPENDED: u64 = 1_500;

#[test]
fn a_staged_copy_is_there_as_a_whole_or_not_at_all_and_leaves_nothing_behind() -> anyhow::Result<()> {
    const USER: &str = "ana@example.org";
    let rounds = if is_long() { 40 } else { 8 };
    let mut random = StdRng::seed_from_u64(seed("staged copy"));
    let mut server = Server::start(Start::default())?;
    server.account(USER, "word")?;
    let login = |server: &Server| Imap::login(server.address("imaps"), &server.ca(), USER, "word");
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    let tags = (0..STAGED_APPENDED)
        .map(|number| imap.send_append("INBOX", "()", format!("Subject: {number}\r\n\r\n").as_bytes()));
    let tags = tags.collect::<anyhow::Result<Vec<_>>>()?;
    for tag in tags {
        ensure!(imap.finish(&tag)?.is_ok(), "APPEND");
    }
    while imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"] < STAGED {
        imap.ok("COPY 1:* INBOX")?;
    }
    let (mut copied, mut began) = (0, 0);
    for _ in 0..rounds {
        let mut imap = login(&server)?;
        imap.ok("SELECT INBOX")?;
        imap.send("COPY 1:* Archive")?;
        began += 1;
        std::thread::sleep(Duration::from_millis(random.random_range(0..500))); // the moment is the point
        server.kill();
        server.restart()?;
        let mut imap = login(&server)?;
        let there = imap.ok("STATUS Archive (MESSAGES UIDNEXT)")?.status_items()?;
        ensure!(there["MESSAGES"] % STAGED == 0 && there["MESSAGES"] >= copied, "{there:?} after {copied}");
        copied = there["MESSAGES"];
        imap.ok("EXAMINE Archive")?;
        let listed = if copied == 0 { 0 } else { imap.ok("FETCH 1:* (UID)")?.fetched()?.len() };
        assert_eq!(listed as u64, copied);
        let shown = server.ctl(&["account", "show", USER])?;
        assert_eq!(shown["messages"], STAGED + copied);
    }
    println!("{} of {began} copies were done", copied / STAGED);
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}
