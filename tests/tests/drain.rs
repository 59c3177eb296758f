//! SIGTERM under load: commands that run are answered, sessions are told BYE, the process ends well within its
//! bound, and nothing that was acknowledged is missing.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_tests::imap::Imap;
use buzon_tests::load::Crowd;
use buzon_tests::load::check::Bodies;
use buzon_tests::seed::seed;
use buzon_tests::server::{Server, Start};

const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";
const PEOPLE: u64 = 3;
/// `drain_seconds` is 25; what runs here is done far sooner.
const DRAIN_MAX: Duration = Duration::from_secs(15);

/// Reads until the server closes; the last response it sent.
fn last_word(mut imap: Imap) -> anyhow::Result<String> {
    imap.set_silence_max(DRAIN_MAX)?;
    let mut last = String::new();
    while let Ok(response) = imap.response() {
        last = response.text;
    }
    Ok(last)
}

#[test]
fn a_drain_under_load_loses_nothing_and_ends_in_time() -> anyhow::Result<()> {
    let mut server = Server::start(Start::default())?;
    let mut crowd = Crowd::new(&server, PEOPLE, seed("drain"))?;
    for _ in 0..3 {
        crowd.work(&mut server, Duration::from_millis(1500), |server| {
            let began = Instant::now();
            let status = server.terminate()?;
            ensure!(status.success(), "ended with {status}");
            ensure!(began.elapsed() < DRAIN_MAX, "the drain took {:?}", began.elapsed());
            Ok(())
        })?;
        server.restart()?;
        crowd.check(&server, Bodies::Some(10))?;
    }
    println!("{}", crowd.summary());
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn sessions_are_told_bye_whether_they_idle_or_do_nothing() -> anyhow::Result<()> {
    let mut server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    let login = || Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD);
    let (mut selected, mut idle, fresh) =
        (login()?, login()?, Imap::connect(server.address("imaps"), &server.ca())?);
    selected.ok("SELECT INBOX")?;
    idle.ok("SELECT INBOX")?;
    idle.idle()?;
    assert_eq!(server.http("/readyz")?.0, 200);
    let imaps = server.address("imaps");
    server.signal_term()?;
    for (name, imap) in [("selected", selected), ("idle", idle), ("not logged in", fresh)] {
        let word = last_word(imap)?;
        ensure!(word.starts_with("* BYE"), "{name}: {word:?}");
    }
    let status = server.wait_end()?;
    ensure!(status.success(), "ended with {status}");
    ensure!(TcpStream::connect(imaps).is_err(), "it still listens");
    Ok(())
}

#[test]
fn an_append_that_has_begun_is_finished_and_readyz_says_503_meanwhile() -> anyhow::Result<()> {
    let mut server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    let message = format!("Subject: slow\r\n\r\n{}\r\n", "x".repeat(100_000));
    let tag = imap.send(&format!("APPEND INBOX {{{}}}", message.len()))?;
    ensure!(imap.response()?.text.starts_with('+'), "no leave to send");
    imap.write(&message.as_bytes()[..50_000])?;
    server.signal_term()?;
    let began = Instant::now();
    let code = loop {
        let code = server.http("/readyz").context("while it drains")?.0;
        if code != 200 || began.elapsed() > DRAIN_MAX {
            break code;
        }
    };
    assert_eq!(code, 503);
    imap.write(&message.as_bytes()[50_000..])?;
    imap.write(b"\r\n")?;
    let answer = imap.finish(&tag)?;
    ensure!(answer.is_ok(), "APPEND: {}", answer.status);
    let word = last_word(imap)?;
    ensure!(word.starts_with("* BYE"), "then: {word:?}");
    ensure!(server.wait_end()?.success(), "its status");
    server.restart()?;
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"], 1);
    Ok(())
}
