//! FETCH: items, sections, partials, BINARY, implicit `\Seen`.

use super::super::harness::{Line, Server};

const MESSAGE: &str = "From: Ana <ana@example.com>\r\nTo: Bea <bea@example.com>\r\nSubject: Two parts\r\n\
Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nMIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n\
--x\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n--x--\r\n";

async fn with_message(server: &Server) -> Line {
    let mut line = server.log_in().await;
    line.send_raw(format!("a APPEND INBOX {{{}+}}\r\n{MESSAGE}\r\n", MESSAGE.len()).as_bytes()).await;
    assert!(line.read().await.starts_with("a OK"));
    line.command("b", "SELECT INBOX").await;
    line
}

async fn text(line: &mut Line, command: &str) -> String {
    line.command("t", command).await.join("\n")
}

#[tokio::test]
async fn items_come_in_the_order_asked_with_the_uid_first() {
    let server = Server::start();
    let mut line = with_message(&server).await;
    let answer = text(&mut line, "UID FETCH 1 (RFC822.SIZE FLAGS)").await;
    assert_eq!(
        answer,
        format!("* 1 FETCH (UID 1 RFC822.SIZE {} FLAGS (\\Recent))\nt OK Done", MESSAGE.len())
    );
    let answer = text(&mut line, "FETCH 1 (FLAGS UID)").await;
    assert!(answer.starts_with("* 1 FETCH (UID 1 FLAGS ("), "{answer}");
    let answer = text(&mut line, "FETCH 1 ENVELOPE").await;
    assert!(answer.contains("\"Two parts\"") && answer.contains("\"ana\" \"example.com\""), "{answer}");
    let answer = text(&mut line, "FETCH 1 (BODY BODYSTRUCTURE)").await;
    assert!(
        answer.contains("BODY ((\"text\" \"plain\"") || answer.contains("BODY ((\"TEXT\" \"PLAIN\""),
        "{answer}"
    );
    let answer = text(&mut line, "FETCH 1 FULL").await;
    assert!(answer.contains("INTERNALDATE") && answer.contains("BODY ("), "{answer}");
    assert!(!text(&mut line, "FETCH 1 FLAGS").await.contains("\\Seen"), "none of these sets it");
}

#[tokio::test]
async fn sections_give_their_bytes() {
    let server = Server::start();
    let mut line = with_message(&server).await;
    let cases = [
        ("BODY.PEEK[1]", "BODY[1] {5}\nhello)"),
        ("BODY.PEEK[1]<1.3>", "BODY[1]<1> {3}\nell)"),
        ("BODY.PEEK[1]<9.3>", "BODY[1]<9> {0}\n)"),
        ("BODY.PEEK[1.MIME]", "BODY[1.MIME] {28}\nContent-Type: text/plain\n\n)"),
        ("BODY.PEEK[7]", "BODY[7] NIL)"),
        ("BODY.PEEK[HEADER.FIELDS (SUBJECT X-None)]", "{22}\nSubject: Two parts\n\n)"),
        ("BODY.PEEK[HEADER.FIELDS (X-Unheard)]", "{2}\n\n)"),
        ("BODY.PEEK[2]", "BODY[2] {4}\nAAEC)"),
        ("BINARY.SIZE[2]", "BINARY.SIZE[2] 3)"),
        ("BINARY.PEEK[2]<1.1>", "BINARY[2]<1> ~{1}\n\u{1})"),
        ("BINARY.PEEK[1]", "BINARY[1] ~{5}\nhello)"),
        ("RFC822.HEADER", "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"x\"\n\n)"),
    ];
    for (item, expected) in cases {
        let answer = text(&mut line, &format!("FETCH 1 {item}")).await;
        assert!(answer.ends_with(&format!("{expected}\nt OK Done")), "{item}: {answer}");
    }
    let whole = text(&mut line, "FETCH 1 RFC822.PEEK").await;
    assert!(whole.starts_with("* 1 FETCH (RFC822 {"), "{whole}");
    assert!(!text(&mut line, "FETCH 1 FLAGS").await.contains("\\Seen"), "nothing but PEEK");
}

#[tokio::test]
async fn reading_sets_seen_and_tells_it_in_the_same_response() {
    let server = Server::start();
    let mut line = with_message(&server).await;
    let answer = text(&mut line, "FETCH 1 BODY[1]").await;
    assert_eq!(answer, "* 1 FETCH (BODY[1] {5}\nhello FLAGS (\\Seen \\Recent))\nt OK Done");
    let answer = text(&mut line, "FETCH 1 (FLAGS BODY[1])").await;
    assert_eq!(answer, "* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[1] {5}\nhello)\nt OK Done");
    line.command("u", "STORE 1 FLAGS.SILENT ()").await;
    line.command("v", "EXAMINE INBOX").await;
    let answer = text(&mut line, "FETCH 1 BODY[1]").await;
    assert_eq!(answer, "* 1 FETCH (BODY[1] {5}\nhello)\nt OK Done", "not after EXAMINE");
}

#[tokio::test]
async fn recent_is_told_once_and_never_in_rev2() {
    let server = Server::start();
    let mut line = with_message(&server).await;
    assert!(text(&mut line, "FETCH 1 FLAGS").await.contains("\\Recent"));
    let mut other = server.log_in().await;
    assert!(other.command("a", "SELECT INBOX").await.iter().any(|line| line == "* 0 RECENT"));
    assert!(!text(&mut other, "FETCH 1 FLAGS").await.contains("\\Recent"));
}

#[tokio::test]
async fn large_parts_are_decoded_as_they_stream() {
    let server = Server::start();
    let mut line = server.log_in().await;
    let content: Vec<u8> = (0..600_000u32).map(|at| (at * 31 % 256) as u8).collect();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &content);
    let mut message = b"Content-Transfer-Encoding: base64\r\nContent-Type: image/png\r\n\r\n".to_vec();
    for wrapped in encoded.as_bytes().chunks(76) {
        message.extend_from_slice(wrapped);
        message.extend_from_slice(b"\r\n");
    }
    line.send_raw(format!("a APPEND INBOX {{{}+}}\r\n", message.len()).as_bytes()).await;
    line.send_raw(&message).await;
    line.send("").await;
    assert!(line.read().await.starts_with("a OK"));
    line.command("b", "EXAMINE INBOX").await;
    assert_eq!(
        text(&mut line, "FETCH 1 BINARY.SIZE[1]").await,
        "* 1 FETCH (BINARY.SIZE[1] 600000)\nt OK Done"
    );
    for (item, range) in [("BINARY.PEEK[1]", 0..600_000), ("BINARY.PEEK[1]<123456.100000>", 123_456..223_456)]
    {
        line.send(&format!("c FETCH 1 {item}")).await;
        let head = line.read().await;
        assert!(head.ends_with(&format!("~{{{}}}", range.len())), "{head}");
        assert_eq!(line.read_exact(range.len()).await, content[range]);
        assert_eq!(line.read().await, ")");
        assert_eq!(line.read().await, "c OK Done");
    }
}

#[tokio::test]
async fn long_lists_come_in_order_and_long_lines_are_read() {
    let server = Server::start();
    let mut line = server.log_in().await;
    for _ in 0..1200 {
        line.send("a APPEND INBOX {1+}\r\nx").await;
        assert!(line.read().await.starts_with("a OK"));
    }
    line.command("b", "SELECT INBOX").await;
    let every: Vec<String> = (1..=20_000).map(|uid| uid.to_string()).collect();
    let lines = line.command("c", &format!("UID FETCH {} (FLAGS)", every.join(","))).await;
    assert_eq!(lines.len(), 1201);
    for (at, line) in lines[..1200].iter().enumerate() {
        assert_eq!(*line, format!("* {} FETCH (UID {} FLAGS (\\Recent))", at + 1, at + 1));
    }
    let stored = line.command("d", "STORE 1:* +FLAGS.SILENT (\\Seen)").await;
    assert_eq!(stored, ["d OK Done"]);
    assert_eq!(
        line.command("e", "UID SEARCH RETURN (COUNT) SEEN").await[0],
        "* ESEARCH (TAG \"e\") UID COUNT 1200"
    );
}

#[tokio::test]
async fn keywords_that_another_session_made_have_their_names() {
    let server = Server::start();
    let (mut one, mut two) = (with_message(&server).await, server.log_in().await);
    two.command("a", "SELECT INBOX").await;
    two.command("b", "STORE 1 +FLAGS (NewWord)").await;
    let answer = text(&mut one, "FETCH 1 FLAGS").await;
    assert!(answer.contains("NewWord"), "{answer}");
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let server = Server::start();
    let mut line = with_message(&server).await;
    assert!(text(&mut line, "SELECT INBOX (QRESYNC (1 2))").await.starts_with("t BAD"));
    assert!(text(&mut line, "UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)").await.starts_with("t BAD"));
}

#[tokio::test]
async fn numbers_that_do_not_exist_are_refused_and_uids_passed_over() {
    let server = Server::start();
    let mut line = with_message(&server).await;
    assert!(text(&mut line, "FETCH 2 FLAGS").await.starts_with("t BAD"));
    assert_eq!(text(&mut line, "UID FETCH 2:3 FLAGS").await.lines().count(), 1);
    assert_eq!(text(&mut line, "UID FETCH 5:* FLAGS").await.lines().count(), 2, "the last is always in n:*");
}

async fn append(line: &mut Line, message: &str) {
    line.send_raw(format!("a APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()).as_bytes()).await;
    assert!(line.read().await.starts_with("a OK"));
}

#[tokio::test]
async fn text_goes_out_with_crlf_whatever_was_encoded() {
    let server = Server::start();
    let mut line = server.log_in().await;
    let encode = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let long = "line\n".repeat(100_000);
    for (kind, text) in [("text/plain", "a\nb\r\n"), ("application/x", "a\nb\r\n"), ("text/plain", &long)] {
        let head = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        append(&mut line, &format!("{head}{}", encode(text))).await;
    }
    line.command("b", "EXAMINE INBOX").await;
    for (message, bytes) in [(1, 6), (2, 5), (3, 600_000)] {
        line.send(&format!("c FETCH {message} (BINARY.SIZE[1] BINARY.PEEK[1])")).await;
        let head = line.read().await;
        let expected = format!("* {message} FETCH (BINARY.SIZE[1] {bytes} BINARY[1] ~{{{bytes}}}");
        assert_eq!(head, expected);
        let content = line.read_exact(bytes).await;
        match message {
            1 => assert_eq!(content, b"a\r\nb\r\n"),
            2 => assert_eq!(content, b"a\nb\r\n"),
            _ => assert_eq!(content, "line\r\n".repeat(100_000).as_bytes()),
        }
        assert_eq!(line.read().await, ")");
        assert_eq!(line.read().await, "c OK Done");
    }
}

/// What does not fit in memory beside the others is made while it is written.
#[tokio::test]
async fn a_large_header_may_be_asked_for_many_times() {
    let server = Server::start();
    let mut line = server.log_in().await;
    let fields: String = (0..4_000).map(|at| format!("X-Field-{at}: {}\r\n", "x".repeat(60))).collect();
    append(&mut line, &format!("{fields}\r\nbody")).await;
    line.command("b", "EXAMINE INBOX").await;
    let items: String =
        (0..20).map(|at| format!("BODY.PEEK[HEADER.FIELDS.NOT (X-Field-0 X-{at})] ")).collect();
    line.send(&format!("c FETCH 1 ({items}BODY.PEEK[HEADER.FIELDS (X-Field-7)])")).await;
    let expected = format!("{}\r\n", fields.split_once("\r\n").unwrap().1);
    for _ in 0..20 {
        let head = line.read().await;
        assert!(head.ends_with(&format!("{{{}}}", expected.len())), "{head}");
        assert_eq!(line.read_exact(expected.len()).await, expected.as_bytes());
    }
    assert_eq!(line.read().await, " BODY[HEADER.FIELDS (X-Field-7)] {75}");
    assert!(line.read().await.starts_with("X-Field-7: x"));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_passed_over() {
    use object_store::{ObjectStore, ObjectStoreExt};
    let server = Server::start();
    let mut line = server.log_in().await;
    append(&mut line, "Subject: one\r\n\r\nfirst").await;
    let objects: Vec<_> = futures::TryStreamExt::try_collect(server.store.list(None)).await.unwrap();
    for message in ["Subject: two\r\n\r\nsecond", "Subject: three\r\n\r\nthird"] {
        append(&mut line, message).await;
    }
    for object in objects {
        server.store.delete(&object.location).await.unwrap();
    }
    line.command("b", "SELECT INBOX").await;
    let answer = text(&mut line, "FETCH 1:3 (BODY[TEXT])").await;
    assert!(answer.contains("* 1 FETCH (FLAGS (\\Seen \\Recent))"), "{answer}");
    assert!(answer.contains("second") && answer.contains("third"), "{answer}");
    assert!(answer.contains("t NO [CORRUPTION]"), "{answer}");
    assert!(text(&mut line, "FETCH 2:3 (BODY[TEXT])").await.ends_with("t OK Done"));
}
