//! Lines and literals from a stream, through one buffer that is kept: a response of megabytes is read without a copy of it.

use anyhow::{Context, ensure};
use memchr::memchr;

use super::stream::Stream;

/// Grows only for a line that is longer, like the answer to a SEARCH that finds thousands.
const BUFFER_BYTES: usize = 64 << 10;
/// Longest line that is taken.
const LINE_BYTES_MAX: usize = 16 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// All bytes read so far.
    pub(crate) total: u64,
}

impl Reader {
    /// The next line with its end.
    ///
    /// # Errors
    /// If the connection ends or the line is too long.
    pub(crate) async fn line(&mut self, stream: &mut Stream) -> anyhow::Result<&[u8]> {
        let mut seen = 0;
        loop {
            let held = &self.buffer[self.begin..self.end];
            if let Some(at) = memchr(b'\n', &held[seen..]) {
                let begin = self.begin;
                self.begin += seen + at + 1;
                return Ok(&self.buffer[begin..self.begin]);
            }
            seen = held.len();
            ensure!(seen < LINE_BYTES_MAX, "a line of more than {LINE_BYTES_MAX} bytes");
            self.fill(stream).await?;
        }
    }

    /// Passes over that many bytes; `keep` gets them if it is there.
    ///
    /// # Errors
    /// If the connection ends.
    pub(crate) async fn skip(
        &mut self,
        stream: &mut Stream,
        mut bytes: usize,
        mut keep: Option<&mut Vec<u8>>,
    ) -> anyhow::Result<()> {
        loop {
            let some = bytes.min(self.end - self.begin);
            if let Some(kept) = &mut keep {
                kept.extend_from_slice(&self.buffer[self.begin..self.begin + some]);
            }
            self.begin += some;
            bytes -= some;
            if bytes == 0 {
                return Ok(());
            }
            self.fill(stream).await?;
        }
    }

    /// Whether bytes are held that were not asked for yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// Gives the buffer's memory back: thousands of idle connections shall cost the server, not us.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self { total: self.total, ..Self::default() };
        }
    }

    async fn fill(&mut self, stream: &mut Stream) -> anyhow::Result<()> {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        } else if self.begin > 0 && self.end == self.buffer.len() {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.end == self.buffer.len() {
            let longer = (self.buffer.len() * 2).max(BUFFER_BYTES);
            self.buffer.resize(longer, 0);
        }
        let read = stream.read(&mut self.buffer[self.end..]).await.context("read")?;
        ensure!(read > 0, "the server closed the connection");
        self.end += read;
        self.total += read as u64;
        Ok(())
    }
}
