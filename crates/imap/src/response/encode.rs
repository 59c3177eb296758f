//! The smallest pieces of responses, written straight into the output buffer.

use super::NameEncoding;
use crate::utf7;
use buzon_types::uid_set::UidSet;
use bytes::{BufMut, BytesMut};

/// Longer strings go out as literals: some clients read lines into buffers of a few KB.
const QUOTED_BYTES_MAX: usize = 1000;

/// Decimal digits without a detour through a String.
pub(crate) fn number(out: &mut BytesMut, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

/// `1:3,7`
pub(crate) fn runs(out: &mut BytesMut, runs: impl Iterator<Item = (u32, u32)>) {
    for (at, (first, last)) in runs.enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        number(out, first.into());
        if first != last {
            out.put_u8(b':');
            number(out, last.into());
        }
    }
}

/// uid-set
pub(crate) fn uid_set(out: &mut BytesMut, set: &UidSet) {
    runs(out, set.runs().map(|(first, last)| (first.get(), last.get())));
}

/// string: quoted where it is short and 7-bit, else a literal. NUL, which no string can hold, is left out.
pub(crate) fn string(out: &mut BytesMut, text: &[u8]) {
    if text.len() <= QUOTED_BYTES_MAX && text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return quoted(out, text);
    }
    let nuls = text.iter().filter(|&&byte| byte == 0).count();
    literal_header(out, (text.len() - nuls) as u64);
    if nuls == 0 {
        out.put_slice(text);
    } else {
        out.extend(text.iter().copied().filter(|&byte| byte != 0));
    }
}

/// astring: bare where every reader takes it for the same word.
pub(crate) fn astring(out: &mut BytesMut, text: &[u8]) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._$&+/".contains(byte);
    if !text.is_empty() && text.iter().all(plain) && !text.eq_ignore_ascii_case(b"NIL") {
        out.put_slice(text);
    } else {
        string(out, text);
    }
}

/// `{n}`
pub(crate) fn literal_header(out: &mut BytesMut, bytes: u64) {
    out.put_u8(b'{');
    number(out, bytes);
    out.put_slice(b"}\r\n");
}

/// A mailbox name.
pub(crate) fn mailbox(out: &mut BytesMut, name: &str, encoding: NameEncoding) {
    match encoding {
        NameEncoding::ModifiedUtf7
            if name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'&') =>
        {
            string(out, name.as_bytes());
        }
        NameEncoding::ModifiedUtf7 => string(out, utf7::encode(name).as_bytes()),
        NameEncoding::Utf8 if name.bytes().any(|byte| byte < b' ' || byte == 0x7f) => {
            string(out, name.as_bytes())
        }
        NameEncoding::Utf8 => quoted(out, name.as_bytes()),
    }
}

/// text = 1*TEXT-CHAR; 8-bit only for those who asked for UTF-8 (RFC 9051 §9 `text`).
pub(crate) fn text(out: &mut BytesMut, text: &str, encoding: NameEncoding) {
    if text.is_empty() {
        return out.put_u8(b'-');
    }
    for character in text.chars() {
        match character {
            ' '..='~' => out.put_u8(character as u8),
            _ if character.is_control() => out.put_u8(b' '),
            _ if encoding == NameEncoding::Utf8 => {
                out.put_slice(character.encode_utf8(&mut [0; 4]).as_bytes())
            }
            _ => out.put_u8(b'?'),
        }
    }
}

/// The caller knows that no control characters are in it.
fn quoted(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        out.put_slice(&rest[..at]);
        out.put_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 9, 10, 4_294_967_295, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }

    #[test]
    fn strings_are_quoted_only_where_that_is_safe() {
        assert_eq!(written(|out| string(out, b"a\"b\\c")), r#""a\"b\\c""#);
        assert_eq!(written(|out| string(out, b"")), r#""""#);
        assert_eq!(written(|out| string(out, b"a\r\nb")), "{4}\r\na\r\nb");
        assert_eq!(written(|out| string(out, "é".as_bytes())), "{2}\r\né");
        assert_eq!(written(|out| string(out, b"a\0b")), "{2}\r\nab");
        assert!(written(|out| string(out, &[b'x'; 1001])).starts_with("{1001}\r\n"));
    }

    #[test]
    fn names_follow_what_the_client_enabled() {
        assert_eq!(
            written(|out| mailbox(out, "Entwürfe & Co", NameEncoding::ModifiedUtf7)),
            "\"Entw&APw-rfe &- Co\""
        );
        assert_eq!(written(|out| mailbox(out, "Entwürfe & Co", NameEncoding::Utf8)), "\"Entwürfe & Co\"");
        assert_eq!(written(|out| mailbox(out, "a\nb", NameEncoding::Utf8)), "{3}\r\na\nb");
    }

    #[test]
    fn no_line_end_passes_through_a_text() {
        assert_eq!(written(|out| text(out, "a\r\n* BYE é", NameEncoding::ModifiedUtf7)), "a  * BYE ?");
        assert_eq!(written(|out| text(out, "é\u{85}", NameEncoding::Utf8)), "é ");
        assert_eq!(written(|out| text(out, "", NameEncoding::Utf8)), "-");
    }
}
