//! One FETCH response into the output: UID first, then the order asked, then what changed by asking.

use std::ops::Range;

use buzon_imap::command::Numbering;
use buzon_imap::command::fetch::FetchItem;
use buzon_imap::response::fetch::{FetchWriter, Rfc822};
use buzon_message::summary::Summary;
use buzon_model::read::MessageRead;
use buzon_types::body_ref::BodyRef;
use buzon_types::uid::SequenceNumber;
use buzon_types::uid_set::UidSet;
use futures::StreamExt;

use super::Plan;
use super::content::{Content, Prepared, Source};
use super::decoding::{Decoder, Decoding};
use crate::ctx::Ctx;
use crate::rescue::CommandError;
use crate::wire::Wire;

/// Writes a message; one that the client does not count is passed over.
pub(super) async fn message(
    ctx: &mut Ctx,
    plan: &Plan,
    message: &MessageRead,
    prepared: &Prepared,
    seen: &UidSet,
) -> Result<(), CommandError> {
    let Some(number) = ctx.selected()?.number(message.row.uid) else { return Ok(()) };
    let summary = prepared.summary.as_ref();
    let mut line = Line { number, begun: false };
    if plan.numbering == Numbering::Uid || plan.items.contains(&FetchItem::Uid) {
        line.writer(ctx).uid(message.row.uid);
    }
    if prepared.contents.is_empty() {
        for item in plan.items.iter() {
            line.cheap(ctx, item, message, summary)?;
            // One item may be asked for many times.
            ctx.wire.flush_if_full().await?;
        }
    } else {
        line.items(ctx, plan, message, prepared).await?;
    }
    if seen.contains(message.row.uid) && !plan.items.contains(&FetchItem::Flags) {
        line.cheap(ctx, &FetchItem::Flags, message, summary)?;
    }
    let told = plan.items.contains(&FetchItem::ModSeq);
    if plan.adds_modseq || (!told && ctx.enabled.condstore && seen.contains(message.row.uid)) {
        line.writer(ctx).modseq(message.row.modseq);
    }
    line.writer(ctx).end();
    ctx.wire.flush_if_full().await?;
    Ok(())
}

/// Of a message that cannot be read: its flags, if the attempt changed them.
pub(super) async fn flags(
    ctx: &mut Ctx,
    plan: &Plan,
    message: &MessageRead,
    seen: &UidSet,
) -> Result<(), CommandError> {
    let Some(number) = ctx.selected()?.number(message.row.uid) else { return Ok(()) };
    if !seen.contains(message.row.uid) {
        return Ok(());
    }
    let mut line = Line { number, begun: false };
    if plan.numbering == Numbering::Uid {
        line.writer(ctx).uid(message.row.uid);
    }
    line.cheap(ctx, &FetchItem::Flags, message, None)?;
    if ctx.enabled.condstore {
        line.writer(ctx).modseq(message.row.modseq);
    }
    line.writer(ctx).end();
    Ok(ctx.wire.flush_if_full().await?)
}

/// A response under way. The writer is made anew for each item, since the output may have been flushed between.
struct Line {
    number: SequenceNumber,
    begun: bool,
}

impl Line {
    fn writer<'a>(&mut self, ctx: &'a mut Ctx) -> FetchWriter<'a> {
        self.on(&mut ctx.wire)
    }

    fn on<'a>(&mut self, wire: &'a mut Wire) -> FetchWriter<'a> {
        match std::mem::replace(&mut self.begun, true) {
            false => FetchWriter::begin(&mut wire.output, self.number),
            true => FetchWriter::resume(&mut wire.output),
        }
    }

    /// All items, of which some have bytes.
    async fn items(
        &mut self,
        ctx: &mut Ctx,
        plan: &Plan,
        message: &MessageRead,
        prepared: &Prepared,
    ) -> Result<(), CommandError> {
        let (bodies, summary) = (ctx.services.bodies.clone(), prepared.summary.as_ref());
        let mut source = Source::new(&bodies, message, summary);
        for (item, content) in plan.items.iter().zip(&prepared.contents) {
            match content {
                Content::None => self.cheap(ctx, item, message, summary)?,
                Content::Later => {
                    let content = source.later(item).await.map_err(|error| broken(&error))?;
                    self.content(ctx, item, &content, &message.row.body).await?;
                }
                content => self.content(ctx, item, content, &message.row.body).await?,
            }
            ctx.wire.flush_if_full().await?;
        }
        Ok(())
    }

    /// Items from the row and the summary.
    fn cheap(
        &mut self,
        ctx: &mut Ctx,
        item: &FetchItem,
        message: &MessageRead,
        summary: Option<&Summary>,
    ) -> Result<(), CommandError> {
        let row = &message.row;
        let summary = || summary.ok_or(CommandError::State);
        match item {
            FetchItem::Flags => {
                let Ctx { selected: Some(selected), wire, enabled, .. } = ctx else {
                    return Err(CommandError::State);
                };
                let keywords = row.keywords.numbers().filter_map(|at| selected.keywords().get(at));
                self.on(wire).flags(row.flags, selected.extra_flag(row.uid, *enabled), keywords);
            }
            FetchItem::ModSeq => self.writer(ctx).modseq(row.modseq),
            FetchItem::InternalDate => self.writer(ctx).internal_date(row.internal_date),
            FetchItem::Rfc822Size => self.writer(ctx).rfc822_size(row.size),
            FetchItem::Envelope => self.writer(ctx).envelope(summary()?.envelope()),
            FetchItem::BodyStructure => self.writer(ctx).body_structure(summary()?.body_structure()),
            FetchItem::Body => self.writer(ctx).body(&summary()?.body()),
            // UID came first; the others have contents.
            _ => {}
        }
        Ok(())
    }

    /// Items with bytes.
    async fn content(
        &mut self,
        ctx: &mut Ctx,
        item: &FetchItem,
        content: &Content,
        body: &BodyRef,
    ) -> Result<(), CommandError> {
        let bytes = match content {
            Content::None | Content::Later => return Ok(()),
            Content::Nil => return self.nil(ctx, item),
            Content::Size(bytes) => {
                if let FetchItem::BinarySize(part) = item {
                    self.writer(ctx).binary_size(part, *bytes);
                }
                return Ok(());
            }
            Content::Ready(bytes) => bytes.len() as u64,
            Content::Range(range) => range.end - range.start,
            Content::Decoded { window, .. } => window.end - window.start,
        };
        self.literal(ctx, item, bytes);
        match content {
            Content::Ready(bytes) => ctx.wire.send(bytes.clone()).await?,
            Content::Range(range) => stream(ctx, body, range.clone()).await?,
            Content::Decoded { range, decoding, window } => {
                stream_decoded(ctx, body, range.clone(), *decoding, window.clone()).await?;
            }
            _ => {}
        }
        Ok(())
    }

    fn literal(&mut self, ctx: &mut Ctx, item: &FetchItem, bytes: u64) {
        let mut writer = self.writer(ctx);
        match item {
            FetchItem::Rfc822 | FetchItem::Rfc822Peek => writer.rfc822_literal(Rfc822::Message, bytes),
            FetchItem::Rfc822Header => writer.rfc822_literal(Rfc822::Header, bytes),
            FetchItem::Rfc822Text => writer.rfc822_literal(Rfc822::Text, bytes),
            FetchItem::Section(section) => writer.section_literal(section, bytes),
            FetchItem::Binary(section) => writer.binary_literal(section, bytes),
            _ => {}
        }
    }

    fn nil(&mut self, ctx: &mut Ctx, item: &FetchItem) -> Result<(), CommandError> {
        match item {
            FetchItem::Section(section) => self.writer(ctx).section_nil(section),
            FetchItem::Binary(section) => self.writer(ctx).binary_nil(section),
            _ => return Err(CommandError::State),
        }
        Ok(())
    }
}

/// A response was begun: if its bytes do not come, the connection cannot be followed any further.
fn broken(error: &(dyn std::error::Error + 'static)) -> CommandError {
    tracing::error!(error, "body ends in the middle of a response");
    CommandError::Connection(std::io::ErrorKind::UnexpectedEof.into())
}

async fn stream(ctx: &mut Ctx, body: &BodyRef, range: Range<u64>) -> Result<(), CommandError> {
    let mut pieces = std::pin::pin!(ctx.services.bodies.stream(body, range));
    while let Some(piece) = pieces.next().await {
        ctx.wire.send(piece.map_err(|error| broken(&error))?).await?;
    }
    Ok(())
}

async fn stream_decoded(
    ctx: &mut Ctx,
    body: &BodyRef,
    range: Range<u64>,
    decoding: Decoding,
    window: Range<u64>,
) -> Result<(), CommandError> {
    let mut pieces = std::pin::pin!(ctx.services.bodies.stream(body, range));
    let (mut decoder, mut decoded, mut at) = (Decoder::new(decoding), Vec::new(), 0);
    loop {
        let piece = pieces.next().await;
        let ended = piece.is_none();
        match piece {
            Some(piece) => decoder.push(&piece.map_err(|error| broken(&error))?, &mut decoded),
            None => decoder.finish(&mut decoded),
        }
        let end = at + decoded.len() as u64;
        let (from, to) = (window.start.clamp(at, end), window.end.clamp(at, end));
        ctx.wire.output.extend_from_slice(&decoded[(from - at) as usize..(to - at) as usize]);
        ctx.wire.flush_if_full().await?;
        at = end;
        decoded.clear();
        if ended || at >= window.end {
            return Ok(());
        }
    }
}
