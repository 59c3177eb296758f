//! BINARY's way from a part's bytes to what the client gets: the transfer encoding off, and in text CRLF as line ends
//! (RFC 9051 §7.5.2: text goes out in canonical form). What is decoded comes in pieces of any size.

use buzon_message::binary::TransferDecoder;
use buzon_message::part::{Part, TransferEncoding};

/// How a part is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoding {
    encoding: TransferEncoding,
    /// LF alone becomes CRLF.
    mends_line_ends: bool,
}

/// Decodes one part.
pub(super) struct Decoder {
    transfer: TransferDecoder,
    line_ends: Option<LineEnds>,
    piece: Vec<u8>,
}

/// Gives each LF the CR that it lacks.
#[derive(Debug, Default)]
struct LineEnds {
    after_cr: bool,
}

impl Decoding {
    /// For a part: only text has lines.
    pub(super) fn of(part: Option<&Part>, encoding: TransferEncoding) -> Self {
        let mends_line_ends = part.is_some_and(|part| part.is_text() && !is_wide(part.charset.as_deref()));
        Self { encoding, mends_line_ends }
    }

    /// All at once.
    pub(super) fn decode(self, content: &[u8]) -> Vec<u8> {
        let (mut decoder, mut decoded) = (Decoder::new(self), Vec::with_capacity(content.len()));
        decoder.push(content, &mut decoded);
        decoder.finish(&mut decoded);
        decoded
    }
}

/// Charsets in which LF is more than one byte: what looks like one may be half of another character.
fn is_wide(charset: Option<&str>) -> bool {
    charset.is_some_and(|charset| ["utf-16", "utf-32", "ucs-"].iter().any(|wide| charset.starts_with(wide)))
}

impl Decoder {
    pub(super) fn new(decoding: Decoding) -> Self {
        let line_ends = decoding.mends_line_ends.then(LineEnds::default);
        Self { transfer: TransferDecoder::new(decoding.encoding), line_ends, piece: Vec::new() }
    }

    /// Decodes one more piece onto the end of `out`.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.step(|transfer, decoded| transfer.push(piece, decoded), out);
    }

    /// What was held back, at the content's end.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.step(TransferDecoder::finish, out);
    }

    fn step(&mut self, decode: impl FnOnce(&mut TransferDecoder, &mut Vec<u8>), out: &mut Vec<u8>) {
        let Some(line_ends) = &mut self.line_ends else { return decode(&mut self.transfer, out) };
        self.piece.clear();
        decode(&mut self.transfer, &mut self.piece);
        line_ends.push(&self.piece, out);
    }
}

impl LineEnds {
    fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while let Some(at) = memchr::memchr(b'\n', piece) {
            let has_cr = if at == 0 { self.after_cr } else { piece[at - 1] == b'\r' };
            out.extend_from_slice(&piece[..at]);
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            (piece, self.after_cr) = (&piece[at + 1..], false);
        }
        if let Some(last) = piece.last() {
            self.after_cr = *last == b'\r';
        }
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_mended_wherever_the_pieces_end() {
        let text = b"a\nb\r\n\n\r\r\nc\r";
        for size in 1..=text.len() {
            let (mut line_ends, mut out) = (LineEnds::default(), Vec::new());
            text.chunks(size).for_each(|piece| line_ends.push(piece, &mut out));
            assert_eq!(out, b"a\r\nb\r\n\r\n\r\r\nc\r", "{size}");
        }
    }
}
