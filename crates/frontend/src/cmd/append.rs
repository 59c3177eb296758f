//! APPEND (RFC 9051 §6.3.12): the message is durable before metadata names it.
//!
//! ```text
//! AppendStart ─ refuse, or reserve memory ─▶ AppendChunk… (more memory) ─▶ AppendEnd ─▶ body put, summary ─▶ proposed
//! ```
//! All memory for messages on their way in is counted against one budget, as the bytes come: what a client announces
//! takes nothing from others. An upload that finds no memory, or is too slow to be worth it, is read to its end and
//! refused. Bytes are kept as they come, NULs too: what a client stores it gets back.

use std::io;
use std::time::{Duration, SystemTime};

use buzon_imap::command::Tag;
use buzon_imap::command::append::AppendStart;
use buzon_imap::command::flags::FlagList;
use buzon_imap::response::Status;
use buzon_imap::response::code::Code;
use buzon_model::command::{NewMessage, ShardCommand};
use buzon_model::reply::Reply;
use buzon_types::id::MailboxKey;
use buzon_types::time::InternalDate;
use bytes::BytesMut;
use tokio::time::Instant;

use crate::ctx::{Ctx, Done, Then};
use crate::incoming::{Budget, BudgetExhausted, Kept, Reservation, keep};
use crate::rescue::{CommandError, rescue};

/// Reserved before the client may send, and at least with each step.
const STEP_BYTES_MIN: u64 = 64 * 1024;
/// Reserved ahead of what has come: few steps for a large message, little memory held by one that stands still.
const STEP_BYTES_MAX: u64 = 1 << 20;
/// An upload may be as slow as it likes for so long …
const UPLOAD_GRACE: Duration = Duration::from_secs(2 * 60);
/// … and then no slower than this on the whole: 64 kbit/s, a poor mobile link; 50 MiB in two hours.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 8 * 1024;

/// A message that is coming.
pub(crate) struct Receiving {
    start: AppendStart,
    mailbox: MailboxKey,
    message: BytesMut,
    memory: Reservation,
    began: Instant,
    /// Why the rest is thrown away.
    refused: Option<Refusal>,
}

/// Known while the client is sending: it hears of it when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NoMemory,
    TooSlow,
}

impl Receiving {
    pub(crate) fn tag(&self) -> &Tag {
        &self.start.tag
    }

    /// What is thrown away takes no memory from others.
    fn refuse(&mut self, budget: &Budget, refusal: Refusal) {
        (self.message, self.memory) = (BytesMut::new(), budget.reserve());
        self.refused = Some(refusal);
    }

    fn is_too_slow(&self) -> bool {
        let enough = Duration::from_secs(self.message.len() as u64 / UPLOAD_BYTES_PER_SECOND_MIN);
        self.began.elapsed() > UPLOAD_GRACE + enough
    }

    /// What to reserve so that so many bytes fit.
    fn step(&self, bytes: u64) -> u64 {
        let ahead = bytes.clamp(STEP_BYTES_MIN, STEP_BYTES_MAX);
        (bytes + ahead).min(self.start.message_bytes).max(bytes)
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoMemory => Self::no(Code::Unavailable, BudgetExhausted.to_string()),
            Refusal::TooSlow => Self::no(Code::Limit, "message came too slowly"),
        }
    }
}

/// What can be refused is refused before the client sends the message.
pub(crate) async fn begin(ctx: &mut Ctx, start: AppendStart) -> io::Result<Then> {
    let tag = start.tag.clone();
    match prepare(ctx, start).await {
        Ok(receiving) => {
            ctx.receiving = Some(receiving);
            ctx.protocol.accept_append(&mut ctx.wire.output);
        }
        Err(error) => {
            let status = rescue(&tag, error)?;
            ctx.protocol.refuse_append(&status, &mut ctx.wire.output);
        }
    }
    Ok(Then::Continue)
}

async fn prepare(ctx: &mut Ctx, start: AppendStart) -> Result<Receiving, CommandError> {
    if start.message_bytes > ctx.services.options.append_bytes_max {
        return Err(CommandError::no(Code::TooBig, "message is larger than may be stored"));
    }
    if start.message_bytes == 0 {
        return Err(CommandError::no(None, "nothing to store"));
    }
    let name = start.mailbox.name().map_err(|error| CommandError::no(Code::Cannot, error.to_string()))?;
    let Some(row) = ctx.find_mailbox(&name).await? else {
        return Err(CommandError::no(Code::TryCreate, "no such mailbox"));
    };
    let (budget, largest) = (&ctx.services.budget, ctx.services.options.append_bytes_max);
    let mut memory = budget.reserve_for(ctx.account()?.handle.account, largest);
    let reserved = memory.grow_to(start.message_bytes.min(STEP_BYTES_MIN)).await;
    reserved.map_err(|_| Refusal::NoMemory)?;
    let (message, began) = (BytesMut::new(), Instant::now());
    Ok(Receiving { start, mailbox: row.key, message, memory, began, refused: None })
}

/// The next bytes, if there is room for them: for most of them nothing need be waited for.
pub(crate) fn receive(ctx: &mut Ctx, bytes: &[u8]) -> bool {
    let Some(receiving) = &mut ctx.receiving else { return false };
    if receiving.refused.is_none() && receiving.is_too_slow() {
        receiving.refuse(&ctx.services.budget, Refusal::TooSlow);
    }
    if receiving.refused.is_some() {
        return true;
    }
    let has_room = (receiving.message.len() + bytes.len()) as u64 <= receiving.memory.bytes();
    if has_room {
        receiving.message.extend_from_slice(bytes);
    }
    has_room
}

/// The next bytes, waiting for room.
pub(crate) async fn make_room(ctx: &mut Ctx, bytes: &[u8]) -> Then {
    let Some(receiving) = &mut ctx.receiving else { return Then::Close };
    let wanted = receiving.step((receiving.message.len() + bytes.len()) as u64);
    match receiving.memory.grow_to(wanted).await {
        Ok(()) => receiving.message.extend_from_slice(bytes),
        Err(BudgetExhausted) => receiving.refuse(&ctx.services.budget, Refusal::NoMemory),
    }
    Then::Continue
}

/// The message is here.
pub(crate) async fn run(ctx: &mut Ctx, receiving: Receiving) -> Result<Done, CommandError> {
    let Receiving { start, mailbox, message, memory: _memory, refused, .. } = receiving;
    if let Some(refusal) = refused {
        return Err(refusal.into());
    }
    let kept = keep(&ctx.services.bodies, message.freeze()).await?;
    let has_keywords = !start.flags.keywords.is_empty();
    let messages = vec![new_message(start.flags, start.date, kept)];
    let reply = ctx.propose(ShardCommand::Append { mailbox, messages }).await;
    let Reply::Appended { uid_validity, uids, advance } = reply.map_err(CommandError::or_try_create)? else {
        return Err(CommandError::State);
    };
    if let Some(selected) = ctx.selected.as_mut().filter(|selected| selected.key == mailbox) {
        // New keywords are told by a delta.
        if !has_keywords && selected.follow(advance) {
            selected.gain(&uids);
        } else {
            ctx.behind = true;
        }
    }
    Ok(Status::ok(&start.tag, "Stored").with(Code::AppendUid(uid_validity, uids)).into())
}

fn new_message(flags: FlagList, date: Option<InternalDate>, kept: Kept) -> NewMessage {
    NewMessage {
        flags: flags.system,
        keywords: flags.keywords,
        internal_date: date.unwrap_or_else(now),
        size: kept.size,
        body: kept.body,
        summary: kept.summary,
    }
}

fn now() -> InternalDate {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    InternalDate { seconds: now.as_secs() as i64, zone_minutes: 0 }
}
