//! Large things within stated memory: a mailbox of many messages, a command line of 64 KiB, messages of 50 MB.
//!
//! The mailbox of 100,000 messages is made of 6,250 that are appended and then copied four times onto itself.

use std::time::Instant;

use anyhow::{Context, ensure};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::load::letter::is_delivered;
use buzon_tests::server::{Server, Start};
use buzon_tests::value::set_text;

const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";
/// Commands sent before their answers are read.
const PIPELINED: usize = 200;
const CONNECTIONS: usize = 4;
/// More than one log entry may touch: every COPY is staged, and STORE is done in pieces.
const APPENDED: usize = 6_250;
const DOUBLINGS: usize = 4;
const MESSAGES: usize = APPENDED << DOUBLINGS;
/// What the server may take at most with 100,000 messages in three mailboxes, with its caches: debug build, all
/// sessions together.
const MEMORY_MAX_KIB: u64 = 400 << 10;
const HUGE_BYTES: usize = 50_000_000;
/// A 50 MB message that comes and goes twice at once: body caches (128 MiB), what is on its way in, what a FETCH
/// holds, and the process itself.
const HUGE_MEMORY_MAX_KIB: u64 = 500 << 10;

fn server() -> anyhow::Result<Server> {
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    Ok(server)
}

fn login(server: &Server) -> anyhow::Result<Imap> {
    Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)
}

fn message(number: usize) -> String {
    format!("From: a@b.example\r\nSubject: number {number}\r\n\r\ntext {number}\r\n")
}

/// Messages `first`, `first + CONNECTIONS`, … by pipelined APPENDs.
fn fill(server: &Server, first: usize, count: usize) -> anyhow::Result<()> {
    let mut imap = login(server)?;
    let numbers: Vec<usize> = (first..count).step_by(CONNECTIONS).collect();
    for some in numbers.chunks(PIPELINED) {
        let sent = some.iter().map(|number| imap.send_append("INBOX", "()", message(*number).as_bytes()));
        let tags = sent.collect::<anyhow::Result<Vec<_>>>()?;
        for tag in tags {
            let answer = imap.finish(&tag)?;
            ensure!(answer.is_ok(), "APPEND: {}", answer.status);
        }
    }
    Ok(())
}

/// Says how long it took; fails unless it was answered with OK.
fn timed(imap: &mut Imap, command: &str) -> anyhow::Result<buzon_tests::imap::Answer> {
    let began = Instant::now();
    let answer = imap.ok(command)?;
    println!("{:>8.3} s  {}", began.elapsed().as_secs_f64(), &command[..command.len().min(60)]);
    Ok(answer)
}

#[test]
fn a_mailbox_of_many_messages_is_listed_flagged_copied_searched_and_emptied() -> anyhow::Result<()> {
    let count = MESSAGES;
    let server = server()?;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let server = &server;
        let threads: Vec<_> =
            (0..CONNECTIONS).map(|first| scope.spawn(move || fill(server, first, APPENDED))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })?;
    println!("{:>8.3} s  {APPENDED} APPENDs", began.elapsed().as_secs_f64());
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    for _ in 0..DOUBLINGS {
        timed(&mut imap, "COPY 1:* INBOX")?;
    }
    let opened = timed(&mut imap, "SELECT INBOX")?;
    ensure!(opened.with("EXISTS").any(|it| it.text == format!("{count} EXISTS")), "{opened:?}");
    let listed = timed(&mut imap, "FETCH 1:* (UID FLAGS)")?.fetched()?;
    let good =
        listed.iter().zip(1..).all(|(one, seq)| one.seq == seq && one.uid().is_ok_and(|uid| uid == seq));
    ensure!(listed.len() == count && good, "the listing is not 1 to {count}");

    store_all(&mut imap, count)?;
    search(&mut imap, count)?;
    copy_all(&mut imap, count)?;
    long_command_line(&mut imap, count)?;
    expunge_all(&mut imap, count)?;
    let memory = server.memory_max_kib()?;
    println!("{} MiB at most", memory >> 10);
    assert_eq!(server.complaints(), Vec::<String>::new());
    ensure!(memory < MEMORY_MAX_KIB, "the server took {memory} KiB");
    Ok(())
}

fn store_all(imap: &mut Imap, count: usize) -> anyhow::Result<()> {
    let told = timed(imap, "STORE 1:* +FLAGS (\\Seen $Mine)")?.fetched()?;
    let flagged = |flags: std::collections::BTreeSet<String>| flags.len() == 2 && flags.contains("$Mine");
    ensure!(told.len() == count, "STORE told of {} messages", told.len());
    ensure!(told.iter().all(|one| one.flags().ok().flatten().is_some_and(flagged)), "STORE told wrong flags");
    timed(imap, "STORE 1:* +FLAGS.SILENT (\\Flagged)")?;
    let silent = timed(imap, "UID FETCH 1:* (FLAGS)")?.fetched()?;
    ensure!(
        silent.iter().all(|one| one.flags().ok().flatten().is_some_and(|flags| flags.len() == 3)),
        "flags"
    );
    Ok(())
}

fn search(imap: &mut Imap, count: usize) -> anyhow::Result<()> {
    let middle = count / 2;
    timed(imap, &format!("STORE {middle} -FLAGS.SILENT (\\Seen)"))?;
    assert_eq!(timed(imap, "SEARCH UNSEEN")?.searched()?, [middle as u32]);
    assert_eq!(timed(imap, "SEARCH FLAGGED KEYWORD $Mine SEEN")?.searched()?.len(), count - 1);
    let found = timed(imap, &format!("UID SEARCH SUBJECT \"number {}\"", APPENDED - 1))?.searched()?;
    ensure!(found.len() == 1 << DOUBLINGS, "{found:?}");
    let extended = timed(imap, "SEARCH RETURN (MIN MAX COUNT) ALL")?;
    let text = &extended.with("ESEARCH").next().context("ESEARCH")?.text;
    for part in ["MIN 1".to_owned(), format!("MAX {count}"), format!("COUNT {count}")] {
        ensure!(text.contains(&part), "{text}");
    }
    Ok(())
}

fn copy_all(imap: &mut Imap, count: usize) -> anyhow::Result<()> {
    let copied = timed(imap, "COPY 1:* Archive")?;
    let code = copied.code("COPYUID").context("COPYUID")?;
    ensure!(code.ends_with(&format!(" 1:{count} 1:{count}")), "COPYUID {code}");
    let status = timed(imap, "STATUS Archive (MESSAGES UNSEEN UIDNEXT)")?.status_items()?;
    assert_eq!(
        (status["MESSAGES"], status["UNSEEN"], status["UIDNEXT"]),
        (count as u64, 1, count as u64 + 1)
    );
    Ok(())
}

/// As Outlook and others send them: every other message by its UID.
fn long_command_line(imap: &mut Imap, count: usize) -> anyhow::Result<()> {
    let room = 64 * 1024 - 40;
    let mut uids: Vec<u32> = (1..=count as u32).rev().step_by(2).collect();
    uids.truncate(room / 7);
    let set = set_text(&uids);
    ensure!(set.len() > 55_000, "the line is only {} bytes", set.len());
    let told = timed(imap, &format!("UID STORE {set} +FLAGS (\\Answered)"))?.fetched()?;
    assert_eq!(told.len(), uids.len());
    assert_eq!(timed(imap, &format!("UID FETCH {set} (FLAGS)"))?.fetched()?.len(), uids.len());
    Ok(())
}

fn expunge_all(imap: &mut Imap, count: usize) -> anyhow::Result<()> {
    timed(imap, "STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
    let gone = timed(imap, "EXPUNGE")?;
    let told = gone.untagged.iter().filter(|it| it.text.ends_with(" EXPUNGE")).count();
    assert_eq!(told, count);
    assert_eq!(timed(imap, "STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"], 0);
    timed(imap, "SELECT Archive")?;
    assert_eq!(timed(imap, "SEARCH SUBJECT \"number 77\" NOT ANSWERED UID 1:6250")?.searched()?.len(), 11);
    Ok(())
}

/// 50 MB in lines that all differ.
fn huge() -> Vec<u8> {
    let mut text = b"Subject: huge\r\nContent-Type: text/plain\r\n\r\n".to_vec();
    let mut line = 0_u64;
    while text.len() < HUGE_BYTES {
        text.extend_from_slice(format!("{line:075}\r\n").as_bytes());
        line += 1;
    }
    text
}

#[test]
fn messages_of_50_mb_come_in_and_are_read_back_in_pieces() -> anyhow::Result<()> {
    const STEP: usize = 4 << 20;
    let server = server()?;
    let message = huge();
    let mut imap = login(&server)?;
    ensure!(imap.append("INBOX", "()", &message)?.is_ok(), "APPEND");
    let replies = Lmtp::connect(server.address("lmtp"))?.deliver("bo@example.net", &[USER], &message)?;
    ensure!(replies[0].starts_with("250"), "{replies:?}");
    imap.ok("SELECT INBOX")?;
    for uid in 1..=2 {
        let size = imap.ok(&format!("UID FETCH {uid} (RFC822.SIZE)"))?.fetched()?[0]
            .item("RFC822.SIZE")?
            .number()? as usize;
        let mut body = Vec::with_capacity(size);
        for at in (0..size).step_by(STEP) {
            let fetched = imap.ok(&format!("UID FETCH {uid} (BODY.PEEK[]<{at}.{STEP}>)"))?.fetched()?;
            body.extend_from_slice(fetched[0].item(&format!("BODY[]<{at}>"))?.bytes()?);
        }
        ensure!(body.len() == size, "UID {uid}: RFC822.SIZE {size}, the pieces have {}", body.len());
        let good = if uid == 1 { body == message } else { is_delivered(&body, &message) };
        ensure!(good, "UID {uid} is not what was sent");
    }
    let whole = imap.ok("UID FETCH 1 (BODY.PEEK[])")?.fetched()?;
    ensure!(whole[0].item("BODY[]")?.bytes()? == message, "in one piece");
    let memory = server.memory_max_kib()?;
    println!("{} MiB at most", memory >> 10);
    ensure!(memory < HUGE_MEMORY_MAX_KIB, "the server took {memory} KiB");
    Ok(())
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_session_goes_on() -> anyhow::Result<()> {
    const OVER_BYTES: usize = (64 << 20) + 1;
    let server = server()?;
    let mut imap = login(&server)?;
    let answer = imap.command(&format!("APPEND INBOX {{{OVER_BYTES}}}"))?;
    ensure!(answer.status.starts_with("NO [TOOBIG]"), "APPEND: {}", answer.status);
    imap.ok("NOOP")?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let reply = lmtp.say(&format!("MAIL FROM:<a@b.example> SIZE={OVER_BYTES}"))?;
    ensure!(reply.starts_with("552 5.3.4"), "MAIL: {reply}");
    ensure!(lmtp.say("NOOP")?.starts_with("250"), "NOOP");
    Ok(())
}

#[test]
fn a_line_of_64_kib_is_taken_and_an_endless_one_is_not() -> anyhow::Result<()> {
    const ENDLESS_BYTES: usize = 8 << 20;
    let server = server()?;
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    let mut set = String::from("1");
    while set.len() < 64 * 1024 - 100 {
        set.push_str(&format!(",{}", 1_000_000 + set.len()));
    }
    imap.ok(&format!("UID FETCH {set} (FLAGS)"))?;
    let endless = vec![b'1'; ENDLESS_BYTES];
    imap.write(b"x UID FETCH ").context("begin a line")?;
    // It is refused somewhere in its midst: by BAD, or by an end of the connection while it is still written.
    let _ = imap.write(&endless).and_then(|()| imap.write(b"\r\n"));
    let refused = match imap.response() {
        Ok(response) => response.text.contains("BAD") || response.text.contains("BYE"),
        Err(_) => true,
    };
    ensure!(refused, "an endless line is taken");
    ensure!(server.memory_max_kib()? < HUGE_MEMORY_MAX_KIB);
    login(&server)?.ok("NOOP")?;
    Ok(())
}
