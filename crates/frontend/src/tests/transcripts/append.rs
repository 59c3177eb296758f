//! APPEND, COPY, MOVE, EXPUNGE: messages come and go.

use buzon_model::row::Quota;

use super::super::harness::Server;
use crate::options::ImapOptions;

#[tokio::test]
async fn the_first_whole_path() {
    Server::start()
        .play(
            "C: a1 SELECT INBOX
             S: * FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)
             S: * 0 EXISTS
             S: * 0 RECENT
             S: * OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] …
             S: * OK [UIDVALIDITY 1000] …
             S: * OK [UIDNEXT 1] …
             S: * OK [HIGHESTMODSEQ 1] …
             S: a1 OK [READ-WRITE] …
             C: a2 APPEND inbox (\\Flagged) \"17-Jul-1996 02:44:25 -0700\" {15}
             S: + …
             C: From: a@b.c
             C:
             C:
             S: * 1 EXISTS
             S: * 1 RECENT
             S: a2 OK [APPENDUID 1000 1] Stored
             C: a3 FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)
             S: * 1 FETCH (FLAGS (\\Flagged \\Recent) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 15)
             S: a3 OK Done
             C: a4 LOGOUT
             S: * BYE …
             S: a4 OK …",
        )
        .await;
}

#[tokio::test]
async fn appends_that_cannot_be_are_refused_before_the_message_is_sent() {
    let options = ImapOptions { append_bytes_max: 100, ..ImapOptions::default() };
    let quota = Quota { bytes_max: Some(10), messages_max: None };
    Server::with(options, quota)
        .play(
            "C: a1 APPEND INBOX {101}
             S: a1 NO [TOOBIG] …
             C: a2 APPEND nowhere {10}
             S: a2 NO [TRYCREATE] …
             C: a3 APPEND nowhere {3+}
             C: abc
             S: a3 NO [TRYCREATE] …
             C: a4 APPEND INBOX {11+}
             C: 12345678901
             S: a4 NO [OVERQUOTA] …
             C: a5 APPEND INBOX {0+}
             C:
             S: a5 NO …
             C: a6 APPEND INBOX {10+}
             C: 1234567890
             S: a6 OK [APPENDUID 1000 1] …",
        )
        .await;
}

#[tokio::test]
async fn messages_are_kept_byte_for_byte() {
    let server = Server::start();
    let mut line = server.log_in().await;
    let message: Vec<u8> = (0..=255u8).cycle().take(200_000).collect();
    line.send_raw(format!("a APPEND INBOX ~{{{}+}}\r\n", message.len()).as_bytes()).await;
    line.send_raw(&message).await;
    line.send("").await;
    assert!(line.read().await.starts_with("a OK [APPENDUID 1000 1]"));
    line.command("b", "EXAMINE INBOX").await;
    for (tag, item) in [("c", "BODY.PEEK[]"), ("d", "RFC822")] {
        line.send(&format!("{tag} FETCH 1 {item}")).await;
        let head = line.read().await;
        assert!(head.ends_with(&format!("{{{}}}", message.len())), "{head}");
        assert_eq!(line.read_exact(message.len()).await, message);
        assert_eq!(line.read().await, ")");
        assert_eq!(line.read().await, format!("{tag} OK Done"));
    }
}

#[tokio::test]
async fn large_messages_are_streamed_byte_for_byte() {
    let server = Server::start();
    let mut line = server.log_in().await;
    let message: Vec<u8> = (0..3_000_000u32).map(|at| (at * 7 % 251) as u8).collect();
    let mut put = line.command("x", "NOOP").await;
    put.clear();
    line.send_raw(format!("a APPEND INBOX {{{}+}}\r\n", message.len()).as_bytes()).await;
    line.send_raw(&message).await;
    line.send("").await;
    assert!(line.read().await.starts_with("a OK [APPENDUID 1000 1]"));
    line.command("b", "EXAMINE INBOX").await;
    line.send("c FETCH 1 (UID BODY.PEEK[] BODY.PEEK[]<2999990.100>)").await;
    assert_eq!(line.read().await, "* 1 FETCH (UID 1 BODY[] {3000000}");
    assert_eq!(line.read_exact(message.len()).await, message);
    assert_eq!(line.read().await, " BODY[]<2999990> {10}");
    assert_eq!(line.read_exact(10).await, message[2_999_990..]);
    assert_eq!(line.read().await, ")");
}

#[tokio::test]
async fn copy_and_move_tell_the_new_uids() {
    Server::start()
        .play(
            "C: a1 APPEND INBOX {1+}
             C: 1
             S: a1 OK …
             C: a2 APPEND INBOX {1+}
             C: 2
             S: a2 OK …
             C: a3 APPEND INBOX {1+}
             C: 3
             S: a3 OK …
             C: b1 UNSELECT
             S: b1 BAD …
             C: b2 EXAMINE INBOX
             S: * FLAGS …
             S: * 3 EXISTS
             S: * 3 RECENT
             S: * OK [UNSEEN 1] …
             S: * OK [PERMANENTFLAGS ()] …
             S: * OK [UIDVALIDITY 1000] …
             S: * OK [UIDNEXT 4] …
             S: * OK [HIGHESTMODSEQ 4] …
             S: b2 OK [READ-ONLY] …
             C: b3 MOVE 1 Trash
             S: b3 NO …
             C: b4 STORE 1 +FLAGS (\\Seen)
             S: b4 NO …
             C: b5 SELECT INBOX
             S: * OK [CLOSED] …
             S: * FLAGS …
             S: * 3 EXISTS
             S: * 3 RECENT
             S: * OK [UNSEEN 1] …
             S: * OK [PERMANENTFLAGS …
             S: * OK [UIDVALIDITY 1000] …
             S: * OK [UIDNEXT 4] …
             S: * OK [HIGHESTMODSEQ 4] …
             S: b5 OK [READ-WRITE] …
             C: c1 COPY 2:3 Trash
             S: c1 OK [COPYUID … 2:3 1:2] …
             C: c2 UID COPY 1,9 nowhere
             S: c2 NO [TRYCREATE] …
             C: c3 UID COPY 77 Trash
             S: c3 OK Nothing to copy
             C: c4 UID MOVE 1,3 Trash
             S: * OK [COPYUID … 1,3 3:4] …
             S: * 3 EXPUNGE
             S: * 1 EXPUNGE
             S: * 1 RECENT
             S: c4 OK …
             C: c5 FETCH 1 UID
             S: * 1 FETCH (UID 2)
             S: c5 OK …
             C: c6 FETCH 2 UID
             S: c6 BAD …
             C: d1 STORE 1 +FLAGS.SILENT (\\Deleted)
             S: d1 OK …
             C: d2 UID EXPUNGE 3
             S: d2 OK …
             C: d3 EXPUNGE
             S: * 1 EXPUNGE
             S: * 0 RECENT
             S: d3 OK …
             C: d4 FETCH 1:* FLAGS
             S: d4 OK …
             C: d5 CLOSE
             S: d5 OK …
             C: d6 STATUS Trash (MESSAGES UIDNEXT UNSEEN SIZE RECENT DELETED)
             S: * STATUS \"Trash\" (MESSAGES 4 UIDNEXT 5 UNSEEN 4 SIZE 4 RECENT 4 DELETED 0)
             S: d6 OK …",
        )
        .await;
}

/// Memory is taken as bytes come, so what is announced and never sent holds up nobody.
#[tokio::test(start_paused = true)]
async fn announced_messages_hold_no_memory_that_others_need() {
    let server = Server::with_budget(2 << 20);
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut line = server.log_in().await;
        line.send(&format!("a APPEND INBOX {{{}}}", 1 << 20)).await;
        assert!(line.read_patiently().await.starts_with("+ "));
        waiting.push(line);
    }
    server.budget.reserve().grow_to(1 << 20).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_finds_no_memory_is_read_to_its_end_and_refused() {
    let server = Server::with_budget(2 << 20);
    let mut line = server.log_in().await;
    line.send(&format!("a APPEND INBOX {{{}}}", 1 << 20)).await;
    assert!(line.read_patiently().await.starts_with("+ "));
    let mut all = server.budget.reserve();
    all.grow_to((2 << 20) - (64 << 10)).await.unwrap();
    line.send_raw(&vec![b'x'; 1 << 20]).await;
    line.send("").await;
    assert!(line.read_patiently().await.starts_with("a NO [UNAVAILABLE]"));
    all.grow_to(2 << 20).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_trickles_gives_its_memory_back() {
    let server = Server::with_budget(2 << 20);
    let mut line = server.log_in().await;
    line.send("a APPEND INBOX {100000}").await;
    assert!(line.read_patiently().await.starts_with("+ "));
    for _ in 0..3 {
        line.send_raw(&[b'x'; 10]).await;
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        tokio::task::yield_now().await;
    }
    line.send_raw(&[b'x'; 10]).await;
    server.budget.reserve().grow_to(2 << 20).await.unwrap();
    line.send_raw(&vec![b'x'; 100_000 - 40]).await;
    line.send("").await;
    assert!(line.read_patiently().await.starts_with("a NO [LIMIT]"));
}
