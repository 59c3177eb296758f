//! `\Recent` (RFC 3501 §2.3.2): each message is recent in the first session that is told of it, and nowhere else.

use super::super::harness::{Line, Server};

/// Mail from somebody who has nothing open.
struct Postman(Line);

impl Postman {
    async fn new(server: &Server) -> Self {
        Self(server.log_in().await)
    }

    async fn bring(&mut self) {
        self.0.send("p APPEND INBOX {1+}\r\nx").await;
        let answer = self.0.read().await;
        assert!(answer.starts_with("p OK"), "{answer}");
    }
}

async fn select(server: &Server) -> Line {
    let mut line = server.log_in().await;
    line.command("s", "SELECT INBOX").await;
    line
}

async fn idle(line: &mut Line) {
    line.send("i IDLE").await;
    assert_eq!(line.read().await, "+ idling");
}

#[tokio::test]
async fn the_first_session_that_is_told_has_it_and_all_answers_agree() {
    let server = Server::start();
    let (mut one, mut two) = (select(&server).await, select(&server).await);
    let mut postman = Postman::new(&server).await;
    postman.bring().await;
    let status = "STATUS INBOX (MESSAGES RECENT)";
    assert_eq!(postman.0.command("a", status).await[0], "* STATUS \"INBOX\" (MESSAGES 1 RECENT 1)");
    assert_eq!(one.command("a", "NOOP").await, ["* 1 EXISTS", "* 1 RECENT", "a OK Done"]);
    assert_eq!(two.command("a", "NOOP").await, ["* 1 EXISTS", "* 0 RECENT", "a OK Done"]);
    postman.bring().await;
    assert_eq!(two.command("b", "NOOP").await, ["* 2 EXISTS", "* 1 RECENT", "b OK Done"]);
    assert_eq!(one.command("b", "NOOP").await, ["* 2 EXISTS", "* 1 RECENT", "b OK Done"]);
    let mut three = server.log_in().await;
    assert!(three.command("s", "SELECT INBOX").await.contains(&"* 0 RECENT".to_owned()));
    one.command("c", "STORE 1 +FLAGS.SILENT (\\Seen)").await;
    two.command("c", "NOOP").await;
    for (line, recent, old, flags) in
        [(&mut one, "1", "2", [" \\Recent", ""]), (&mut two, "2", "1", ["", "\\Recent"])]
    {
        let told = line.command("d", "FETCH 1:2 FLAGS").await;
        assert_eq!(told[0], format!("* 1 FETCH (FLAGS (\\Seen{}))", flags[0]));
        assert_eq!(told[1], format!("* 2 FETCH (FLAGS ({}))", flags[1]));
        assert_eq!(line.command("e", "SEARCH RECENT").await[0], format!("* SEARCH {recent}"));
        assert_eq!(line.command("f", "SEARCH OLD").await[0], format!("* SEARCH {old}"));
        let new = if recent == "2" { "* SEARCH 2" } else { "* SEARCH" };
        assert_eq!(line.command("g", "SEARCH NEW").await[0], new);
        assert_eq!(line.command("h", status).await[0], "* STATUS \"INBOX\" (MESSAGES 2 RECENT 1)");
    }
    assert_eq!(postman.0.command("b", status).await[0], "* STATUS \"INBOX\" (MESSAGES 2 RECENT 0)");
}

#[tokio::test]
async fn what_a_session_appends_to_its_own_mailbox_is_recent_there() {
    let server = Server::start();
    let (mut one, mut two) = (select(&server).await, select(&server).await);
    one.send("a APPEND INBOX {1+}\r\nx").await;
    let told = one.until_tagged("a").await;
    assert_eq!(told[..2], ["* 1 EXISTS", "* 1 RECENT"]);
    assert_eq!(one.command("b", "FETCH 1 FLAGS").await[0], "* 1 FETCH (FLAGS (\\Recent))");
    assert_eq!(two.command("a", "NOOP").await[..2], ["* 1 EXISTS", "* 0 RECENT"]);
}

#[tokio::test]
async fn one_entry_claims_all_that_is_told_at_once_and_none_is_made_for_nothing() {
    let server = Server::start();
    let mut one = select(&server).await;
    let mut postman = Postman::new(&server).await;
    for _ in 0..3 {
        postman.bring().await;
    }
    let entries = server.meta.entries();
    assert_eq!(one.command("a", "NOOP").await, ["* 3 EXISTS", "* 3 RECENT", "a OK Done"]);
    assert_eq!(server.meta.entries(), entries + 1);
    for text in ["NOOP", "FETCH 1:* FLAGS", "SEARCH RECENT", "CHECK", "STATUS INBOX (RECENT)"] {
        one.command("b", text).await;
    }
    // What another claimed is not claimed again, nor by the next that opens it.
    let mut two = select(&server).await;
    two.command("a", "NOOP").await;
    assert_eq!(server.meta.entries(), entries + 1);
}

#[tokio::test]
async fn examine_looks_at_what_is_recent_and_takes_nothing() {
    let server = Server::start();
    let mut looking = server.log_in().await;
    looking.command("s", "EXAMINE INBOX").await;
    let mut postman = Postman::new(&server).await;
    postman.bring().await;
    let entries = server.meta.entries();
    assert_eq!(looking.command("a", "NOOP").await[..2], ["* 1 EXISTS", "* 1 RECENT"]);
    assert_eq!(looking.command("b", "FETCH 1 FLAGS").await[0], "* 1 FETCH (FLAGS (\\Recent))");
    idle(&mut looking).await;
    postman.bring().await;
    assert_eq!((looking.read().await, looking.read().await), ("* 2 EXISTS".into(), "* 2 RECENT".into()));
    assert_eq!(server.meta.entries(), entries + 1, "the message itself");
    let mut one = server.log_in().await;
    assert!(one.command("s", "SELECT INBOX").await.contains(&"* 2 RECENT".to_owned()));
    postman.bring().await;
    one.command("a", "NOOP").await;
    looking.send("DONE").await;
    looking.until_tagged("i").await;
    assert_eq!(looking.command("c", "SEARCH RECENT").await[0].split(' ').nth(2), Some("1"));
}

#[tokio::test]
async fn imap4rev2_knows_nothing_of_it_and_leaves_it_to_others() {
    let server = Server::start();
    let mut new = server.log_in().await;
    new.command("e", "ENABLE IMAP4rev2").await;
    new.command("s", "SELECT INBOX").await;
    let mut postman = Postman::new(&server).await;
    postman.bring().await;
    let entries = server.meta.entries();
    assert_eq!(new.command("a", "NOOP").await, ["* 1 EXISTS", "a OK Done"]);
    assert_eq!(new.command("b", "FETCH 1 FLAGS").await[0], "* 1 FETCH (FLAGS ())");
    idle(&mut new).await;
    postman.bring().await;
    assert_eq!(new.read().await, "* 2 EXISTS");
    assert_eq!(server.meta.entries(), entries + 1, "the message itself");
    let mut old = server.log_in().await;
    assert!(old.command("s", "SELECT INBOX").await.contains(&"* 2 RECENT".to_owned()));
}

/// Sessions of one process share a claim; those of another make their own, and the log decides.
#[tokio::test]
async fn of_many_that_are_told_at_the_same_time_one_has_it() {
    let server = Server::start();
    let beside = server.beside();
    let mut postman = Postman::new(&server).await;
    let mut lines = Vec::new();
    for at in 0..6 {
        let mut line = select(if at % 2 == 0 { &server } else { &beside }).await;
        idle(&mut line).await;
        lines.push(line);
    }
    for round in 1..=3 {
        server.meta.claims(|claims| claims.held = true);
        let begun = server.meta.claims(|claims| claims.begun);
        postman.bring().await;
        server.meta.claims_begun(begun + 2).await;
        let entries = server.meta.entries();
        server.meta.claims(|claims| claims.held = false);
        let mut recent = 0;
        for line in &mut lines {
            assert_eq!(line.read().await, format!("* {round} EXISTS"));
            let told = line.read().await;
            recent += told
                .strip_prefix("* ")
                .and_then(|it| it.strip_suffix(" RECENT"))
                .unwrap()
                .parse::<u32>()
                .unwrap();
        }
        assert_eq!(recent, round, "each in one of them");
        assert_eq!(server.meta.entries(), entries + 2, "one for each process");
    }
}

#[tokio::test]
async fn what_comes_while_it_is_claimed_is_told_with_it() {
    let server = Server::start();
    let mut one = select(&server).await;
    let mut postman = Postman::new(&server).await;
    postman.bring().await;
    server.meta.claims(|claims| claims.held = true);
    one.send("a NOOP").await;
    server.meta.claims_begun(1).await;
    postman.bring().await;
    server.meta.claims(|claims| claims.held = false);
    assert_eq!(one.until_tagged("a").await, ["* 2 EXISTS", "* 2 RECENT", "a OK Done"]);
}

#[tokio::test]
async fn idle_hears_everything_else_while_new_mail_is_claimed() {
    let server = Server::start();
    let mut one = select(&server).await;
    let mut postman = Postman::new(&server).await;
    postman.bring().await;
    idle(&mut one).await;
    assert_eq!((one.read().await, one.read().await), ("* 1 EXISTS".into(), "* 1 RECENT".into()));
    let mut two = select(&server).await;
    server.meta.claims(|claims| claims.held = true);
    postman.bring().await;
    server.meta.claims_begun(2).await;
    two.send("a STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    assert_eq!(one.read().await, "* 1 FETCH (UID 1 FLAGS (\\Flagged \\Recent))");
    server.meta.claims(|claims| claims.held = false);
    assert_eq!((one.read().await, one.read().await), ("* 2 EXISTS".into(), "* 2 RECENT".into()));
}

#[tokio::test]
async fn a_claim_that_fails_loses_no_message_and_is_made_later() {
    let server = Server::start();
    let mut one = select(&server).await;
    let mut postman = Postman::new(&server).await;
    postman.bring().await;
    server.meta.claims(|claims| claims.refused = true);
    assert_eq!(one.command("a", "NOOP").await, ["* 1 EXISTS", "* 0 RECENT", "a OK Done"]);
    let mut two = server.log_in().await;
    let opened = two.command("s", "SELECT INBOX").await;
    assert!(
        opened.contains(&"* 1 EXISTS".to_owned()) && opened.contains(&"* 0 RECENT".to_owned()),
        "{opened:?}"
    );
    server.meta.claims(|claims| claims.refused = false);
    let mut told = one.command("b", "NOOP").await;
    if told.len() == 1 {
        // An old message is not waited for.
        told = one.command("b", "NOOP").await;
    }
    assert_eq!(told, ["* 1 RECENT", "b OK Done"]);
    assert_eq!(one.command("c", "FETCH 1 FLAGS").await[0], "* 1 FETCH (FLAGS (\\Recent))");
    assert_eq!(two.command("a", "NOOP").await, ["a OK Done"]);
}

/// "If it is not possible to determine …, then that message SHOULD be considered recent."
#[tokio::test]
async fn a_claim_that_nobody_knows_of_makes_it_recent() {
    let server = Server::start();
    let mut one = select(&server).await;
    let mut postman = Postman::new(&server).await;
    postman.bring().await;
    server.meta.claims(|claims| claims.unanswered = true);
    assert_eq!(one.command("a", "NOOP").await, ["* 1 EXISTS", "* 1 RECENT", "a OK Done"]);
    server.meta.claims(|claims| claims.unanswered = false);
    let entries = server.meta.entries();
    assert_eq!(one.command("b", "NOOP").await, ["b OK Done"]);
    assert_eq!(server.meta.entries(), entries);
}

#[tokio::test(start_paused = true)]
async fn new_mail_does_not_wait_long_for_its_claim() {
    let server = Server::start();
    let mut one = select(&server).await;
    let mut postman = Postman::new(&server).await;
    server.meta.claims(|claims| claims.held = true);
    postman.bring().await;
    assert_eq!(one.command("a", "NOOP").await, ["* 1 EXISTS", "* 0 RECENT", "a OK Done"]);
    idle(&mut one).await;
    postman.bring().await;
    assert_eq!((one.read().await, one.read().await), ("* 2 EXISTS".into(), "* 0 RECENT".into()));
    server.meta.claims(|claims| claims.held = false);
    assert_eq!(one.read().await, "* 2 RECENT", "once it is known");
    one.send("DONE").await;
    assert_eq!(one.read().await, "i OK Done");
    assert_eq!(one.command("b", "SEARCH RECENT").await[0], "* SEARCH 1 2");
}
