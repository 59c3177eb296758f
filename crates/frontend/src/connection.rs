//! One connection: reads bytes, feeds the protocol, writes what commands answer. Owns timeouts and the drain.
//!
//! ```text
//!          ┌────────────▶ wait: input, feed, drain, deadline ───────────┐
//!          │                                                             ▼
//! greeting ┴─ flush ◀─ answer ◀─ command (the feed is heard meanwhile) ◀─ protocol
//! ```
//! One command runs at a time and answers come in the order of the commands. While a command runs nothing is read: a
//! client that pipelines waits in its socket.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use buzon_imap::response::code::Code;
use buzon_imap::response::{Condition, Status};
use buzon_imap::session::Event;
use buzon_model::read::{EventKind, ReadAt};
use buzon_model::row::AccountState;
use buzon_types::id::{CredentialVersion, LogIndex};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::cmd::{append, idle};
use crate::ctx::{Ctx, Peer, Security, Services, Then};
use crate::dispatch;
use crate::meta_api::Watching;
use crate::tls::HANDSHAKE_MAX;
use crate::wire::{Stream, Wire};

/// An upload that stands still for so long gives its memory back.
const UPLOAD_STALL_MAX: Duration = Duration::from_secs(5 * 60);
/// A client that sends nothing but errors is none.
const BAD_COMMANDS_MAX: u32 = 100;
/// The same before login.
const BAD_COMMANDS_UNAUTHENTICATED_MAX: u32 = 10;
/// A credential that could not be checked after a gap of the feed is checked again after this: sessions of a changed
/// one end within five seconds (DESIGN D12).
const RECHECK_AFTER: Duration = Duration::from_secs(2);

/// A connection and what it waits for.
pub(crate) struct Connection {
    ctx: Ctx,
    watch: Option<Box<dyn Watching>>,
    drain: CancellationToken,
    /// When the client last sent something.
    heard: Instant,
    /// When an idling client was last told something.
    told: Instant,
    /// The credential is to be looked at then.
    recheck: Option<Instant>,
}

/// Why the connection woke up.
enum Woken {
    Input(usize),
    News(EventKind, LogIndex),
    Drain,
    Deadline,
}

/// How it ends.
enum End {
    /// Everything was said.
    Said,
    /// Say this first.
    Bye(Option<Code>, &'static str),
}

impl Connection {
    pub(crate) fn new(services: Arc<Services>, stream: Stream, peer: Peer, drain: CancellationToken) -> Self {
        let now = Instant::now();
        let ctx = Ctx::new(services, peer, Wire::new(stream));
        Self { ctx, watch: None, drain, heard: now, told: now, recheck: None }
    }

    /// Speaks with the client until either side ends it.
    ///
    /// # Errors
    /// Those of the socket; everything else is answered.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        self.greet();
        let end = loop {
            self.ctx.wire.flush().await?;
            self.ctx.wire.release();
            match self.wait().await? {
                Woken::Input(0) => break End::Said,
                Woken::Input(_) => self.heard = Instant::now(),
                Woken::News(kind, index) => {
                    if let Some(end) = self.hear(kind, index).await? {
                        break end;
                    }
                }
                Woken::Drain => break End::Bye(None, "server is going down, please connect again"),
                Woken::Deadline => {
                    if let Some(end) = self.deadline_passed().await? {
                        break end;
                    }
                }
            }
            if let Some(end) = self.read_events().await? {
                break end;
            }
        };
        if let End::Bye(code, text) = end {
            self.ctx.put(Status { tag: None, condition: Condition::Bye, code, text: text.into() });
        }
        self.ctx.wire.close().await;
        Ok(())
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
            match self.run_event(event).await? {
                None => return Ok(Some(End::Bye(None, "password or account changed, please log in again"))),
                Some(Then::Close) => return Ok(Some(End::Said)),
                Some(Then::StartTls) => self.start_tls().await?,
                Some(Then::Continue) => {}
            }
            if let Some(watch) = self.ctx.new_watch.take() {
                self.watch = Some(watch);
            }
            self.ctx.settle();
            if let Some(end) = self.must_end() {
                return Ok(Some(end));
            }
            self.ctx.wire.flush_if_full().await?;
        }
    }

    /// Between two commands.
    fn must_end(&self) -> Option<End> {
        if self.ctx.selected.as_ref().is_some_and(crate::selected::Selected::is_deleted) {
            return Some(End::Bye(None, "mailbox was deleted"));
        }
        let bad_max =
            if self.ctx.account.is_some() { BAD_COMMANDS_MAX } else { BAD_COMMANDS_UNAUTHENTICATED_MAX };
        if self.ctx.protocol.bad_commands() > bad_max {
            return Some(End::Bye(None, "too many bad commands"));
        }
        let drain = self.drain.is_cancelled() && self.ctx.receiving.is_none();
        drain.then_some(End::Bye(None, "server is going down, please connect again"))
    }

    /// Runs a command and hears the feed meanwhile; `None` if the credential ended before the command did.
    async fn run_event(&mut self, event: Event) -> io::Result<Option<Then>> {
        let feed = Arc::clone(&self.ctx.feed);
        let version = self.ctx.account.as_ref().map(|account| account.version);
        // Commands are large futures; between them the connection is to be small.
        let mut running = Box::pin(dispatch::handle(&mut self.ctx, event));
        loop {
            let (kind, index) = tokio::select! {
                then = &mut running => return then.map(Some),
                event = next_event(&mut self.watch) => event,
            };
            match kind {
                EventKind::Credential(new) if ends(version, new) => return Ok(None),
                EventKind::Gap => self.recheck = Some(Instant::now()),
                _ => {}
            }
            feed.note(kind, index);
        }
    }

    async fn wait(&mut self) -> io::Result<Woken> {
        let deadline = self.deadline();
        let may_drain = self.ctx.receiving.is_none();
        tokio::select! {
            read = self.ctx.wire.fill() => read.map(Woken::Input),
            (kind, index) = next_event(&mut self.watch) => Ok(Woken::News(kind, index)),
            () = self.drain.cancelled(), if may_drain => Ok(Woken::Drain),
            () = sleep_until(deadline) => Ok(Woken::Deadline),
        }
    }

    fn deadline(&self) -> Instant {
        let options = &self.ctx.services.options;
        let deadline = if self.ctx.account.is_none() {
            self.told + options.login_timeout
        } else if self.ctx.receiving.is_some() {
            self.heard + UPLOAD_STALL_MAX
        } else if self.ctx.idle.is_some() {
            self.heard.max(self.told) + options.idle_keepalive
        } else {
            self.heard + options.autologout
        };
        self.recheck.map_or(deadline, |recheck| recheck.min(deadline))
    }

    async fn deadline_passed(&mut self) -> io::Result<Option<End>> {
        if self.recheck.is_some_and(|recheck| recheck <= Instant::now()) {
            return Ok(self.check_credential().await);
        }
        if self.ctx.idle.is_none() || self.ctx.account.is_none() {
            return Ok(Some(End::Bye(None, "nothing was heard for too long")));
        }
        // News that could not be read when they came get another chance.
        idle::tell_news(&mut self.ctx).await?;
        self.ctx.put(Status::untagged(Condition::Ok, "Still here"));
        self.told = Instant::now();
        Ok(self.must_end())
    }

    /// News between commands: told at once only in IDLE.
    async fn hear(&mut self, kind: EventKind, index: LogIndex) -> io::Result<Option<End>> {
        let version = self.ctx.account.as_ref().map(|account| account.version);
        match kind {
            EventKind::Credential(new) if ends(version, new) => {
                return Ok(Some(End::Bye(None, "password or account changed, please log in again")));
            }
            EventKind::Gap => {
                self.ctx.feed.note(kind, index);
                if let Some(end) = self.check_credential().await {
                    return Ok(Some(end));
                }
            }
            kind => self.ctx.feed.note(kind, index),
        }
        if self.ctx.idle.is_some() {
            idle::tell_news(&mut self.ctx).await?;
            if !self.ctx.wire.output.is_empty() {
                self.told = Instant::now();
            }
        }
        self.ctx.settle();
        Ok(self.must_end())
    }

    /// The feed had a gap: what it may have told of the credential is read.
    async fn check_credential(&mut self) -> Option<End> {
        self.recheck = None;
        let account = self.ctx.account.as_ref()?;
        let heard = self.watch.as_ref().map_or(account.seen, |watch| watch.index());
        let at = ReadAt::Index(account.seen.max(heard));
        match self.ctx.services.meta.credential(&account.handle, at).await {
            Ok(read) => {
                let credential = self.ctx.take(read);
                let version = self.ctx.account.as_ref()?.version;
                let same = credential.version == version && credential.state == AccountState::Active;
                (!same).then_some(End::Bye(None, "password or account changed, please log in again"))
            }
            Err(buzon_meta_client::error::MetaError::Rejected(_)) => {
                Some(End::Bye(None, "account is no longer here, please log in again"))
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "credential cannot be checked");
                self.recheck = Some(Instant::now() + RECHECK_AFTER);
                None
            }
        }
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

/// Whether a session let in by `version` is over.
fn ends(version: Option<CredentialVersion>, new: CredentialVersion) -> bool {
    version.is_some_and(|version| new > version)
}

async fn next_event(watch: &mut Option<Box<dyn Watching>>) -> (EventKind, LogIndex) {
    match watch {
        Some(watch) => {
            let kind = watch.changed().await;
            (kind, watch.index())
        }
        None => pending().await,
    }
}
