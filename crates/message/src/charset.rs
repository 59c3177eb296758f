//! Charsets to UTF-8: for the text of parts, encoded words, and the arguments of `SEARCH CHARSET`.
//!
//! The labels of the WHATWG are known, as mail uses them too, and UTF-7 beside them. Text without a label, or with one that
//! nobody knows, is UTF-8 if it can be, else windows-1252.

use encoding_rs::{Decoder, Encoding, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::{DecoderFnc, map::charset_decoder};

/// Text in a charset that only decodes as a whole (UTF-7) is read up to here; beyond it nothing is found.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;

/// Decodes an argument of SEARCH; `None` if the charset is unknown (`NO [BADCHARSET]`) or the text is not in it.
pub fn to_utf8(label: &str, bytes: &[u8]) -> Option<String> {
    match Charset::of(label)? {
        Charset::Ascii => bytes.is_ascii().then(|| String::from_utf8_lossy(bytes).into_owned()),
        Charset::Known(encoding) => {
            let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
            Some(text.into_owned())
        }
        Charset::Whole(decode) => Some(decode(bytes)),
    }
}

/// Decodes what a sender labelled, right or wrong; never fails.
pub(crate) fn decode_lossy(label: Option<&str>, bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut decoder = TextDecoder::new(label);
    decoder.push(bytes, &mut text);
    decoder.finish(&mut text);
    text
}

/// Whether ASCII is what it looks like in a charset: not so in UTF-16, UTF-7 and ISO-2022-JP.
pub(crate) fn keeps_ascii(label: Option<&str>) -> bool {
    match label.and_then(Charset::of) {
        None | Some(Charset::Ascii) => true,
        Some(Charset::Known(encoding)) => encoding.is_ascii_compatible(),
        Some(Charset::Whole(_)) => false,
    }
}

enum Charset {
    Ascii,
    Known(&'static Encoding),
    Whole(DecoderFnc),
}

impl Charset {
    fn of(label: &str) -> Option<Self> {
        let label = label.trim();
        if ["us-ascii", "ascii", "ansi_x3.4-1968"].iter().any(|known| known.eq_ignore_ascii_case(label)) {
            return Some(Self::Ascii);
        }
        match Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) => Some(Self::Known(encoding)),
            None => charset_decoder(label.as_bytes()).map(Self::Whole),
        }
    }
}

/// Decodes text that comes in pieces.
pub(crate) struct TextDecoder {
    state: State,
}

enum State {
    /// Not labelled, and ASCII so far.
    Guess,
    Known(Decoder),
    Whole {
        decode: DecoderFnc,
        bytes: Vec<u8>,
    },
}

impl TextDecoder {
    pub(crate) fn new(label: Option<&str>) -> Self {
        let state = match label.and_then(Charset::of) {
            None | Some(Charset::Ascii) => State::Guess,
            Some(Charset::Known(encoding)) => State::Known(encoding.new_decoder_with_bom_removal()),
            Some(Charset::Whole(decode)) => State::Whole { decode, bytes: Vec::new() },
        };
        Self { state }
    }

    /// Decodes one more piece onto the end of `text`.
    pub(crate) fn push(&mut self, piece: &[u8], text: &mut String) {
        match &mut self.state {
            State::Guess => match std::str::from_utf8(piece) {
                Ok(ascii) if piece.is_ascii() => text.push_str(ascii),
                utf8 => {
                    let broken = utf8.err().is_some_and(|error| error.error_len().is_some());
                    let encoding = if broken { WINDOWS_1252 } else { UTF_8 };
                    self.state = State::Known(encoding.new_decoder_without_bom_handling());
                    self.push(piece, text);
                }
            },
            State::Known(decoder) => decode_piece(decoder, piece, text, false),
            State::Whole { bytes, .. } => {
                let room = WHOLE_BYTES_MAX - bytes.len();
                bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            }
        }
    }

    /// What was held back, at the text's end.
    pub(crate) fn finish(&mut self, text: &mut String) {
        match &mut self.state {
            State::Guess => {}
            State::Known(decoder) => decode_piece(decoder, b"", text, true),
            State::Whole { decode, bytes } => text.push_str(&decode(bytes)),
        }
    }
}

fn decode_piece(decoder: &mut Decoder, piece: &[u8], text: &mut String, last: bool) {
    text.reserve(decoder.max_utf8_buffer_length(piece.len()).unwrap_or(piece.len()));
    let (_, _, _) = decoder.decode_to_string(piece, text, last);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_arguments_decode_or_are_refused() {
        assert_eq!(to_utf8("UTF-8", "ñ".as_bytes()).as_deref(), Some("ñ"));
        assert_eq!(to_utf8("iso-8859-1", b"\xf1").as_deref(), Some("ñ"));
        assert_eq!(to_utf8("koi8-r", b"\xc1").as_deref(), Some("а"));
        assert_eq!(to_utf8("utf-7", b"+APE-").as_deref(), Some("ñ"));
        assert_eq!(to_utf8("US-ASCII", b"x").as_deref(), Some("x"));
        assert_eq!(to_utf8("US-ASCII", b"\xf1"), None);
        assert_eq!(to_utf8("utf-8", b"\xf1"), None);
        assert_eq!(to_utf8("x-nobody-knows", b"x"), None);
    }

    #[test]
    fn unlabelled_text_is_utf8_or_else_windows_1252() {
        assert_eq!(decode_lossy(None, "a ñ".as_bytes()), "a ñ");
        assert_eq!(decode_lossy(Some("x-nobody-knows"), b"a \xf1 b"), "a ñ b");
        assert_eq!(decode_lossy(Some("us-ascii"), b"\x93x\x94"), "\u{201c}x\u{201d}");
        let mut text = String::new();
        let mut decoder = TextDecoder::new(Some("utf-8"));
        for byte in "mañana €".as_bytes() {
            decoder.push(&[*byte], &mut text);
        }
        decoder.finish(&mut text);
        assert_eq!(text, "mañana €");
    }
}
