//! Structures as text.

use super::*;

fn structure(message: &str) -> String {
    String::from_utf8(of(message.as_bytes()).1).unwrap()
}

fn body(message: &str) -> String {
    String::from_utf8(without_extensions(structure(message).as_bytes())).unwrap()
}

#[test]
fn simple_messages_have_simple_structures() {
    let message = "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\none\r\ntwo\r\n";
    assert_eq!(
        structure(message),
        r#"("text" "plain" ("charset" "US-ASCII") NIL NIL "7bit" 10 2 NIL NIL NIL NIL)"#
    );
    assert_eq!(body(message), r#"("text" "plain" ("charset" "US-ASCII") NIL NIL "7bit" 10 2)"#);
    assert_eq!(
        structure(""),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)"#
    );
    assert_eq!(
        structure("Content-Type: nonsense\r\n\r\nx"),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 NIL NIL NIL NIL)"#
    );
}

#[test]
fn a_multipart_tells_its_parts_and_extensions() {
    let message = "Content-Type: multipart/mixed; boundary=\"b\"\r\nContent-Language: en, de\r\n\r\n\
        --b\r\n\r\nhi\r\n\
        --b\r\nContent-Type: image/png; name=\"a \\\"b\\\"\"\r\nContent-ID: <i@x>\r\nContent-Description: d\r\n\
        Content-Transfer-Encoding: BASE64\r\nContent-Disposition: attachment; filename=x; size=3\r\n\
        Content-MD5: m\r\nContent-Location: l\r\n\r\naGk=\r\n--b--\r\n";
    let text = r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 2 0"#;
    let image = r#"("image" "png" ("name" "a \"b\"") "<i@x>" "d" "base64" 4"#;
    let extensions = r#"("attachment" ("filename" "x" "size" "3"))"#;
    assert_eq!(
        structure(message),
        format!(
            r#"({text} NIL NIL NIL NIL){image} "m" {extensions} NIL "l") "mixed" ("boundary" "b") NIL ("en" "de") NIL)"#
        )
    );
    assert_eq!(body(message), format!(r#"({text}){image}) "mixed")"#));
}

#[test]
fn a_message_within_tells_its_envelope_and_structure() {
    let message = "Content-Type: message/rfc822\r\n\r\nSubject: {1}(\r\nContent-Type: a/b\r\n\r\nx\r\n";
    let envelope = r#"(NIL "{1}(" NIL NIL NIL NIL NIL NIL NIL NIL)"#;
    assert_eq!(
        structure(message),
        format!(
            r#"("message" "rfc822" NIL NIL NIL "7bit" 39 {envelope} ("a" "b" NIL NIL NIL "7bit" 3 NIL NIL NIL NIL) 4 NIL NIL NIL NIL)"#
        )
    );
    assert_eq!(
        body(message),
        format!(r#"("message" "rfc822" NIL NIL NIL "7bit" 39 {envelope} ("a" "b" NIL NIL NIL "7bit" 3) 4)"#)
    );
}

#[test]
fn inner_delimiters_end_with_outer_ones_and_a_prefix_is_no_delimiter() {
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n\r\nx\r\n--b  \r\n\r\n--bx\r\n--b--";
    let (tree, _) = of(message.as_bytes());
    let bodies: Vec<&str> = tree.parts()[2..]
        .iter()
        .map(|part| &message[part.body.start as usize..part.body.end as usize])
        .collect();
    assert_eq!(bodies, ["x", "--bx"]);
    assert_eq!(tree.children(0).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_encoded_message_is_opaque() {
    let message =
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==\r\n";
    assert!(structure(message).starts_with(r#"("application" "octet-stream" NIL NIL NIL "base64" 18 NIL"#));
}

#[test]
fn many_parts_are_told_in_brief_and_then_fewer() {
    let parts = |count: usize| {
        let part = "--a\r\nContent-Type: image/png; name=some-image-name.png\r\nContent-Disposition: attachment\r\n\r\nx\r\n";
        of(format!("Content-Type: multipart/mixed; boundary=a\r\n\r\n{}", part.repeat(count)).as_bytes())
    };
    let (tree, text) = parts(100);
    assert_eq!(tree.parts().len(), 101);
    assert!(text.starts_with(br#"(("image" "png" ("name" "some"#));
    let (tree, text) = parts(350);
    assert_eq!(tree.parts().len(), 351);
    assert!(text.starts_with(br#"(("image" "png" NIL NIL NIL "7bit" 1 NIL ("attachment" NIL)"#));
    let (tree, _) = parts(5000);
    assert_eq!(tree.parts().len(), 250);
    assert!(tree.parts()[249].body.end < tree.parts()[0].body.end);
}

#[test]
fn a_stored_tree_comes_back() {
    for seed in 0..200 {
        let message = crate::corpus::message(seed);
        let (tree, _) = of(&message);
        assert_eq!(PartTree::decode(tree.encode(), message.len() as u64).unwrap(), tree, "seed {seed}");
    }
}
