//! The whole process over its sockets: one client, TLS, real log and disk. Build the binary in release first:
//! `cargo build --release -p buzon`.

use std::cell::RefCell;

use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::server::{Server, Start};
use divan::{Bencher, black_box};

const USER: &str = "bench@example.org";
const PASSWORD: &str = "bench";

fn main() {
    divan::main();
}

fn server(messages: usize) -> anyhow::Result<(Server, Imap)> {
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    for _ in 0..messages {
        imap.append("INBOX", "()", &mail())?;
    }
    imap.ok("SELECT INBOX")?;
    Ok((server, imap))
}

fn mail() -> Vec<u8> {
    format!("From: a@example.org\r\nTo: {USER}\r\nSubject: bench\r\n\r\n{}\r\n", "0123456789\r\n".repeat(80))
        .into_bytes()
}

fn command(bencher: Bencher<'_, '_>, messages: usize, line: &str) {
    let (_server, imap) = server(messages).expect("a server");
    let imap = RefCell::new(imap);
    bencher.bench_local(|| black_box(imap.borrow_mut().ok(line).expect(line)));
}

#[divan::bench(sample_count = 50, sample_size = 5)]
fn append_1_kb(bencher: Bencher<'_, '_>) {
    let (_server, mut imap) = server(0).expect("a server");
    bencher.bench_local(|| imap.append("INBOX", "()", &mail()).expect("append"));
}

#[divan::bench(sample_count = 50, sample_size = 5)]
fn deliver_1_kb(bencher: Bencher<'_, '_>) {
    let (server, _imap) = server(0).expect("a server");
    let mut lmtp = Lmtp::connect(server.address("lmtp")).expect("lmtp");
    bencher.bench_local(|| lmtp.deliver("a@example.net", &[USER], &mail()).expect("deliver"));
}

#[divan::bench(sample_count = 50)]
fn fetch_uid_flags_of_1000(bencher: Bencher<'_, '_>) {
    command(bencher, 1000, "FETCH 1:* (UID FLAGS)");
}

#[divan::bench(sample_count = 50)]
fn fetch_envelope_of_1000(bencher: Bencher<'_, '_>) {
    command(bencher, 1000, "FETCH 1:* (ENVELOPE)");
}

#[divan::bench(sample_count = 50)]
fn fetch_one_body(bencher: Bencher<'_, '_>) {
    command(bencher, 100, "FETCH 50 (BODY.PEEK[])");
}

#[divan::bench(sample_count = 50, sample_size = 5)]
fn store_one(bencher: Bencher<'_, '_>) {
    let (_server, imap) = server(100).expect("a server");
    let imap = RefCell::new((imap, false));
    bencher.bench_local(|| {
        let (imap, set) = &mut *imap.borrow_mut();
        *set = !*set;
        imap.ok(if *set { "STORE 50 +FLAGS (\\Seen)" } else { "STORE 50 -FLAGS (\\Seen)" }).expect("store")
    });
}
