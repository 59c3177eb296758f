//! FETCH and UID FETCH (RFC 9051 §6.4.5, RFC 3516, RFC 7162 §3.1.4).
//!
//! ```text
//! set ─ resolve ─▶ UIDs ─▶ rows in chunks (with summaries if an item needs one) ─▶ contents read ahead ─▶ written
//! ```
//! Only items that need a message's bytes touch bodies. What is written goes to the output at once, and past 64 KiB to
//! the socket: the client's pace is the pace of the reading.

mod content;
mod decoding;
mod write;

use std::sync::Arc;

use buzon_imap::command::fetch::{BodySection, Fetch, FetchItem, Section, SectionText};
use buzon_imap::command::{Numbering, Tag};
use buzon_imap::response::Status;
use buzon_imap::response::code::Code;
use buzon_model::command::{StoreFlags, StoreMode};
use buzon_model::read::{Columns, MessageRead};
use buzon_model::reply::FlagState;
use buzon_types::flag::SystemFlags;
use buzon_types::uid_set::UidSet;
use futures::stream::{self, StreamExt};

use crate::ctx::{Ctx, Done, Services};
use crate::rescue::CommandError;
use crate::selected::Access;
use crate::sync::{Freshness, catch_up};
use content::{Prepared, prepare};

/// Messages whose bodies are read while one is written: hides the object store's latency.
const PREPARED_MAX: usize = 4;
/// Messages whose `\Seen` is set with one log entry, just before they are sent.
const SEEN_TOGETHER_MAX: usize = 32;

/// What a FETCH asks for, worked out once for all its messages.
struct Plan {
    items: Arc<[FetchItem]>,
    uids: UidSet,
    numbering: Numbering,
    /// MODSEQ is told though nobody asked by name.
    adds_modseq: bool,
    sets_seen: bool,
    reads_summaries: bool,
    /// Whether any item may need the message's bytes.
    reads_bodies: bool,
}

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: Fetch) -> Result<Done, CommandError> {
    let plan = plan(ctx, body).await?;
    let wanted = plan.uids.len();
    let Told { messages: told, unread } = messages(ctx, &plan).await?;
    // The others were told all the same: one damaged message is no reason to keep a mailbox from its reader.
    if let Some(error) = unread {
        return Err(error);
    }
    // A number that the client saw, of a message whose last trace is gone (RFC 2180 §4.1.2).
    if plan.numbering == Numbering::Sequence && told < wanted {
        return Err(CommandError::no(Code::ExpungeIssued, "some of the messages are gone"));
    }
    Ok(Status::ok(tag, "Done").into())
}

async fn plan(ctx: &mut Ctx, body: Fetch) -> Result<Plan, CommandError> {
    if body.vanished {
        return Err(CommandError::bad("VANISHED needs QRESYNC"));
    }
    let selected = ctx.selected()?;
    let mut uids = selected.resolve(body.numbering, &body.set)?;
    let sets_seen = selected.access == Access::ReadWrite && body.items.iter().any(FetchItem::sets_seen);
    if let Some(since) = body.changed_since.filter(|since| since.get() > 0) {
        let (account, mailbox, at) = (&ctx.account()?.handle, selected.key.mailbox, ctx.read_at()?);
        let read = ctx.services.meta.changes(account, mailbox, since, at).await?;
        let changed: UidSet = ctx.take(read).messages.iter().map(|message| message.uid).collect();
        uids = uids.intersection(&changed);
    }
    let asks_modseq = body.items.contains(&FetchItem::ModSeq);
    if asks_modseq || body.changed_since.is_some() {
        ctx.enable_condstore();
    }
    Ok(Plan {
        uids,
        numbering: body.numbering,
        adds_modseq: body.changed_since.is_some() && !asks_modseq,
        sets_seen,
        reads_summaries: body.items.iter().any(needs_summary),
        reads_bodies: body.items.iter().any(may_need_body),
        items: body.items.into(),
    })
}

/// The whole message is known by its row; all else of it by its summary.
fn needs_summary(item: &FetchItem) -> bool {
    match item {
        FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::Uid
        | FetchItem::ModSeq
        | FetchItem::Rfc822Size
        | FetchItem::Rfc822
        | FetchItem::Rfc822Peek => false,
        FetchItem::Section(BodySection { section: Section { part, text }, .. }) => {
            !part.0.is_empty() || *text != SectionText::Whole
        }
        FetchItem::Binary(section) => !section.part.0.is_empty(),
        FetchItem::BinarySize(part) => !part.0.is_empty(),
        FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Rfc822Header
        | FetchItem::Rfc822Text => true,
    }
}

fn may_need_body(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Rfc822
            | FetchItem::Rfc822Peek
            | FetchItem::Rfc822Header
            | FetchItem::Rfc822Text
            | FetchItem::Section(_)
            | FetchItem::Binary(_)
            | FetchItem::BinarySize(_)
    )
}

/// How far telling came.
#[derive(Default)]
struct Told {
    /// Whether told or passed over.
    messages: u64,
    /// Why the first that was passed over could not be read.
    unread: Option<CommandError>,
}

impl Told {
    /// Goes on after a message that cannot be read; not after what will befall the next one too.
    fn pass_over(&mut self, error: CommandError) -> Result<(), CommandError> {
        let of_message = match &error {
            CommandError::Bodies(error) => !error.is_retryable(),
            CommandError::Summary(_) | CommandError::Refused { .. } => true,
            CommandError::Meta(_) | CommandError::Connection(_) | CommandError::State => false,
        };
        if !of_message {
            return Err(error);
        }
        self.unread.get_or_insert(error);
        Ok(())
    }
}

/// Tells all messages.
async fn messages(ctx: &mut Ctx, plan: &Plan) -> Result<Told, CommandError> {
    let mut told = Told::default();
    if plan.uids.is_empty() {
        return Ok(told);
    }
    let (account, mailbox, at) = (&ctx.account()?.handle, ctx.selected()?.key.mailbox, ctx.read_at()?);
    let Services { meta, summaries, .. } = &*ctx.services;
    let mut rows = if plan.reads_summaries {
        summaries.fetch(meta, account, mailbox, &plan.uids, at).await?
    } else {
        meta.fetch(account, mailbox, &plan.uids, Columns::default(), at).await?
    };
    while let Some(chunk) = rows.next().await {
        let chunk = chunk?;
        told.messages += chunk.len() as u64;
        know_keywords(ctx, &chunk).await?;
        if plan.sets_seen {
            for group in chunk.chunks(SEEN_TOGETHER_MAX) {
                let mut group = group.to_vec();
                let seen = set_seen(ctx, &mut group).await?;
                tell(ctx, plan, group, &seen, &mut told).await?;
            }
        } else {
            tell(ctx, plan, chunk, &UidSet::new(), &mut told).await?;
        }
    }
    Ok(told)
}

/// Rows may be newer than the view: a keyword without a name is learned from a delta.
async fn know_keywords(ctx: &mut Ctx, rows: &[MessageRead]) -> Result<(), CommandError> {
    let selected = ctx.selected()?;
    if rows.iter().any(|row| !selected.knows_keywords(row.row.keywords)) {
        ctx.behind = true;
        catch_up(ctx, Freshness::AsTold).await?;
    }
    Ok(())
}

/// Sets `\Seen` where it is missing. The rows get their new flags; returns which changed: these tell their flags.
async fn set_seen(ctx: &mut Ctx, rows: &mut [MessageRead]) -> Result<UidSet, CommandError> {
    let unseen = rows.iter().filter(|row| !row.expunged && !row.row.flags.contains(SystemFlags::SEEN));
    let uids: UidSet = unseen.map(|row| row.row.uid).collect();
    if uids.is_empty() {
        return Ok(uids);
    }
    let change = StoreFlags {
        mailbox: ctx.selected()?.key,
        uids,
        mode: StoreMode::Add,
        flags: SystemFlags::SEEN,
        keywords: Vec::new(),
        unchanged_since: None,
    };
    let stored = ctx.services.meta.store_flags(&ctx.account()?.handle, change).await?;
    ctx.saw(stored.index);
    let selected = ctx.selected_mut()?;
    selected.learn_keywords(stored.keywords);
    let follows = selected.follow(stored.advance);
    for state in &stored.messages {
        selected.told_flags(state);
        if let Ok(at) = rows.binary_search_by_key(&state.uid, |row| row.row.uid) {
            update(&mut rows[at], state);
        }
    }
    ctx.behind |= !follows;
    Ok(stored.messages.iter().map(|state| state.uid).collect())
}

fn update(read: &mut MessageRead, state: &FlagState) {
    (read.row.flags, read.row.keywords, read.row.modseq) = (state.flags, state.keywords, state.modseq);
}

/// Writes messages, reading the contents of the next ones meanwhile.
async fn tell(
    ctx: &mut Ctx,
    plan: &Plan,
    rows: Vec<MessageRead>,
    seen: &UidSet,
    told: &mut Told,
) -> Result<(), CommandError> {
    if !plan.reads_bodies {
        for row in rows {
            let prepared = Prepared::without_contents(&row).map_err(CommandError::from);
            tell_one(ctx, plan, &row, prepared, seen, told).await?;
        }
        return Ok(());
    }
    let (bodies, items) = (ctx.services.bodies.clone(), Arc::clone(&plan.items));
    let prepared = stream::iter(rows).map(move |row| {
        let (bodies, items) = (bodies.clone(), Arc::clone(&items));
        async move {
            let prepared = prepare(&bodies, &row, &items).await;
            (row, prepared)
        }
    });
    let mut prepared = prepared.buffered(PREPARED_MAX);
    while let Some((row, contents)) = prepared.next().await {
        tell_one(ctx, plan, &row, contents, seen, told).await?;
    }
    Ok(())
}

async fn tell_one(
    ctx: &mut Ctx,
    plan: &Plan,
    row: &MessageRead,
    contents: Result<Prepared, CommandError>,
    seen: &UidSet,
    told: &mut Told,
) -> Result<(), CommandError> {
    match contents {
        Ok(contents) => write::message(ctx, plan, row, &contents, seen).await,
        Err(error) => {
            told.pass_over(error)?;
            write::flags(ctx, plan, row, seen).await
        }
    }
}
