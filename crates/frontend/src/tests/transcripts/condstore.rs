//! CONDSTORE (RFC 7162), and what other extensions must not do while they are off.

use super::super::harness::Server;

#[tokio::test]
async fn modseqs_are_told_once_asked_for_and_stores_can_be_conditional() {
    Server::start()
        .play(
            "C: a1 APPEND INBOX {1+}
             C: 1
             S: a1 OK …
             C: a2 APPEND INBOX {1+}
             C: 2
             S: a2 OK …
             C: a3 SELECT INBOX (CONDSTORE)
             S: * FLAGS …
             S: * 2 EXISTS
             S: * 2 RECENT
             S: * OK [UNSEEN 1] …
             S: * OK [PERMANENTFLAGS …
             S: * OK [UIDVALIDITY …
             S: * OK [UIDNEXT 3] …
             S: * OK [HIGHESTMODSEQ 3] …
             S: a3 OK …
             C: b1 FETCH 1:2 (MODSEQ)
             S: * 1 FETCH (MODSEQ (2))
             S: * 2 FETCH (MODSEQ (3))
             S: b1 OK …
             C: b2 STORE 1 +FLAGS.SILENT (\\Seen)
             S: * 1 FETCH (UID 1 MODSEQ (4) FLAGS (\\Seen \\Recent))
             S: b2 OK …
             C: b3 UID STORE 1:2 (UNCHANGEDSINCE 3) +FLAGS (\\Flagged)
             S: * 2 FETCH (UID 2 MODSEQ (5) FLAGS (\\Flagged \\Recent))
             S: b3 OK [MODIFIED 1] …
             C: b4 FETCH 1:2 (FLAGS) (CHANGEDSINCE 4)
             S: * 2 FETCH (FLAGS (\\Flagged \\Recent) MODSEQ (5))
             S: b4 OK …
             C: b5 FETCH 1:2 (UID) (CHANGEDSINCE 0)
             S: * 1 FETCH (UID 1 MODSEQ (4))
             S: * 2 FETCH (UID 2 MODSEQ (5))
             S: b5 OK …
             C: b6 STORE 1 (UNCHANGEDSINCE 0) FLAGS (x)
             S: b6 OK [MODIFIED 1] …
             C: b7 STATUS INBOX (HIGHESTMODSEQ)
             S: * STATUS \"INBOX\" (HIGHESTMODSEQ 5)
             S: b7 OK …",
        )
        .await;
}

#[tokio::test]
async fn the_first_use_with_a_mailbox_open_tells_where_it_stands() {
    for (command, answer) in [
        ("FETCH 1 (MODSEQ)", "* 1 FETCH (MODSEQ (2))"),
        ("FETCH 1 (UID) (CHANGEDSINCE 1)", "* 1 FETCH (UID 1 MODSEQ (2))"),
        ("SEARCH MODSEQ 2", "* SEARCH 1 (MODSEQ 2)"),
        ("STORE 1 (UNCHANGEDSINCE 2) +FLAGS (\\Seen)", "* 1 FETCH (UID 1 MODSEQ (3) …"),
        ("STATUS INBOX (HIGHESTMODSEQ)", "* STATUS …"),
        ("ENABLE CONDSTORE", "* ENABLED CONDSTORE"),
    ] {
        let server = Server::start();
        let mut line = server.log_in().await;
        line.command("a", "APPEND INBOX {1+}\r\nx").await;
        line.command("b", "SELECT INBOX").await;
        line.send(&format!("c {command}")).await;
        assert!(line.read().await.starts_with("* OK [HIGHESTMODSEQ 2]"), "{command}");
        assert!(line.read().await.starts_with(answer.trim_end_matches('…')), "{command}");
        assert!(line.read().await.starts_with("c OK"), "{command}");
        let again = line.command("d", "FETCH 1 (MODSEQ)").await;
        assert_eq!(again.len(), 2, "{again:?}");
    }
}

#[tokio::test]
async fn utf8_appends_are_no_syntax_while_nobody_enabled_them() {
    Server::start()
        .play(
            "C: a1 APPEND INBOX UTF8 (~{1}
             S: a1 BAD …
             C: a2 APPEND INBOX UTF8 (~{3+}
             C: abc)
             S: a2 BAD …
             C: a3 STATUS INBOX (MESSAGES)
             S: * STATUS \"INBOX\" (MESSAGES 0)
             S: a3 OK …",
        )
        .await;
}
