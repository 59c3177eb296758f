//! What a message's items hold: made ready in memory while small, else the way to stream it.
//!
//! All that can be refused is found out here, before a byte of the response is written. What a client can make large by
//! asking for it many times is not kept: it is made while the response is written, one at a time.

use std::ops::Range;

use buzon_bodies::Bodies;
use buzon_imap::command::fetch::{BinarySection, BodySection, FetchItem, PartPath, Section, SectionText};
use buzon_imap::response::code::Code;
use buzon_message::binary::{self, BinaryPlan};
use buzon_message::part::TransferEncoding;
use buzon_message::section::{Partial, SectionKind, SectionPlan};
use buzon_message::summary::{Summary, SummaryError};
use buzon_model::read::MessageRead;
use buzon_types::body_ref::BodyRef;
use bytes::Bytes;
use futures::StreamExt;

use super::decoding::{Decoder, Decoding};
use crate::rescue::CommandError;

/// Contents of one message that are held in memory at most; what is larger is streamed.
const READY_BYTES_MAX: u64 = 256 * 1024;
/// A header that must be read to pick fields from it; a larger one is no header.
const HEADER_BYTES_MAX: u64 = 2 << 20;

/// A message, ready to be written.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) summary: Option<Summary>,
    /// One for each item, in order; [`Content::None`] for those without bytes.
    pub(super) contents: Vec<Content>,
}

/// The bytes of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The item has none.
    None,
    /// There is no such part.
    Nil,
    /// Here they are.
    Ready(Bytes),
    /// A range of the body.
    Range(Range<u64>),
    /// A range of the body, decoded; then a window of what comes out.
    Decoded { range: Range<u64>, decoding: Decoding, window: Range<u64> },
    /// BINARY.SIZE
    Size(u64),
    /// Fields of a header, for which there was no room: [`Source::later`] makes them when they are written.
    Later,
}

impl Prepared {
    /// For items that need no bytes.
    pub(super) fn without_contents(message: &MessageRead) -> Result<Self, SummaryError> {
        let summary = message.summary.clone().map(Summary::decode).transpose()?;
        Ok(Self { summary, contents: Vec::new() })
    }
}

/// Works out all items of a message.
pub(super) async fn prepare(
    bodies: &Bodies,
    message: &MessageRead,
    items: &[FetchItem],
) -> Result<Prepared, CommandError> {
    let mut prepared = Prepared::without_contents(message)?;
    let mut source = Source::new(bodies, message, prepared.summary.as_ref());
    let mut contents = Vec::with_capacity(items.len());
    let mut ready_bytes = 0;
    for item in items {
        let content = source.content(item, READY_BYTES_MAX.saturating_sub(ready_bytes)).await?;
        if let Content::Ready(bytes) = &content {
            ready_bytes += bytes.len() as u64;
        }
        contents.push(content);
    }
    prepared.contents = contents;
    Ok(prepared)
}

/// Where a message's bytes come from.
pub(super) struct Source<'a> {
    bodies: &'a Bodies,
    message: &'a MessageRead,
    summary: Option<&'a Summary>,
    /// The header that was read last: clients ask for one field after the other.
    header: Option<(Range<u64>, Bytes)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(bodies: &'a Bodies, message: &'a MessageRead, summary: Option<&'a Summary>) -> Self {
        Self { bodies, message, summary, header: None }
    }

    /// What [`Content::Later`] stands for.
    pub(super) async fn later(&mut self, item: &FetchItem) -> Result<Content, CommandError> {
        self.content(item, u64::MAX).await
    }

    async fn content(&mut self, item: &FetchItem, room: u64) -> Result<Content, CommandError> {
        let whole = |text| Section { part: PartPath::default(), text };
        match item {
            FetchItem::Rfc822 | FetchItem::Rfc822Peek => self.range(0..self.size(), None, room).await,
            FetchItem::Rfc822Header => self.section(&whole(SectionText::Header), None, room).await,
            FetchItem::Rfc822Text => self.section(&whole(SectionText::Text), None, room).await,
            FetchItem::Section(BodySection { section, partial, .. }) => {
                self.section(section, partial.map(window), room).await
            }
            FetchItem::Binary(section) => self.binary(section, room).await,
            FetchItem::BinarySize(part) => self.binary_size(part).await,
            _ => Ok(Content::None),
        }
    }

    fn size(&self) -> u64 {
        self.message.row.size
    }

    fn body(&self) -> &'a BodyRef {
        &self.message.row.body
    }

    async fn section(
        &mut self,
        section: &Section,
        partial: Option<Partial>,
        room: u64,
    ) -> Result<Content, CommandError> {
        if section.part.0.is_empty() && section.text == SectionText::Whole {
            return self.range(0..self.size(), partial, room).await;
        }
        match message_section(section).plan(self.summary()?)? {
            SectionPlan::Ready(bytes) if bytes.len() as u64 > room => Ok(Content::Later),
            SectionPlan::Ready(bytes) => Ok(Content::Ready(narrowed(bytes.into(), partial))),
            SectionPlan::Range(range) => self.range(range, partial, room).await,
            SectionPlan::Fields { range, filter } => {
                let range = range.start..range.end.min(range.start + HEADER_BYTES_MAX);
                if range.end - range.start > room {
                    return Ok(Content::Later);
                }
                let header = self.header(range).await?;
                Ok(Content::Ready(narrowed(filter.apply(&header).into(), partial)))
            }
            SectionPlan::Missing => Ok(Content::Nil),
        }
    }

    async fn header(&mut self, range: Range<u64>) -> Result<Bytes, CommandError> {
        if let Some((held, header)) = &self.header
            && *held == range
        {
            return Ok(header.clone());
        }
        let header = self.bodies.range(self.body(), range.clone()).await?;
        self.header = Some((range, header.clone()));
        Ok(header)
    }

    /// Small ones are read now; whole messages then are verified, and slices of a part bring the next ones along.
    async fn range(
        &self,
        range: Range<u64>,
        partial: Option<Partial>,
        room: u64,
    ) -> Result<Content, CommandError> {
        let wanted = partial.map_or_else(|| range.clone(), |partial| partial.of_range(&range));
        if wanted.end - wanted.start > room {
            return Ok(Content::Range(wanted));
        }
        let bytes = if wanted == (0..self.body().length) {
            self.bodies.get(self.body()).await?
        } else if partial.is_some() {
            // A copy: the slice would keep all that was read ahead.
            Bytes::copy_from_slice(&self.bodies.range_ahead(self.body(), wanted, range.end).await?)
        } else {
            self.bodies.range(self.body(), wanted).await?
        };
        Ok(Content::Ready(bytes))
    }

    async fn binary(&self, section: &BinarySection, room: u64) -> Result<Content, CommandError> {
        let partial = section.partial.map(window);
        let (range, encoding) = match self.binary_plan(&section.part)? {
            BinaryPlan::Decode { range, encoding: TransferEncoding::Identity } => {
                return self.range(range, partial, room).await;
            }
            BinaryPlan::Decode { range, encoding } => (range, encoding),
            BinaryPlan::Missing => return Ok(Content::Nil),
            BinaryPlan::UnknownCte => return Err(unknown_cte()),
        };
        let decoding = self.decoding(&section.part, encoding)?;
        if range.end - range.start > room {
            let size = self.decoded_size(&range, decoding).await?;
            let window = partial.map_or(0..size, |partial| partial.of_range(&(0..size)));
            return Ok(Content::Decoded { range, decoding, window });
        }
        let content = self.bodies.range(self.body(), range).await?;
        Ok(Content::Ready(narrowed(decoding.decode(&content).into(), partial)))
    }

    async fn binary_size(&self, part: &PartPath) -> Result<Content, CommandError> {
        Ok(match self.binary_plan(part)? {
            BinaryPlan::Decode { range, encoding: TransferEncoding::Identity } => {
                Content::Size(range.end - range.start)
            }
            BinaryPlan::Decode { range, encoding } => {
                let decoding = self.decoding(part, encoding)?;
                Content::Size(self.decoded_size(&range, decoding).await?)
            }
            // There is no NIL for a size.
            BinaryPlan::Missing => Content::Size(0),
            BinaryPlan::UnknownCte => return Err(unknown_cte()),
        })
    }

    fn binary_plan(&self, part: &PartPath) -> Result<BinaryPlan, CommandError> {
        if part.0.is_empty() {
            return Ok(BinaryPlan::Decode { range: 0..self.size(), encoding: TransferEncoding::Identity });
        }
        Ok(binary::plan(self.summary()?, &part.0)?)
    }

    fn decoding(&self, part: &PartPath, encoding: TransferEncoding) -> Result<Decoding, CommandError> {
        let tree = self.summary()?.parts()?;
        Ok(Decoding::of(tree.find(&part.0).map(|at| tree.part(at)), encoding))
    }

    /// The length of a literal comes before it, so large content is decoded twice rather than held.
    async fn decoded_size(&self, range: &Range<u64>, decoding: Decoding) -> Result<u64, CommandError> {
        let mut stream = std::pin::pin!(self.bodies.stream(self.body(), range.clone()));
        let (mut decoder, mut piece, mut size) = (Decoder::new(decoding), Vec::new(), 0);
        while let Some(bytes) = stream.next().await {
            decoder.push(&bytes?, &mut piece);
            size += piece.len() as u64;
            piece.clear();
        }
        decoder.finish(&mut piece);
        Ok(size + piece.len() as u64)
    }

    fn summary(&self) -> Result<&'a Summary, CommandError> {
        self.summary.ok_or(CommandError::State)
    }
}

fn unknown_cte() -> CommandError {
    CommandError::no(Code::UnknownCte, "transfer encoding of the part is not known")
}

fn window(partial: buzon_imap::command::fetch::Partial) -> Partial {
    Partial { origin: partial.offset, count: partial.length }
}

/// A copy: a slice would keep all of it.
fn narrowed(bytes: Bytes, partial: Option<Partial>) -> Bytes {
    match partial {
        Some(partial) => {
            let range = partial.of_range(&(0..bytes.len() as u64));
            Bytes::copy_from_slice(&bytes[range.start as usize..range.end as usize])
        }
        None => bytes,
    }
}

/// The grammar's section as the message's.
fn message_section(section: &Section) -> buzon_message::section::Section {
    let kind = match &section.text {
        SectionText::Whole => SectionKind::Whole,
        SectionText::Header => SectionKind::Header,
        SectionText::Text => SectionKind::Text,
        SectionText::Mime => SectionKind::Mime,
        SectionText::HeaderFields { fields, not: false } => SectionKind::HeaderFields(fields.clone()),
        SectionText::HeaderFields { fields, not: true } => SectionKind::HeaderFieldsNot(fields.clone()),
    };
    buzon_message::section::Section { path: section.part.0.to_vec(), kind }
}
