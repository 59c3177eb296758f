//! One LMTP connection: states and replies. Replies to pipelined commands leave together (RFC 2920 §3.2).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buzon_meta_client::account::AccountHandle;
use buzon_model::read::ReadAt;
use buzon_model::row::PlacementState;
use buzon_types::address::Address;
use buzon_types::id::LogIndex;
use buzon_types::mailbox_name::MailboxName;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::Services;
use super::command::{Command, LINE_BYTES_MAX, Mail, parse};
use super::deliver::{Target, deliver, trace_headers};
use super::dots::Dots;
use crate::incoming::Reservation;

/// A client that says nothing for so long is gone (RFC 5321 §4.5.3.2.7).
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// One read from the socket.
const READ_BYTES: usize = 64 * 1024;
/// Refused commands before the connection ends.
const ERRORS_MAX: u32 = 50;

/// What `run` ends with when the client asked for TLS: the stream to go on with.
type Upgrade<S> = Option<S>;

/// Where a connection stands.
pub(super) struct Session {
    services: Arc<Services>,
    peer: SocketAddr,
    /// By address or certificate.
    trusted: bool,
    encrypted: bool,
    greeted: bool,
    drain: CancellationToken,
    input: BytesMut,
    output: Vec<u8>,
    client: Option<String>,
    mail: Option<Mail>,
    targets: Vec<Target>,
    /// The chunks of BDAT so far.
    chunks: Option<Incoming>,
    errors: u32,
}

/// A message as it comes.
struct Incoming {
    bytes: BytesMut,
    /// How much of it we put in front: SIZE speaks of what the client sends.
    added: usize,
    reserved: Reservation,
    /// Once set, what follows is read and thrown away.
    refused: Option<&'static str>,
}

enum Next {
    Go,
    Quit,
    StartTls,
}

const TOO_BIG: &str = "552 5.3.4 Message is larger than this server takes";
const NO_MEMORY: &str = "452 4.3.1 Too much mail at once, try again";

impl Session {
    pub(super) fn new(
        services: Arc<Services>,
        peer: SocketAddr,
        trusted: bool,
        drain: CancellationToken,
    ) -> Self {
        Self {
            services,
            peer,
            trusted,
            encrypted: false,
            greeted: false,
            drain,
            input: BytesMut::new(),
            output: Vec::new(),
            client: None,
            mail: None,
            targets: Vec::new(),
            chunks: None,
            errors: 0,
        }
    }

    /// TLS is on: what was said before does not count (RFC 3207 §4.2), nor what was sent after STARTTLS in clear.
    pub(super) fn secured(&mut self, certified: bool) {
        self.encrypted = true;
        self.trusted |= certified;
        self.client = None;
        self.input.clear();
        self.reset();
    }

    /// Speaks until the end, or until STARTTLS.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut stream: S,
    ) -> io::Result<Upgrade<S>> {
        if !self.greeted {
            self.greeted = true;
            if !self.trusted && self.services.dependencies.tls.is_none() {
                self.say("554 5.7.1 This host may not deliver here");
                self.flush(&mut stream).await?;
                return Ok(None);
            }
            self.output.extend_from_slice(
                format!("220 {} LMTP ready\r\n", self.services.options.host_name).as_bytes(),
            );
        }
        loop {
            let Some(line) = self.line(&mut stream).await? else { return Ok(None) };
            let next = match parse(&line) {
                Ok(command) => self.command(command, &mut stream).await?,
                Err(refusal) => self.refuse(refusal),
            };
            match next {
                Next::Go => {}
                Next::Quit => {
                    self.flush(&mut stream).await?;
                    stream.shutdown().await?;
                    return Ok(None);
                }
                Next::StartTls => {
                    self.flush(&mut stream).await?;
                    return Ok(Some(stream));
                }
            }
        }
    }

    /// The next line without its end; `None` when the connection is over.
    async fn line<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> io::Result<Option<BytesMut>> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.input) {
                let mut line = self.input.split_to(at + 1);
                line.truncate(at);
                if line.last() == Some(&b'\r') {
                    line.truncate(at - 1);
                }
                if line.len() > LINE_BYTES_MAX {
                    self.refuse("500 5.5.2 Line too long");
                    continue;
                }
                return Ok(Some(line));
            }
            if self.input.len() > LINE_BYTES_MAX {
                self.say("500 5.5.2 Line too long");
                self.flush(stream).await?;
                return Ok(None);
            }
            self.flush(stream).await?;
            if !self.read(stream, true).await? {
                return Ok(None);
            }
        }
    }

    /// Reads more; whether there was any. Between transactions, draining ends the connection.
    async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        between: bool,
    ) -> io::Result<bool> {
        self.input.reserve(READ_BYTES.min(self.input.capacity().max(4096)));
        let idle = between && self.mail.is_none();
        let drain = self.drain.clone();
        tokio::select! {
            biased;
            () = drain.cancelled(), if idle => {
                self.say("421 4.3.2 Shutting down, come again");
                self.flush(stream).await?;
                Ok(false)
            }
            read = tokio::time::timeout(SILENCE_MAX, stream.read_buf(&mut self.input)) => match read {
                Ok(read) => Ok(read? > 0),
                Err(_) => {
                    self.say("421 4.4.2 Timeout");
                    self.flush(stream).await?;
                    Ok(false)
                }
            },
        }
    }

    async fn command<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        command: Command,
        stream: &mut S,
    ) -> io::Result<Next> {
        match command {
            Command::Lhlo(name) => self.hello(name),
            Command::Quit => {
                self.say("221 2.0.0 Bye");
                return Ok(Next::Quit);
            }
            Command::Noop => self.say("250 2.0.0 OK"),
            Command::Verify => self.say("252 2.5.2 Send some mail and see"),
            Command::Reset => {
                self.reset();
                self.say("250 2.0.0 OK");
            }
            Command::StartTls if self.services.dependencies.tls.is_none() => {
                return Ok(self.refuse("502 5.5.1 STARTTLS is not offered"));
            }
            Command::StartTls if self.encrypted => return Ok(self.refuse("503 5.5.1 TLS is on")),
            Command::StartTls => {
                self.say("220 2.0.0 Go ahead");
                return Ok(Next::StartTls);
            }
            _ if self.client.is_none() => return Ok(self.refuse("503 5.5.1 LHLO first")),
            _ if !self.trusted => {
                return Ok(self.refuse("530 5.7.0 STARTTLS with a client certificate first"));
            }
            Command::Mail(mail) => return Ok(self.mail(mail)),
            Command::Rcpt(address, path) => return Ok(self.recipient(address, &path).await),
            Command::Data => return self.data(stream).await,
            Command::Bdat { bytes, last } => return self.chunk(stream, bytes, last).await,
        }
        Ok(Next::Go)
    }

    fn hello(&mut self, name: String) {
        self.reset();
        self.client = Some(name);
        let host = &self.services.options.host_name;
        let size = self.services.options.message_bytes_max;
        let tls =
            if self.services.dependencies.tls.is_some() && !self.encrypted { "250-STARTTLS\r\n" } else { "" };
        let reply = format!(
            "250-{host}\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n\
             250-SIZE {size}\r\n{tls}250 CHUNKING\r\n"
        );
        self.output.extend_from_slice(reply.as_bytes());
    }

    fn mail(&mut self, mail: Mail) -> Next {
        if self.mail.is_some() {
            return self.refuse("503 5.5.1 MAIL was given");
        }
        if mail.size.is_some_and(|size| size > self.services.options.message_bytes_max) {
            return self.refuse(TOO_BIG);
        }
        self.mail = Some(mail);
        self.say("250 2.1.0 OK");
        Next::Go
    }

    async fn recipient(&mut self, address: Address, path: &str) -> Next {
        let Some(mail) = &self.mail else { return self.refuse("503 5.5.1 MAIL first") };
        if self.chunks.is_some() {
            return self.refuse("503 5.5.1 The message has begun");
        }
        if !mail.utf8 && !path.is_ascii() {
            return self.refuse("553 5.6.7 Address needs SMTPUTF8");
        }
        if self.targets.len() >= self.services.options.recipients_max {
            return self.answer("452 4.5.3 Too many recipients");
        }
        let size = mail.size.unwrap_or(0);
        match self.resolve(&address, path, size).await {
            Ok(target) => {
                self.targets.push(target);
                self.answer("250 2.1.5 OK")
            }
            Err(refusal) => self.answer(refusal),
        }
    }

    /// The account of an address, or of the address without its detail. A mailbox that is full already is
    /// refused here, before its message is put; apply decides in the end.
    async fn resolve(&self, address: &Address, path: &str, size: u64) -> Result<Target, &'static str> {
        let unavailable = |error| {
            tracing::warn!(error = &error as &dyn std::error::Error, %address, "resolve recipient");
            "451 4.3.0 Directory is not available, try again"
        };
        let mut mailbox = None;
        let mut handle = self.services.dependencies.meta.resolve(address).await.map_err(unavailable)?;
        if handle.is_none()
            && let Some((user, _)) = address.split_detail()
        {
            handle = self.services.dependencies.meta.resolve(&user).await.map_err(unavailable)?;
            mailbox = detail_as_written(path);
        }
        let account: AccountHandle = handle.ok_or("550 5.1.1 No such mailbox here")?;
        if account.state == PlacementState::Creating {
            return Err("451 4.2.1 Mailbox is being made, try again");
        }
        let usage = self.services.dependencies.meta.usage(&account, ReadAt::Index(LogIndex(0))).await;
        if let Ok(usage) = usage {
            let (counters, quota) = (usage.value.counters, usage.value.quota);
            let bytes = quota.bytes_max.is_some_and(|max| counters.bytes + size > max);
            let messages = quota.messages_max.is_some_and(|max| counters.messages >= max);
            if bytes || messages {
                return Err(super::deliver::over_quota(&self.services.options));
            }
        }
        Ok(Target { account, mailbox })
    }

    async fn data<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<Next> {
        if self.chunks.is_some() {
            return Ok(self.refuse("503 5.5.1 BDAT has begun"));
        }
        if self.mail.is_none() {
            return Ok(self.refuse("503 5.5.1 MAIL first"));
        }
        if self.targets.is_empty() {
            // RFC 2033 §4.2 asks for this code.
            return Ok(self.refuse("503 5.5.1 No valid recipients"));
        }
        self.say("354 Go ahead");
        self.flush(stream).await?;
        let mut incoming = self.begin();
        let mut dots = Dots::new();
        let mut piece = BytesMut::new();
        loop {
            let progress = dots.decode(&self.input, &mut piece);
            self.input.advance(progress.taken);
            self.take(&mut incoming, &piece).await;
            piece.clear();
            if progress.done {
                break;
            }
            if !self.read(stream, false).await? {
                return Ok(Next::Quit);
            }
        }
        self.finish(incoming).await;
        Ok(Next::Go)
    }

    /// RFC 3030 §2: every chunk is answered, the last one as DATA is, once for each recipient.
    async fn chunk<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        bytes: u64,
        last: bool,
    ) -> io::Result<Next> {
        let ready = self.mail.is_some() && !self.targets.is_empty();
        let mut incoming = self.chunks.take().unwrap_or_else(|| self.begin());
        if !ready {
            incoming.refused = Some("503 5.5.1 MAIL and RCPT first");
        }
        let mut left = bytes;
        while left > 0 {
            if self.input.is_empty() && !self.read(stream, false).await? {
                return Ok(Next::Quit);
            }
            let some = self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = self.input.split_to(some);
            self.take(&mut incoming, &piece).await;
            left -= some as u64;
        }
        if !ready {
            return Ok(self.refuse("503 5.5.1 MAIL and RCPT first"));
        }
        if last {
            self.finish(incoming).await;
        } else {
            match incoming.refused {
                Some(refusal) => self.say(refusal),
                None => self.say("250 2.0.0 OK"),
            }
            self.chunks = Some(incoming);
        }
        Ok(Next::Go)
    }

    fn begin(&self) -> Incoming {
        let mut bytes = BytesMut::new();
        if let Some(mail) = &self.mail {
            let client = self.client.as_deref().unwrap_or_default();
            let headers =
                trace_headers(&self.services.options.host_name, client, self.peer, mail, self.encrypted);
            bytes.extend_from_slice(headers.as_bytes());
        }
        let reserved = self.services.dependencies.budget.reserve();
        Incoming { added: bytes.len(), bytes, reserved, refused: None }
    }

    /// Adds a piece, or throws it away once the message is refused.
    async fn take(&self, incoming: &mut Incoming, piece: &[u8]) {
        if incoming.refused.is_some() {
            return;
        }
        let bytes = (incoming.bytes.len() + piece.len()) as u64;
        if bytes - incoming.added as u64 > self.services.options.message_bytes_max {
            incoming.refused = Some(TOO_BIG);
        } else if incoming.reserved.grow_to(bytes).await.is_err() {
            incoming.refused = Some(NO_MEMORY);
        } else {
            incoming.bytes.extend_from_slice(piece);
            return;
        }
        // What is thrown away takes no memory from others while the client sends the rest.
        incoming.bytes = BytesMut::new();
        incoming.reserved = self.services.dependencies.budget.reserve();
    }

    /// Delivers and answers once for each recipient, in the order of RCPT (RFC 2033 §4.2).
    async fn finish(&mut self, incoming: Incoming) {
        let targets = std::mem::take(&mut self.targets);
        self.services.metrics.message(incoming.bytes.len() as u64);
        let began = Instant::now();
        let replies = match incoming.refused {
            Some(refusal) => vec![refusal; targets.len()],
            None => deliver(&self.services, &targets, incoming.bytes.freeze()).await,
        };
        self.services.metrics.finished(began.elapsed());
        for reply in replies {
            self.services.metrics.recipient(reply);
            self.say(reply);
        }
        self.errors = 0; // who delivers is no stranger
        self.reset();
    }

    fn reset(&mut self) {
        self.mail = None;
        self.targets.clear();
        self.chunks = None;
    }

    fn say(&mut self, reply: &str) {
        self.output.extend_from_slice(reply.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// What becomes of a recipient is nobody's error: it does not count against the client.
    fn answer(&mut self, reply: &str) -> Next {
        self.say(reply);
        Next::Go
    }

    /// Answers a command that should not have been sent; too many of them end the connection.
    fn refuse(&mut self, refusal: &str) -> Next {
        self.errors += 1;
        if self.errors > ERRORS_MAX {
            self.say("421 4.7.0 Too many errors");
            return Next::Quit;
        }
        self.say(refusal);
        Next::Go
    }

    async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if !self.output.is_empty() {
            tokio::time::timeout(SILENCE_MAX, stream.write_all(&self.output))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            stream.flush().await?;
            self.output.clear();
        }
        Ok(())
    }
}

/// The detail names a mailbox in the case it was written in; addresses themselves are in lower case.
fn detail_as_written(path: &str) -> Option<MailboxName> {
    let local = path.rsplit_once('@')?.0.trim_matches('"');
    MailboxName::new(local.split_once(buzon_types::address::DETAIL_SEPARATOR)?.1).ok()
}
