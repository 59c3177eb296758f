//! The invariants on made and on random messages.

use crate::corpus;
use crate::searched::Searched;
use crate::summary::Summary;
use crate::testing::invariants::check;
use crate::testing::steps;
use bytes::Bytes;
use proptest::prelude::*;

/// Fragments that bring random messages near the edges.
const FRAGMENTS: [&str; 34] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    "--",
    "--a",
    "--a--",
    "--b",
    "--b--",
    "a",
    "b",
    "(",
    ")",
    "<",
    ">",
    "\"",
    "\\",
    "@",
    ";",
    ",",
    "=",
    "{3}\r\n",
    "\u{e9}",
    "Content-Type: multipart/mixed; boundary=a\r\n",
    "Content-Type: multipart/digest; boundary=\"b\"\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: text/html; charset=",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Disposition: attachment; filename*0*=",
    "From: ",
    "Subject: =?utf-8?q?",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
    #[test]
    fn anything_is_a_message(picks in prop::collection::vec(0..FRAGMENTS.len(), 0..60)) {
        check(picks.iter().map(|&at| FRAGMENTS[at]).collect::<String>().as_bytes());
    }

    #[test]
    fn any_bytes_are_a_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn any_stored_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let bytes = Bytes::from(bytes);
        let searched = Searched::decode(bytes.clone()).map(|it| (it.sent_day(), it.header_end()));
        if let Ok(summary) = Summary::decode(bytes) {
            assert!(searched.is_ok_and(|it| it.1 == summary.header_end()));
            let _ = summary.parts().is_ok();
            summary.body();
        }
    }
}

#[test]
fn the_corpus_keeps_the_invariants_and_is_the_same_each_time() {
    for seed in 0..1500 {
        let message = corpus::message(seed);
        assert_eq!(message, corpus::message(seed));
        check(&message);
    }
    let mut bytes = 0;
    for seed in 0..150 {
        let message = corpus::realistic(seed);
        bytes += check(&message).encode().len();
    }
    assert!(bytes / 150 < 2048, "{} bytes in a typical summary", bytes / 150);
}

#[test]
fn hostile_messages_stay_bounded() {
    for message in [
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n".repeat(500),
        format!("Content-Type: multipart/mixed; boundary=a\r\n\r\n{}", "--a\r\n\r\nx\r\n".repeat(20_000)),
        format!(
            "Content-Type: multipart/digest; boundary=a\r\n\r\n{}",
            "--a\r\n\r\nSubject: s\r\n\r\nx\r\n".repeat(3000)
        ),
        "Content-Type: message/rfc822\r\n\r\n".repeat(3000),
        (0..200).map(|n| format!("Content-Type: multipart/x; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect(),
        format!("To: {}\r\n\r\n", "a@b,".repeat(100_000)),
        format!("To: {}\r\nCc: {}\r\n\r\n", "(".repeat(100_000), "\"\\".repeat(100_000)),
        format!("Subject: {}\r\n\r\n", "=?utf-8?q?".repeat(50_000)),
        format!(
            "Content-Type: text/html{}\r\n\r\n<{}",
            ";x=\"\\\"\u{e9}".repeat(50_000),
            "&".repeat(100_000)
        ),
        "Subject: x\r\n".repeat(50_000),
        format!("Content-Type: multipart/x; boundary={}\r\n\r\n", "x".repeat(100_000)),
        format!("References: {}\r\n\r\n", "<a@b> ".repeat(100_000)),
    ] {
        check(message.as_bytes());
    }
}

#[test]
fn work_grows_with_the_message_not_with_its_square() {
    let nested: String = (0..60)
        .map(|n| format!("Content-Type: multipart/x; boundary=b{n:02}\r\n\r\n--b{n:02}\r\n"))
        .collect();
    let shapes: [(&str, &str); 7] = [
        ("Content-Type: multipart/mixed; boundary=a\r\n\r\n", "--a\r\n\r\nx\r\n"),
        ("", "Content-Type: message/rfc822\r\n\r\n"),
        ("", "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"),
        (&nested, "--bxx\r\n"),
        (&nested, "--b00\r\n\r\n"),
        ("Content-Type: multipart/digest; boundary=a\r\n\r\n", "--a\r\n\r\nFrom: x@y\r\n\r\n"),
        ("", "Content-Type: a/b\r\nTo: x@y\r\n"),
    ];
    for (start, unit) in shapes {
        let steps = |count: usize| {
            let message = format!("{start}{}", unit.repeat(count));
            steps::of(|| drop(Summary::of(message.as_bytes())))
        };
        let (some, four_times) = (steps(5000), steps(20_000));
        assert!(four_times < some * 5, "{unit:?}: {some} steps, then {four_times}");
    }
}
