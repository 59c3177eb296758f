//! SIGTERM under load: commands that run are answered, sessions are told BYE, the process ends well within its
//! bound, and nothing that was acknowledged is missing.

use std::io::Write;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
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

#[test]
fn clients_that_stall_do_not_hold_up_the_end() -> anyhow::Result<()> {
    const DRAIN_SECONDS: u64 = 3;
    let environment = vec![("BUZON_DRAIN_SECONDS".into(), DRAIN_SECONDS.to_string())];
    let mut server = Server::start(Start { environment, ..Start::default() })?;
    server.account(USER, PASSWORD)?;
    let login = || Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD);
    let (mut reader, mut writer, mut lmtp) = (login()?, login()?, Lmtp::connect(server.address("lmtp"))?);
    // More than sockets buffer.
    let large = format!("Subject: large\r\n\r\n{}\r\n", "x".repeat(20 << 20));
    ensure!(reader.append("INBOX", "()", large.as_bytes())?.is_ok(), "APPEND");
    reader.ok("SELECT INBOX")?;
    reader.send("FETCH 1 (BODY.PEEK[])")?;
    let tag = writer.send("APPEND INBOX {100000}")?;
    ensure!(writer.response()?.text.starts_with('+'), "no leave for {tag}");
    writer.write(b"Subject: never whole\r\n")?;
    lmtp.say("MAIL FROM:<a@b.example>")?;
    lmtp.say(&format!("RCPT TO:<{USER}>"))?;
    lmtp.write(b"BDAT 100000 LAST\r\nSubject: never whole\r\n")?;
    let mut admin = TcpStream::connect(server.address("admin"))?; // says nothing, not even TLS
    let began = Instant::now();
    let status = server.terminate()?;
    ensure!(status.success(), "ended with {status}");
    let took = began.elapsed();
    ensure!(took < Duration::from_secs(DRAIN_SECONDS + 5), "the drain took {took:?}");
    let _ = admin.write_all(b"x");
    drop((reader, writer, lmtp));
    server.restart()?;
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    assert_eq!(
        imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"],
        1,
        "what was never whole is not there"
    );
    Ok(())
}

#[test]
fn an_import_does_not_hold_up_the_end_and_goes_on_afterwards() -> anyhow::Result<()> {
    const MESSAGES: u64 = 1200;
    let mut server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    let mut mbox = String::new();
    for number in 0..MESSAGES {
        mbox.push_str(&format!(
            "From a@b Thu Nov 19 18:22:48 2026\nSubject: {number}\n\n{}\n\n",
            "x".repeat(2000)
        ));
    }
    let file = server.scratch().join("mbox");
    std::fs::write(&file, mbox)?;
    let import = |server: &Server| server.buzon("import", &["mbox", file.to_str().context("a path")?, USER]);
    let mut running = import(&server)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    // There is no event for "some are imported".
    while imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"] < 100 {}
    let began = Instant::now();
    let status = server.terminate()?;
    ensure!(status.success() && began.elapsed() < DRAIN_MAX, "{status} after {:?}", began.elapsed());
    ensure!(!running.wait()?.success(), "the import was over before the server ended");
    server.restart()?;
    let again = import(&server)?.output()?;
    ensure!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"], MESSAGES);
    Ok(())
}
