//! FETCH: items, sections, partials (RFC 9051 §6.4.5, RFC 3516, RFC 7162 §3.1.4).

use super::Numbering;
use crate::sequence_set::SequenceSet;
use buzon_types::uid::ModSeq;
use smallvec::SmallVec;

/// FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// What the numbers are. `UID FETCH` always answers UID too.
    pub numbering: Numbering,
    /// Which messages.
    pub set: SequenceSet,
    /// What to tell, in the order asked, macros spelled out, each once.
    pub items: Vec<FetchItem>,
    /// Only messages changed after; answers MODSEQ too. 0 is every message.
    pub changed_since: Option<ModSeq>,
    /// Expunged UIDs too: needs QRESYNC, `changed_since` and UIDs (RFC 7162 §3.2.6).
    pub vanished: bool,
}

/// One item of FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// ENVELOPE
    Envelope,
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// UID
    Uid,
    /// MODSEQ
    ModSeq,
    /// BODY without a section: BODYSTRUCTURE without extension data.
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// RFC822.SIZE
    Rfc822Size,
    /// RFC822: `BODY[]` under another name; sets `\Seen`.
    Rfc822,
    /// RFC822.PEEK: what Outlook asks; answered as `RFC822`, leaves `\Seen` alone.
    Rfc822Peek,
    /// RFC822.HEADER: leaves `\Seen` alone.
    Rfc822Header,
    /// RFC822.TEXT: sets `\Seen`.
    Rfc822Text,
    /// `BODY[…]`
    Section(BodySection),
    /// `BINARY[…]`
    Binary(BinarySection),
    /// `BINARY.SIZE[…]`
    BinarySize(PartPath),
}

/// `BODY[section]<partial>` or `BODY.PEEK[…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodySection {
    /// Which bytes.
    pub section: Section,
    /// Which of these.
    pub partial: Option<Partial>,
    /// PEEK: leaves `\Seen` alone.
    pub peek: bool,
}

/// `BINARY[part]<partial>` or `BINARY.PEEK[…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinarySection {
    /// Which part; empty for the whole message.
    pub part: PartPath,
    /// Which of the decoded bytes.
    pub partial: Option<Partial>,
    /// PEEK: leaves `\Seen` alone.
    pub peek: bool,
}

/// What stands between the brackets of `BODY[…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Which MIME part; empty for the message itself.
    pub part: PartPath,
    /// Which text of it.
    pub text: SectionText,
}

/// A text of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// All of it: `BODY[]`, `BODY[2]`.
    Whole,
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS (…)`, `HEADER.FIELDS.NOT (…)`
    HeaderFields {
        /// As the client wrote them: they come back so.
        fields: Vec<String>,
        /// `.NOT`: all but these.
        not: bool,
    },
    /// `TEXT`
    Text,
    /// `MIME`: only with a part.
    Mime,
}

/// Numbers of MIME parts from the outside in: `2.1.3`. Each is at least 1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PartPath(pub SmallVec<[u32; 4]>);

/// `<offset.length>`: the range may reach beyond the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partial {
    /// First byte wanted.
    pub offset: u64,
    /// At most so many; at least 1.
    pub length: u64,
}

/// Deepest part number; deeper MIME is not parsed into parts either.
pub const PART_DEPTH_MAX: usize = 128;
/// Different items one FETCH may ask; each new one is compared with all before it. Clients ask for up to 20, or for
/// one per MIME part.
pub const FETCH_ITEMS_MAX: usize = 256;
/// Header fields one section may name.
pub const HEADER_FIELDS_MAX: usize = 1024;

impl FetchItem {
    /// Whether answering it sets `\Seen` (RFC 9051 §6.4.5).
    pub fn sets_seen(&self) -> bool {
        match self {
            Self::Rfc822 | Self::Rfc822Text => true,
            Self::Section(section) => !section.peek,
            Self::Binary(section) => !section.peek,
            _ => false,
        }
    }
}
