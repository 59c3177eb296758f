//! BINARY: a part's content with its transfer encoding removed (RFC 3516, RFC 9051 §6.4.5.2), and the decoders for it.
//!
//! Decoders take a message in pieces, so that a part of 50 MB is decoded within a few KiB.

use crate::part::{PartKind, TransferEncoding};
use crate::summary::{Summary, SummaryError};
use std::ops::Range;

/// How to answer `BINARY[…]` and `BINARY.SIZE[…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BinaryPlan {
    /// Read this range and put it through [`decode`]; a partial counts decoded bytes.
    Decode {
        /// In the message.
        range: Range<u64>,
        /// Never [`TransferEncoding::Unknown`]. For `Identity` the range is the answer: its size is BINARY.SIZE and
        /// a partial narrows it.
        encoding: TransferEncoding,
    },
    /// There is no such part: answer NIL.
    Missing,
    /// Nobody knows the part's transfer encoding: `NO [UNKNOWN-CTE]`.
    UnknownCte,
}

/// Plans `BINARY[path]`. Without a path it is the whole message; multiparts and messages are given as they stand.
///
/// # Errors
/// If the summary's part tree is damaged.
pub fn plan(summary: &Summary, path: &[u32]) -> Result<BinaryPlan, SummaryError> {
    let identity = TransferEncoding::Identity;
    if path.is_empty() {
        return Ok(BinaryPlan::Decode { range: 0..summary.size(), encoding: identity });
    }
    let tree = summary.parts()?;
    let Some(part) = tree.find(path).map(|at| tree.part(at)) else { return Ok(BinaryPlan::Missing) };
    Ok(match part.encoding {
        _ if part.kind != PartKind::Single => {
            BinaryPlan::Decode { range: part.body.clone(), encoding: identity }
        }
        TransferEncoding::Unknown => BinaryPlan::UnknownCte,
        encoding => BinaryPlan::Decode { range: part.body.clone(), encoding },
    })
}

/// The decoded content. Lenient: what is no base64 is skipped, a bad `=` escape stands for itself.
pub fn decode(encoding: TransferEncoding, content: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(content.len());
    let mut decoder = TransferDecoder::new(encoding);
    decoder.push(content, &mut decoded);
    decoder.finish(&mut decoded);
    decoded
}

/// The exact length of [`decode`]'s answer, without making it.
pub fn decoded_size(encoding: TransferEncoding, content: &[u8]) -> u64 {
    let mut decoder = TransferDecoder::new(encoding);
    let mut piece = Vec::new();
    let mut size = 0;
    for chunk in content.chunks(PIECE_BYTES) {
        piece.clear();
        decoder.push(chunk, &mut piece);
        size += piece.len() as u64;
    }
    piece.clear();
    decoder.finish(&mut piece);
    size + piece.len() as u64
}

/// What is decoded at a time: fits the first-level cache with its output.
pub(crate) const PIECE_BYTES: usize = 16 * 1024;

/// Decodes content that comes in pieces.
#[derive(Debug, Clone)]
pub struct TransferDecoder {
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Identity,
    Base64(Base64),
    QuotedPrintable(QuotedPrintable),
}

impl TransferDecoder {
    /// For an encoding; `Unknown` is passed on as it stands.
    pub fn new(encoding: TransferEncoding) -> Self {
        let state = match encoding {
            TransferEncoding::Identity | TransferEncoding::Unknown => State::Identity,
            TransferEncoding::Base64 => State::Base64(Base64::default()),
            TransferEncoding::QuotedPrintable => State::QuotedPrintable(QuotedPrintable::default()),
        };
        Self { state }
    }

    /// Decodes one more piece onto the end of `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => out.extend_from_slice(piece),
            State::Base64(state) => state.push(piece, out),
            State::QuotedPrintable(state) => state.push(piece, out),
        }
    }

    /// What was held back, at the content's end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => {}
            State::Base64(state) => state.flush(out),
            State::QuotedPrintable(state) => state.finish(out),
        }
    }
}

/// Bits gathered so far. Padding ends a group, and more may follow (concatenated base64 is seen in the wild).
#[derive(Debug, Clone, Default)]
struct Base64 {
    bits: u32,
    digits: u32,
}

impl Base64 {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() / 4 * 3 + 3);
        for &byte in piece {
            let value = BASE64_VALUES[usize::from(byte)];
            if value < 64 {
                self.bits = self.bits << 6 | u32::from(value);
                self.digits += 1;
                if self.digits == 4 {
                    out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                    (self.bits, self.digits) = (0, 0);
                }
            } else if byte == b'=' {
                self.flush(out);
            }
        }
    }

    /// The whole bytes of an unfinished group.
    fn flush(&mut self, out: &mut Vec<u8>) {
        match self.digits {
            2 => out.push((self.bits >> 4) as u8),
            3 => out.extend_from_slice(&((self.bits >> 2) as u16).to_be_bytes()),
            _ => {}
        }
        (self.bits, self.digits) = (0, 0);
    }
}

/// Values of the digits of RFC 4648 §4; 64 for what is none.
const BASE64_VALUES: [u8; 256] = {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [64; 256];
    let mut at = 0;
    while at < digits.len() {
        values[digits[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// White space before a line end and an unfinished `=` are held back.
#[derive(Debug, Clone, Default)]
struct QuotedPrintable {
    held: Vec<u8>,
}

impl QuotedPrintable {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len());
        for &byte in piece {
            self.byte(byte, out);
        }
    }

    /// `held` is empty, a run of white space (and a CR), or `=` with what followed it so far.
    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.held.first() {
            None => match byte {
                b'=' | b' ' | b'\t' | b'\r' => self.held.push(byte),
                _ => out.push(byte),
            },
            Some(b'=') => self.escape(byte, out),
            Some(_) => self.white(byte, out),
        }
    }

    /// Transport may have added white space at a line's end: it is dropped (RFC 2045 §6.7 rule 3).
    fn white(&mut self, byte: u8, out: &mut Vec<u8>) {
        let after_cr = self.held.last() == Some(&b'\r');
        match byte {
            b'\n' => {
                self.held.clear();
                out.extend_from_slice(if after_cr { b"\r\n" } else { b"\n" });
            }
            b' ' | b'\t' | b'\r' if !after_cr && self.held.len() < WHITE_BYTES_MAX => self.held.push(byte),
            _ => {
                out.append(&mut self.held);
                self.byte(byte, out);
            }
        }
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<u8>) {
        let second = self.held.get(1).copied();
        match (second, byte) {
            (None, _) if byte.is_ascii_hexdigit() => self.held.push(byte),
            (Some(high), _) if high.is_ascii_hexdigit() && byte.is_ascii_hexdigit() => {
                self.held.clear();
                out.push(hex_value(high) << 4 | hex_value(byte));
            }
            (None | Some(b' ' | b'\t' | b'\r'), b'\n') => self.held.clear(), // soft line break
            (None | Some(b' ' | b'\t'), b' ' | b'\t' | b'\r') if self.held.len() < WHITE_BYTES_MAX => {
                if second.is_none() || byte == b'\r' {
                    self.held.truncate(1);
                    self.held.push(byte);
                }
            }
            _ => {
                out.append(&mut self.held);
                self.byte(byte, out);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        match self.held.first() {
            Some(b'=') if self.held.len() == 1 => self.held.clear(), // a soft break whose line end is the boundary's
            _ => out.append(&mut self.held),
        }
    }
}

/// White space that is held back at most; longer runs are content.
const WHITE_BYTES_MAX: usize = 1024;

pub(crate) fn hex_value(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |value| value as u8)
}

#[cfg(test)]
mod tests;
