//! What must hold of any bytes taken as a message. Panics where it does not: for tests and the fuzz target.

use crate::binary::{self, BinaryPlan};
use crate::part::{Part, PartKind, PartTree};
use crate::search::{Needle, slice};
use crate::section::{Partial, Section, SectionKind, SectionPlan};
use crate::summary::{SUMMARY_BYTES_MAX, Summary};
use crate::testing::grammar;

/// All of it; returns the summary.
pub fn check(message: &[u8]) -> Summary {
    let summary = Summary::of(message);
    stored_form_is_bounded_and_comes_back(&summary);
    assert_eq!(summary.size(), message.len() as u64);
    let tree = summary.parts().expect("our own tree decodes");
    ranges_nest(message, &tree);
    renderings_follow_the_grammar(&summary, &tree);
    sections_lie_within(message, &summary, &tree);
    cached_fields_are_the_message_s(message, &summary);
    decoding_agrees_with_its_size(message, &summary, &tree);
    searching_works(message, &summary);
    summary
}

fn stored_form_is_bounded_and_comes_back(summary: &Summary) {
    let stored = summary.encode();
    assert!(stored.len() <= SUMMARY_BYTES_MAX, "{} bytes", stored.len());
    assert_eq!(&Summary::decode(stored).expect("our own encoding decodes"), summary);
    let preview = std::str::from_utf8(summary.preview()).expect("a preview is UTF-8");
    assert!(preview.chars().count() <= crate::preview::PREVIEW_CHARACTERS_MAX);
}

fn ranges_nest(message: &[u8], tree: &PartTree) {
    assert!(tree.parts()[0].body.end == message.len() as u64, "the first part is the whole message");
    for (at, part) in tree.parts().iter().enumerate() {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= message.len() as u64);
        let lines = memchr::memchr_iter(b'\n', slice(message, &part.body)).count() as u64;
        assert_eq!(part.lines, lines, "lines of part {at}");
        let mut before = part.body.start;
        for child in tree.children(at) {
            let child = tree.part(child);
            assert!(
                before <= child.header.start && child.body.end <= part.body.end,
                "parts of part {at} lie apart"
            );
            before = child.body.end;
        }
    }
}

fn renderings_follow_the_grammar(summary: &Summary, tree: &PartTree) {
    grammar::envelope(summary.envelope()).unwrap_or_else(|e| panic!("{e:?} in {:?}", summary.envelope()));
    let text = summary.body_structure();
    let told = grammar::body(text, true).unwrap_or_else(|e| panic!("{e:?} in {text:?}"));
    let text = summary.body();
    let told_in_body = grammar::body(&text, false).unwrap_or_else(|e| panic!("{e:?} in {text:?}"));
    assert_eq!(told, told_in_body);
    assert_eq!(told.len(), tree.parts().len());
    for (told, part) in told.iter().zip(tree.parts()) {
        assert_eq!(told.subtype, part.subtype.as_bytes());
        let body_bytes = part.body.end - part.body.start;
        assert_eq!(told.octets, (part.kind != PartKind::Multipart).then_some(body_bytes));
        assert!(told.lines.is_none_or(|lines| lines == part.lines));
    }
}

fn sections_lie_within(message: &[u8], summary: &Summary, tree: &PartTree) {
    for path in paths(tree) {
        let part = tree.part(tree.find(&path).expect("a numbered part is found"));
        let names = || vec!["subject".to_owned(), "x-odd".to_owned()];
        let kinds = [
            SectionKind::Whole,
            SectionKind::Mime,
            SectionKind::Header,
            SectionKind::Text,
            SectionKind::HeaderFields(names()),
            SectionKind::HeaderFieldsNot(names()),
        ];
        for kind in kinds {
            let of_message = !matches!(kind, SectionKind::Whole | SectionKind::Mime);
            let section = Section { path: path.clone(), kind };
            let plan = section.plan(summary).expect("our own tree decodes");
            let range = match &plan {
                SectionPlan::Range(range) | SectionPlan::Fields { range, .. } => range,
                SectionPlan::Ready(_) => continue,
                SectionPlan::Missing => {
                    assert!(of_message && part.kind != PartKind::Message, "{section:?}");
                    continue;
                }
            };
            assert!(range.start <= range.end && range.end <= message.len() as u64, "{section:?}");
            let partial = Partial { origin: 1, count: 3 }.of_range(range);
            assert!(range.start <= partial.start && partial.end <= range.end);
        }
    }
}

/// The numbers of every part that has any, by walking the tree as a client does.
fn paths(tree: &PartTree) -> Vec<Vec<u32>> {
    let mut found = Vec::new();
    let mut todo: Vec<(usize, Vec<u32>, bool)> = vec![(0, Vec::new(), true)]; // place, numbers, is a message
    while let Some((at, path, is_message)) = todo.pop() {
        let part: &Part = tree.part(at);
        let is_unnumbered = is_message && part.kind == PartKind::Multipart;
        let own = if is_message && !is_unnumbered { [&path[..], &[1]].concat() } else { path };
        if !is_unnumbered {
            found.push(own.clone());
        }
        match part.kind {
            PartKind::Single => {}
            PartKind::Message => todo.push((at + 1, own, true)),
            PartKind::Multipart => {
                for (child, number) in tree.children(at).zip(1..) {
                    todo.push((child, [&own[..], &[number]].concat(), false));
                }
            }
        }
    }
    found
}

fn cached_fields_are_the_message_s(message: &[u8], summary: &Summary) {
    let header = &message[..summary.header_end() as usize];
    for names in [&["Subject", "FROM"][..], &["date"], &["references", "to", "list-id", "content-type"], &[]]
    {
        if let Some(answer) = summary.header_fields(names) {
            assert_eq!(answer, crate::header::select(header, names), "{names:?}");
        }
    }
    assert_eq!(summary.header_fields(&["x-nobody-caches"]), None);
}

fn decoding_agrees_with_its_size(message: &[u8], summary: &Summary, tree: &PartTree) {
    for path in paths(tree) {
        if let BinaryPlan::Decode { range, encoding } =
            binary::plan(summary, &path).expect("our own tree decodes")
        {
            let content = slice(message, &range);
            let decoded = binary::decode(encoding, content);
            assert_eq!(decoded.len() as u64, binary::decoded_size(encoding, content));
        }
    }
}

fn searching_works(message: &[u8], summary: &Summary) {
    let needle = Needle::new("\u{e9}a");
    let in_body = needle.matches_body(message, summary).expect("our own tree decodes");
    let in_text = needle.matches_text(message, summary).expect("our own tree decodes");
    assert!(in_text || !in_body, "TEXT finds what BODY finds");
    needle.matches_header(message, b"subject");
}
