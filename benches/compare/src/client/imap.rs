//! An IMAP client that does no more than it must: it counts untagged responses, passes over literals, and reads one line's beginning.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};

use super::reader::Reader;
use super::stream::{Stream, Trust};

/// A connection.
#[derive(Debug)]
pub(crate) struct Imap {
    stream: Stream,
    reader: Reader,
    out: Vec<u8>,
    tag: u32,
}

/// What a command was answered with; it was OK.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    /// `* n FETCH …`
    pub(crate) fetches: u64,
    /// Other untagged responses.
    pub(crate) others: u64,
    /// All bytes of the answer.
    pub(crate) bytes: u64,
    /// The answer itself, if it was asked for.
    pub(crate) text: Vec<u8>,
}

impl Imap {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    /// If nobody answers.
    pub(crate) async fn connect(address: SocketAddr, trust: &Trust) -> anyhow::Result<Self> {
        let stream = Stream::connect(address, trust).await?;
        let mut imap = Self { stream, reader: Reader::default(), out: Vec::new(), tag: 0 };
        let greeting = imap.reader.line(&mut imap.stream).await?;
        ensure!(greeting.starts_with(b"* OK"), "greeting {}", String::from_utf8_lossy(greeting));
        Ok(imap)
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn login(
        address: SocketAddr,
        trust: &Trust,
        user: &str,
        password: &str,
    ) -> anyhow::Result<Self> {
        let mut imap = Self::connect(address, trust).await?;
        imap.ok(&format!("LOGIN {user} {password}")).await?;
        Ok(imap)
    }

    /// A command that must be answered OK; what it was answered is counted and not kept.
    ///
    /// # Errors
    /// If it is not, or the connection breaks.
    pub(crate) async fn ok(&mut self, command: &str) -> anyhow::Result<Reply> {
        self.send(command).await?;
        self.finish(false).await.with_context(|| command.to_owned())
    }

    /// The same, and the answer is kept.
    ///
    /// # Errors
    /// As [`Imap::ok`].
    pub(crate) async fn read(&mut self, command: &str) -> anyhow::Result<Reply> {
        self.send(command).await?;
        self.finish(true).await.with_context(|| command.to_owned())
    }

    /// APPEND with a literal that waits for nothing (RFC 7888): one way there, one back.
    ///
    /// # Errors
    /// As [`Imap::ok`].
    pub(crate) async fn append(&mut self, mailbox: &str, message: &[u8]) -> anyhow::Result<()> {
        self.tag += 1;
        self.out.clear();
        write!(self.out, "t{} APPEND \"{mailbox}\" {{{}+}}\r\n", self.tag, message.len())?;
        self.out.extend_from_slice(message);
        self.out.extend_from_slice(b"\r\n");
        self.stream.write(&self.out).await?;
        self.finish(false).await.context("APPEND")?;
        Ok(())
    }

    /// Begins IDLE.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn idle(&mut self) -> anyhow::Result<()> {
        self.send("IDLE").await?;
        loop {
            let line = self.reader.line(&mut self.stream).await?;
            match line.first() {
                Some(b'+') => return Ok(()),
                Some(b'*') => {}
                _ => bail!("IDLE: {}", String::from_utf8_lossy(line)),
            }
        }
    }

    /// Waits for the next untagged response that holds a word.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) async fn wait(&mut self, word: &str) -> anyhow::Result<()> {
        loop {
            let line = self.reader.line(&mut self.stream).await?;
            if memchr::memmem::find(line, word.as_bytes()).is_some() {
                return Ok(());
            }
        }
    }

    /// Ends IDLE.
    ///
    /// # Errors
    /// As [`Imap::ok`].
    pub(crate) async fn done(&mut self) -> anyhow::Result<Reply> {
        self.stream.write(b"DONE\r\n").await?;
        self.finish(false).await.context("DONE")
    }

    /// Gives memory back before a long rest.
    pub(crate) fn rest(&mut self) {
        self.reader.shrink();
        self.out = Vec::new();
    }

    async fn send(&mut self, command: &str) -> anyhow::Result<()> {
        self.tag += 1;
        self.out.clear();
        write!(self.out, "t{} {command}\r\n", self.tag)?;
        self.stream.write(&self.out).await?;
        Ok(())
    }

    async fn finish(&mut self, keep: bool) -> anyhow::Result<Reply> {
        let Self { stream, reader, tag, .. } = self;
        let (mut reply, before, mut is_first) = (Reply::default(), reader.total, true);
        loop {
            let line = reader.line(stream).await?;
            if is_first && line.starts_with(b"t") {
                let status = status(line, *tag)?;
                ensure!(status.starts_with(b"OK"), "{}", String::from_utf8_lossy(line).trim_end());
                reply.bytes = reader.total - before;
                return Ok(reply);
            }
            if is_first {
                ensure!(line.starts_with(b"* "), "no response: {}", String::from_utf8_lossy(line));
                if is_fetch(line) { reply.fetches += 1 } else { reply.others += 1 }
            }
            if keep {
                reply.text.extend_from_slice(line);
            }
            let literal = literal(line);
            is_first = literal.is_none();
            if let Some(bytes) = literal {
                reader.skip(stream, bytes, keep.then_some(&mut reply.text)).await?;
            }
        }
    }
}

/// What follows the tag.
fn status(line: &[u8], tag: u32) -> anyhow::Result<&[u8]> {
    let space = memchr::memchr(b' ', line).context("a tag without a status")?;
    let found: Option<u32> = std::str::from_utf8(&line[1..space]).ok().and_then(|tag| tag.parse().ok());
    ensure!(found == Some(tag), "an answer to another command: {}", String::from_utf8_lossy(line));
    Ok(&line[space + 1..])
}

/// `* 12 FETCH`
fn is_fetch(line: &[u8]) -> bool {
    let digits = line[2..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && line[2 + digits..].starts_with(b" FETCH ")
}

/// `… {123}` at the end of a line: so many bytes follow.
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}\r\n")?;
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = line.split_at(line.len() - digits);
    before.ends_with(b"{").then_some(())?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_fetches_are_recognised() {
        assert_eq!(literal(b"* 1 FETCH (BODY[] {12}\r\n"), Some(12));
        assert_eq!(literal(b"* 1 FETCH (X {a12}\r\n"), None);
        assert_eq!(literal(b"* OK\r\n"), None);
        assert!(is_fetch(b"* 12 FETCH (UID 1)\r\n"));
        assert!(!is_fetch(b"* 12 EXISTS\r\n"));
        assert!(!is_fetch(b"* SEARCH 12\r\n"));
    }
}
