//! Well-formed messages as two other MIME libraries read them: same parts, same places, same content, same text.

use crate::address::{Entries, Entry};
use crate::binary;
use crate::corpus;
use crate::encoded_word;
use crate::header::unfold;
use crate::part::{PartKind, PartTree};
use crate::search::slice;
use crate::summary::Summary;
use mail_parser::{MessageParser, MimeHeaders, PartType};

fn well_formed() -> impl Iterator<Item = Vec<u8>> {
    (0..600).step_by(2).map(corpus::message).chain((0..80).map(corpus::realistic))
}

#[test]
fn mailparse_sees_the_same_parts_and_content() {
    for message in well_formed() {
        let summary = Summary::of(&message);
        let tree = summary.parts().unwrap();
        let other = mailparse::parse_mail(&message).unwrap();
        same_as_mailparse(&message, &tree, 0, &other);
    }
}

fn same_as_mailparse(message: &[u8], tree: &PartTree, at: usize, other: &mailparse::ParsedMail<'_>) {
    let part = tree.part(at);
    assert_eq!(format!("{}/{}", part.media_type, part.subtype), other.ctype.mimetype);
    match part.kind {
        PartKind::Multipart => {
            let children: Vec<usize> = tree.children(at).collect();
            assert_eq!(children.len(), other.subparts.len());
            for (child, other) in children.into_iter().zip(&other.subparts) {
                same_as_mailparse(message, tree, child, other);
            }
        }
        PartKind::Single => {
            let ours = binary::decode(part.encoding, slice(message, &part.body));
            let theirs = other.get_body_raw().unwrap();
            let line_end = |bytes: &[u8]| bytes.trim_ascii_end().to_vec(); // theirs keeps the delimiter's line end
            assert_eq!(line_end(&ours), line_end(&theirs), "part {at}");
        }
        PartKind::Message => {} // mailparse does not look into messages
    }
}

#[test]
fn mail_parser_sees_the_same_places_filenames_and_date() {
    for message in well_formed().filter(|message| boundaries_differ_from_the_start(message)) {
        let summary = Summary::of(&message);
        let tree = summary.parts().unwrap();
        if tree.parts().iter().any(|part| part.kind == PartKind::Message) {
            continue; // there mail-parser counts other parts than mailparse and we do
        }
        let other = MessageParser::default().parse(&message).unwrap();
        same_as_mail_parser(&tree, 0, &other, 0);
        let date = other.date().map(|date| date.to_timestamp());
        if date.is_some() {
            assert_eq!(summary.sent_date().map(|date| date.seconds), date);
        }
    }
}

#[test]
fn mail_parser_sees_the_same_subjects_and_addresses() {
    for message in (0..150).map(corpus::realistic) {
        let summary = Summary::of(&message);
        let other = MessageParser::default().parse(&message).unwrap();
        let ours = |name: &[u8]| encoded_word::decode(summary.header_value(name).unwrap()).into_owned();
        assert_eq!(Some(ours(b"Subject").as_str()), other.subject());
        assert_eq!(
            summary.message_id().map(|id| id.trim_matches(['<', '>']).to_owned()).as_deref(),
            other.message_id()
        );
        for (name, theirs) in [("From", other.from()), ("To", other.to()), ("Cc", other.cc())] {
            let Some(value) = summary.header_value(name.as_bytes()) else { continue };
            let text = |bytes: &[u8]| encoded_word::decode(bytes).into_owned();
            let ours: Vec<(Option<String>, String)> = Entries::of(&unfold(value))
                .filter_map(|entry| match entry {
                    Entry::Address(a) => Some((
                        a.name.map(|name| text(&name)),
                        format!("{}@{}", text(&a.local), text(&a.domain)),
                    )),
                    _ => None,
                })
                .collect();
            let theirs: Vec<(Option<String>, String)> = theirs
                .unwrap()
                .iter()
                .map(|a| (a.name().map(str::to_owned), a.address().unwrap_or_default().to_owned()))
                .collect();
            assert_eq!(ours, theirs, "{name}");
        }
    }
}

/// mail-parser takes a boundary that another one begins with for that other one.
fn boundaries_differ_from_the_start(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    let boundaries: Vec<&str> =
        text.split("boundary=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let begins = |(at, one): (usize, &&str)| {
        boundaries.iter().enumerate().any(|(other, two)| at != other && two.starts_with(*one))
    };
    !boundaries.iter().enumerate().any(begins)
}

fn same_as_mail_parser(tree: &PartTree, at: usize, other: &mail_parser::Message<'_>, other_at: usize) {
    let part = tree.part(at);
    let theirs = &other.parts[other_at];
    assert_eq!(part.header.start, u64::from(theirs.offset_header), "header of part {at}");
    assert_eq!(part.body.start, u64::from(theirs.offset_body), "body of part {at}");
    if at > 0 {
        assert_eq!(part.filename.as_deref(), theirs.attachment_name(), "part {at}");
    }
    match &theirs.body {
        PartType::Multipart(children) => {
            let ours: Vec<usize> = tree.children(at).collect();
            assert_eq!(ours.len(), children.len());
            for (child, other_child) in ours.into_iter().zip(children) {
                same_as_mail_parser(tree, child, other, *other_child as usize);
            }
        }
        _ => {
            assert_eq!(part.kind, PartKind::Single);
            assert_eq!(part.body.end, u64::from(theirs.offset_end), "end of part {at}");
        }
    }
}
