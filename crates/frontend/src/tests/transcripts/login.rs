//! Greeting, capabilities, logging in and out.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use buzon_model::command::ShardCommand;
use buzon_model::row::{AccountState, Quota};
use buzon_types::secret::Secret;

use super::super::harness::{ADDRESS, Server};
use crate::imap::Security;
use crate::options::ImapOptions;

#[tokio::test]
async fn a_first_session() {
    let server = Server::start();
    let mut line = server.connect();
    let greeting = line.read().await;
    assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev2 IMAP4rev1 ") && greeting.contains("AUTH=PLAIN"));
    for word in
        ["Dovecot", "Cyrus", "Courier", "Exchange", "Gmail", "UW-IMAP", "Domino", "hMailServer", "Yandex"]
    {
        assert!(!greeting.contains(word), "clients choose quirks by {word}");
    }
    line.send(&format!("a1 LOGIN {ADDRESS} secret")).await;
    let answer = line.read().await;
    assert!(answer.starts_with("a1 OK [CAPABILITY ") && answer.contains(" CONDSTORE "), "{answer}");
    line.send("a2 CAPABILITY").await;
    assert!(line.read().await.starts_with("* CAPABILITY "));
    assert_eq!(line.read().await, "a2 OK Done");
    line.send("").await; // empty lines are passed over
    line.send("a3  NOOP").await; // and spaces too many
    assert_eq!(line.read().await, "a3 OK Done");
    line.send("a4 ID (\"name\" \"x\")").await;
    assert!(line.read().await.starts_with("* ID (\"name\" \"Buzon\" "));
    assert_eq!(line.read().await, "a4 OK Done");
    line.send("a5 LOGOUT").await;
    assert_eq!(line.read().await, "* BYE Until next time");
    assert_eq!(line.read().await, "a5 OK Logged out");
    assert_eq!(line.read().await, "", "the connection ends");
}

#[tokio::test]
async fn wrong_passwords_and_unknown_people_get_the_same_answer() {
    let server = Server::start();
    let mut line = server.connect();
    line.read().await;
    let answer = "NO [AUTHENTICATIONFAILED] Address or password is wrong";
    for (at, who) in [format!("{ADDRESS} wrong"), "nobody@example.com secret".to_owned(), "x y".to_owned()]
        .into_iter()
        .enumerate()
    {
        line.send(&format!("a{at} LOGIN {who}")).await;
        assert_eq!(line.read().await, format!("a{at} {answer}"));
    }
    line.send(&format!("b LOGIN {ADDRESS} secret")).await;
    assert!(line.read().await.starts_with("b OK "));
}

#[tokio::test]
async fn authenticate_takes_plain_and_login() {
    let server = Server::start();
    // "\0ana@example.com\0secret"
    let plain = "AGFuYUBleGFtcGxlLmNvbQBzZWNyZXQ=";
    let mut line = server.connect();
    line.read().await;
    line.send("a1 AUTHENTICATE PLAIN").await;
    assert_eq!(line.read().await, "+ ");
    line.send("*").await;
    assert!(line.read().await.starts_with("a1 BAD "));
    line.send(&format!("a2 AUTHENTICATE PLAIN {plain}")).await;
    assert!(line.read().await.starts_with("a2 OK [CAPABILITY "));
    let mut line = server.connect();
    line.read().await;
    line.send("a1 AUTHENTICATE LOGIN").await;
    assert_eq!(line.read().await, "+ VXNlcm5hbWU6");
    line.send("YW5hQGV4YW1wbGUuY29t").await;
    assert_eq!(line.read().await, "+ UGFzc3dvcmQ6");
    line.send("c2VjcmV0").await;
    assert!(line.read().await.starts_with("a1 OK "));
}

#[tokio::test]
async fn no_password_in_the_clear_from_afar() {
    let server = Server::start();
    let mut line = server.connect_from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), Security::Plaintext);
    assert!(line.read().await.contains(" LOGINDISABLED]"));
    line.send(&format!("a1 LOGIN {ADDRESS} secret")).await;
    assert!(line.read().await.starts_with("a1 NO [PRIVACYREQUIRED] "));
    line.send("a2 AUTHENTICATE PLAIN AGE=").await;
    assert!(line.read().await.starts_with("a2 NO [PRIVACYREQUIRED] "));
}

#[tokio::test]
async fn a_changed_password_or_a_suspended_account_ends_sessions() {
    let server = Server::start();
    let account = server.account;
    let mut line = server.log_in().await;
    assert_eq!(line.command("a", "NOOP").await, ["a OK Done"]);
    let credential = Some(Secret::new("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAA".to_owned()));
    server.meta.apply(ShardCommand::SetCredential { account, credential }).1.unwrap();
    assert!(line.read().await.starts_with("* BYE "));
    assert_eq!(line.read().await, "");
    let mut line = server.connect();
    line.read().await;
    line.send(&format!("a1 LOGIN {ADDRESS} secret")).await;
    assert!(line.read().await.starts_with("a1 NO [AUTHENTICATIONFAILED] "), "the old check is forgotten");
}

#[tokio::test]
async fn suspended_people_cannot_log_in() {
    let server = Server::start();
    let state = AccountState::Suspended;
    server.meta.apply(ShardCommand::SetAccountState { account: server.account, state }).1.unwrap();
    let mut line = server.connect();
    line.read().await;
    line.send(&format!("a1 LOGIN {ADDRESS} secret")).await;
    assert!(line.read().await.starts_with("a1 NO [CONTACTADMIN] "));
}

#[tokio::test]
async fn draining_says_goodbye() {
    let server = Server::start();
    let mut line = server.log_in().await;
    server.drain.cancel();
    assert!(line.read().await.starts_with("* BYE "));
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_let_go() {
    let options = ImapOptions { login_timeout: Duration::from_secs(5), ..ImapOptions::default() };
    let server = Server::with(options, Quota::default());
    let mut line = server.connect();
    line.read().await;
    assert!(line.read().await.starts_with("* BYE "));
}

#[tokio::test]
async fn a_client_that_sends_only_nonsense_is_let_go() {
    let server = Server::start();
    let mut line = server.connect();
    line.read().await;
    for _ in 0..11 {
        line.send("a1 NONSENSE").await;
        assert!(line.read().await.starts_with("a1 BAD "));
    }
    assert!(line.read().await.starts_with("* BYE "));
}

/// Whether the answer to FETCH is being written while it is made, or after it.
#[tokio::test(start_paused = true)]
async fn a_changed_password_ends_sessions_whose_client_takes_nothing() {
    for bytes in [50_000, 300_000] {
        let server = Server::start();
        let account = server.account;
        let mut line = server.log_in().await;
        line.command("a", &format!("APPEND INBOX {{{bytes}+}}\r\n{}", "x".repeat(bytes))).await;
        line.command("b", "EXAMINE INBOX").await;
        // The pipe takes 64 KiB and the client nothing at all.
        line.send("c FETCH 1 BODY.PEEK[]").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        line.send("d FETCH 1 BODY.PEEK[]").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let credential = Some(Secret::new("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAA".to_owned()));
        server.meta.apply_in_a_gap(account, ShardCommand::SetCredential { account, credential });
        tokio::time::sleep(Duration::from_secs(5)).await;
        let rest = line.rest().await;
        assert!(rest.len() <= 64 * 1024, "the session went on after {bytes}: {}", rest.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_command_is_no_silence() {
    let server = Server::start();
    let mut line = server.log_in().await;
    let message = "x".repeat(700_000);
    line.command("a", &format!("APPEND INBOX {{{}+}}\r\n{message}", message.len())).await;
    line.command("b", "EXAMINE INBOX").await;
    line.send("c FETCH 1 BODY.PEEK[]").await;
    // Each time a little is taken the writing goes on: an hour in all.
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        line.read_exact(10_000).await;
    }
    line.read_exact(100_000).await;
    line.until_tagged("c").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(line.command("d", "NOOP").await, ["d OK Done"]);
}
