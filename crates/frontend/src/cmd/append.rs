//! APPEND (RFC 9051 §6.3.12): the message is durable before metadata names it.
//!
//! ```text
//! AppendStart ─ refuse, or reserve memory ─▶ AppendChunk… ─▶ AppendEnd ─▶ body put, summary ─▶ proposed
//! ```
//! All memory for messages on their way in is counted against one budget: a client that waits for leave to send waits
//! until there is some. Bytes are kept as they come, NULs too: what a client stores it gets back.

use std::io;
use std::time::SystemTime;

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

use crate::ctx::{Ctx, Done, Then};
use crate::incoming::{Kept, Reservation, keep};
use crate::rescue::{CommandError, rescue};

/// A message that is coming.
pub(crate) struct Receiving {
    start: AppendStart,
    mailbox: MailboxKey,
    message: BytesMut,
    _memory: Reservation,
}

impl Receiving {
    pub(crate) fn tag(&self) -> &Tag {
        &self.start.tag
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
    let mut memory = ctx.services.budget.reserve();
    let reserved = memory.grow_to(start.message_bytes).await;
    reserved.map_err(|error| CommandError::no(Code::Unavailable, error.to_string()))?;
    // Memory that is not written to is not taken: all of it at once spares moving it.
    let message = BytesMut::with_capacity(start.message_bytes as usize);
    Ok(Receiving { start, mailbox: row.key, message, _memory: memory })
}

/// The next bytes.
pub(crate) fn receive(ctx: &mut Ctx, bytes: &[u8]) -> Then {
    let Some(receiving) = &mut ctx.receiving else { return Then::Close };
    receiving.message.extend_from_slice(bytes);
    Then::Continue
}

/// The message is here.
pub(crate) async fn run(ctx: &mut Ctx, receiving: Receiving) -> Result<Done, CommandError> {
    let Receiving { start, mailbox, message, _memory } = receiving;
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
