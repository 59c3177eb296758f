//! A connection's bytes: few system calls, bounded output, and next to no memory while nothing happens.
//!
//! Reading goes through one scratch buffer per thread, so that an idle connection holds no read buffer of its own.
//! Writing gathers what a command answers; past [`OUTPUT_BYTES_FULL`] it waits for the socket, which is how a slow
//! client holds back the work done for it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use buzon_imap::response::{NameEncoding, Response};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// Output beyond this is written before more is made.
pub(crate) const OUTPUT_BYTES_FULL: usize = 64 * 1024;
/// Read at once: some packets, or a TLS record.
const READ_BYTES: usize = 16 * 1024;
/// Buffers above this are given back when nothing is in them.
const KEPT_BYTES: usize = 1024;
/// A client that takes nothing for so long is gone.
const WRITE_STALL_MAX: Duration = Duration::from_secs(120);

/// What a connection runs over: a socket, TLS over one, or a pipe of a test.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Io for T {}

/// Any of these.
pub type Stream = Box<dyn Io>;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// The connection and what waits on either side of it.
pub(crate) struct Wire {
    stream: Stream,
    /// Read, not yet understood.
    pub(crate) input: BytesMut,
    /// To be written.
    pub(crate) output: BytesMut,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Reads what there is onto the end of `input`; 0 is the end. Safe to cancel.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|context| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut read = ReadBuf::new(scratch);
                let polled = Pin::new(&mut self.stream).poll_read(context, &mut read);
                polled.map_ok(|()| {
                    self.input.extend_from_slice(read.filled());
                    read.filled().len()
                })
            })
        })
        .await
    }

    /// Writes all of the output.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let wrote = timeout(WRITE_STALL_MAX, self.stream.write_buf(&mut self.output)).await;
            if wrote.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        timeout(WRITE_STALL_MAX, self.stream.flush()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Writes the output once it is large.
    pub(crate) async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.output.len() >= OUTPUT_BYTES_FULL { self.flush().await } else { Ok(()) }
    }

    /// Sends many bytes after the output, without copying them into it.
    pub(crate) async fn send(&mut self, mut bytes: Bytes) -> io::Result<()> {
        if bytes.len() < OUTPUT_BYTES_FULL {
            self.output.extend_from_slice(&bytes);
            return self.flush_if_full().await;
        }
        self.flush().await?;
        while !bytes.is_empty() {
            let wrote = timeout(WRITE_STALL_MAX, self.stream.write_buf(&mut bytes)).await;
            if wrote.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Adds a response to the output.
    pub(crate) fn put(&mut self, response: &Response, names: NameEncoding) {
        response.write(&mut self.output, names);
    }

    /// Gives back memory that an idle connection does not need.
    pub(crate) fn release(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() && buffer.capacity() > KEPT_BYTES {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Says goodbye to the other side; what happens then is of no interest.
    pub(crate) async fn close(mut self) {
        let _ = self.flush().await;
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }

    /// For STARTTLS: the stream without its buffers. Whatever was sent in plaintext after the command is gone.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }
}
