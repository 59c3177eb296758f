//! CREATE, DELETE, RENAME, LIST, LSUB, STATUS, NAMESPACE, ENABLE.

use super::super::harness::Server;

#[tokio::test]
async fn mailboxes_are_made_listed_renamed_and_deleted() {
    Server::start()
        .play(
            "C: a1 NAMESPACE
             S: * NAMESPACE ((\"\" \"/\")) NIL NIL
             S: a1 OK …
             C: a2 LIST \"\" \"\"
             S: * LIST (\\Noselect) \"/\" \"\"
             S: a2 OK …
             C: a3 LIST \"\" inbox
             S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
             S: a3 OK …
             C: a4 CREATE Work/Reports/
             S: a4 OK …
             C: a5 CREATE a//b
             S: a5 NO [CANNOT] …
             C: a6 CREATE INBOX/INBOX
             S: a6 NO [CANNOT] …
             C: a7 CREATE Work
             S: a7 NO [ALREADYEXISTS] …
             C: a8 LIST \"\" Work*
             S: * LIST (\\HasChildren) \"/\" \"Work\"
             S: * LIST (\\HasNoChildren) \"/\" \"Work/Reports\"
             S: a8 OK …
             C: a9 DELETE Work
             S: a9 OK …
             C: b1 LIST \"\" %
             S: * LIST (\\HasNoChildren \\Archive) \"/\" \"Archive\"
             S: * LIST (\\HasNoChildren \\Drafts) \"/\" \"Drafts\"
             S: * LIST (\\HasNoChildren) \"/\" \"INBOX\"
             S: * LIST (\\HasNoChildren \\Junk) \"/\" \"Junk\"
             S: * LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\"
             S: * LIST (\\HasNoChildren \\Trash) \"/\" \"Trash\"
             S: * LIST (\\NonExistent \\Noselect \\HasChildren) \"/\" \"Work\"
             S: b1 OK …
             C: b2 SELECT Work
             S: b2 NO [NONEXISTENT] …
             C: b3 RENAME Work/Reports Berichte
             S: b3 OK …
             C: b4 DELETE INBOX
             S: b4 NO [CANNOT] …
             C: b5 DELETE nothing
             S: b5 NO [NONEXISTENT] …
             C: b6 LIST \"\" B% RETURN (STATUS (MESSAGES UIDVALIDITY) SUBSCRIBED)
             S: * LIST (\\HasNoChildren) \"/\" \"Berichte\"
             S: * STATUS \"Berichte\" (MESSAGES 0 UIDVALIDITY …)
             S: b6 OK …
             C: b7 CREATE Important (USE (\\Important))
             S: b7 OK …
             C: b8 CREATE Other (USE (\\Important))
             S: b8 NO [USEATTR] …
             C: b9 CREATE Odd (USE (\\Odd))
             S: b9 NO [USEATTR] …",
        )
        .await;
}

#[tokio::test]
async fn subscriptions_and_lsub() {
    Server::start()
        .play(
            "C: a1 UNSUBSCRIBE Sent
             S: a1 OK …
             C: a2 SUBSCRIBE deep/down
             S: a2 OK …
             C: a3 LSUB \"\" %
             S: * LSUB (\\Archive) \"/\" \"Archive\"
             S: * LSUB (\\Drafts) \"/\" \"Drafts\"
             S: * LSUB () \"/\" \"INBOX\"
             S: * LSUB (\\Junk) \"/\" \"Junk\"
             S: * LSUB (\\Trash) \"/\" \"Trash\"
             S: * LSUB (\\Noselect) \"/\" \"deep\"
             S: a3 OK …
             C: a4 LIST (SUBSCRIBED) \"\" d*
             S: * LIST (\\NonExistent \\Noselect \\Subscribed \\HasNoChildren) \"/\" \"deep/down\"
             S: a4 OK …",
        )
        .await;
}

#[tokio::test]
async fn names_go_out_as_the_client_understands_them() {
    Server::start()
        .play(
            "C: a1 CREATE Entw&APw-rfe
             S: a1 OK …
             C: a2 LIST \"\" E*
             S: * LIST (\\HasNoChildren) \"/\" \"Entw&APw-rfe\"
             S: a2 OK …
             C: a3 ENABLE IMAP4rev2 X-NOTHING
             S: * ENABLED IMAP4rev2
             S: a3 OK …
             C: a4 LIST \"\" E*
             S: * LIST (\\HasNoChildren) \"/\" \"Entwürfe\"
             S: a4 OK …
             C: a5 SELECT \"Entwürfe\"
             S: * FLAGS …
             S: * 0 EXISTS
             S: * OK [PERMANENTFLAGS …
             S: * OK [UIDVALIDITY …
             S: * OK [UIDNEXT 1] …
             S: * OK [HIGHESTMODSEQ …
             S: * LIST () \"/\" \"Entwürfe\"
             S: a5 OK [READ-WRITE] …",
        )
        .await;
}

#[tokio::test]
async fn a_session_goes_on_with_its_mailbox_under_its_new_name() {
    let server = Server::start();
    let (mut one, mut two) = (server.log_in().await, server.log_in().await);
    one.send("a APPEND INBOX {1+}\r\nx").await;
    assert!(one.read().await.starts_with("a OK"));
    two.command("b", "SELECT INBOX").await;
    assert_eq!(one.command("b", "RENAME INBOX Old").await, ["b OK Renamed"]);
    assert_eq!(one.command("c", "STATUS INBOX (MESSAGES)").await[0], "* STATUS \"INBOX\" (MESSAGES 0)");
    assert_eq!(one.command("d", "STATUS Old (MESSAGES)").await[0], "* STATUS \"Old\" (MESSAGES 1)");
    assert_eq!(two.command("c", "FETCH 1 UID").await, ["* 1 FETCH (UID 1)", "c OK Done"]);
    one.send("e APPEND Old {1+}\r\ny").await;
    assert!(one.read().await.starts_with("e OK"));
    assert_eq!(two.command("d", "NOOP").await, ["* 2 EXISTS", "* 2 RECENT", "d OK Done"]);
}

#[tokio::test]
async fn while_metadata_is_away_commands_fail_and_sessions_stay() {
    let server = Server::start();
    let mut line = server.log_in().await;
    line.command("a", "SELECT INBOX").await;
    server.meta.set_down(true);
    for (tag, command) in
        [("b", "NOOP"), ("c", "STATUS Sent (MESSAGES)"), ("d", "LIST \"\" *"), ("e", "IDLE")]
    {
        let answer = line.command(tag, command).await;
        assert!(answer[0].starts_with(&format!("{tag} NO [UNAVAILABLE] ")), "{answer:?}");
    }
    server.meta.set_down(false);
    assert_eq!(line.command("f", "NOOP").await, ["f OK Done"]);
}

#[tokio::test]
async fn a_selected_mailbox_that_is_deleted_ends_the_session_of_others() {
    let server = Server::start();
    let mut one = server.log_in().await;
    let mut two = server.log_in().await;
    assert_eq!(one.command("a", "CREATE box").await, ["a OK Created"]);
    one.command("b", "SELECT box").await;
    two.command("b", "SELECT box").await;
    let lines = one.command("c", "DELETE box").await;
    assert_eq!(lines, ["* OK [CLOSED] Mailbox is gone", "c OK Deleted"]);
    assert!(one.command("d", "EXPUNGE").await[0].starts_with("d BAD"));
    two.send("c NOOP").await;
    assert_eq!(two.read().await, "c OK Done");
    assert!(two.read().await.starts_with("* BYE "));
    let mut three = server.log_in().await;
    one.command("e", "CREATE box").await;
    three.command("a", "SELECT box").await;
    three.send("b IDLE").await;
    assert_eq!(three.read().await, "+ idling");
    one.command("f", "DELETE box").await;
    assert!(three.read().await.starts_with("* BYE "), "those in IDLE hear of it at once");
}
