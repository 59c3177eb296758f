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
async fn numbers_that_do_not_exist_are_refused_and_uids_passed_over() {
    let server = Server::start();
    let mut line = with_message(&server).await;
    assert!(text(&mut line, "FETCH 2 FLAGS").await.starts_with("t BAD"));
    assert_eq!(text(&mut line, "UID FETCH 2:3 FLAGS").await.lines().count(), 1);
    assert_eq!(text(&mut line, "UID FETCH 5:* FLAGS").await.lines().count(), 2, "the last is always in n:*");
}
