//! One connection: reads bytes, feeds the protocol, writes what commands answer. Owns timeouts and the drain.
//!
//! ```text
//!          ┌────────────▶ wait: input, feed, drain, deadline ───────────┐
//!          │                                                             ▼
//! greeting ┴─ flush ◀─ answer ◀─ command (the feed is heard meanwhile) ◀─ protocol
//! ```
//! One command runs at a time and answers come in the order of the commands. While a command runs nothing is read: a
//! client that pipelines waits in its socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use buzon_imap::response::code::Code;
use buzon_imap::response::{Condition, Status};
use buzon_imap::session::Event;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::claim;
use crate::cmd::{append, idle};
use crate::ctx::{Ctx, Peer, Security, Services, Then};
use crate::dispatch;
use crate::hearing::{self, Hearing, Over, unless_over};
use crate::wire::{Stream, Wire};
use buzon_tls::certificate::HANDSHAKE_MAX;

/// An upload that stands still for so long gives its memory back.
const UPLOAD_STALL_MAX: Duration = Duration::from_secs(5 * 60);
/// A client that sends nothing but errors is none.
const BAD_COMMANDS_MAX: u32 = 100;
/// The same before login.
const BAD_COMMANDS_UNAUTHENTICATED_MAX: u32 = 10;
/// A client that is sent away has so long to take the last words; one that takes nothing is cut off.
const BYE_MAX: Duration = Duration::from_secs(2);

/// A connection and what it waits for.
pub(crate) struct Connection {
    ctx: Ctx,
    /// Since login.
    hearing: Option<Hearing>,
    drain: CancellationToken,
    /// When the client last sent something, or what it had sent was answered.
    heard: Instant,
    /// When an idling client was last told something.
    told: Instant,
}

/// Why the connection woke up.
enum Woken {
    Input(usize),
    News,
    Drain,
    Deadline,
}

/// How it ends.
enum End {
    /// Everything was said.
    Said,
    /// Say this first.
    Bye(&'static str),
}

impl From<Over> for End {
    fn from(Over(text): Over) -> Self {
        Self::Bye(text)
    }
}

impl Connection {
    pub(crate) fn new(services: Arc<Services>, stream: Stream, peer: Peer, drain: CancellationToken) -> Self {
        let now = Instant::now();
        let ctx = Ctx::new(services, peer, Wire::new(stream));
        Self { ctx, hearing: None, drain, heard: now, told: now }
    }

    /// Speaks with the client until either side ends it.
    ///
    /// # Errors
    /// Those of the socket; everything else is answered.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        self.greet();
        let end = loop {
            if let Some(end) = self.turn().await? {
                break end;
            }
        };
        match end {
            End::Said => self.ctx.wire.close().await,
            End::Bye(text) => {
                self.ctx.put(Status::untagged(Condition::Bye, text));
                let _ = timeout(BYE_MAX, self.ctx.wire.close()).await;
            }
        }
        Ok(())
    }

    /// Sends what there is, waits, and handles what came.
    async fn turn(&mut self) -> io::Result<Option<End>> {
        match unless_over(&mut self.hearing, self.ctx.wire.flush()).await {
            Ok(flushed) => flushed?,
            Err(over) => return Ok(Some(over.into())),
        }
        self.ctx.wire.release();
        let woken = match self.wait().await? {
            Ok(woken) => woken,
            Err(over) => return Ok(Some(over.into())),
        };
        match woken {
            Woken::Input(0) => Ok(Some(End::Said)),
            Woken::Input(_) => {
                self.heard = Instant::now();
                self.read_events().await
            }
            Woken::News => self.tell_news().await,
            Woken::Drain => Ok(Some(End::Bye("server is going down, please connect again"))),
            Woken::Deadline => self.deadline_passed().await,
        }
    }

    fn greet(&mut self) {
        let code = Code::Capability(self.ctx.capabilities());
        let text = format!("{} Buzon ready", self.ctx.services.options.host_name);
        self.ctx.put(Status::untagged(Condition::Ok, text).with(code));
    }

    /// Handles all that is complete in the input.
    async fn read_events(&mut self) -> io::Result<Option<End>> {
        loop {
            let ctx = &mut self.ctx;
            let Some(event) = ctx.protocol.next_event(&mut ctx.wire.input, &mut ctx.wire.output) else {
                return Ok(None);
            };
            let event = match event {
                // A message comes in thousands of pieces: these are not worth a command's future each.
                Event::AppendChunk(bytes) if append::receive(ctx, &bytes) => continue,
                event => event,
            };
            // Commands are large futures; between them the connection is to be small.
            let running = Box::pin(dispatch::handle(&mut self.ctx, event));
            match unless_over(&mut self.hearing, running).await {
                Err(over) => return Ok(Some(over.into())),
                Ok(then) => match then? {
                    Then::Close => return Ok(Some(End::Said)),
                    Then::StartTls => self.start_tls().await?,
                    Then::Continue => {}
                },
            }
            // A command may take longer than a silent client is kept.
            self.heard = Instant::now();
            self.take_over_watch();
            self.ctx.settle();
            if let Some(end) = self.must_end() {
                return Ok(Some(end));
            }
            match unless_over(&mut self.hearing, self.ctx.wire.flush_if_full()).await {
                Ok(flushed) => flushed?,
                Err(over) => return Ok(Some(over.into())),
            }
        }
    }

    /// After login the account's events are heard here.
    fn take_over_watch(&mut self) {
        let ctx = &mut self.ctx;
        if let (Some(account), Some(watch)) = (&ctx.account, ctx.new_watch.take()) {
            let (feed, meta) = (Arc::clone(&ctx.feed), Arc::clone(&ctx.services.meta));
            self.hearing = Some(Hearing::new(watch, account, feed, meta));
        }
    }

    /// Between two commands.
    fn must_end(&self) -> Option<End> {
        if self.ctx.selected.as_ref().is_some_and(crate::selected::Selected::is_deleted) {
            return Some(End::Bye("mailbox was deleted"));
        }
        let bad_max =
            if self.ctx.account.is_some() { BAD_COMMANDS_MAX } else { BAD_COMMANDS_UNAUTHENTICATED_MAX };
        if self.ctx.protocol.bad_commands() > bad_max {
            return Some(End::Bye("too many bad commands"));
        }
        let drain = self.drain.is_cancelled() && self.ctx.receiving.is_none();
        drain.then_some(End::Bye("server is going down, please connect again"))
    }

    async fn wait(&mut self) -> io::Result<Result<Woken, Over>> {
        let deadline = self.deadline();
        let (may_drain, is_idle) = (self.ctx.receiving.is_none(), self.ctx.idle.is_some());
        Ok(tokio::select! {
            read = self.ctx.wire.fill() => Ok(Woken::Input(read?)),
            news = hearing::next(&mut self.hearing) => news.map(|()| Woken::News),
            () = claim::looked_for(&mut self.ctx.claim), if is_idle => Ok(Woken::News),
            () = self.drain.cancelled(), if may_drain => Ok(Woken::Drain),
            () = sleep_until(deadline) => Ok(Woken::Deadline),
        })
    }

    fn deadline(&self) -> Instant {
        let options = &self.ctx.services.options;
        if self.ctx.account.is_none() {
            self.told + options.login_timeout
        } else if self.ctx.receiving.is_some() {
            self.heard + UPLOAD_STALL_MAX
        } else if self.ctx.idle.is_some() {
            self.heard.max(self.told) + options.idle_keepalive
        } else {
            self.heard + options.autologout
        }
    }

    async fn deadline_passed(&mut self) -> io::Result<Option<End>> {
        if self.ctx.idle.is_none() || self.ctx.account.is_none() {
            return Ok(Some(End::Bye("nothing was heard for too long")));
        }
        // News that could not be read when they came get another chance.
        if let Some(end) = self.tell_news().await? {
            return Ok(Some(end));
        }
        self.ctx.put(Status::untagged(Condition::Ok, "Still here"));
        self.told = Instant::now();
        Ok(None)
    }

    /// News between commands: told at once only in IDLE.
    async fn tell_news(&mut self) -> io::Result<Option<End>> {
        if self.ctx.idle.is_some() {
            match unless_over(&mut self.hearing, idle::tell_news(&mut self.ctx)).await {
                Ok(told) => told?,
                Err(over) => return Ok(Some(over.into())),
            }
            if !self.ctx.wire.output.is_empty() {
                self.told = Instant::now();
            }
        }
        self.ctx.settle();
        Ok(self.must_end())
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        let config = self.ctx.services.tls.clone().ok_or(io::ErrorKind::Unsupported)?;
        let ctx = &mut self.ctx;
        ctx.wire.flush().await?;
        ctx.protocol.reset_for_tls(&mut ctx.wire.input);
        let plain = std::mem::replace(&mut ctx.wire, Wire::new(Box::new(tokio::io::empty()))).into_stream();
        let handshake = TlsAcceptor::from(config).accept(plain);
        let secured = timeout(HANDSHAKE_MAX, handshake).await.map_err(|_| io::ErrorKind::TimedOut)??;
        ctx.wire = Wire::new(Box::new(secured));
        ctx.peer.security = Security::Tls;
        Ok(())
    }
}
