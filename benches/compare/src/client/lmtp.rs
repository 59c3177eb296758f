//! An LMTP client as an MTA is one: commands pipelined up to DATA, then the message, then its reply (RFC 2033, RFC 2920).

use std::io::Write;
use std::net::SocketAddr;

use anyhow::ensure;

use super::reader::Reader;
use super::stream::Stream;

/// A connection after LHLO.
#[derive(Debug)]
pub(crate) struct Lmtp {
    stream: Stream,
    reader: Reader,
    out: Vec<u8>,
}

impl Lmtp {
    /// Connects and says LHLO. In plain text, as an MTA does on the same machine.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = Stream::connect(address, &None).await?;
        let mut lmtp = Self { stream, reader: Reader::default(), out: Vec::new() };
        lmtp.expect(b"220").await?;
        lmtp.stream.write(b"LHLO mx.example.net\r\n").await?;
        lmtp.expect(b"250").await?;
        Ok(lmtp)
    }

    /// Delivers to one recipient; `message` is [`dotted`]. Returns when it was answered 250.
    ///
    /// # Errors
    /// If it is answered anything else.
    pub(crate) async fn deliver(&mut self, recipient: &str, message: &[u8]) -> anyhow::Result<()> {
        self.out.clear();
        write!(self.out, "MAIL FROM:<sender@example.net>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n")?;
        self.stream.write(&self.out).await?;
        for code in [b"250", b"250", b"354"] {
            self.expect(code).await?;
        }
        self.stream.write(message).await?;
        self.expect(b"250").await
    }

    /// One reply, of one or more lines.
    async fn expect(&mut self, code: &[u8; 3]) -> anyhow::Result<()> {
        loop {
            let line = self.reader.line(&mut self.stream).await?;
            ensure!(line.starts_with(code), "LMTP: {}", String::from_utf8_lossy(line).trim_end());
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}

/// A message as DATA carries it: dots doubled at the beginning of lines, and the end.
pub(crate) fn dotted(message: &[u8]) -> Vec<u8> {
    let mut dotted = Vec::with_capacity(message.len() + message.len() / 64 + 5);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            dotted.push(b'.');
        }
        dotted.extend_from_slice(line);
    }
    if !dotted.ends_with(b"\r\n") {
        dotted.extend_from_slice(b"\r\n");
    }
    dotted.extend_from_slice(b".\r\n");
    dotted
}

#[cfg(test)]
mod tests {
    use super::dotted;

    #[test]
    fn dots_are_doubled_and_the_end_is_there() {
        assert_eq!(dotted(b"a\r\n.b\r\n"), b"a\r\n..b\r\n.\r\n");
        assert_eq!(dotted(b"a"), b"a\r\n.\r\n");
    }
}
