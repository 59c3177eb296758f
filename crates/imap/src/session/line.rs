//! Lines and what they end with. No byte is looked at twice however small the portions are that it comes in.

use bytes::{Buf, BytesMut};

/// Looks for the end of the line that the input begins with.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    /// So many bytes at the front of the input hold no LF.
    scanned: usize,
}

/// The first line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Its end did not come yet.
    Partial,
    /// All there: `length` bytes of text, `with_end` bytes to consume. A bare LF ends a line too.
    Whole { length: usize, with_end: usize },
    /// Longer than allowed, whether its end came or not.
    TooLong,
}

/// What announces a literal at the end of a line: `{5}`, `{5+}`, `~{5}`, `~{5+}` (RFC 9051 §4.3, RFC 7888).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LiteralHeader {
    pub(super) bytes: u64,
    /// The client waits for leave to send it.
    pub(super) synchronizing: bool,
    /// `~`: may hold NULs.
    pub(super) binary: bool,
}

/// `~{9223372036854775807+}`
pub(super) const LITERAL_HEADER_BYTES_MAX: usize = 23;

impl LineScanner {
    /// Whether a line of at most `length_max` bytes is there. The answer never depends on how the bytes were portioned.
    pub(super) fn next(&mut self, input: &BytesMut, length_max: usize) -> Line {
        let from = self.scanned.min(input.len());
        match memchr::memchr(b'\n', &input[from..]) {
            Some(at) => {
                let end = from + at;
                let length = if input[..end].ends_with(b"\r") { end - 1 } else { end };
                if length > length_max { Line::TooLong } else { Line::Whole { length, with_end: end + 1 } }
            }
            None => {
                self.scanned = input.len();
                // The last byte may be the CR.
                if input.len() > length_max + 1 { Line::TooLong } else { Line::Partial }
            }
        }
    }

    /// Takes the line off the input.
    pub(super) fn consume(&mut self, input: &mut BytesMut, with_end: usize) {
        input.advance(with_end);
        self.scanned = 0;
    }
}

/// Splits a line into what stands before the literal's header, and that.
pub(super) fn split_literal_header(line: &[u8]) -> (&[u8], Option<LiteralHeader>) {
    parse_literal_header(line).map_or((line, None), |(text, header)| (text, Some(header)))
}

fn parse_literal_header(line: &[u8]) -> Option<(&[u8], LiteralHeader)> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, synchronizing) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let digits = inner.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    // 19 digits hold any number of 63 bits.
    if digits == 0 || digits > 19 {
        return None;
    }
    let (before, digits) = inner.split_at(inner.len() - digits);
    let before = before.strip_suffix(b"{")?;
    let bytes = digits.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    let (text, binary) = match before.strip_suffix(b"~") {
        Some(text) => (text, true),
        None => (before, false),
    };
    Some((text, LiteralHeader { bytes, synchronizing, binary }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_headers_are_read_at_the_end_of_lines() {
        let header = |bytes, synchronizing, binary| Some(LiteralHeader { bytes, synchronizing, binary });
        for (line, text, expected) in [
            ("a {5}", "a ", header(5, true, false)),
            ("a {0+}", "a ", header(0, false, false)),
            ("a ~{12}", "a ", header(12, true, true)),
            ("~{9223372036854775807+}", "", header(9_223_372_036_854_775_807, false, true)),
            ("a {5} ", "a {5} ", None),
            ("a {}", "a {}", None),
            ("a {-1}", "a {-1}", None),
            ("a 5}", "a 5}", None),
            ("a {5++}", "a {5++}", None),
            ("a {00000000000000000005}", "a {00000000000000000005}", None),
        ] {
            assert_eq!(split_literal_header(line.as_bytes()), (text.as_bytes(), expected), "{line}");
        }
    }

    #[test]
    fn a_line_is_too_long_however_it_arrives() {
        for end in ["\n", "\r\n"] {
            for length in 0..6 {
                let text = format!("{}{end}", "x".repeat(length));
                let mut scanner = LineScanner::default();
                let mut input = BytesMut::new();
                let mut last = Line::Partial;
                for byte in text.bytes() {
                    assert_eq!(last, Line::Partial);
                    input.extend_from_slice(&[byte]);
                    last = scanner.next(&input, 3);
                    if last == Line::TooLong {
                        break;
                    }
                }
                let expected =
                    if length > 3 { Line::TooLong } else { Line::Whole { length, with_end: text.len() } };
                assert_eq!(last, expected, "{text:?}");
            }
        }
    }
}
