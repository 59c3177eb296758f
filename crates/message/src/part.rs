//! The MIME parts of a message and how IMAP numbers them (RFC 9051 §6.4.5.1).
//!
//! Parts stand in the order of their headers, each before what it holds. A `message/rfc822` part holds exactly one part,
//! the message in it, which has no number of its own unless it is a single part (then it is part 1).

use bytes::Bytes;
use prost::Message as _;
use std::ops::Range;

/// What a part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartKind {
    /// Content.
    Single,
    /// Parts between boundaries; at least one.
    Multipart,
    /// One message, `message/rfc822` or `message/global`.
    Message,
}

/// How content is encoded for transfer (RFC 2045 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferEncoding {
    /// 7bit, 8bit or binary: as it stands.
    Identity,
    /// base64
    Base64,
    /// quoted-printable
    QuotedPrintable,
    /// Anything else, `x-uuencode` for one.
    Unknown,
}

/// One part. Ranges are absolute in the message, and a part's ranges lie in its parent's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is made of.
    pub kind: PartKind,
    /// Its MIME header with the blank line; for the first part the message's header.
    pub header: Range<u64>,
    /// Its content; begins where the header ends.
    pub body: Range<u64>,
    /// Line feeds in the body.
    pub lines: u64,
    /// The type in lower case, `text`.
    pub media_type: String,
    /// The subtype in lower case, `plain`.
    pub subtype: String,
    /// As its header says.
    pub encoding: TransferEncoding,
    /// The charset parameter in lower case, if there is one.
    pub charset: Option<String>,
    /// The disposition's filename or the type's name, decoded.
    pub filename: Option<String>,
    /// Whether Content-Disposition says `attachment`.
    pub is_attachment: bool,
    /// How many parts it holds directly.
    pub children: u32,
    /// The place after its last descendant.
    pub(crate) end: usize,
}

impl Part {
    /// Whether it is text to be searched and previewed.
    pub fn is_text(&self) -> bool {
        self.kind == PartKind::Single && self.media_type == "text"
    }

    /// Whether it is `text/html`.
    pub fn is_html(&self) -> bool {
        self.is_text() && self.subtype == "html"
    }
}

/// All parts of a message; the first is the message itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartTree {
    parts: Vec<Part>,
}

/// Stored bytes that are no part tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The protobuf does not decode.
    #[error("decode parts")]
    Decode(#[from] prost::DecodeError),
    /// Parts that do not nest, or lie outside of the message.
    #[error("parts do not nest at part {0}")]
    Shape(usize),
}

impl PartTree {
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        debug_assert!(!parts.is_empty(), "a message is a part");
        Self { parts }
    }

    /// The parts in the order of their headers; never empty.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part at a place that [`Self::find`] gave.
    ///
    /// # Panics
    /// If the place is beyond the parts.
    pub fn part(&self, at: usize) -> &Part {
        &self.parts[at]
    }

    /// The place of the part with these numbers; `None` if there is none. The message itself has no numbers.
    pub fn find(&self, path: &[u32]) -> Option<usize> {
        let (&first, rest) = path.split_first()?;
        let mut at = self.numbered(0, first)?;
        for &number in rest {
            at = match self.parts[at].kind {
                PartKind::Single => return None,
                PartKind::Multipart => self.child(at, number)?,
                PartKind::Message => self.numbered(at + 1, number)?,
            };
        }
        Some(at)
    }

    /// The message that a `message/rfc822` part holds.
    pub fn message_in(&self, at: usize) -> Option<&Part> {
        (self.parts[at].kind == PartKind::Message).then(|| &self.parts[at + 1])
    }

    /// Number `number` within a message: a part of its multipart, or the message's content itself as number 1.
    fn numbered(&self, message: usize, number: u32) -> Option<usize> {
        match self.parts[message].kind {
            PartKind::Multipart => self.child(message, number),
            _ => (number == 1).then_some(message),
        }
    }

    fn child(&self, at: usize, number: u32) -> Option<usize> {
        let index = number.checked_sub(1)?;
        self.children(at).nth(index as usize)
    }

    /// The places of the parts that one holds directly.
    pub fn children(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.parts[at].end;
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let at = next;
            (at < end).then(|| {
                next = self.parts[at].end;
                at
            })
        })
    }

    /// Where there are so many that their names would not fit.
    pub(crate) fn forget_filenames(&mut self) {
        self.parts.iter_mut().for_each(|part| part.filename = None);
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut before = 0;
        let parts = self.parts.iter().map(|part| StoredPart::from_part(part, &mut before)).collect();
        StoredTree { parts }.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: Bytes, message_size: u64) -> Result<Self, TreeError> {
        let stored = StoredTree::decode(bytes)?;
        let mut before = 0;
        let mut parts: Vec<Part> = Vec::with_capacity(stored.parts.len());
        for (at, part) in stored.parts.into_iter().enumerate() {
            parts.push(part.into_part(&mut before).ok_or(TreeError::Shape(at))?);
        }
        nest(&mut parts, message_size)?;
        Ok(Self { parts })
    }
}

/// Finds where each part's descendants end, and refuses what [`PartTree`]'s methods could not walk.
fn nest(parts: &mut [Part], message_size: u64) -> Result<(), TreeError> {
    let mut open: Vec<(usize, u32)> = Vec::new(); // place, children still to come
    for at in 0..parts.len() {
        let within = match open.last_mut() {
            Some((parent, left)) => {
                *left -= 1;
                parts[*parent].body.clone()
            }
            None if at == 0 => 0..message_size,
            None => return Err(TreeError::Shape(at)),
        };
        let part = &parts[at];
        let holds = match part.kind {
            PartKind::Single => part.children == 0,
            PartKind::Multipart => part.children > 0,
            PartKind::Message => part.children == 1,
        };
        if !holds || part.header.start < within.start || part.body.end > within.end {
            return Err(TreeError::Shape(at));
        }
        open.push((at, part.children));
        while let Some(&(done, 0)) = open.last() {
            parts[done].end = at + 1;
            open.pop();
        }
    }
    if parts.is_empty() || !open.is_empty() { Err(TreeError::Shape(parts.len())) } else { Ok(()) }
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredTree {
    #[prost(message, repeated, tag = "1")]
    parts: Vec<StoredPart>,
}

/// Defaults cost no bytes: a part that is `text/plain`, 7bit, takes about ten.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredPart {
    /// 0 single, 1 multipart, 2 message.
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// From the start of the header of the part before.
    #[prost(uint64, tag = "2")]
    header_offset: u64,
    #[prost(uint64, tag = "3")]
    header_bytes: u64,
    #[prost(uint64, tag = "4")]
    body_bytes: u64,
    #[prost(uint64, tag = "5")]
    lines: u64,
    /// Empty: `text`.
    #[prost(string, tag = "6")]
    media_type: String,
    /// Empty: `plain`.
    #[prost(string, tag = "7")]
    subtype: String,
    /// 0 identity, 1 base64, 2 quoted-printable, 3 unknown.
    #[prost(uint32, tag = "8")]
    encoding: u32,
    #[prost(string, optional, tag = "9")]
    charset: Option<String>,
    #[prost(string, optional, tag = "10")]
    filename: Option<String>,
    #[prost(bool, tag = "11")]
    is_attachment: bool,
    #[prost(uint32, tag = "12")]
    children: u32,
}

const KINDS: [PartKind; 3] = [PartKind::Single, PartKind::Multipart, PartKind::Message];
const ENCODINGS: [TransferEncoding; 4] = [
    TransferEncoding::Identity,
    TransferEncoding::Base64,
    TransferEncoding::QuotedPrintable,
    TransferEncoding::Unknown,
];

impl StoredPart {
    fn from_part(part: &Part, before: &mut u64) -> Self {
        let header_offset = part.header.start - *before;
        *before = part.header.start;
        let unless =
            |text: &str, default: &str| if text == default { String::new() } else { text.to_owned() };
        Self {
            kind: part.kind as u32,
            header_offset,
            header_bytes: part.header.end - part.header.start,
            body_bytes: part.body.end - part.body.start,
            lines: part.lines,
            media_type: unless(&part.media_type, "text"),
            subtype: unless(&part.subtype, "plain"),
            encoding: part.encoding as u32,
            charset: part.charset.clone(),
            filename: part.filename.clone(),
            is_attachment: part.is_attachment,
            children: part.children,
        }
    }

    fn into_part(self, before: &mut u64) -> Option<Part> {
        let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
        let header_start = before.checked_add(self.header_offset)?;
        let body_start = header_start.checked_add(self.header_bytes)?;
        let body_end = body_start.checked_add(self.body_bytes)?;
        *before = header_start;
        Some(Part {
            kind: *KINDS.get(self.kind as usize)?,
            header: header_start..body_start,
            body: body_start..body_end,
            lines: self.lines,
            media_type: or(self.media_type, "text"),
            subtype: or(self.subtype, "plain"),
            encoding: *ENCODINGS.get(self.encoding as usize).unwrap_or(&TransferEncoding::Unknown),
            charset: self.charset,
            filename: self.filename,
            is_attachment: self.is_attachment,
            children: self.children,
            end: 0,
        })
    }
}
