//! The README's first command: it says how to connect, and a client that does what it says reads the demo's mail.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use buzon_tests::imap::{Imap, Response};
use buzon_tests::lmtp::Lmtp;
use buzon_tests::seed::{is_long, seed};
use buzon_tests::server::{Server, Start};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

fn told<'a>(server: &'a Server, name: &str) -> anyhow::Result<&'a str> {
    let line = server.printed.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no line `{name}:` in {:?}", server.printed))?.trim())
}

/// Only with what was printed.
fn login(server: &Server) -> anyhow::Result<Imap> {
    let address = SocketAddr::new(told(server, "host")?.parse()?, told(server, "port")?.parse()?);
    Imap::login(address, Path::new(told(server, "ca")?), told(server, "account")?, told(server, "password")?)
}

#[test]
fn the_demo_says_how_to_connect_and_its_mail_is_read() -> anyhow::Result<()> {
    let server = Server::demo()?;
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    let fetched = imap
        .ok("FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")?
        .fetched()?;
    ensure!((10..=20).contains(&fetched.len()), "a dozen messages are {}", fetched.len());
    let mut parts = 0;
    for one in &fetched {
        let body = one.item("BODY[]")?.bytes()?;
        ensure!(body.starts_with(b"Return-Path: <"), "it did not come by LMTP");
        ensure!(one.item("RFC822.SIZE")?.number()? == body.len() as u64, "RFC822.SIZE");
        ensure!(!one.item("ENVELOPE")?.list()?[1].bytes()?.is_empty(), "a message without a subject");
        parts += usize::from(one.item("BODYSTRUCTURE")?.list()?[0].list().is_ok());
    }
    ensure!(parts > 0, "none is a multipart");
    Ok(())
}

#[test]
fn idle_hears_of_a_delivery() -> anyhow::Result<()> {
    let server = Server::demo()?;
    let mut imap = login(&server)?;
    let before = imap.ok("SELECT INBOX")?;
    let exists =
        before.untagged.iter().find_map(|it| it.text.strip_suffix(" EXISTS")).context("EXISTS")?.to_owned();
    let tag = imap.idle()?;
    imap.set_silence_max(Duration::from_secs(10))?;
    let replies = Lmtp::connect(server.address("lmtp"))?.deliver(
        "a@b.example",
        &["ana@example.com"],
        b"Subject: new\r\n\r\n",
    )?;
    ensure!(replies[0].starts_with("250"), "{replies:?}");
    let expected = format!("* {} EXISTS", exists.parse::<u32>()? + 1);
    while imap.response().context("IDLE hears nothing of the delivery")?.text != expected {}
    ensure!(imap.done(&tag)?.is_ok(), "IDLE");
    Ok(())
}

#[test]
fn a_second_start_keeps_the_mail_and_the_folders() -> anyhow::Result<()> {
    let mut server = Server::demo()?;
    let mut imap = login(&server)?;
    let listed = |imap: &mut Imap| {
        anyhow::Ok(imap.ok("LIST \"\" *")?.with("LIST ").map(|it| it.text.clone()).collect::<Vec<_>>())
    };
    imap.ok("CREATE Projects")?;
    imap.ok("SELECT INBOX")?;
    imap.ok("STORE 1 +FLAGS (\\Flagged)")?;
    let (folders, mail) = (listed(&mut imap)?, imap.ok("FETCH 1:* (UID FLAGS RFC822.SIZE)")?.untagged);
    ensure!(server.terminate()?.success(), "its status");
    server.restart()?;
    let mut imap = login(&server)?;
    assert_eq!(listed(&mut imap)?, folders);
    imap.ok("SELECT INBOX")?;
    let again = imap.ok("FETCH 1:* (UID FLAGS RFC822.SIZE)")?;
    let without_recent = |text: &str| text.replace(" \\Recent", "").replace("\\Recent", "");
    let texts = |all: &[Response]| all.iter().map(|it| without_recent(&it.text)).collect::<Vec<_>>();
    assert_eq!(texts(&again.untagged), texts(&mail));
    Ok(())
}

#[test]
fn probes_and_metrics_answer() -> anyhow::Result<()> {
    let server = Server::demo()?;
    login(&server)?.ok("NOOP")?;
    assert_eq!(server.http("/livez")?.0, 200);
    assert_eq!(server.http("/readyz")?.0, 200);
    let (code, metrics) = server.http("/metrics")?;
    assert_eq!(code, 200);
    let counter = |prefix: &str, label: &str| {
        metrics.lines().any(|line| line.starts_with(prefix) && line.contains(label))
    };
    ensure!(counter("buzon_imap_commands_total", "command=\"NOOP\""), "no counter of NOOP in\n{metrics}");
    let deliveries = metrics.lines().any(|line| line.starts_with("buzon_lmtp_") && !line.ends_with(" 0"));
    ensure!(deliveries, "no counter of deliveries in\n{metrics}");
    Ok(())
}

#[test]
fn a_first_start_that_is_killed_at_any_moment_is_made_good_by_the_next() -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed("demo"));
    let rounds = if is_long() { 40 } else { 6 };
    for _ in 0..rounds {
        let mut server = Server::prepare()?;
        server.start_as(Start { arguments: vec!["--demo".into()], ..Start::default() });
        for _ in 0..3 {
            server.start_and_kill(Duration::from_millis(random.random_range(50..900)))?;
        }
        server.restart()?;
        let status = login(&server)?.ok("STATUS INBOX (MESSAGES)")?.status_items()?;
        ensure!(status["MESSAGES"] > 0, "the demo has no mail");
        assert_eq!(server.complaints(), Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn a_server_that_lost_log_and_database_does_not_begin_anew_without_a_word() -> anyhow::Result<()> {
    let mut server = Server::demo()?;
    server.kill();
    std::fs::remove_dir_all(server.data_dir().join("log"))?;
    for entry in std::fs::read_dir(server.data_dir())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("metadata.sqlite") {
            std::fs::remove_file(entry.path())?;
        }
    }
    let error = server.restart().err().map(|error| error.to_string());
    assert!(error.is_some_and(|it| it.contains("has no raft log")), "it says what is lost");
    Ok(())
}
