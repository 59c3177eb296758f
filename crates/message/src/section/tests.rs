//! The part numbers of RFC 9051 §6.4.5.1's example, and partials.

use super::*;

/// The example of RFC 9051 §6.4.5.1.
///
/// 1 text/plain, 2 octet-stream, 3 message/rfc822 (3.1 text, 3.2 octet-stream), 4 multipart/mixed (4.1 image,
/// 4.2 message/rfc822 whose multipart/alternative has 4.2.2.1 … within 4.2.2).
fn example() -> Vec<u8> {
    let text = "Subject: outer\r\nX: y\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n\
        --o\r\n\r\none\r\n\
        --o\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n\
        --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: three\r\nContent-Type: multipart/mixed; boundary=t\r\n\r\n\
        --t\r\n\r\nthree-one\r\n--t\r\nContent-Type: application/octet-stream\r\n\r\nthree-two\r\n--t--\r\n\
        --o\r\nContent-Type: multipart/mixed; boundary=f\r\n\r\n\
        --f\r\nContent-Type: image/gif\r\n\r\nfour-one\r\n\
        --f\r\nContent-Type: message/rfc822\r\n\r\nSubject: four-two\r\nContent-Type: multipart/mixed; boundary=ft\r\n\r\n\
        --ft\r\n\r\nfour-two-one\r\n\
        --ft\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
        --a\r\n\r\n4.2.2.1\r\n--a\r\nContent-Type: text/richtext\r\n\r\n4.2.2.2\r\n--a--\r\n\
        --ft--\r\n--f--\r\n--o--\r\n";
    text.as_bytes().to_vec()
}

fn fetch(message: &[u8], path: &[u32], kind: SectionKind) -> Option<String> {
    let summary = Summary::of(message);
    let bytes = match (Section { path: path.to_vec(), kind }).plan(&summary).unwrap() {
        SectionPlan::Ready(bytes) => bytes,
        SectionPlan::Range(range) => message[range.start as usize..range.end as usize].to_vec(),
        SectionPlan::Fields { range, filter } => {
            filter.apply(&message[range.start as usize..range.end as usize])
        }
        SectionPlan::Missing => return None,
    };
    Some(String::from_utf8(bytes).unwrap())
}

fn whole(path: &[u32]) -> Option<String> {
    fetch(&example(), path, SectionKind::Whole)
}

#[test]
fn the_parts_of_the_rfc_s_example_have_its_numbers() {
    assert_eq!(whole(&[1]).unwrap(), "one");
    assert_eq!(whole(&[2]).unwrap(), "two");
    assert_eq!(whole(&[3, 1]).unwrap(), "three-one");
    assert_eq!(whole(&[3, 2]).unwrap(), "three-two");
    assert_eq!(whole(&[4, 1]).unwrap(), "four-one");
    assert_eq!(whole(&[4, 2, 1]).unwrap(), "four-two-one");
    assert_eq!(whole(&[4, 2, 2, 1]).unwrap(), "4.2.2.1");
    assert_eq!(whole(&[4, 2, 2, 2]).unwrap(), "4.2.2.2");
    assert!(whole(&[3]).unwrap().starts_with("Subject: three\r\n"));
    assert!(whole(&[4, 2, 2]).unwrap().starts_with("--a\r\n"));
    assert_eq!(whole(&[]).unwrap().as_bytes(), example());
    for path in [&[0][..], &[5], &[1, 1], &[3, 3], &[3, 1, 1], &[4, 2, 2, 3], &[u32::MAX]] {
        assert_eq!(whole(path), None, "{path:?}");
    }
}

#[test]
fn headers_texts_and_mime_headers_are_where_they_belong() {
    let message = example();
    let names = || vec!["SUBJECT".to_owned(), "absent".to_owned()];
    let get = |path: &[u32], kind| fetch(&message, path, kind);
    assert_eq!(get(&[], SectionKind::HeaderFields(names())).unwrap(), "Subject: outer\r\n\r\n");
    assert_eq!(get(&[], SectionKind::HeaderFields(vec!["X".into()])).unwrap(), "X: y\r\n\r\n");
    assert_eq!(get(&[3], SectionKind::HeaderFields(names())).unwrap(), "Subject: three\r\n\r\n");
    assert!(
        get(&[3], SectionKind::HeaderFieldsNot(names()))
            .unwrap()
            .starts_with("Content-Type: multipart/mixed")
    );
    assert!(get(&[3], SectionKind::Header).unwrap().ends_with("boundary=t\r\n\r\n"));
    assert!(get(&[4, 2], SectionKind::Text).unwrap().starts_with("--ft\r\n\r\nfour-two-one"));
    assert_eq!(get(&[4, 2], SectionKind::Mime).unwrap(), "Content-Type: message/rfc822\r\n\r\n");
    assert_eq!(get(&[1], SectionKind::Mime).unwrap(), "\r\n");
    assert_eq!(get(&[1], SectionKind::Header), None, "only messages have headers");
    assert_eq!(get(&[4], SectionKind::Text), None);
}

#[test]
fn a_message_of_one_part_is_its_own_part_1() {
    let message = b"Subject: s\nContent-Type: text/plain\n\nbody\n";
    let get = |path: &[u32], kind| fetch(message, path, kind);
    assert_eq!(get(&[1], SectionKind::Whole).unwrap(), "body\n");
    assert_eq!(get(&[], SectionKind::Text).unwrap(), "body\n");
    assert_eq!(get(&[1], SectionKind::Mime).unwrap(), "Subject: s\nContent-Type: text/plain\n\n");
    assert_eq!(get(&[1, 1], SectionKind::Whole), None);
    assert_eq!(get(&[2], SectionKind::Whole), None);
    let forwarded = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx";
    assert_eq!(fetch(forwarded, &[1], SectionKind::Header).unwrap(), "Subject: in\r\n\r\n");
    assert_eq!(fetch(forwarded, &[1, 1], SectionKind::Whole).unwrap(), "x");
}

#[test]
fn a_multipart_without_parts_shows_its_content_as_part_1() {
    let message = b"Content-Type: multipart/mixed; boundary=lost\r\n\r\nall that is there";
    assert_eq!(fetch(message, &[1], SectionKind::Whole).unwrap(), "all that is there");
}

#[test]
fn partials_never_leave_the_range() {
    let partial = |origin, count| Partial { origin, count };
    assert_eq!(partial(2, 3).of_range(&(10..20)), 12..15);
    assert_eq!(partial(8, 30).of_range(&(10..20)), 18..20);
    assert_eq!(partial(10, 1).of_range(&(10..20)), 20..20);
    assert_eq!(partial(u64::MAX, u64::MAX).of_range(&(10..20)), 20..20);
    assert_eq!(partial(1, 2).of_bytes(b"abcd"), b"bc");
}
