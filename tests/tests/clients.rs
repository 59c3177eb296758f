//! Mail clients and an MTA that nobody here wrote, against the real binary: over TLS with its own CA.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::server::{Server, Start};

#[path = "clients/mbsync.rs"]
mod mbsync;
#[path = "clients/postfix.rs"]
mod postfix;

const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";

/// Runs a client; it may take a minute.
fn run(command: &mut Command) -> anyhow::Result<Output> {
    let line = format!("{command:?}");
    let mut timed = Command::new("timeout");
    timed.args(["--kill-after=5", "120"]).arg(command.get_program()).args(command.get_args());
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        timed.current_dir(dir);
    }
    let output =
        timed.output().with_context(|| format!("start {line}: run `cargo xtask test`, which installs it"))?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{line}: {}\n{said}", output.status);
    Ok(output)
}

fn server_with_mail(subjects: &[&str]) -> anyhow::Result<Server> {
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    for subject in subjects {
        let message = format!("From: bo@example.net\r\nTo: {USER}\r\nSubject: {subject}\r\n\r\nhello\r\n");
        let replies = lmtp.deliver("bo@example.net", &[USER], message.as_bytes())?;
        ensure!(replies == ["250 2.1.5 Delivered"], "{replies:?}");
    }
    Ok(server)
}

fn url(server: &Server, path: &str) -> String {
    format!("imaps://localhost:{}/{path}", server.address("imaps").port())
}

fn curl(server: &Server, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--user", &format!("{USER}:{PASSWORD}"), "--cacert"])
        .arg(server.ca());
    Ok(String::from_utf8(run(command.args(arguments))?.stdout)?)
}

#[test]
fn curl_lists_searches_fetches_and_appends() -> anyhow::Result<()> {
    let server = server_with_mail(&["seed 1", "seed 2"])?;
    assert!(curl(&server, &[&url(&server, "")])?.contains("\"/\" \"INBOX\""));
    assert!(curl(&server, &[&url(&server, "INBOX;UID=2")])?.contains("Subject: seed 2\r\n"));
    assert_eq!(curl(&server, &[&url(&server, "INBOX?SUBJECT%20%22seed%202%22")])?.trim(), "* SEARCH 2");
    let file = server.scratch().join("up.eml");
    std::fs::write(&file, "Subject: by curl\r\n\r\nx\r\n")?;
    curl(&server, &["-T", file.to_str().context("path")?, &url(&server, "INBOX")])?;
    assert_eq!(curl(&server, &[&url(&server, "INBOX?SUBJECT%20%22by%20curl%22")])?.trim(), "* SEARCH 3");
    let starttls = format!("imap://localhost:{}/", server.address("imap").port());
    assert!(curl(&server, &["--ssl-reqd", &starttls])?.contains("INBOX"));
    Ok(())
}

const IMAPLIB: &str = r#"
import imaplib, ssl, sys
port, ca, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
c = imaplib.IMAP4_SSL('localhost', port, ssl_context=ssl.create_default_context(cafile=ca))
ok = lambda answer: answer[1] if answer[0] == 'OK' else sys.exit(f'{answer}')
ok(c.login(user, password))
ok(c.create('"Projects/K&AOQ-se"'))
assert any(b'K&AOQ-se' in row for row in ok(c.list())), 'LIST'
assert ok(c.select('INBOX')) == [b'2']
typ, data = c.append('INBOX', r'(\Flagged $Work)', imaplib.Time2Internaldate(1000000000), b'Subject: three\r\n\r\n\x80 body\r\n')
assert typ == 'OK' and b'APPENDUID' in data[0], data
assert ok(c.search(None, 'FLAGGED', 'KEYWORD', '$Work')) == [b'3']
assert ok(c.fetch('3', '(BODY[] FLAGS INTERNALDATE)'))[0][1] == b'Subject: three\r\n\r\n\x80 body\r\n'
assert imaplib.Internaldate2tuple(ok(c.fetch('3', '(INTERNALDATE)'))[0]) is not None
ok(c.uid('MOVE', '1', '"Projects/K&AOQ-se"'))
assert ok(c.search(None, 'ALL')) == [b'1 2']
ok(c.store('1', '+FLAGS', r'(\Deleted)'))
assert ok(c.expunge())[-1] == b'1'
assert ok(c.status('"Projects/K&AOQ-se"', '(MESSAGES UIDNEXT)'))[0].endswith(b'(MESSAGES 1 UIDNEXT 2)')
ok(c.rename('"Projects/K&AOQ-se"', 'Done'))
ok(c.close()); ok(c.delete('Done')); c.logout()
print('all good')
"#;

#[test]
fn python_imaplib_does_what_scripts_do() -> anyhow::Result<()> {
    let server = server_with_mail(&["one", "two"])?;
    let port = server.address("imaps").port().to_string();
    let mut command = Command::new("python3");
    let output = run(command.args(["-c", IMAPLIB, &port]).arg(server.ca()).args([USER, PASSWORD]))?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), "all good");
    Ok(())
}

#[test]
fn neomutt_copies_and_flags() -> anyhow::Result<()> {
    let server = server_with_mail(&["seed 1", "seed 2", "other"])?;
    let (home, port) = (server.scratch(), server.address("imaps").port());
    let muttrc = format!(
        "set folder=\"imaps://localhost:{port}/\" imap_user=\"{USER}\" imap_pass=\"{PASSWORD}\"\n\
         set ssl_force_tls=yes certificate_file={} ssl_verify_host=yes ssl_usesystemcerts=no\n\
         set spoolfile=\"+INBOX\" header_cache= record= postponed=\"+Drafts\" confirmappend=no delete=yes quit=yes\n\
         set copy=no move=no imap_check_subscribed=yes imap_idle=no sleep_time=0 wait_key=no\n",
        server.ca().display()
    );
    std::fs::write(home.join("muttrc"), muttrc)?;
    let keys = "<tag-pattern>~s seed\\n<tag-prefix><copy-message>+Trash\\n<flag-message><sync-mailbox><quit>";
    let session = format!("neomutt -n -F muttrc -e 'push \"{keys}\"'");
    let mut command = Command::new("script");
    run(command
        .args(["-qec", &session, "/dev/null"])
        .env("TERM", "xterm")
        .env("HOME", home)
        .current_dir(home))?;
    let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
    let trash = imap.ok("STATUS Trash (MESSAGES)")?;
    assert!(trash.untagged[0].text.contains("MESSAGES 2"), "{trash:?}");
    imap.ok("SELECT INBOX")?;
    let flagged = imap.ok("SEARCH FLAGGED")?;
    assert!(
        flagged.untagged.iter().any(|it| it.text.starts_with("SEARCH ") && it.text.len() > 7),
        "{flagged:?}"
    );
    Ok(())
}
