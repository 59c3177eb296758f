//! What one session hears of another (RFC 9051 §7.5, DESIGN D13).

use std::time::Duration;

use buzon_model::row::Quota;

use super::super::harness::{Line, Server};
use crate::options::ImapOptions;

async fn append(line: &mut Line) {
    line.send("p APPEND INBOX {1+}\r\nx").await;
    loop {
        let answer = line.read().await;
        if answer.starts_with("p ") {
            assert!(answer.starts_with("p OK"), "{answer}");
            return;
        }
    }
}

/// Two sessions on INBOX with three messages.
async fn two(server: &Server) -> (Line, Line) {
    let (mut one, mut two) = (server.log_in().await, server.log_in().await);
    for _ in 0..3 {
        append(&mut one).await;
    }
    one.command("s", "SELECT INBOX").await;
    two.command("s", "SELECT INBOX").await;
    (one, two)
}

#[tokio::test]
async fn arrivals_flags_and_expunges_reach_the_other_session() {
    let server = Server::start();
    let (mut one, mut two) = two(&server).await;
    append(&mut one).await;
    assert_eq!(two.command("a", "NOOP").await, ["* 4 EXISTS", "* 0 RECENT", "a OK Done"]);
    one.command("a", "STORE 2 +FLAGS (\\Flagged Work)").await;
    let news = two.command("b", "NOOP").await;
    assert_eq!(news[0], "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)");
    assert_eq!(news[1..], ["* 2 FETCH (UID 2 FLAGS (\\Flagged Work))", "b OK Done"]);
    one.command("b", "STORE 1,3 +FLAGS.SILENT (\\Deleted)").await;
    one.command("c", "EXPUNGE").await;
    assert_eq!(two.command("c", "NOOP").await, ["* 3 EXPUNGE", "* 1 EXPUNGE", "c OK Done"]);
    assert_eq!(
        two.command("d", "FETCH 1:* UID").await,
        ["* 1 FETCH (UID 2)", "* 2 FETCH (UID 4)", "d OK Done"]
    );
}

#[tokio::test]
async fn expunge_waits_while_commands_use_numbers_and_the_message_can_still_be_read() {
    let server = Server::start();
    let (mut one, mut two) = two(&server).await;
    one.command("a", "STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    one.command("b", "EXPUNGE").await;
    append(&mut one).await;
    // The feed reaches the other session on its own; a command by UID is sure to have heard it.
    let fetched = two.command("a", "FETCH 1 (UID BODY.PEEK[])").await;
    assert!(fetched[0].starts_with("* 1 FETCH (UID 1 BODY[] {1}"), "{fetched:?}");
    let searched = two.command("b", "SEARCH ALL").await;
    assert!(!searched.iter().any(|line| line.contains("EXPUNGE")), "{searched:?}");
    let stored = two.command("c", "STORE 1 +FLAGS (\\Seen)").await;
    assert!(stored.last().unwrap().starts_with("c NO [EXPUNGEISSUED]"), "{stored:?}");
    assert!(!stored.iter().any(|line| line.contains("EXPUNGE\r")), "{stored:?}");
    let news = two.command("d", "NOOP").await;
    assert!(news.contains(&"* 1 EXPUNGE".to_owned()), "{news:?}");
}

#[tokio::test]
async fn own_changes_are_told_unless_silence_was_asked() {
    let server = Server::start();
    let (mut one, _two) = two(&server).await;
    assert_eq!(one.command("a", "STORE 1 +FLAGS.SILENT (\\Seen)").await, ["a OK Done"]);
    let told = one.command("b", "STORE 1:2 +FLAGS (\\Seen)").await;
    assert_eq!(told.len(), 3, "the one that has it already is told too: {told:?}");
    assert_eq!(one.command("c", "NOOP").await, ["c OK Done"]);
}

#[tokio::test]
async fn idle_hears_news_as_they_come() {
    let server = Server::start();
    let (mut one, mut two) = two(&server).await;
    two.send("i IDLE").await;
    assert_eq!(two.read().await, "+ idling");
    append(&mut server.log_in().await).await;
    assert_eq!((two.read().await, two.read().await), ("* 4 EXISTS".into(), "* 1 RECENT".into()));
    one.command("n", "NOOP").await;
    one.command("a", "STORE 4 +FLAGS (\\Deleted)").await;
    assert_eq!(two.read().await, "* 4 FETCH (UID 4 FLAGS (\\Deleted \\Recent))");
    one.command("b", "EXPUNGE").await;
    assert_eq!((two.read().await, two.read().await), ("* 4 EXPUNGE".into(), "* 0 RECENT".into()));
    two.send("DONE\r\nn NOOP").await;
    assert_eq!(two.read().await, "i OK Done");
    assert_eq!(two.read().await, "n OK Done");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_alive() {
    let options = ImapOptions { idle_keepalive: Duration::from_secs(120), ..ImapOptions::default() };
    let server = Server::with(options, Quota::default());
    let mut line = server.log_in().await;
    line.send("i IDLE").await;
    assert_eq!(line.read().await, "+ idling");
    // Time stands still unless everybody waits; then it jumps.
    let heard = tokio::time::timeout(Duration::from_secs(600), async {
        loop {
            let mut next = Box::pin(line.read_patiently());
            let text = (&mut next).await;
            if text == "* OK Still here" {
                return;
            }
        }
    });
    heard.await.unwrap();
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let server = Server::start();
    let mut line = server.log_in().await;
    line.send("a SELECT INBOX\r\nb NOOP\r\nc FETCH 1:* FLAGS\r\nd IDLE\r\nDONE\r\ne LOGOUT").await;
    let mut tagged = Vec::new();
    loop {
        let answer = line.read().await;
        if answer.is_empty() {
            break;
        }
        if !answer.starts_with(['*', '+']) {
            tagged.push(answer.chars().next().unwrap());
        }
    }
    assert_eq!(tagged, ['a', 'b', 'c', 'd', 'e']);
}
