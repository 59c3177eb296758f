//! DATA's transparency: finds the end `CRLF.CRLF` and takes the extra dots away (RFC 5321 §4.5.2). Works on
//! chunks cut anywhere; only `CRLF` ends a line, so a bare LF before a dot is data, as smuggling wants otherwise.

use bytes::{BufMut, BytesMut};

/// What stood before the next byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    LineStart,
    Cr,
    Inside,
    Dot,
    DotCr,
}

/// Decodes one message.
#[derive(Debug)]
pub(crate) struct Dots {
    seen: Seen,
}

/// How far a chunk was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of the chunk that belong to the message's transfer.
    pub(crate) taken: usize,
    /// The end was found.
    pub(crate) done: bool,
}

impl Dots {
    pub(crate) const fn new() -> Self {
        Self { seen: Seen::LineStart }
    }

    /// Reads a chunk and appends the message's bytes to `out`.
    pub(crate) fn decode(&mut self, chunk: &[u8], out: &mut BytesMut) -> Progress {
        let mut at = 0;
        while at < chunk.len() {
            if self.seen == Seen::Inside {
                let plain = memchr::memchr(b'\r', &chunk[at..]).unwrap_or(chunk.len() - at);
                out.put_slice(&chunk[at..at + plain]);
                at += plain;
                if at == chunk.len() {
                    break;
                }
            }
            let byte = chunk[at];
            at += 1;
            if self.step(byte, out) {
                return Progress { taken: at, done: true };
            }
        }
        Progress { taken: at, done: false }
    }

    /// Whether the byte ends the message.
    fn step(&mut self, byte: u8, out: &mut BytesMut) -> bool {
        self.seen = match (self.seen, byte) {
            (Seen::LineStart, b'.') => Seen::Dot,
            (Seen::Dot, b'\r') => Seen::DotCr,
            (Seen::DotCr, b'\n') => return true,
            (Seen::DotCr, _) => {
                out.put_slice(&[b'\r', byte]);
                if byte == b'\r' { Seen::Cr } else { Seen::Inside }
            }
            (Seen::Cr, b'\n') => {
                out.put_u8(byte);
                Seen::LineStart
            }
            (_, b'\r') => {
                out.put_u8(byte);
                Seen::Cr
            }
            _ => {
                out.put_u8(byte);
                Seen::Inside
            }
        };
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(chunks: &[&[u8]]) -> (BytesMut, bool, usize) {
        let (mut dots, mut out, mut done, mut left) = (Dots::new(), BytesMut::new(), false, 0);
        for chunk in chunks {
            let progress = if done { Progress { taken: 0, done } } else { dots.decode(chunk, &mut out) };
            done = progress.done;
            left += chunk.len() - progress.taken;
        }
        (out, done, left)
    }

    #[test]
    fn dots_are_taken_away_and_the_end_is_found_however_it_is_cut() {
        let wire = b"a\r\n..b\r\n.c\r\n\r\n.\r\nQUIT\r\n";
        for cut in 0..wire.len() {
            let (out, done, left) = decode(&[&wire[..cut], &wire[cut..]]);
            assert_eq!(&out[..], b"a\r\n.b\r\nc\r\n\r\n", "cut at {cut}");
            assert!(done);
            assert_eq!(left, 6);
        }
        assert_eq!(decode(&[b".\r\n"]), (BytesMut::new(), true, 0));
    }

    #[test]
    fn a_bare_line_feed_ends_nothing() {
        assert_eq!(
            decode(&[b"a\n.\nb\n.\r\nc\r\n.\r\n"]),
            (BytesMut::from(&b"a\n.\nb\n.\r\nc\r\n"[..]), true, 0)
        );
        assert_eq!(decode(&[b"a\r.\r\nx\r\n.\rb\r\n.\r\n"]).0[..], b"a\r.\r\nx\r\n\rb\r\n"[..]);
    }
}
