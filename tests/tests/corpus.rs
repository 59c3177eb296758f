//! More than a thousand varied messages survive byte for byte, whichever way they come in; and what is said of each
//! is consistent with its bytes. An interrupted import stores each message once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_message::corpus;
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::load::letter::is_delivered;
use buzon_tests::server::{Server, Start};
use buzon_tests::value::Fetched;

#[path = "corpus/import.rs"]
mod import;

const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";

const VARIED: u64 = 800;
const REALISTIC: u64 = 250;
const LARGE: u64 = 2;
const LARGE_BYTES: usize = 5 << 20;

/// The corpus by number; the last ones have attachments of 5 MB.
fn message(number: u64) -> Vec<u8> {
    match number {
        0..VARIED => corpus::message(number),
        _ if number < VARIED + REALISTIC => corpus::realistic(number - VARIED),
        _ => corpus::with_attachment(number, LARGE_BYTES),
    }
}

/// Those with anything in them; damage can leave nothing, and nothing cannot be appended (RFC 3502).
fn numbers() -> impl Iterator<Item = u64> {
    (0..VARIED + REALISTIC + LARGE).filter(|number| !message(*number).is_empty())
}

fn server() -> anyhow::Result<Server> {
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    Ok(server)
}

fn login(server: &Server) -> anyhow::Result<Imap> {
    Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)
}

/// What is told of one message agrees with its bytes; answers those.
fn consistent(imap: &mut Imap, uid: u32) -> anyhow::Result<Vec<u8>> {
    let items = "RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT] \
        BODY.PEEK[]<3.40> BODY.PEEK[TEXT]<0.100> BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)]";
    let answer = imap.ok(&format!("UID FETCH {uid} ({items})"))?;
    let fetched = answer.fetched()?;
    let one = fetched.first().context("no FETCH")?;
    ensure!(fetched.len() == 1 && one.uid()? == uid, "{} FETCH responses", fetched.len());
    let bytes = |name: &str| anyhow::Ok(one.item(name)?.bytes()?.to_vec());
    let (body, header, text) = (bytes("BODY[]")?, bytes("BODY[HEADER]")?, bytes("BODY[TEXT]")?);
    ensure!(one.item("RFC822.SIZE")?.number()? == body.len() as u64, "RFC822.SIZE");
    ensure!([header.as_slice(), text.as_slice()].concat() == body, "HEADER + TEXT is not BODY[]");
    ensure!(
        bytes("BODY[]<3>")? == body.get(3..43.min(body.len()).max(3)).unwrap_or_default(),
        "BODY[]<3.40>"
    );
    ensure!(bytes("BODY[TEXT]<0>")? == text[..100.min(text.len())], "BODY[TEXT]<0.100>");
    ensure!(one.item("ENVELOPE")?.list()?.len() == 10, "ENVELOPE has not ten items");
    let structure = one.item("BODYSTRUCTURE")?.list()?;
    ensure!(!structure.is_empty() && !one.item("BODY")?.list()?.is_empty(), "BODYSTRUCTURE is empty");
    first_part(imap, one, uid, &body)?;
    Ok(body)
}

/// Part 1 is there, and it is a piece of the message.
fn first_part(imap: &mut Imap, one: &Fetched, uid: u32, body: &[u8]) -> anyhow::Result<()> {
    let answer = imap.ok(&format!("UID FETCH {uid} (BODY.PEEK[1] BODY.PEEK[1.MIME])"))?;
    let fetched = answer.fetched()?;
    let part = fetched.first().context("no FETCH")?.item("BODY[1]")?.bytes()?.to_vec();
    let within = part.is_empty() || body.windows(part.len().max(1)).any(|window| window == part);
    ensure!(within, "BODY[1] is no piece of the message: {:?}", one.item("BODYSTRUCTURE")?);
    Ok(())
}

#[test]
fn messages_survive_append_byte_for_byte_and_what_is_told_of_them_is_consistent() -> anyhow::Result<()> {
    let server = server()?;
    let mut imap = login(&server)?;
    let mut uids = Vec::new();
    for number in numbers() {
        let answer = imap.append("INBOX", "()", &message(number))?;
        ensure!(answer.is_ok(), "message {number}: {}", answer.status);
        let (_, uid) = answer.code("APPENDUID").and_then(|it| it.split_once(' ')).context("APPENDUID")?;
        uids.push((number, uid.parse::<u32>()?));
    }
    ensure!(uids.len() > 1000, "only {} messages", uids.len());
    imap.ok("SELECT INBOX")?;
    for (number, uid) in uids {
        let body = consistent(&mut imap, uid).with_context(|| format!("message {number}, UID {uid}"))?;
        ensure!(body == message(number), "message {number} is not what was appended");
    }
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}

#[test]
fn messages_survive_lmtp_byte_for_byte_after_the_two_fields_in_front() -> anyhow::Result<()> {
    let server = server()?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    for number in numbers() {
        let replies = lmtp.deliver("bo@example.net", &[USER], &message(number))?;
        ensure!(replies == ["250 2.1.5 Delivered"], "message {number}: {replies:?}");
    }
    let mut imap = login(&server)?;
    imap.ok("SELECT INBOX")?;
    for (number, uid) in numbers().zip(1..) {
        let fetched = imap
            .ok(&format!("UID FETCH {uid} (RFC822.SIZE BODY.PEEK[] ENVELOPE BODYSTRUCTURE)"))?
            .fetched()?;
        let one = fetched.first().with_context(|| format!("message {number} is not there"))?;
        let body = one.item("BODY[]")?.bytes()?;
        ensure!(one.item("RFC822.SIZE")?.number()? == body.len() as u64, "message {number}: RFC822.SIZE");
        ensure!(is_delivered(body, &message(number)), "message {number} is not what was delivered");
    }
    Ok(())
}
