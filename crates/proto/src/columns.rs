//! Messages as columns, as lists of a mailbox are sent: a message of its own for each costs a tag and a branch for every
//! number, a packed column little more than the numbers.

use buzon_model::read::MessageRead;
use buzon_model::row::MessageRow;
use buzon_types::body_ref::{BodyRef, KeyId, ObjectId};
use buzon_types::flag::KeywordBits;
use buzon_types::time::{InternalDate, Timestamp};
use bytes::{Bytes, BytesMut};

use crate::log::value;
use crate::pb::mail::v1 as pb;
use crate::wire::{self, Wire, WireError, halves, whole};

/// Messages in one answer, at most: eight times what nodes send. A message takes a byte on the wire at least, and more than a
/// hundred in memory.
const MESSAGES_MAX: usize = 4_096;

/// Messages to be sent, in their order: at most a few thousand.
pub fn columns(messages: &[MessageRead]) -> pb::MessageColumns {
    let summary = |it: &MessageRead| it.summary.as_ref().map_or(0, |summary| summary.len() as u32 + 1);
    pb::MessageColumns {
        uids: messages.iter().map(|it| it.row.uid.get()).collect(),
        flags: column(messages, |it| it.row.flags.bits().into()),
        keywords_low: column(messages, |it| halves(it.row.keywords.0).1),
        keywords_high: column(messages, |it| halves(it.row.keywords.0).0),
        modseqs: column(messages, |it| it.row.modseq.get()),
        sizes: column(messages, |it| it.row.size),
        internal_date_seconds: column(messages, |it| it.row.internal_date.seconds),
        internal_date_zone_minutes: column(messages, |it| it.row.internal_date.zone_minutes.into()),
        saved_at_ms: column(messages, |it| it.row.saved_at.0),
        object_high: column(messages, |it| halves(it.row.body.object.0).0),
        object_low: column(messages, |it| halves(it.row.body.object.0).1),
        offsets: column(messages, |it| it.row.body.offset),
        lengths: column(messages, |it| it.row.body.length),
        encodings: column(messages, |it| it.row.body.encoding as u32),
        keys: column(messages, |it| it.row.body.key.0),
        expunged: column(messages, |it| it.expunged),
        summary_lengths: column(messages, summary),
        summaries: joined(messages),
    }
}

/// Messages that were sent.
///
/// # Errors
/// If there are too many, a column has another length than that of the UIDs, or a value that it may not have.
pub fn messages(columns: pb::MessageColumns) -> Wire<Vec<MessageRead>> {
    let count = columns.uids.len();
    if count > MESSAGES_MAX {
        return Err(WireError::new("message_columns.uids"));
    }
    let flags = Column::of(&columns.flags, count, "message_columns.flags")?;
    let keywords_low = Column::of(&columns.keywords_low, count, "message_columns.keywords_low")?;
    let keywords_high = Column::of(&columns.keywords_high, count, "message_columns.keywords_high")?;
    let modseqs = Column::of(&columns.modseqs, count, "message_columns.modseqs")?;
    let sizes = Column::of(&columns.sizes, count, "message_columns.sizes")?;
    let seconds = Column::of(&columns.internal_date_seconds, count, "message_columns.internal_date_seconds")?;
    let zones =
        Column::of(&columns.internal_date_zone_minutes, count, "message_columns.internal_date_zone_minutes")?;
    let saved_at = Column::of(&columns.saved_at_ms, count, "message_columns.saved_at_ms")?;
    let object_high = Column::of(&columns.object_high, count, "message_columns.object_high")?;
    let object_low = Column::of(&columns.object_low, count, "message_columns.object_low")?;
    let offsets = Column::of(&columns.offsets, count, "message_columns.offsets")?;
    let lengths = Column::of(&columns.lengths, count, "message_columns.lengths")?;
    let encodings = Column::of(&columns.encodings, count, "message_columns.encodings")?;
    let keys = Column::of(&columns.keys, count, "message_columns.keys")?;
    let expunged = Column::of(&columns.expunged, count, "message_columns.expunged")?;
    let summary_lengths = Column::of(&columns.summary_lengths, count, "message_columns.summary_lengths")?;
    let mut summaries = columns.summaries;
    let mut messages = Vec::with_capacity(count);
    for (at, uid) in columns.uids.into_iter().enumerate() {
        let body = BodyRef {
            object: ObjectId(whole(object_high.at(at), object_low.at(at))),
            offset: offsets.at(at),
            length: lengths.at(at),
            encoding: value::encoding(encodings.at(at))?,
            key: KeyId(keys.at(at)),
        };
        let row = MessageRow {
            uid: wire::uid(uid, "message_columns.uids")?,
            flags: wire::flags(flags.at(at), "message_columns.flags")?,
            keywords: KeywordBits(whole(keywords_high.at(at), keywords_low.at(at))),
            modseq: wire::modseq(modseqs.at(at), "message_columns.modseqs")?,
            size: sizes.at(at),
            internal_date: InternalDate {
                seconds: seconds.at(at),
                zone_minutes: value::zone_minutes(zones.at(at))?,
            },
            saved_at: Timestamp(saved_at.at(at)),
            body,
        };
        let summary = cut(&mut summaries, summary_lengths.at(at))?;
        messages.push(MessageRead { row, expunged: expunged.at(at), summary });
    }
    if !summaries.is_empty() {
        return Err(SUMMARIES);
    }
    Ok(messages)
}

const SUMMARIES: WireError = WireError::new("message_columns.summaries");

/// A number of each message; nothing if all are 0.
fn column<T: Default + PartialEq>(messages: &[MessageRead], value: impl Fn(&MessageRead) -> T) -> Vec<T> {
    let values: Vec<T> = messages.iter().map(value).collect();
    if values.iter().all(|value| *value == T::default()) { Vec::new() } else { values }
}

fn joined(messages: &[MessageRead]) -> Bytes {
    let summaries = || messages.iter().filter_map(|it| it.summary.as_ref());
    let mut joined = BytesMut::with_capacity(summaries().map(Bytes::len).sum());
    summaries().for_each(|summary| joined.extend_from_slice(summary));
    joined.freeze()
}

/// The next summary, of this length and one more.
fn cut(summaries: &mut Bytes, length: u32) -> Wire<Option<Bytes>> {
    let Some(length) = length.checked_sub(1) else { return Ok(None) };
    let length = length as usize;
    if length > summaries.len() {
        return Err(SUMMARIES);
    }
    Ok(Some(summaries.split_to(length)))
}

/// A column that was received.
struct Column<'a, T>(&'a [T]);

impl<'a, T: Copy + Default> Column<'a, T> {
    fn of(values: &'a [T], count: usize, field: &'static str) -> Wire<Self> {
        if values.is_empty() || values.len() == count { Ok(Self(values)) } else { Err(WireError::new(field)) }
    }

    fn at(&self, at: usize) -> T {
        self.0.get(at).copied().unwrap_or_default()
    }
}
