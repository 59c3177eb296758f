//! Text search of SEARCH: substrings under i;unicode-casemap (RFC 5051), on what a person would read.
//!
//! Header fields are matched with encoded words decoded, bodies with transfer encoding and charset removed and HTML
//! reduced to its text. Text flows through in pieces: a part of 50 MB is searched within a few hundred KiB.

pub mod column;

use crate::binary::{PIECE_BYTES, TransferDecoder};
use crate::charset::{TextDecoder, keeps_ascii};
use crate::encoded_word;
use crate::header::{self, Field, Fields};
use crate::html::TextOfHtml;
use crate::part::{Part, TransferEncoding};
use crate::searched::Searched;
use crate::summary::{Summary, SummaryError};
use icu_casemap::CaseMapper;
use memchr::memmem::Finder;
use unicode_normalization::char::decompose_compatible;

/// ASCII text is searched in a buffer of this size on the stack, if the needle is well smaller.
const STACK_BYTES: usize = 1024;

/// A text to look for.
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
    is_ascii: bool,
    /// The longest piece of it without white space; none if that, or the needle, is not ASCII.
    word: Option<Finder<'static>>,
}

impl Needle {
    /// For a text in UTF-8; case, and what differs only in compatibility, are ignored. The empty text is everywhere.
    pub fn new(text: &str) -> Self {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        let is_ascii = folded.is_ascii();
        let words = folded.split(|byte| !byte.is_ascii_graphic()).filter(|word| is_ascii && !word.is_empty());
        let word = words.max_by_key(|word| word.len()).map(|word| Finder::new(word).into_owned());
        Self { is_ascii, word, finder: Finder::new(&folded).into_owned() }
    }

    /// Whether a text holds it.
    pub fn matches_str(&self, text: &str) -> bool {
        if text.is_ascii() {
            return self.matches_ascii(text.as_bytes());
        }
        let mut scan = Scan::new(self);
        scan.push(text);
        scan.found
    }

    /// Whether any field of this name holds it, decoded: `SEARCH HEADER name text`, FROM, SUBJECT …. An empty needle
    /// asks only whether there is such a field (RFC 9051 §6.4.4). `raw_headers` may be a summary's cached lines.
    pub fn matches_header(&self, raw_headers: &[u8], name: &[u8]) -> bool {
        self.may_be_in(raw_headers)
            && header::values(raw_headers, name).any(|value| self.matches_decoded(value))
    }

    /// False only if no field can hold it. Most headers hold nothing that decoding changes but their folds, at which white
    /// space stays: there each word is found in the bytes as they stand, or in no field.
    fn may_be_in(&self, raw_headers: &[u8]) -> bool {
        let Some(word) = &self.word else { return true };
        !is_plain(raw_headers) || find_ascii(word, raw_headers)
    }

    /// [`Self::matches_header`] from the summary alone; `None` when only the header itself can tell.
    pub fn matches_cached_header(&self, summary: &Searched, name: &[u8]) -> Option<bool> {
        summary.header_lines(name).map(|lines| self.matches_header(lines, name))
    }

    /// `SEARCH BODY`: whether the text of any text part holds it. `message` is all its bytes.
    ///
    /// # Errors
    /// If the summary's part tree is damaged.
    pub fn matches_body(&self, message: &[u8], summary: &Summary) -> Result<bool, SummaryError> {
        let tree = summary.parts()?;
        Ok(self.matches_any_text(message, tree.parts()))
    }

    /// `SEARCH TEXT`: as [`Self::matches_body`], and every header: the message's, its parts', attached messages'.
    ///
    /// # Errors
    /// If the summary's part tree is damaged.
    pub fn matches_text(&self, message: &[u8], summary: &Summary) -> Result<bool, SummaryError> {
        let tree = summary.parts()?;
        let in_header = |part: &Part| self.matches_any_header(slice(message, &part.header));
        Ok(tree.parts().iter().any(in_header) || self.matches_any_text(message, tree.parts()))
    }

    /// Whether any field holds it, its name included: a header as a whole, for TEXT.
    pub fn matches_any_header(&self, raw_headers: &[u8]) -> bool {
        Fields::of(raw_headers).any(|field| self.matches_field(&field))
    }

    /// The text of most values is a part of their fields'. Not so where 8-bit bytes of the name change how all of it is
    /// decoded, or where an encoded word, which always has a question mark, begins before the colon.
    fn matches_field(&self, field: &Field<'_>) -> bool {
        let name_bytes = field.raw.len() - field.value.len();
        let raw = &field.raw[..field.raw.len().min(name_bytes + FIELD_BYTES_MAX)];
        let is_plain = raw.is_ascii() && !raw.contains(&b'?');
        self.matches_str(&encoded_word::decode(raw)) || (!is_plain && self.matches_decoded(field.value))
    }

    fn matches_decoded(&self, value: &[u8]) -> bool {
        self.matches_str(&encoded_word::decode(bounded(value)))
    }

    fn matches_any_text(&self, message: &[u8], parts: &[Part]) -> bool {
        parts.iter().any(|part| part.is_text() && self.matches_part(message, part))
    }

    /// One part's text; as it stands if what is labelled base64 is not.
    fn matches_part(&self, message: &[u8], part: &Part) -> bool {
        let content = slice(message, &part.body);
        let mislabelled = part.encoding == TransferEncoding::Base64 && !may_be_base64(content);
        self.matches_content(content, part, part.encoding)
            || (mislabelled && self.matches_content(content, part, TransferEncoding::Identity))
    }

    /// Content, decoded piece by piece.
    fn matches_content(&self, content: &[u8], part: &Part, encoding: TransferEncoding) -> bool {
        let is_bare = matches!(encoding, TransferEncoding::Identity | TransferEncoding::Unknown);
        let changes_nothing = is_bare && !part.is_html() && keeps_ascii(part.charset.as_deref());
        if changes_nothing && self.is_short() && content.is_ascii() {
            return self.matches_ascii(content);
        }
        let mut transfer = TransferDecoder::new(encoding);
        let mut charset = TextDecoder::new(part.charset.as_deref());
        let mut html = (part.is_html()).then(TextOfHtml::default);
        let mut scan = Scan::new(self);
        let (mut bytes, mut text) = (Vec::new(), String::new());
        let pieces = content.chunks(PIECE_BYTES).map(Some).chain([None]);
        for piece in pieces {
            bytes.clear();
            text.clear();
            match piece {
                Some(piece) => transfer.push(piece, &mut bytes),
                None => transfer.finish(&mut bytes),
            }
            charset.push(&bytes, &mut text);
            if piece.is_none() {
                charset.finish(&mut text);
            }
            match &mut html {
                Some(html) => html.push(&text, |visible| scan.push(visible)),
                None => scan.push(&text),
            }
            if scan.found {
                return true;
            }
        }
        false
    }

    /// Whether text is searched for it without being copied whole.
    fn is_short(&self) -> bool {
        self.finder.needle().len() <= STACK_BYTES / 2
    }

    fn matches_ascii(&self, text: &[u8]) -> bool {
        self.is_ascii && find_ascii(&self.finder, text)
    }
}

/// ASCII text is folded by putting it in capitals, in a buffer on the stack: nothing is allocated unless what is looked for
/// is long.
fn find_ascii(finder: &Finder<'_>, text: &[u8]) -> bool {
    let needle_bytes = finder.needle().len();
    if needle_bytes > text.len() {
        return false;
    }
    if needle_bytes > STACK_BYTES / 2 {
        return finder.find(&text.to_ascii_uppercase()).is_some();
    }
    let mut buffer = [0; STACK_BYTES];
    let step = STACK_BYTES - needle_bytes.saturating_sub(1);
    (0..text.len().max(1)).step_by(step).any(|start| {
        let window = &text[start..text.len().min(start + STACK_BYTES)];
        let folded = &mut buffer[..window.len()];
        folded.copy_from_slice(window);
        folded.make_ascii_uppercase();
        finder.find(folded).is_some()
    })
}

/// A field is searched up to here: none is longer but by malice, and decoding takes a multiple of it in memory.
const FIELD_BYTES_MAX: usize = 1024 * 1024;

fn bounded(value: &[u8]) -> &[u8] {
    &value[..value.len().min(FIELD_BYTES_MAX)]
}

/// Whether decoding changes nothing in a header but line ends: ASCII without NUL, encoded words, and CRs that end no line.
fn is_plain(raw_headers: &[u8]) -> bool {
    let is_odd = |byte: u8, next: u8| {
        let is_other = !byte.is_ascii() | (byte == 0);
        is_other | ((byte == b'\r') & (next != b'\n')) | ((byte == b'=') & (next == b'?'))
    };
    let pairs = raw_headers.iter().zip(raw_headers.iter().skip(1));
    // Without branches: a few dozen bytes in a step.
    let any_odd = pairs.fold(false, |odd, (byte, next)| odd | is_odd(*byte, *next));
    !any_odd && raw_headers.last().is_none_or(|last| !is_odd(*last, 0))
}

/// Judged by its beginning.
fn may_be_base64(content: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n\t".contains(byte);
    content[..content.len().min(PIECE_BYTES)].trim_ascii().iter().all(is_base64)
}

/// A range of a message; what lies beyond its end (a summary of other bytes) is empty.
pub(crate) fn slice<'a>(message: &'a [u8], range: &std::ops::Range<u64>) -> &'a [u8] {
    message.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// RFC 5051 §2: each character to titlecase, then to its full compatibility decomposition. Characters are taken one by
/// one, so text may be folded in pieces.
fn fold(text: &str, folded: &mut Vec<u8>) {
    let (mapper, mut utf8) = (CaseMapper::new(), [0; 4]);
    let mut rest = text;
    loop {
        let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let start = folded.len();
        folded.extend_from_slice(&rest.as_bytes()[..ascii]);
        folded[start..].make_ascii_uppercase(); // which is all that the maps do to it
        let mut others = rest[ascii..].chars();
        let Some(c) = others.next() else { return };
        decompose_compatible(mapper.simple_titlecase(c), |part| {
            folded.extend_from_slice(part.encode_utf8(&mut utf8).as_bytes());
        });
        rest = others.as_str();
    }
}

/// A search over text that comes in pieces: the end of each stays, as long as the needle less one.
struct Scan<'n> {
    needle: &'n Needle,
    window: Vec<u8>,
    found: bool,
}

impl<'n> Scan<'n> {
    fn new(needle: &'n Needle) -> Self {
        Self { needle, window: Vec::new(), found: needle.finder.needle().is_empty() }
    }

    fn push(&mut self, text: &str) {
        if self.found {
            return;
        }
        fold(text, &mut self.window);
        self.found = self.needle.finder.find(&self.window).is_some();
        let kept = self.window.len().min(self.needle.finder.needle().len().saturating_sub(1));
        self.window.drain(..self.window.len() - kept);
    }
}

#[cfg(test)]
mod tests;
