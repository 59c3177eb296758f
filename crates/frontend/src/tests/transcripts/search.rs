//! SEARCH: keys, results, saving.

use super::super::harness::{Line, Server};

async fn filled(server: &Server) -> Line {
    let mut line = server.log_in().await;
    let messages = [
        (
            "(\\Seen)",
            "From: ana@example.com\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nDate: Mon, 5 Feb 2024 10:00:00 +0000\r\n\r\nhello world\r\n",
        ),
        ("(Work)", "From: bea@example.com\r\nSubject: plan\r\nX-Odd: here\r\n\r\nnothing\r\n"),
        ("()", "From: ana@example.com\r\nSubject: third\r\n\r\nHELLO again\r\n"),
    ];
    for (flags, message) in messages {
        line.send_raw(format!("a APPEND INBOX {flags} {{{}+}}\r\n{message}\r\n", message.len()).as_bytes())
            .await;
        assert!(line.read().await.starts_with("a OK"));
    }
    line.command("b", "SELECT INBOX").await;
    line
}

#[tokio::test]
async fn keys_find_what_they_mean() {
    let server = Server::start();
    let mut line = filled(&server).await;
    let cases = [
        ("ALL", "1 2 3"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3"),
        ("KEYWORD work", "2"),
        ("UNKEYWORD Work", "1 3"),
        ("KEYWORD other", ""),
        ("FROM ana", "1 3"),
        ("NOT FROM ana", "2"),
        ("OR FROM bea SUBJECT third", "2 3"),
        ("HEADER X-Odd \"\"", "2"),
        ("HEADER X-Odd her", "2"),
        ("BODY hello", "1 3"),
        ("BODY hello UNSEEN", "3"),
        ("TEXT plan", "2"),
        ("CHARSET UTF-8 SUBJECT {6+}\r\nGRÜSS", ""),
        ("SENTSINCE 5-Feb-2024 SENTBEFORE 6-Feb-2024", "1"),
        ("SINCE 1-Jan-2020", "1 2 3"),
        ("YOUNGER 3600", "1 2 3"),
        ("OLDER 3600", ""),
        ("LARGER 60", "1 2"),
        ("2:* UID 1:2", "2"),
        ("(1 SEEN)", "1"),
        ("NEW", "2 3"),
        ("OLD", ""),
        ("NOT 1 NOT 2", "3"),
        ("1:2,2,1:*", "1 2 3"),
        ("NOT (2 NOT OR 1 3)", "1 3"),
        ("OR 1 3", "1 3"),
        ("OR 2 SEEN", "1 2"),
        ("OR ALL SEEN", "1 2 3"),
        ("NOT ALL", ""),
        ("NOT (1 SEEN)", "2 3"),
        ("NOT (1 UNSEEN) UID 1,3", "1 3"),
        ("UNKEYWORD other 2", "2"),
        ("OR KEYWORD other HEADER X-Odd here", "2"),
        ("NOT HEADER X-Odd here BODY hello", "1 3"),
        ("NOT (OR FROM ana SUBJECT plan)", ""),
        ("OR (FROM ana SEEN) SUBJECT plan", "1 2"),
        ("NOT FROM bea NOT SUBJECT third", "1"),
        ("FROM ana BODY again", "3"),
        ("FROM ana HEADER X-Odd here", ""),
        ("UNSEEN NOT SUBJECT plan", "3"),
        ("SUBJECT \"\" HEADER Bcc \"\"", ""),
    ];
    // The second time what summaries hold of headers is known.
    for (keys, expected) in cases.into_iter().chain(cases) {
        line.send(&format!("s SEARCH {keys}")).await;
        let lines = line.until_tagged("s").await;
        let expected =
            if expected.is_empty() { "* SEARCH".to_owned() } else { format!("* SEARCH {expected}") };
        if keys.starts_with("CHARSET") {
            continue; // what folds to what is the message crate's; here it only must be understood
        }
        assert_eq!(lines, [expected, "s OK Done".to_owned()], "{keys}");
    }
}

/// No summary is read for it, of what is not found not even the row; and what came since is found, too.
#[tokio::test]
async fn headers_that_were_searched_before_are_known() {
    let server = Server::start();
    let mut line = filled(&server).await;
    line.command("c", "SEARCH FROM nobody").await;
    line.command("d", "SEARCH FROM nobody").await;
    let (mut fetches, summaries) = (server.meta.fetches(), server.meta.summaries());
    for (keys, expected, asked) in [
        ("FROM ana", " 1 3", 1),
        ("NOT (OR SUBJECT plan SUBJECT third)", " 1", 1),
        ("CC x", "", 0),
        ("FROM nobody HEADER X-Odd here", "", 0),
        ("OR CC x FROM nobody", "", 0),
    ] {
        assert_eq!(line.command("s", &format!("SEARCH {keys}")).await[0], format!("* SEARCH{expected}"));
        fetches += asked;
        assert_eq!((server.meta.fetches(), server.meta.summaries()), (fetches, summaries), "{keys}");
    }
    assert_eq!(line.command("e", "SEARCH FROM ana UNSEEN").await[0], "* SEARCH 3");
    assert_eq!(line.command("f", "SEARCH FROM ana MODSEQ 1").await[1], "* SEARCH 1 3 (MODSEQ 4)");
    line.command("g", "APPEND INBOX {35+}\r\nFrom: ana@example.com\r\nX-Odd: x\r\n\r\n").await;
    line.command("h", "NOOP").await;
    let (summaries, rows) = (server.meta.summaries(), server.meta.rows());
    assert_eq!(line.command("s", "SEARCH SUBJECT nothing").await[0], "* SEARCH");
    assert!((1..=2).contains(&(server.meta.rows() - rows)), "of the new one alone");
    for (keys, expected) in [
        ("FROM ana", " 1 3 4"),
        ("NOT FROM ana", " 2"),
        ("OR FROM bea SUBJECT third", " 2 3"),
        ("HEADER X-Odd \"\"", " 2 4"),
    ] {
        assert_eq!(line.command("s", &format!("SEARCH {keys}")).await[0], format!("* SEARCH{expected}"));
    }
    assert_eq!(server.meta.summaries(), summaries + 1, "that of the new one");
    // What another session expunged, and this one was not told of yet, is not found.
    let mut other = server.log_in().await;
    other.command("a", "SELECT INBOX").await;
    other.command("b", "STORE 3 +FLAGS (\\Deleted)").await;
    other.command("c", "EXPUNGE").await;
    for (keys, expected) in [("FROM ana", " 1 4"), ("NOT FROM bea", " 1 4"), ("FROM ana BODY hello", " 1")] {
        let lines = line.command("s", &format!("SEARCH {keys}")).await;
        assert!(lines.contains(&format!("* SEARCH{expected}")), "{keys} {lines:?}");
    }
}

#[tokio::test]
async fn results_come_as_asked() {
    let server = Server::start();
    let mut line = filled(&server).await;
    let one = line.command("a", "SEARCH RETURN (MIN MAX COUNT ALL) FROM ana").await;
    assert_eq!(one[0], "* ESEARCH (TAG \"a\") MIN 1 MAX 3 COUNT 2 ALL 1,3");
    let none = line.command("b", "UID SEARCH RETURN (MIN COUNT) FROM zoe").await;
    assert_eq!(none[0], "* ESEARCH (TAG \"b\") UID COUNT 0");
    assert_eq!(line.command("c", "SEARCH RETURN (SAVE) FROM ana").await, ["c OK Done"]);
    assert_eq!(line.command("d", "UID FETCH $ UID").await.len(), 3);
    assert_eq!(line.command("e", "SEARCH $ SUBJECT third").await[0], "* SEARCH 3");
    assert_eq!(line.command("f", "SEARCH RETURN (SAVE MIN) ALL").await[0], "* ESEARCH (TAG \"f\") MIN 1");
    assert_eq!(line.command("g", "FETCH $ UID").await.len(), 2);
    let refused = line.command("h", "SEARCH RETURN (SAVE) CHARSET X-NONE SUBJECT x").await;
    assert!(refused[0].starts_with("h NO [BADCHARSET ("), "{refused:?}");
    assert_eq!(line.command("i", "FETCH $ UID").await, ["i OK Done"], "nothing is left of the search before");
    line.command("j", "ENABLE IMAP4rev2").await;
    assert_eq!(line.command("k", "SEARCH SEEN").await[0], "* ESEARCH (TAG \"k\") ALL 1");
    let modseq = line.command("l", "SEARCH MODSEQ 3").await;
    assert!(modseq[1].contains(" ALL ") && modseq[1].contains("MODSEQ"), "{modseq:?}");
}

#[tokio::test]
async fn modseq_is_that_of_the_ends_if_only_they_were_asked_for() {
    let server = Server::start();
    let mut line = filled(&server).await;
    line.command("b", "ENABLE CONDSTORE").await;
    line.command("c", "STORE 1 +FLAGS (\\Flagged)").await;
    line.command("d", "STORE 2 +FLAGS (\\Flagged)").await;
    let cases = [
        ("MIN", "MIN 1 MODSEQ 5"),
        ("MAX", "MAX 3 MODSEQ 4"),
        ("MIN MAX", "MIN 1 MAX 3 MODSEQ 5"),
        ("MIN COUNT", "MIN 1 COUNT 3 MODSEQ 6"),
        ("ALL", "MODSEQ 6 ALL 1:3"),
    ];
    for (returns, expected) in cases {
        let lines = line.command("s", &format!("SEARCH RETURN ({returns}) MODSEQ 1")).await;
        assert_eq!(lines[0], format!("* ESEARCH (TAG \"s\") {expected}"), "{returns}");
    }
}

#[tokio::test]
async fn a_bad_search_leaves_what_was_saved() {
    let server = Server::start();
    let mut line = filled(&server).await;
    line.command("c", "SEARCH RETURN (SAVE) FROM ana").await;
    assert!(line.command("d", "SEARCH RETURN (SAVE) 99").await[0].starts_with("d BAD"));
    assert_eq!(line.command("e", "FETCH $ UID").await.len(), 3);
}

/// The body is cut off in the store: reading it would fail.
#[tokio::test]
async fn what_the_header_decides_reads_no_body() {
    use object_store::{ObjectStore, ObjectStoreExt};
    let server = Server::start();
    let mut line = server.log_in().await;
    let message = format!("Subject: one\r\nX-Odd: here\r\n\r\n{}", "text\r\n".repeat(1_000));
    line.send_raw(format!("a APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()).as_bytes()).await;
    assert!(line.read().await.starts_with("a OK"));
    let objects: Vec<_> = futures::TryStreamExt::try_collect(server.store.list(None)).await.unwrap();
    let whole = server.store.get(&objects[0].location).await.unwrap().bytes().await.unwrap();
    server.store.put(&objects[0].location, whole.slice(..2_000).into()).await.unwrap();
    line.command("b", "EXAMINE INBOX").await;
    for (keys, expected) in [("HEADER X-Odd here", "* SEARCH 1"), ("HEADER X-Odd no BODY text", "* SEARCH")] {
        assert_eq!(line.command("s", &format!("SEARCH {keys}")).await, [expected, "s OK Done"], "{keys}");
    }
    assert!(line.command("s", "SEARCH BODY text").await[0].starts_with("s NO"));
}
