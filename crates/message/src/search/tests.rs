//! What SEARCH finds, and what it does not.

use super::*;
use crate::corpus;

fn finds(needle: &str, text: &str) -> bool {
    Needle::new(needle).matches_str(text)
}

#[test]
fn case_and_compatibility_are_ignored_but_not_accents() {
    assert!(finds("HELLO", "well, hello there"));
    assert!(finds("\u{e9}T\u{c9}", "\u{c9}t\u{e9}"));
    assert!(finds("e\u{301}t", "\u{c9}T"), "composed or not");
    assert!(finds("stra\u{df}e", "STRA\u{df}E") && !finds("strasse", "stra\u{df}e"));
    assert!(finds("\u{3c3}", "\u{3c2}\u{3a3}"), "both small sigmas have one titlecase");
    let mut folded = Vec::new();
    fold("\u{1c4}", &mut folded);
    assert_eq!(folded, "Dz\u{30c}".as_bytes(), "the example of RFC 5051 section 2");
    assert!(finds("abc", "\u{ff41}\u{ff42}\u{ff43}"), "full width letters");
    assert!(!finds("ete", "\u{e9}t\u{e9}\u{301}"));
    assert!(finds("", "x") && finds("", "") && !finds("x", ""));
}

#[test]
fn each_ascii_character_folds_as_the_maps_say() {
    for c in (0..128_u8).map(char::from) {
        let (mut folded, mut mapped) = (Vec::new(), String::new());
        fold(c.encode_utf8(&mut [0; 4]), &mut folded);
        decompose_compatible(CaseMapper::new().simple_titlecase(c), |part| mapped.push(part));
        assert_eq!(folded, mapped.as_bytes(), "{c:?}");
    }
}

#[test]
fn ascii_text_is_searched_over_the_edges_of_the_buffer() {
    for at in (0..3 * STACK_BYTES).step_by(7) {
        let text = format!("{}NeedleInHay{}", "n".repeat(at), "x".repeat(40));
        assert!(finds("needleinhay", &text), "{at}");
        assert!(!finds("needleinhayn", &text), "{at}");
    }
    let long = "ab".repeat(STACK_BYTES);
    assert!(finds(&long, &format!("x{}", long.to_uppercase())) && !finds(&format!("{long}c"), &long));
}

#[test]
fn headers_are_matched_decoded() {
    let header =
        b"From: =?iso-8859-1?q?Andr=E9?= <a@b>\r\nSubject: a =?utf-8?b?w6k=?=\r\n folded\r\nX-Empty:\r\n\r\n";
    let matches = |needle: &str, name: &str| Needle::new(needle).matches_header(header, name.as_bytes());
    assert!(matches("ANDR\u{c9}", "from") && matches("<a@b>", "FROM"));
    assert!(matches("\u{e9} folded", "subject"));
    assert!(!matches("andr\u{e9}", "to") && !matches("utf-8", "subject"));
    assert!(
        matches("", "x-empty") && !matches("", "x-absent"),
        "an empty text asks whether the field is there"
    );
}

/// What is not looked at closely holds nothing.
#[test]
fn headers_that_are_passed_over_hold_nothing() {
    let odd = [
        "Subject: fo\ro ba\0r\r\n",
        "Subject: fo\r\no\r\n",
        "Subject: foo\r\n bar\r\n\tbaz\nTo: x\r",
        "Subject: =?utf-8?q?foo?=\r\n",
        "subject: f\u{f8}o \u{ff26}oo\r\n",
        "Subject: fo=\r\nTo: ?o\r\n",
        "Subject",
        "",
    ];
    let messages = (0..300).map(corpus::message);
    let headers = odd.iter().map(|header| header.as_bytes().to_vec()).chain(messages);
    let needles = [
        "foo", "bar", "o", "fo", "foobar", "oT", "example", "re:", "@", "?", "=?", "utf-8", "foo bar",
        "o\tbaz", " foo", "re: ", "\u{e9}",
    ];
    let mut passed_over = 0;
    for header in headers {
        for needle in needles.map(Needle::new) {
            for name in ["subject", "from", "to"].map(str::as_bytes) {
                let closely = header::values(&header, name).any(|value| needle.matches_decoded(value));
                assert_eq!(needle.matches_header(&header, name), closely, "{:?}", header.escape_ascii());
            }
            passed_over += u32::from(!needle.may_be_in(&header));
        }
    }
    assert!(passed_over > 500, "{passed_over}");
    assert!(!Needle::new("foo").may_be_in(b"Subject: fo\r\n o\r\n"));
}

const MESSAGE: &str = "Subject: =?utf-8?q?hidden=C3=A9?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nma=F1a=\r\nna\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
    PHA+VGhlIDxiPm1lZTwvYj50aW5nICZlYWN1dGU7PC9wPg==\r\n\
    --b\r\nContent-Type: application/octet-stream; name=file.bin\r\n\r\nsecret\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: attached\r\n\r\ninner text\r\n--b--\r\n";

#[test]
fn bodies_are_matched_decoded_and_text_has_headers_too() {
    let summary = Summary::of(MESSAGE.as_bytes());
    let body = |text: &str| Needle::new(text).matches_body(MESSAGE.as_bytes(), &summary).unwrap();
    let text = |text: &str| Needle::new(text).matches_text(MESSAGE.as_bytes(), &summary).unwrap();
    for found in ["ma\u{f1}ana", "The meeting \u{e9}", "INNER TEXT"] {
        assert!(body(found) && text(found), "{found}");
    }
    for only_in_headers in ["hidden\u{e9}", "attached", "file.bin", "content-type: text/html"] {
        assert!(!body(only_in_headers) && text(only_in_headers), "{only_in_headers}");
    }
    for nowhere in ["secret", "<b>", "=F1", "PHA+"] {
        assert!(!text(nowhere), "{nowhere}");
    }
    let searched = Searched::decode(summary.encode()).unwrap();
    assert_eq!(Needle::new("HIDDEN\u{c9}").matches_cached_header(&searched, b"Subject"), Some(true));
    assert_eq!(Needle::new("x").matches_cached_header(&searched, b"X-Any"), None);
}

#[test]
fn text_is_found_over_the_edges_of_pieces() {
    for before in PIECE_BYTES - 12..PIECE_BYTES + 2 {
        let message =
            format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}ma\u{f1}ana", "x".repeat(before));
        let summary = Summary::of(message.as_bytes());
        assert!(Needle::new("ma\u{d1}ANA").matches_body(message.as_bytes(), &summary).unwrap(), "{before}");
    }
}

#[test]
fn ascii_that_stands_for_something_else_is_decoded() {
    let message = b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B4A\x1b(B plain\r\n";
    let summary = Summary::of(message);
    let body = |text: &str| Needle::new(text).matches_body(message, &summary).unwrap();
    assert!(body("\u{6f22} plain") && !body("B4A"));
}

#[test]
fn fields_are_searched_with_their_names_and_words() {
    let header = "X-One:=?utf-8?q?gl=C3=BCed?= word\r\nSubject: folded\r\n line\r\nX-Raw: na\u{ef}ve\r\n\r\n";
    let finds = |text: &str| Needle::new(text).matches_any_header(header.as_bytes());
    for found in ["gl\u{dc}ed word", "subject: folded line", "x-raw: na\u{cf}ve", "x-one:"] {
        assert!(finds(found), "{found}");
    }
    assert!(!finds("word subject") && !finds("folded\r\n line"));
    let swallowed = b"=\0?utf-8?q?x: s=C3=BC=C3=9F?=\r\n";
    assert!(Needle::new("s=C3").matches_any_header(swallowed), "the value begins no word");
    let odd_name = b"X-\xff: gl\xc3\xbced\r\n";
    assert!(Needle::new("gl\u{fc}ed").matches_any_header(odd_name), "the value is UTF-8, the whole is not");
}

#[test]
fn a_long_text_is_found_in_plain_text() {
    let needle = "abcdefg ".repeat(STACK_BYTES / 8);
    for before in [0, PIECE_BYTES - 7, 3 * PIECE_BYTES] {
        let message = format!("Subject: s\r\n\r\n{}{needle}", "x".repeat(before));
        let summary = Summary::of(message.as_bytes());
        let finds = |text: &str| Needle::new(text).matches_body(message.as_bytes(), &summary).unwrap();
        assert!(finds(&needle.to_uppercase()) && !finds(&format!("{needle}no")), "{before}");
    }
}

#[test]
fn text_that_is_wrongly_labelled_base64_is_found_as_it_stands() {
    let message = b"Content-Transfer-Encoding: base64\r\n\r\nThis is no base64, is it?\r\n";
    let summary = Summary::of(message);
    assert!(Needle::new("no base64").matches_body(message, &summary).unwrap());
}
