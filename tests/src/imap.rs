//! A strict IMAP client for tests: blocking, over TLS, that reads literals and keeps untagged responses. Written
//! without the server's grammar, so that both cannot be wrong in the same way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// A server that says nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(60);

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection.
#[derive(Debug)]
pub struct Imap {
    stream: BufReader<Tls>,
    tag: u32,
}

/// An untagged response or the tagged end of a command: text with each literal in its place as `{}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The line, literals left out.
    pub text: String,
    /// The literals, in order.
    pub literals: Vec<Vec<u8>>,
}

/// What a command was answered with.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `OK …`, without the tag.
    pub status: String,
    /// Without `* `.
    pub untagged: Vec<Response>,
}

impl Answer {
    /// Whether it began with OK.
    pub fn is_ok(&self) -> bool {
        self.status.starts_with("OK")
    }

    /// Untagged responses that hold a word.
    pub fn with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a Response> {
        self.untagged.iter().filter(move |it| it.text.contains(word))
    }
}

/// A TLS configuration that trusts one CA.
///
/// # Errors
/// If the file holds none.
pub fn tls_config(ca: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Imap {
    /// Connects over TLS and reads the greeting.
    ///
    /// # Errors
    /// If there is none.
    pub fn connect(address: SocketAddr, ca: &Path) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        socket.set_nodelay(true)?;
        let tls = ClientConnection::new(tls_config(ca)?, ServerName::try_from("localhost")?)?;
        let mut imap = Self { stream: BufReader::new(StreamOwned::new(tls, socket)), tag: 0 };
        let greeting = imap.response()?;
        ensure!(greeting.text.starts_with("* OK"), "greeting {greeting:?}");
        Ok(imap)
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// If it is refused.
    pub fn login(address: SocketAddr, ca: &Path, user: &str, password: &str) -> anyhow::Result<Self> {
        let mut imap = Self::connect(address, ca)?;
        imap.ok(&format!("LOGIN \"{user}\" \"{password}\""))?;
        Ok(imap)
    }

    /// Sends a command and reads up to its tagged answer.
    ///
    /// # Errors
    /// If the connection breaks or the server does not keep to the protocol.
    pub fn command(&mut self, command: &str) -> anyhow::Result<Answer> {
        let tag = self.send(command)?;
        self.finish(&tag)
    }

    /// As [`Imap::command`], and it must be answered with OK.
    ///
    /// # Errors
    /// If it is not.
    pub fn ok(&mut self, command: &str) -> anyhow::Result<Answer> {
        let answer = self.command(command)?;
        ensure!(answer.is_ok(), "{command}: {}", answer.status);
        Ok(answer)
    }

    /// Sends a command without waiting; answers its tag.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn send(&mut self, command: &str) -> anyhow::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.write(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.get_mut().write_all(bytes)?;
        self.stream.get_mut().flush()?;
        Ok(())
    }

    /// Reads up to a tagged answer.
    ///
    /// # Errors
    /// As [`Imap::command`].
    pub fn finish(&mut self, tag: &str) -> anyhow::Result<Answer> {
        let mut untagged = Vec::new();
        loop {
            let mut response = self.response()?;
            if let Some(text) = response.text.strip_prefix("* ") {
                response.text = text.to_owned();
                untagged.push(response);
            } else if let Some(status) = response.text.strip_prefix(tag).and_then(|it| it.strip_prefix(' ')) {
                return Ok(Answer { status: status.to_owned(), untagged });
            } else if !response.text.starts_with('+') {
                bail!("neither untagged nor the answer to {tag}: {response:?}");
            }
        }
    }

    /// APPEND with a literal that waits for leave.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> anyhow::Result<Answer> {
        // NULs are only in literal8 (RFC 9051 §4.3).
        let binary = if message.contains(&0) { "~" } else { "" };
        let tag = self.send(&format!("APPEND {mailbox} {flags} {binary}{{{}}}", message.len()))?;
        let leave = self.response()?;
        if !leave.text.starts_with('+') {
            let status = leave.text.strip_prefix(&format!("{tag} ")).context("an answer to APPEND")?;
            return Ok(Answer { status: status.to_owned(), untagged: Vec::new() });
        }
        self.write(message)?;
        self.write(b"\r\n")?;
        self.finish(&tag)
    }

    /// Sends APPEND with a literal that waits for nothing (RFC 7888); answers its tag.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn send_append(&mut self, mailbox: &str, flags: &str, message: &[u8]) -> anyhow::Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        let mut bytes = format!("{tag} APPEND {mailbox} {flags} {{{}+}}\r\n", message.len()).into_bytes();
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(b"\r\n");
        self.write(&bytes)?;
        Ok(tag)
    }

    /// Begins IDLE; responses are then read with [`Imap::response`] until [`Imap::done`].
    ///
    /// # Errors
    /// If it is refused.
    pub fn idle(&mut self) -> anyhow::Result<String> {
        let tag = self.send("IDLE")?;
        let leave = self.response()?;
        ensure!(leave.text.starts_with('+'), "IDLE: {leave:?}");
        Ok(tag)
    }

    /// Ends IDLE.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn done(&mut self, tag: &str) -> anyhow::Result<Answer> {
        self.write(b"DONE\r\n")?;
        self.finish(tag)
    }

    /// How long the server may say nothing.
    ///
    /// # Errors
    /// If the socket is gone.
    pub fn set_silence_max(&mut self, silence_max: Duration) -> anyhow::Result<()> {
        Ok(self.stream.get_ref().sock.set_read_timeout(Some(silence_max))?)
    }

    /// One response with its literals.
    ///
    /// # Errors
    /// If the connection breaks or a line does not end in CRLF.
    pub fn response(&mut self) -> anyhow::Result<Response> {
        let (mut text, mut literals) = (String::new(), Vec::new());
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line)?;
            ensure!(!line.is_empty(), "connection closed");
            ensure!(
                line.ends_with(b"\r\n"),
                "a line that does not end in CRLF: {:?}",
                String::from_utf8_lossy(&line)
            );
            line.truncate(line.len() - 2);
            let line = String::from_utf8(line).context("a line that is not UTF-8")?;
            let Some((before, bytes)) = literal(&line) else {
                text.push_str(&line);
                return Ok(Response { text, literals });
            };
            text.push_str(before);
            text.push_str("{}");
            let mut literal = vec![0; bytes];
            self.stream.read_exact(&mut literal)?;
            literals.push(literal);
        }
    }
}

/// `… {123}` or `… ~{123}` at the end of a line.
fn literal(line: &str) -> Option<(&str, usize)> {
    let (before, count) = line.strip_suffix('}')?.rsplit_once('{')?;
    Some((before.strip_suffix('~').unwrap_or(before), count.parse().ok()?))
}
