//! `buzon import`: from a maildir, from an mbox file, and with interruptions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;

/// Enough for an import to be interrupted in its midst.
const INTERRUPTED_MESSAGES: usize = 1500;
/// A debug build on a busy machine imports much more in this time.
const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// What a file's bytes are on the wire: Unix files, told by their first line, get CRLF.
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut lines = message.split_inclusive(|&byte| byte == b'\n');
    let unix = lines.next().is_some_and(|line| line.ends_with(b"\n") && !line.ends_with(b"\r\n"));
    if !unix {
        return message.to_vec();
    }
    let mut wire = Vec::new();
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(rest) => {
                wire.extend_from_slice(rest.strip_suffix(b"\r").unwrap_or(rest));
                wire.extend_from_slice(b"\r\n");
            }
            None => wire.extend_from_slice(line),
        }
    }
    wire
}

fn maildir(top: &Path, messages: impl Iterator<Item = (u64, Vec<u8>)>) -> anyhow::Result<()> {
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(top.join(part))?;
    }
    for (number, message) in messages {
        std::fs::write(
            top.join(format!("cur/1{number:08}.test:2,{}", ["", "S", "FS"][number as usize % 3])),
            message,
        )?;
    }
    Ok(())
}

fn import(server: &Server, format: &str, file: &Path) -> anyhow::Result<Command> {
    server.buzon("import", &[format, file.to_str().context("a path")?, USER])
}

fn finish(mut command: Command) -> anyhow::Result<String> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "import: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn messages_survive_the_import_of_a_maildir_byte_for_byte_with_their_flags() -> anyhow::Result<()> {
    let server = server()?;
    let top = server.scratch().join("maildir");
    maildir(&top, numbers().map(|number| (number, message(number))))?;
    let said = finish(import(&server, "maildir", &top)?)?;
    ensure!(said.starts_with(&format!("{} messages", numbers().count())), "{said}");
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    let mut left: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
    for number in numbers() {
        left.entry(on_the_wire(&message(number))).or_default().push(number);
    }
    for uid in 1..=numbers().count() {
        let fetched = imap.ok(&format!("UID FETCH {uid} (FLAGS RFC822.SIZE BODY.PEEK[])"))?.fetched()?;
        let one = fetched.first().with_context(|| format!("no UID {uid}"))?;
        let body = one.item("BODY[]")?.bytes()?;
        ensure!(one.item("RFC822.SIZE")?.number()? == body.len() as u64, "UID {uid}: RFC822.SIZE");
        let numbers = left.get_mut(body).with_context(|| format!("UID {uid} is none of the messages"))?;
        let flags = one.flags()?.context("FLAGS")?.len() as u64;
        let at = numbers
            .iter()
            .position(|number| number % 3 == flags)
            .with_context(|| format!("UID {uid}: flags"))?;
        numbers.remove(at);
    }
    ensure!(left.values().all(Vec::is_empty), "messages are missing");
    Ok(())
}

#[test]
fn messages_survive_the_import_of_an_mbox_byte_for_byte() -> anyhow::Result<()> {
    let server = server()?;
    let plain = |message: &[u8]| {
        let lines: Vec<&[u8]> = message.split_inclusive(|&byte| byte == b'\n').collect();
        lines.iter().all(|line| line.ends_with(b"\r\n")) && lines.first().is_some_and(|line| line.len() > 2)
    };
    let messages: Vec<Vec<u8>> = numbers().map(message).filter(|it| plain(it)).collect();
    let mut mbox = Vec::new();
    for message in &messages {
        mbox.extend_from_slice(b"From x@example.net Thu Nov 19 18:22:48 2026\r\n");
        for line in message.split_inclusive(|&byte| byte == b'\n') {
            let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
            if line[quotes..].starts_with(b"From ") {
                mbox.push(b'>');
            }
            mbox.extend_from_slice(line);
        }
        mbox.extend_from_slice(b"\r\n");
    }
    let file = server.scratch().join("mbox");
    std::fs::write(&file, mbox)?;
    finish(import(&server, "mbox", &file)?)?;
    ensure!(messages.len() > 400, "only {} messages have good line ends", messages.len());
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    // Sent side by side: the order is not told.
    let mut left: BTreeMap<&[u8], usize> = BTreeMap::new();
    messages.iter().for_each(|message| *left.entry(message).or_default() += 1);
    for uid in 1..=messages.len() {
        let fetched = imap.ok(&format!("UID FETCH {uid} (BODY.PEEK[])"))?.fetched()?;
        let body =
            fetched.first().with_context(|| format!("no UID {uid}"))?.item("BODY[]")?.bytes()?.to_vec();
        let count = left.get_mut(body.as_slice()).filter(|count| **count > 0);
        // The last message of a file keeps the blank line that ends it.
        let count = match count {
            Some(count) => count,
            None => {
                let shorter = body.strip_suffix(b"\r\n").and_then(|body| left.get_mut(body));
                shorter.with_context(|| format!("UID {uid} is none of the messages"))?
            }
        };
        *count -= 1;
    }
    Ok(())
}

fn stored(server: &Server) -> anyhow::Result<u64> {
    let status = login(server)?.ok("STATUS INBOX (MESSAGES)")?.status_items()?;
    Ok(status["MESSAGES"])
}

/// Runs until at least so many messages are stored. There is no event for that: it asks again and again.
fn run_until(server: &Server, command: &mut Command, messages: u64) -> anyhow::Result<std::process::Child> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut imap = login(server)?;
    let began = Instant::now();
    while imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"] < messages {
        ensure!(began.elapsed() < PROGRESS_MAX, "the import does not get to {messages} messages");
    }
    Ok(child)
}

#[test]
fn an_import_that_was_interrupted_goes_on_and_stores_each_message_once() -> anyhow::Result<()> {
    let mut server = server()?;
    let top = server.scratch().join("maildir");
    let mut text = String::new();
    maildir(
        &top,
        (0..INTERRUPTED_MESSAGES as u64).map(|number| {
            text.clear();
            let _ =
                write!(text, "Subject: number {number}\r\n\r\n{}\r\n", "x".repeat(number as usize % 3000));
            (number, text.clone().into_bytes())
        }),
    )?;
    let mut importer = run_until(&server, &mut import(&server, "maildir", &top)?, 200)?;
    importer.kill()?;
    importer.wait()?;
    let after_first = stored(&server)?;
    ensure!(after_first < INTERRUPTED_MESSAGES as u64, "the import was over before it was killed");

    let mut importer = run_until(&server, &mut import(&server, "maildir", &top)?, after_first + 200)?;
    server.kill();
    importer.kill()?;
    importer.wait()?;
    server.restart()?;
    ensure!(
        stored(&server)? < INTERRUPTED_MESSAGES as u64,
        "the import was over before the server was killed"
    );

    finish(import(&server, "maildir", &top)?)?;
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    let mut subjects = BTreeMap::<Vec<u8>, usize>::new();
    for fetched in imap.ok("UID FETCH 1:* (ENVELOPE)")?.fetched()? {
        *subjects.entry(fetched.item("ENVELOPE")?.list()?[1].bytes()?.to_vec()).or_default() += 1;
    }
    let twice: Vec<_> = subjects.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "stored twice: {twice:?}");
    assert_eq!(subjects.len(), INTERRUPTED_MESSAGES);
    Ok(())
}
