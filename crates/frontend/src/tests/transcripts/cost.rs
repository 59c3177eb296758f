//! What commands cost where there is little to do.

use super::super::harness::Server;

#[tokio::test]
async fn an_expunge_of_nothing_and_a_look_at_one_mailbox_cost_next_to_nothing() {
    let server = Server::start();
    let mut line = server.log_in().await;
    line.command("a", "APPEND INBOX {1+}\r\nx").await;
    line.command("b", "SELECT INBOX").await;
    let (entries, lists) = (server.meta.entries(), server.meta.lists());
    for (tag, text) in [
        ("c", "EXPUNGE"),
        ("d", "UID EXPUNGE 1"),
        ("e", "STATUS Trash (MESSAGES)"),
        ("f", "UID COPY 9 Trash"),
        ("g", "CLOSE"),
    ] {
        let answer = line.command(tag, text).await;
        assert!(answer.last().unwrap().starts_with(&format!("{tag} OK")), "{answer:?}");
    }
    assert_eq!((server.meta.entries(), server.meta.lists()), (entries, lists));
}

/// Over all sessions of a process, whatever they ask for; each still reads the rows, and so what there is and its flags.
#[tokio::test]
async fn a_summary_is_asked_for_once() {
    let server = Server::start();
    let (mut line, mut other) = (server.log_in().await, server.log_in().await);
    line.command("a", "APPEND INBOX {16+}\r\nSubject: one\r\n\r\n").await;
    line.command("b", "APPEND INBOX {16+}\r\nSubject: two\r\n\r\n").await;
    line.command("c", "SELECT INBOX").await;
    other.command("a", "SELECT INBOX").await;
    let first = line.command("d", "FETCH 1:2 ENVELOPE").await;
    assert_eq!(server.meta.summaries(), 2);
    assert_eq!(other.command("d", "FETCH 1:2 ENVELOPE").await, first);
    let found = other.command("e", "UID SEARCH SUBJECT two").await;
    assert!(found[0].ends_with(" 2"), "{found:?}");
    assert_eq!(server.meta.summaries(), 2);
    // One that is gone is not told from memory.
    line.command("f", "UID STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    line.command("g", "EXPUNGE").await;
    line.command("h", "APPEND INBOX {18+}\r\nSubject: three\r\n\r\n").await;
    line.command("i", "NOOP").await;
    let left = line.command("j", "UID FETCH 1:* ENVELOPE").await.join("\n");
    assert!(!left.contains("\"one\"") && left.contains("\"two\"") && left.contains("\"three\""), "{left}");
    assert_eq!(server.meta.summaries(), 3);
}
