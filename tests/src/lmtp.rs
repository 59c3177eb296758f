//! An LMTP client for tests.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{bail, ensure};

/// A server that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A connection after LHLO.
#[derive(Debug)]
pub struct Lmtp {
    stream: BufReader<TcpStream>,
}

impl Lmtp {
    /// Connects and says LHLO.
    ///
    /// # Errors
    /// If it is refused.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        socket.set_nodelay(true)?;
        let mut lmtp = Self { stream: BufReader::new(socket) };
        ensure!(lmtp.reply()?.starts_with("220 "), "no greeting");
        ensure!(lmtp.say("LHLO test.example")?.starts_with("250 "), "LHLO is refused");
        Ok(lmtp)
    }

    /// The socket, to go on in another way.
    pub fn into_socket(self) -> TcpStream {
        self.stream.into_inner()
    }

    /// Sends a line and reads the reply.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn say(&mut self, line: &str) -> anyhow::Result<String> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        Ok(())
    }

    /// The last line of the next reply.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn reply(&mut self) -> anyhow::Result<String> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("connection closed");
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }

    /// Delivers with BDAT, so that no byte is changed on the way; one reply for each recipient that was accepted.
    ///
    /// # Errors
    /// If the connection breaks or the sender is refused.
    pub fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> anyhow::Result<Vec<String>> {
        let mail = self.say(&format!("MAIL FROM:<{from}>"))?;
        ensure!(mail.starts_with("250"), "MAIL: {mail}");
        let mut accepted = 0;
        let mut replies = Vec::new();
        for address in to {
            let reply = self.say(&format!("RCPT TO:<{address}>"))?;
            if reply.starts_with("250") { accepted += 1 } else { replies.push(reply) }
        }
        if accepted == 0 {
            self.say("RSET")?;
            return Ok(replies);
        }
        self.write(format!("BDAT {} LAST\r\n", message.len()).as_bytes())?;
        self.write(message)?;
        for _ in 0..accepted {
            replies.push(self.reply()?);
        }
        Ok(replies)
    }
}
