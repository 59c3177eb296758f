//! `buzon ctl` and what it does to sessions and deliveries: accounts, quota, suspension, passwords, tenants.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use buzon_tests::imap::Imap;
use buzon_tests::lmtp::Lmtp;
use buzon_tests::server::{Server, Start};
use serde_json::{Value, json};

#[path = "admin/access.rs"]
mod access;
#[path = "admin/configuration.rs"]
mod configuration;

const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";
/// Open sessions end within this (DESIGN D12).
const SESSIONS_END_MAX: Duration = Duration::from_secs(5);
const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nhello\r\n";

fn server() -> anyhow::Result<Server> {
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    Ok(server)
}

fn login(server: &Server, user: &str, password: &str) -> anyhow::Result<Imap> {
    Imap::login(server.address("imaps"), &server.ca(), user, password)
}

fn deliver(server: &Server, to: &str, message: &[u8]) -> anyhow::Result<String> {
    let replies = Lmtp::connect(server.address("lmtp"))?.deliver("bo@example.net", &[to], message)?;
    Ok(replies.first().context("a reply")?.clone())
}

fn messages(imap: &mut Imap, mailbox: &str) -> anyhow::Result<u64> {
    Ok(imap.ok(&format!("STATUS {mailbox} (MESSAGES)"))?.status_items()?["MESSAGES"])
}

/// Exit code and what was said on standard error.
fn refused(server: &Server, arguments: &[&str], input: &str) -> anyhow::Result<(i32, String)> {
    let output = server.ctl_output(arguments, input)?;
    Ok((output.status.code().context("an exit code")?, String::from_utf8(output.stderr)?))
}

fn column<'a>(rows: &'a Value, name: &str) -> Vec<&'a str> {
    rows.as_array().into_iter().flatten().filter_map(|row| row[name].as_str()).collect()
}

#[test]
fn tenants_domains_accounts_and_aliases_come_are_listed_and_go() -> anyhow::Result<()> {
    let server = Server::start(Start::default())?;
    assert_eq!(server.ctl(&["tenant", "create", "acme", "--accounts-max", "2"])?["name"], "acme");
    server.ctl(&["domain", "add", "acme", "acme.example"])?;
    let made =
        server.ctl_with(&["account", "create", "Bo@ACME.example", "--quota", "5GiB"], "secret word")?;
    assert_eq!(made["address"], "bo@acme.example");
    assert_eq!(
        (&made["tenant"], &made["status"], &made["bytes_max"]),
        (&json!("acme"), &json!("active"), &json!(5_u64 << 30))
    );
    server.ctl(&["account", "alias", "add", "bo@acme.example", "info@acme.example"])?;
    assert_eq!(
        server.ctl(&["account", "alias", "list", "bo@acme.example"])?,
        json!([{"alias": "info@acme.example"}])
    );
    ensure!(deliver(&server, "info@acme.example", MESSAGE)?.starts_with("250 "), "to the alias");
    let shown = server.ctl(&["account", "show", "bo@acme.example"])?;
    assert_eq!((&shown["messages"], &shown["aliases"]), (&json!(1), &json!(["info@acme.example"])));
    let mailboxes = server.ctl(&["mailbox", "list", "bo@acme.example"])?;
    let mut names = column(&mailboxes, "name");
    names.sort_unstable();
    assert_eq!(names, ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]);
    assert_eq!(column(&server.ctl(&["tenant", "list"])?, "name"), ["acme"]);
    assert_eq!(column(&server.ctl(&["domain", "list", "acme"])?, "domain"), ["acme.example"]);
    assert_eq!(column(&server.ctl(&["account", "list"])?, "address"), ["bo@acme.example"]);
    let groups = server.ctl(&["status"])?;
    assert_eq!(column(&groups, "kind"), ["directory", "shard"]);

    server.ctl_with(&["account", "create", "cy@acme.example"], "secret word")?;
    let (code, said) = refused(&server, &["account", "create", "di@acme.example"], "secret word")?;
    ensure!(code == 4 && !said.is_empty(), "more accounts than the tenant may have: {code} {said}");
    server.ctl(&["account", "alias", "remove", "info@acme.example"])?;
    ensure!(
        deliver(&server, "info@acme.example", MESSAGE)?.starts_with("550 5.1.1"),
        "to an alias that was removed"
    );
    for address in ["bo@acme.example", "cy@acme.example"] {
        server.ctl(&["account", "delete", address, "--yes"])?;
    }
    server.ctl(&["domain", "remove", "acme", "acme.example"])?;
    server.ctl(&["tenant", "delete", "acme"])?;
    assert_eq!(server.ctl(&["tenant", "list"])?, json!([]));
    Ok(())
}

#[test]
fn exit_codes_tell_what_is_wrong() -> anyhow::Result<()> {
    let mut server = server()?;
    let cases: [(&[&str], i32, &str); 8] = [
        (&["account", "show", "nobody@example.org"], 3, "nobody@example.org"),
        (&["tenant", "show", "nobody"], 3, "nobody"),
        (&["tenant", "create", "test"], 4, "test"),
        (&["account", "create", USER], 4, USER),
        (&["domain", "remove", "test", "example.org"], 4, "example.org"),
        (&["tenant", "delete", "test"], 4, "test"),
        (&["account", "create", "x@unknown.example"], 3, "unknown.example"),
        (&["account", "nonsense"], 2, "nonsense"),
    ];
    let mut wrong = Vec::new();
    for (arguments, expected, named) in cases {
        let (code, said) = refused(&server, arguments, PASSWORD)?;
        if code != expected || !said.contains(named) {
            wrong.push(format!("{arguments:?}: {code}, expected {expected}: {said}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(refused(&server, &["account", "delete", USER], "")?.0 == 1, "delete without --yes");
    server.kill();
    assert_eq!(refused(&server, &["status"], "")?.0, 5, "nobody is there");
    Ok(())
}

#[test]
fn a_deleted_account_is_gone_and_a_new_one_of_that_name_is_empty() -> anyhow::Result<()> {
    let server = server()?;
    ensure!(deliver(&server, USER, MESSAGE)?.starts_with("250 "));
    let mut imap = login(&server, USER, PASSWORD)?;
    imap.ok("SELECT INBOX")?;
    server.ctl(&["account", "delete", USER, "--yes"])?;
    ensure!(login(&server, USER, PASSWORD).is_err(), "it logs in");
    ensure!(deliver(&server, USER, MESSAGE)?.starts_with("550 5.1.1"), "mail comes in");
    let began = Instant::now();
    ends(imap, began)?;
    server.account(USER, "another word")?;
    assert_eq!(messages(&mut login(&server, USER, "another word")?, "INBOX")?, 0);
    Ok(())
}

/// A session ends within the bound. It is not asked anything: the server ends it.
fn ends(mut imap: Imap, began: Instant) -> anyhow::Result<()> {
    imap.set_silence_max(SESSIONS_END_MAX.saturating_sub(began.elapsed()).max(Duration::from_millis(1)))?;
    let mut last = String::new();
    while let Ok(response) = imap.response() {
        last = response.text;
    }
    ensure!(last.starts_with("* BYE"), "no BYE within {SESSIONS_END_MAX:?}; last: {last:?}");
    Ok(())
}

#[test]
fn over_quota_is_refused_over_lmtp_and_imap_and_more_quota_lets_it_in() -> anyhow::Result<()> {
    let server = server()?;
    let message = format!("Subject: big\r\n\r\n{}\r\n", "x".repeat(6000));
    server.ctl(&["account", "quota", USER, "--bytes", "10000"])?;
    ensure!(deliver(&server, USER, message.as_bytes())?.starts_with("250 "), "the first fits");
    let reply = deliver(&server, USER, message.as_bytes())?;
    ensure!(reply.starts_with("552 5.2.2"), "over quota: {reply}");
    let mut imap = login(&server, USER, PASSWORD)?;
    let answer = imap.append("INBOX", "()", message.as_bytes())?;
    ensure!(answer.status.starts_with("NO [OVERQUOTA]"), "APPEND: {}", answer.status);
    imap.ok("SELECT INBOX")?;
    let answer = imap.command("COPY 1 Archive")?;
    ensure!(answer.status.starts_with("NO [OVERQUOTA]"), "COPY: {}", answer.status);
    ensure!(imap.command("MOVE 1 Archive")?.is_ok(), "MOVE needs no room");
    server.ctl(&["account", "quota", USER, "--messages", "2"])?;
    ensure!(imap.append("INBOX", "()", message.as_bytes())?.is_ok(), "more quota");
    ensure!(deliver(&server, USER, MESSAGE)?.starts_with("552 5.2.2"), "too many messages");
    server.ctl(&["account", "quota", USER])?;
    ensure!(deliver(&server, USER, MESSAGE)?.starts_with("250 "), "no limits");
    Ok(())
}

#[test]
fn details_go_to_their_mailbox_and_unknown_recipients_are_refused() -> anyhow::Result<()> {
    let server = server()?;
    let mut imap = login(&server, USER, PASSWORD)?;
    imap.ok("CREATE Lists")?;
    ensure!(deliver(&server, "ana+Lists@example.org", MESSAGE)?.starts_with("250 "));
    ensure!(deliver(&server, "ana+nosuch@example.org", MESSAGE)?.starts_with("250 "));
    assert_eq!((messages(&mut imap, "Lists")?, messages(&mut imap, "INBOX")?), (1, 1));
    for unknown in ["nobody@example.org", "ana@elsewhere.example", "nobody+Lists@example.org"] {
        let reply = deliver(&server, unknown, MESSAGE)?;
        ensure!(reply.starts_with("550 5.1.1"), "{unknown}: {reply}");
    }
    let mut lmtp = Lmtp::connect(server.address("lmtp"))?;
    let replies = lmtp.deliver("bo@example.net", &["nobody@example.org", USER], MESSAGE)?;
    ensure!(replies[0].starts_with("550 5.1.1") && replies[1].starts_with("250 "), "{replies:?}");
    assert_eq!(messages(&mut imap, "INBOX")?, 2);
    Ok(())
}
