//! LMTP on the wire (RFC 2033), against the real binary: replies, extensions, limits, and what ends up in mailboxes.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::ensure;
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::pki::Certificate;
use buzon_tests::server::{Server, Start};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const ANA: &str = "ana@example.org";
const BO: &str = "bo@example.org";
const PASSWORD: &str = "pass word";

fn server() -> anyhow::Result<Server> {
    let server = Server::start(Start::default())?;
    server.account(ANA, PASSWORD)?;
    server.account(BO, PASSWORD)?;
    Ok(server)
}

fn with_config(text: &str) -> anyhow::Result<(tempfile::NamedTempFile, Server)> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    let arguments = vec!["--config".to_owned(), file.path().display().to_string()];
    let server = Server::start(Start { arguments, ..Start::default() })?;
    Ok((file, server))
}

/// The only message in a mailbox, without the two header fields that delivery adds.
fn only_message(server: &Server, user: &str, mailbox: &str) -> anyhow::Result<Vec<u8>> {
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), user, PASSWORD)?;
    let selected = imap.ok(&format!("SELECT {mailbox}"))?;
    ensure!(selected.with("EXISTS").any(|it| it.text == "1 EXISTS"), "{selected:?}");
    let fetched = imap.ok("FETCH 1 (BODY.PEEK[])")?;
    let message = fetched.untagged[0].literals[0].clone();
    let text = String::from_utf8_lossy(&message);
    ensure!(
        text.starts_with("Return-Path: <") && text.contains("\r\nReceived: from test.example ("),
        "{text}"
    );
    let date = text.find(" +0000\r\n").map(|at| at + 8);
    Ok(message[date.unwrap_or(0)..].to_vec())
}

#[test]
fn a_pipelined_transaction_is_answered_in_order() -> anyhow::Result<()> {
    let server = server()?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let all = format!(
        "MAIL FROM:<x@y.example> BODY=8BITMIME SIZE=20\r\nRCPT TO:<{ANA}>\r\nRCPT TO:<nobody@example.org>\r\n\
         RCPT TO:<{BO}>\r\nDATA\r\n"
    );
    lmtp.write(all.as_bytes())?;
    for expected in ["250 2.1.0", "250 2.1.5", "550 5.1.1", "250 2.1.5", "354 "] {
        let reply = lmtp.reply()?;
        assert!(reply.starts_with(expected), "{expected}: {reply}");
    }
    lmtp.write(b"Subject: s\r\n\r\n..one dot\r\nbare\n.\nline feed\r\n.\r\nNOOP\r\nQUIT\r\n")?;
    for expected in ["250 2.1.5", "250 2.1.5", "250 2.0.0", "221 "] {
        let reply = lmtp.reply()?;
        assert!(reply.starts_with(expected), "{expected}: {reply}");
    }
    for user in [ANA, BO] {
        let message = only_message(&server, user, "INBOX")?;
        assert_eq!(String::from_utf8_lossy(&message), "Subject: s\r\n\r\n.one dot\r\nbare\n.\nline feed\r\n");
    }
    Ok(())
}

#[test]
fn chunks_carry_any_bytes_and_may_come_in_pieces() -> anyhow::Result<()> {
    let server = server()?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    lmtp.write(b"BDAT 3 LAST\r\nabc")?;
    assert!(lmtp.reply()?.starts_with("503"), "no MAIL yet; the chunk is read all the same");
    assert!(lmtp.say("MAIL FROM:<>")?.starts_with("250"));
    assert!(lmtp.say(&format!("RCPT TO:<{ANA}>"))?.starts_with("250"));
    lmtp.write(b"BDAT 10\r\nSubject: s")?;
    assert!(lmtp.reply()?.starts_with("250"));
    assert!(lmtp.say("DATA")?.starts_with("503"), "DATA and BDAT do not mix");
    lmtp.write(b"BDAT 9\r\n\r\n\r\n.\r\n\0\xffBDAT 0 LAST\r\n")?;
    assert!(lmtp.reply()?.starts_with("250 2.0.0"));
    assert!(lmtp.reply()?.starts_with("250 2.1.5"));
    assert_eq!(only_message(&server, ANA, "INBOX")?, b"Subject: s\r\n\r\n.\r\n\0\xff");
    Ok(())
}

#[test]
fn each_recipient_has_a_reply_of_its_own() -> anyhow::Result<()> {
    let server = server()?;
    server.ctl(&["account", "quota", BO, "--messages", "1"])?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let both = |lmtp: &mut Lmtp| lmtp.deliver("x@y.example", &[ANA, BO], b"Subject: s\r\n\r\n");
    assert!(both(&mut lmtp)?.iter().all(|reply| reply.starts_with("250")));
    let replies = both(&mut lmtp)?;
    assert!(replies[0].starts_with("552 5.2.2"), "full at RCPT: {replies:?}");
    assert!(replies[1].starts_with("250"), "{replies:?}");
    server.ctl(&["account", "quota", BO, "--bytes", "2000"])?;
    let replies = lmtp.deliver("x@y.example", &[ANA, BO], &[b'x'; 4000])?;
    assert!(
        replies[0].starts_with("250") && replies[1].starts_with("552 5.2.2"),
        "full at the end: {replies:?}"
    );
    Ok(())
}

#[test]
fn a_detail_names_a_mailbox_if_it_exists() -> anyhow::Result<()> {
    let server = server()?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let replies = lmtp.deliver("x@y.example", &["ana+Archive@example.org"], b"Subject: s\r\n\r\n")?;
    assert!(replies[0].starts_with("250"), "{replies:?}");
    only_message(&server, ANA, "Archive")?;
    lmtp.deliver("x@y.example", &["bo+NoSuchMailbox@example.org"], b"Subject: s\r\n\r\n")?;
    only_message(&server, BO, "INBOX")?;
    Ok(())
}

#[test]
fn two_addresses_of_one_account_get_one_copy() -> anyhow::Result<()> {
    let server = server()?;
    server.ctl(&["account", "alias", "add", ANA, "info@example.org"])?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let replies =
        lmtp.deliver("x@y.example", &[ANA, "info@example.org", "INFO@Example.ORG"], b"Subject: s\r\n\r\n")?;
    assert_eq!(replies.len(), 3);
    assert!(replies.iter().all(|reply| reply.starts_with("250")), "{replies:?}");
    only_message(&server, ANA, "INBOX")?;
    Ok(())
}

#[test]
fn bad_input_is_answered_and_bounded() -> anyhow::Result<()> {
    let server = server()?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    for (line, expected) in [
        ("EHLO x", "500 5.5.1"),
        ("RCPT TO:<a@b.example>", "503 5.5.1"),
        ("MAIL FROM:<x@y.example> SIZE=99999999999", "552 5.3.4"),
        ("MAIL FROM:<jörg@y.example>", "553 5.6.7"),
        ("MAIL FROM:<x@y.example> FOO=1", "555 5.5.4"),
        ("MAIL FROM:<jörg@y.example> SMTPUTF8", "250 2.1.0"),
        ("RCPT TO:<not an address>", "553 5.1.3"),
        ("DATA", "503 5.5.1"),
        ("RSET", "250 2.0.0"),
        ("VRFY ana", "252 "),
        ("STARTTLS", "502 "),
        ("\0\u{7f}", "500 "),
    ] {
        let reply = lmtp.say(line)?;
        assert!(reply.starts_with(expected), "{line}: {reply}");
    }
    let mut long = Lmtp::connect(server.address("lmtp"))?;
    let reply = long.say(&"x".repeat(100_000))?;
    assert!(reply.starts_with("500 5.5.2"), "{reply}");
    let mut noisy = Lmtp::connect(server.address("lmtp"))?;
    let last = (0..100).map_while(|_| noisy.say("WHAT").ok()).last();
    assert!(last.is_some_and(|reply| reply.starts_with("421 4.7.0")), "too many errors end the connection");
    Ok(())
}

/// A list with many unknown members must not cost the good ones their mail.
#[test]
fn refused_recipients_are_no_errors_of_the_client() -> anyhow::Result<()> {
    let (_config, server) = with_config("[lmtp]\nrecipients_max = 2\n")?;
    server.account(ANA, PASSWORD)?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let unknown: Vec<String> = (0..100).map(|at| format!("nobody{at}@example.org")).collect();
    let mut all: Vec<&str> = unknown.iter().map(String::as_str).collect();
    all.extend([ANA, ANA, ANA]);
    let replies = lmtp.deliver("x@y.example", &all, b"Subject: s\r\n\r\n")?;
    assert_eq!(replies.iter().filter(|reply| reply.starts_with("550 5.1.1")).count(), 100);
    assert_eq!(replies.iter().filter(|reply| reply.starts_with("452 4.5.3")).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.starts_with("250 ")).count(), 2);
    only_message(&server, ANA, "INBOX")?;
    Ok(())
}

#[test]
fn messages_over_the_limit_are_read_to_their_end_and_refused() -> anyhow::Result<()> {
    let (_config, server) = with_config("[lmtp]\nmessage_bytes_max = 100000\n")?;
    server.account(ANA, PASSWORD)?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let replies = lmtp.deliver("x@y.example", &[ANA], &vec![b'x'; 3 << 20])?;
    assert!(replies[0].starts_with("552 5.3.4"), "{replies:?}");
    let replies = lmtp.deliver("x@y.example", &[ANA], &[b'x'; 100_000])?;
    assert!(replies[0].starts_with("250"), "exactly what SIZE says: {replies:?}");
    only_message(&server, ANA, "INBOX")?;
    Ok(())
}

/// A host from anywhere with a certificate of the operator's CA may deliver, and nobody else from there.
#[test]
fn a_client_certificate_lets_a_host_deliver_from_anywhere() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let client = Certificate::write(dir.path(), "clients")?;
    let config = format!("[lmtp]\npeers = [\"10.0.0.0/8\"]\nclient_ca = \"{}\"\n", client.ca.display());
    let (_config, server) = with_config(&config)?;
    server.account(ANA, PASSWORD)?;
    for (certificate, expected) in [(None, "530 5.7.0"), (Some(&client), "250 2.1.0")] {
        let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
        assert!(lmtp.say("MAIL FROM:<x@y.example>")?.starts_with("530 5.7.0"), "not before TLS");
        assert!(lmtp.say("STARTTLS")?.starts_with("220 "));
        let mut tls = encrypted(lmtp.into_socket(), &server, certificate)?;
        tls.write_all(b"LHLO test.example\r\nMAIL FROM:<x@y.example>\r\nQUIT\r\n")?;
        let mut said = String::new();
        std::io::Read::read_to_string(&mut tls, &mut said)?;
        assert!(!said.contains("250-STARTTLS"), "TLS is on: {said}");
        assert!(said.contains(&format!("\r\n{expected}")), "{expected}: {said}");
    }
    Ok(())
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

fn encrypted(socket: TcpStream, server: &Server, certificate: Option<&Certificate>) -> anyhow::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.ca())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(it) => {
            let chain = vec![CertificateDer::from_pem_file(&it.certificate)?];
            config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&it.key)?)?
        }
    };
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    Ok(StreamOwned::new(connection, socket))
}

#[test]
fn hosts_that_may_not_deliver_are_turned_away() -> anyhow::Result<()> {
    let (_config, server) = with_config("[lmtp]\npeers = [\"10.0.0.0/8\"]\n")?;
    let refused = Lmtp::connect(server.address("lmtp")).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|it| it.contains("no greeting")), "554 instead of 220");
    Ok(())
}
