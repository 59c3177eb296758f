//! Encoded words (RFC 2047): header text as a person reads it.

use crate::binary::{TransferDecoder, hex_value};
use crate::charset::decode_lossy;
use crate::header::unfold;
use crate::part::TransferEncoding;
use memchr::{memchr, memchr_iter, memmem};
use std::borrow::Cow;

/// A header value on one line with its encoded words decoded. What is none stays as it stands; raw 8-bit bytes are
/// taken as UTF-8, else windows-1252.
pub fn decode(value: &[u8]) -> Cow<'_, str> {
    match unfold(value) {
        Cow::Borrowed(line) => decode_line(line),
        Cow::Owned(line) => Cow::Owned(decode_line(&line).into_owned()),
    }
}

/// Where the next `=?` is.
fn word_start(line: &[u8], from: usize) -> Option<usize> {
    memchr_iter(b'=', &line[from..]).map(|at| from + at).find(|at| line.get(at + 1) == Some(&b'?'))
}

fn decode_line(line: &[u8]) -> Cow<'_, str> {
    if word_start(line, 0).is_none() {
        return match std::str::from_utf8(line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(decode_lossy(None, line)),
        };
    }
    let mut decoded = Decoded::default();
    decoded.text.reserve(line.len());
    let (mut done, mut from, mut barren) = (0, 0, 0);
    while let Some(at) = word_start(line, from) {
        match Word::parse(line, at, &mut barren) {
            Some((word, end)) => {
                decoded.plain(&line[done..at]);
                decoded.word(&word);
                (done, from) = (end, end);
            }
            None => from = at + 2,
        }
    }
    decoded.plain(&line[done..]);
    decoded.flush();
    Cow::Owned(decoded.text)
}

/// `=?charset?encoding?text?=`
struct Word<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
}

/// Longest word that is looked for; RFC 2047 §2 allows 75, and senders that never fold exist.
const WORD_BYTES_MAX: usize = 2048;
/// Longest charset label with a language (RFC 2231 §5).
const CHARSET_BYTES_MAX: usize = 80;

impl<'a> Word<'a> {
    /// The word that begins at `at`, and where it ends. No `?=` lies between the places tried so far and `barren`: so
    /// a line full of `=?` is looked through once.
    fn parse(line: &'a [u8], at: usize, barren: &mut usize) -> Option<(Self, usize)> {
        let limit = line.len().min(at + WORD_BYTES_MAX);
        let label = at + 2;
        let charset_end = label + memchr(b'?', &line[label..limit.min(label + CHARSET_BYTES_MAX)])?;
        let is_base64 = match line.get(charset_end + 1)? {
            b'b' | b'B' => true,
            b'q' | b'Q' => false,
            _ => return None,
        };
        let text_start = charset_end + 3;
        if line.get(text_start - 1) != Some(&b'?') {
            return None;
        }
        let from = text_start.max(*barren);
        let Some(text_end) = memmem::find(line.get(from..limit)?, b"?=").map(|end| from + end) else {
            *barren = limit - 1;
            return None;
        };
        let charset = line[label..charset_end].split(|&byte| byte == b'*').next().unwrap_or_default();
        Some((Self { charset, is_base64, text: &line[text_start..text_end] }, text_end + 2))
    }

    /// What it stands for, in its charset.
    fn decode(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(self.text.len());
        if self.is_base64 {
            let mut decoder = TransferDecoder::new(TransferEncoding::Base64);
            decoder.push(self.text, bytes);
            return decoder.finish(bytes);
        }
        let mut rest = self.text;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match (byte, after) {
                (b'_', _) => bytes.push(b' '),
                (b'=', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    bytes.push(hex_value(*high) << 4 | hex_value(*low));
                    rest = after;
                }
                _ => bytes.push(byte),
            }
        }
    }
}

/// Text so far. Words side by side in one charset are decoded together, since senders cut characters in two.
#[derive(Default)]
struct Decoded<'a> {
    text: String,
    charset: Option<&'a [u8]>,
    bytes: Vec<u8>,
}

impl<'a> Decoded<'a> {
    /// What stands between words; white space between two words is not shown (RFC 2047 §6.2).
    fn plain(&mut self, plain: &[u8]) {
        if self.charset.is_some() && plain.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.flush();
        match std::str::from_utf8(plain) {
            Ok(plain) => self.text.push_str(plain),
            Err(_) => self.text.push_str(&decode_lossy(None, plain)),
        }
    }

    fn word(&mut self, word: &Word<'a>) {
        if self.charset.is_some_and(|charset| !charset.eq_ignore_ascii_case(word.charset)) {
            self.flush();
        }
        self.charset = Some(word.charset);
        word.decode(&mut self.bytes);
    }

    fn flush(&mut self) {
        let Some(charset) = self.charset.take() else { return };
        match std::str::from_utf8(&self.bytes) {
            // What most words are; a byte order mark is the decoder's matter.
            Ok(text) if charset.eq_ignore_ascii_case(b"utf-8") && !text.starts_with('\u{feff}') => {
                self.text.push_str(text);
            }
            _ => {
                let label = std::str::from_utf8(charset).ok();
                self.text.push_str(&decode_lossy(label, &self.bytes));
            }
        }
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decode_as_the_rfc_shows() {
        // RFC 2047 §8
        assert_eq!(decode(b"=?ISO-8859-1?Q?a?="), "a");
        assert_eq!(decode(b"=?ISO-8859-1?Q?a?= b"), "a b");
        assert_eq!(decode(b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?="), "ab");
        assert_eq!(decode(b"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?="), "ab");
        assert_eq!(decode(b"=?ISO-8859-1?Q?a_b?="), "a b");
        assert_eq!(decode(b"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?="), "a b");
        assert_eq!(
            decode(b"=?US-ASCII*EN?Q?Keith_Moore?= <moore@cs.utk.edu>"),
            "Keith Moore <moore@cs.utk.edu>"
        );
        assert_eq!(decode(b"=?utf-8?b?w7E=?="), "ñ");
        assert_eq!(decode(b"=?utf-8?q?=C3?= =?utf-8?q?=B1?="), "ñ", "a character cut in two");
    }

    #[test]
    fn what_is_no_word_stays() {
        assert_eq!(decode(b"=?x?y?z =? =?= plain"), "=?x?y?z =? =?= plain");
        assert_eq!(decode("jalapeño".as_bytes()), "jalapeño");
        assert_eq!(decode(b"jalape\xf1o"), "jalapeño");
        assert_eq!(decode(b"=?utf-8?q?open"), "=?utf-8?q?open");
    }

    #[test]
    fn a_line_full_of_word_beginnings_is_decoded_at_once() {
        let line = b"=?a?q?x ".repeat(200_000);
        assert_eq!(decode(&line).len(), line.len() - 1);
    }
}
