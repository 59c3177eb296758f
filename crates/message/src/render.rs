//! Strings as IMAP sends them (RFC 9051 §4.3): quoted when they are 7-bit, as a literal otherwise, which both revisions
//! of IMAP take. No NUL is ever sent.

use std::borrow::Cow;

/// nil, or the string cut to take at most about `bytes_max`.
pub(crate) fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>, bytes_max: usize) {
    match text {
        Some(text) => string(out, text, bytes_max),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A string that is worthless when cut (an identifier): NIL if it is longer than `bytes_max`.
pub(crate) fn nstring_whole(out: &mut Vec<u8>, text: Option<&[u8]>, bytes_max: usize) {
    nstring(out, text.filter(|text| text.len() <= bytes_max), bytes_max);
}

/// string = quoted / literal
pub(crate) fn string(out: &mut Vec<u8>, text: &[u8], bytes_max: usize) {
    let text = without_nul(cut(text, bytes_max));
    if text.iter().all(|&byte| byte.is_ascii() && byte != b'\r' && byte != b'\n') {
        out.push(b'"');
        for &byte in text.iter() {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        out.push(b'"');
    } else {
        out.extend_from_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.extend_from_slice(&text);
    }
}

/// A number after a space.
pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(format!(" {value}").as_bytes());
}

fn without_nul(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(0, text).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.iter().copied().filter(|&byte| byte != 0).collect())
}

/// Cut so that no UTF-8 character is cut in two.
fn cut(text: &[u8], bytes_max: usize) -> &[u8] {
    if text.len() <= bytes_max {
        return text;
    }
    let is_middle = |at: usize| text[at] & 0xC0 == 0x80;
    let end = (bytes_max.saturating_sub(3)..=bytes_max).rev().find(|&at| !is_middle(at)).unwrap_or(bytes_max);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        string(&mut out, text, 10);
        out
    }

    #[test]
    fn strings_are_quoted_or_literals() {
        assert_eq!(rendered(b"a\"b\\c"), b"\"a\\\"b\\\\c\"");
        assert_eq!(rendered("ñ".as_bytes()), "{2}\r\nñ".as_bytes());
        assert_eq!(rendered(b"a\rb"), b"{3}\r\na\rb");
        assert_eq!(rendered(b"a\0b"), b"\"ab\"");
        assert_eq!(rendered("123456789ñ".as_bytes()), b"\"123456789\"");
        assert_eq!(rendered(b""), b"\"\"");
    }
}
