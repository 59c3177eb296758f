//! Reading over what is left of a refused command: a literal that the client sends without waiting, and the lines and
//! literals after it (RFC 7888 §4). Nothing of it is kept but the last bytes of a line, which may announce a literal.

use super::line::{LITERAL_HEADER_BYTES_MAX, split_literal_header};
use super::{Mode, Reason, Session, Step};
use bytes::{Buf, BytesMut};

/// How far the skipping is.
#[derive(Debug)]
pub(super) struct Skip {
    /// Bytes of a literal still to come; then the line goes on.
    literal: u64,
    /// Bytes skipped, or certain to be.
    total: u64,
    /// The last bytes of the line.
    tail: Vec<u8>,
}

/// A literal's header, and the CR after it.
const TAIL_BYTES_MAX: usize = LITERAL_HEADER_BYTES_MAX + 1;

impl Skip {
    /// From within a line on.
    pub(super) fn line() -> Self {
        Self { literal: 0, total: 0, tail: Vec::new() }
    }

    /// From a literal on.
    pub(super) fn literal(bytes: u64) -> Self {
        Self { literal: bytes, total: bytes, tail: Vec::new() }
    }

    fn remember(&mut self, text: &[u8]) {
        self.total = self.total.saturating_add(text.len() as u64);
        self.tail.extend_from_slice(&text[text.len().saturating_sub(TAIL_BYTES_MAX)..]);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..surplus);
    }

    /// The line ended; whether the command goes on with a literal.
    fn line_ended(&mut self) -> bool {
        let line = self.tail.strip_suffix(b"\r").unwrap_or(&self.tail);
        let header = split_literal_header(line).1.filter(|header| !header.synchronizing);
        self.tail.clear();
        // A client that waits has its answer: it sends nothing more.
        let Some(header) = header else { return false };
        self.literal = header.bytes;
        self.total = self.total.saturating_add(header.bytes);
        true
    }
}

impl Session {
    pub(super) fn skip(&mut self, input: &mut BytesMut) -> Step {
        let Mode::Skip(skip) = &mut self.mode else { return Step::Again };
        if skip.total > self.limits.skip_bytes_max {
            self.mode = Mode::Doomed(Reason::TooMuchToSkip);
            return Step::Again;
        }
        if input.is_empty() {
            return Step::Wait;
        }
        if skip.literal > 0 {
            let length = usize::try_from(skip.literal).unwrap_or(usize::MAX).min(input.len());
            input.advance(length);
            skip.literal -= length as u64;
            return Step::Again;
        }
        match memchr::memchr(b'\n', input) {
            None => {
                skip.remember(input);
                input.clear();
            }
            Some(end) => {
                skip.remember(&input[..end]);
                input.advance(end + 1);
                if !skip.line_ended() && skip.total <= self.limits.skip_bytes_max {
                    self.mode = Mode::Command;
                }
            }
        }
        Step::Again
    }
}
