//! Decoders on whole content and on every way to cut it in two, and the plans.

use super::*;

fn decoded(encoding: TransferEncoding, content: &str) -> String {
    let whole = decode(encoding, content.as_bytes());
    assert_eq!(decoded_size(encoding, content.as_bytes()), whole.len() as u64);
    for cut in 0..content.len() {
        let (mut decoder, mut out) = (TransferDecoder::new(encoding), Vec::new());
        decoder.push(&content.as_bytes()[..cut], &mut out);
        decoder.push(&content.as_bytes()[cut..], &mut out);
        decoder.finish(&mut out);
        assert_eq!(out, whole, "cut at {cut}");
    }
    String::from_utf8_lossy(&whole).into_owned()
}

#[test]
fn base64_decodes_with_line_ends_rubbish_and_missing_padding() {
    let base64 = |content| decoded(TransferEncoding::Base64, content);
    assert_eq!(base64("aGVsbG8="), "hello");
    assert_eq!(base64("aGVs\r\nbG8=\r\n"), "hello");
    assert_eq!(base64("aGVsbG8"), "hello");
    assert_eq!(base64("a*G!V s"), "hel");
    assert_eq!(base64("aGVsbA==aGVsbG8="), "hellhello", "padding in the middle");
    assert_eq!(base64(""), "");
}

#[test]
fn quoted_printable_decodes_as_rfc_2045_says() {
    let quoted = |content| decoded(TransferEncoding::QuotedPrintable, content);
    assert_eq!(quoted("a=3Db=\r\nc=\nd"), "a=bcd");
    assert_eq!(quoted("a  \t\r\nb \n c "), "a\r\nb\n c ", "white space at a line's end goes");
    assert_eq!(quoted("a= \t\r\nb"), "ab", "also behind a soft break");
    assert_eq!(quoted("=e9=ZZ=4 x="), "\u{fffd}=ZZ=4 x");
    assert_eq!(quoted("a\rb\r\n"), "a\rb\r\n");
}

#[test]
fn plans_decode_parts_and_pass_messages_on() {
    let message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n\
        --b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nx\r\n\
        --b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\nc\r\n--b--\r\n";
    let summary = Summary::of(message.as_bytes());
    let planned = |path: &[u32]| plan(&summary, path).unwrap();
    let BinaryPlan::Decode { range, encoding } = planned(&[1]) else { panic!("part 1 decodes") };
    assert_eq!(decode(encoding, &message.as_bytes()[range.start as usize..range.end as usize]), b"hi");
    assert_eq!(planned(&[2]), BinaryPlan::UnknownCte);
    assert!(matches!(planned(&[3]), BinaryPlan::Decode { encoding: TransferEncoding::Identity, .. }));
    assert_eq!(planned(&[4]), BinaryPlan::Missing);
    assert_eq!(
        planned(&[]),
        BinaryPlan::Decode { range: 0..message.len() as u64, encoding: TransferEncoding::Identity }
    );
}
