//! A GET, as probes and scrapers send it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// A server that says nothing for so long does not answer.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Code and body.
///
/// # Errors
/// If nobody answers.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    // HTTP/1.0: an answer in one piece that ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let code = text.split(' ').nth(1).context("a status line")?.parse()?;
    let (_, body) = text.split_once("\r\n\r\n").context("a body")?;
    Ok((code, body.to_owned()))
}
