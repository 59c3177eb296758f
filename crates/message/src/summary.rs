//! The summary of a message: all that FETCH lists and most of SEARCH need, made once on arrival (DESIGN D6).
//!
//! Stored as protobuf whose fields only grow. Decoding slices the stored bytes and copies nothing: the part tree is one
//! nested field that is decoded when a section is asked for.

use crate::cached::{self, CachedHeaders};
use crate::header::Fields;
use crate::part::{PartTree, TreeError};
use crate::{date, envelope, preview, structure};
use buzon_types::time::InternalDate;
use bytes::Bytes;
use prost::Message as _;

/// The form of the stored fields that this code writes. Raised when a field gets a new meaning, not when one is added;
/// readers take every version, since fields are only added.
pub const SUMMARY_VERSION: u32 = 1;
/// A summary is a row's column and is sent over gRPC in hundreds: no message, however odd, makes a larger one.
/// The parts' own bounds add up to less.
pub const SUMMARY_BYTES_MAX: usize = 64 * 1024;

/// What is known of a message without its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    stored: Stored,
}

/// The stored form. Tags are never reused.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint64, tag = "2")]
    size: u64,
    #[prost(uint64, tag = "3")]
    header_end: u64,
    /// ENVELOPE as sent.
    #[prost(bytes = "bytes", tag = "4")]
    envelope: Bytes,
    /// BODYSTRUCTURE as sent.
    #[prost(bytes = "bytes", tag = "5")]
    body_structure: Bytes,
    /// A `PartTree`, decoded on demand.
    #[prost(bytes = "bytes", tag = "6")]
    parts: Bytes,
    /// Raw lines of the cached header fields, in order, and the blank line if there is one.
    #[prost(bytes = "bytes", tag = "7")]
    headers: Bytes,
    /// How many of the cached names were known when this was written.
    #[prost(uint32, tag = "8")]
    names_known: u32,
    /// Bit `n`: a field of cached name `n` was left out for its size.
    #[prost(uint64, tag = "9")]
    names_left_out: u64,
    #[prost(sint64, optional, tag = "10")]
    sent_seconds: Option<i64>,
    #[prost(sint32, tag = "11")]
    sent_zone_minutes: i32,
    #[prost(bytes = "bytes", tag = "12")]
    preview: Bytes,
}

/// Stored bytes that are no summary: corruption, never the message's fault.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// The protobuf does not decode.
    #[error("decode summary")]
    Decode(#[from] prost::DecodeError),
    /// The part tree does not hang together.
    #[error("decode part tree")]
    Tree(#[from] TreeError),
}

impl Summary {
    /// Reads a message: one pass over its bytes, memory bounded by constants. Any bytes are a message.
    pub fn of(message: &[u8]) -> Self {
        let (tree, body_structure) = structure::of(message);
        let root = &tree.parts()[0];
        let header = &message[..root.header.end as usize];
        let cached = CachedHeaders::of(header);
        let sent = date::sent(header);
        let mut stored = Stored {
            version: SUMMARY_VERSION,
            size: message.len() as u64,
            header_end: root.header.end,
            envelope: envelope::render(header, &envelope::TOP).into(),
            body_structure: body_structure.into(),
            parts: tree.encode(),
            headers: cached.lines.into(),
            names_known: cached::NAMES.len() as u32,
            names_left_out: cached.left_out,
            sent_seconds: sent.map(|date| date.seconds),
            sent_zone_minutes: sent.map_or(0, |date| i32::from(date.zone_minutes)),
            preview: preview::of(message, &tree).into(),
        };
        if stored.encoded_len() > SUMMARY_BYTES_MAX {
            stored.headers = Bytes::new(); // cannot be with the bounds as they are; a summary without them still works
            stored.names_left_out = u64::MAX;
        }
        Self { stored }
    }

    /// To be stored.
    pub fn encode(&self) -> Bytes {
        self.stored.encode_to_vec().into()
    }

    /// From what was stored; fields are slices of `bytes`.
    ///
    /// # Errors
    /// If it is no summary.
    pub fn decode(bytes: Bytes) -> Result<Self, SummaryError> {
        Ok(Self { stored: Stored::decode(bytes)? })
    }

    /// RFC822.SIZE: the bytes as stored.
    pub fn size(&self) -> u64 {
        self.stored.size
    }

    /// How long the message's header is, its blank line included.
    pub fn header_end(&self) -> u64 {
        self.stored.header_end
    }

    /// The value of ENVELOPE, with its parentheses (RFC 9051 §7.5.2). May hold literals, so also 8-bit bytes and CRLF.
    pub fn envelope(&self) -> &Bytes {
        &self.stored.envelope
    }

    /// The value of BODYSTRUCTURE, with its parentheses.
    pub fn body_structure(&self) -> &Bytes {
        &self.stored.body_structure
    }

    /// The value of `BODY` without a section: the structure without its extension data.
    pub fn body(&self) -> Vec<u8> {
        structure::without_extensions(&self.stored.body_structure)
    }

    /// The MIME parts. Decoded at each call.
    ///
    /// # Errors
    /// If the stored tree is damaged.
    pub fn parts(&self) -> Result<PartTree, SummaryError> {
        Ok(PartTree::decode(self.stored.parts.clone(), self.stored.size)?)
    }

    /// The answer to `HEADER.FIELDS (names)` of the whole message, bytes exact, with the blank line; `None` when only
    /// the header itself can tell (a name that is not cached, or a field that was too large).
    pub fn header_fields<N: AsRef<[u8]>>(&self, names: &[N]) -> Option<Vec<u8>> {
        let Stored { names_known, names_left_out, .. } = self.stored;
        let certain = names.iter().all(|name| cached::is_whole(name.as_ref(), names_known, names_left_out));
        certain.then(|| crate::header::select(&self.stored.headers, names))
    }

    /// The raw value of the first field of this name, still folded and encoded. Only what is cached is found.
    pub fn header_value(&self, name: &[u8]) -> Option<&[u8]> {
        Fields::of(&self.stored.headers).find(|field| field.is(name)).map(|field| field.value)
    }

    /// The Message-ID with its angle brackets, unfolded.
    pub fn message_id(&self) -> Option<String> {
        let value = crate::header::unfold(self.header_value(b"Message-ID")?);
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    /// The Date field, for SORT; `None` if it is missing or unreadable.
    pub fn sent_date(&self) -> Option<InternalDate> {
        let zone_minutes = self.stored.sent_zone_minutes as i16;
        self.stored.sent_seconds.map(|seconds| InternalDate { seconds, zone_minutes })
    }

    /// The beginning of the text, at most 200 characters (RFC 8970 §3.1); empty if there is none.
    pub fn preview(&self) -> &[u8] {
        &self.stored.preview
    }
}
