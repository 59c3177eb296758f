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
