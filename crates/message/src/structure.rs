//! BODYSTRUCTURE as text (RFC 9051 §7.5.2), and the part tree that it agrees with.
//!
//! Both are bounded: a message whose structure is too long is told with less detail, then with fewer parts. Sections
//! resolve against the same tree, so a client can fetch exactly what it was told of.

use crate::envelope;
use crate::index::{PARTS_MAX, index};
use crate::mime::{MimeHeader, Parameters};
use crate::part::{Part, PartKind, PartTree};
use crate::render::{nstring, nstring_whole, number, string};

/// Rendered structure: a digest of fifty messages fits in detail, a few hundred parts in brief.
pub(crate) const STRUCTURE_BYTES_MAX: usize = 28 * 1024;
/// Encoded tree, 30 to 60 bytes for a part.
pub(crate) const TREE_BYTES_MAX: usize = 13 * 1024;

/// How much is told of each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    All,
    /// Type, charset, encoding, sizes and the word of the disposition.
    Brief,
}

/// Tried in order until the result fits; the last always does.
const ATTEMPTS: [(usize, Detail); 5] = [
    (PARTS_MAX, Detail::All),
    (PARTS_MAX, Detail::Brief),
    (250, Detail::Brief),
    (50, Detail::Brief),
    (1, Detail::Brief),
];

/// The parts of a message and its rendered structure.
pub(crate) fn of(message: &[u8]) -> (PartTree, Vec<u8>) {
    let mut tree = index(message, PARTS_MAX);
    for (parts_max, detail) in ATTEMPTS {
        if parts_max < tree.parts().len() && parts_max < PARTS_MAX {
            tree = index(message, parts_max);
        }
        if detail == Detail::Brief {
            tree.forget_filenames();
        }
        let mut renderer = Renderer { message, tree: &tree, detail, out: Vec::new() };
        let fits = renderer.part(0, false).is_some() && tree.encode().len() <= TREE_BYTES_MAX;
        if fits || parts_max == 1 {
            let structure = renderer.out;
            return (tree, structure);
        }
    }
    unreachable!("the last attempt is taken whatever its size");
}

struct Renderer<'a> {
    message: &'a [u8],
    tree: &'a PartTree,
    detail: Detail,
    out: Vec<u8>,
}

/// Longest value that is told of a part: parameters, description, id, location.
const VALUE_BYTES_MAX: usize = 512;

impl Renderer<'_> {
    /// body = "(" (body-type-1part / body-type-mpart) ")"; recursion is as deep as the index, which is bounded.
    /// `None` once it is too long.
    fn part(&mut self, at: usize, within_digest: bool) -> Option<()> {
        let tree = self.tree;
        let part = tree.part(at);
        let raw = &self.message[part.header.start as usize..part.header.end as usize];
        let header = MimeHeader::of(raw, within_digest);
        self.out.push(b'(');
        match part.kind {
            PartKind::Multipart => {
                for child in tree.children(at) {
                    self.part(child, part.subtype == "digest")?;
                }
                self.out.push(b' ');
                self.text(&part.subtype);
                self.out.push(b' ');
                self.parameters(&header.content_type.parameters);
            }
            PartKind::Single => {
                self.fields(part, &header);
                if part.media_type == "text" {
                    number(&mut self.out, part.lines);
                }
                self.out.push(b' ');
                self.whole(&header.md5);
            }
            PartKind::Message => {
                self.fields(part, &header);
                self.message(at, part)?;
                number(&mut self.out, part.lines);
                self.out.push(b' ');
                self.whole(&header.md5);
            }
        }
        self.extensions(&header);
        self.out.push(b')');
        (self.out.len() <= STRUCTURE_BYTES_MAX).then_some(())
    }

    /// media-type SP body-fields
    fn fields(&mut self, part: &Part, header: &MimeHeader) {
        self.text(&part.media_type);
        self.out.push(b' ');
        self.text(&part.subtype);
        self.out.push(b' ');
        self.parameters(&header.content_type.parameters);
        self.out.push(b' ');
        self.whole(&header.id);
        self.out.push(b' ');
        nstring(&mut self.out, detailed(self.detail, &header.description), VALUE_BYTES_MAX);
        self.out.push(b' ');
        self.text(&header.encoding);
        number(&mut self.out, part.body.end - part.body.start);
    }

    /// SP envelope SP body, of the message that a part holds.
    fn message(&mut self, at: usize, part: &Part) -> Option<()> {
        let limits = if self.detail == Detail::All { &envelope::NESTED } else { &envelope::BRIEF };
        let held = self.tree.message_in(at).unwrap_or(part);
        let header = &self.message[held.header.start as usize..held.header.end as usize];
        self.out.push(b' ');
        self.out.extend_from_slice(&envelope::render(header, limits));
        self.out.push(b' ');
        self.part(at + 1, false)
    }

    /// SP body-fld-dsp SP body-fld-lang SP body-fld-loc
    fn extensions(&mut self, header: &MimeHeader) {
        match &header.disposition {
            Some((word, parameters)) => {
                self.out.extend_from_slice(b" (");
                self.text(word);
                self.out.push(b' ');
                self.parameters(parameters);
                self.out.push(b')');
            }
            None => self.out.extend_from_slice(b" NIL"),
        }
        if self.detail == Detail::Brief || header.languages.is_empty() {
            self.out.extend_from_slice(b" NIL");
        } else {
            self.out.extend_from_slice(b" (");
            for (at, language) in header.languages.iter().enumerate() {
                if at > 0 {
                    self.out.push(b' ');
                }
                self.text(language);
            }
            self.out.push(b')');
        }
        self.out.push(b' ');
        self.whole(&header.location);
    }

    /// body-fld-param = "(" string SP string *(SP string SP string) ")" / nil
    fn parameters(&mut self, parameters: &Parameters) {
        let detail = self.detail;
        let told = |name: &str| detail == Detail::All || name == "charset";
        let mut separator = b'(';
        for (name, value) in parameters.iter().filter(|(name, _)| told(name)) {
            self.out.push(separator);
            self.text(name);
            self.out.push(b' ');
            string(&mut self.out, value, VALUE_BYTES_MAX);
            separator = b' ';
        }
        self.out.extend_from_slice(if separator == b'(' { b"NIL" } else { b")" });
    }

    /// An identifier, which is no good when cut.
    fn whole(&mut self, value: &Option<Vec<u8>>) {
        nstring_whole(&mut self.out, detailed(self.detail, value), VALUE_BYTES_MAX);
    }

    fn text(&mut self, text: &str) {
        string(&mut self.out, text.as_bytes(), VALUE_BYTES_MAX);
    }
}

fn detailed(detail: Detail, value: &Option<Vec<u8>>) -> Option<&[u8]> {
    value.as_deref().filter(|_| detail == Detail::All)
}

/// `BODY` from BODYSTRUCTURE: the same without extension data, by walking our own rendering. Text that is not ours
/// comes back as far as it goes.
pub(crate) fn without_extensions(structure: &[u8]) -> Vec<u8> {
    let mut walk = Walk { rest: structure, out: Vec::with_capacity(structure.len()) };
    walk.body();
    walk.out
}

struct Walk<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl Walk<'_> {
    fn body(&mut self) {
        self.copy(1);
        if self.rest.first() == Some(&b'(') {
            while self.rest.first() == Some(&b'(') {
                self.body();
            }
            self.copy(1);
            self.copy(value_bytes(self.rest)); // subtype
        } else {
            let fields = self.rest;
            (0..7).for_each(|_| self.field());
            if is_type(fields, b"\"text\" ") {
                self.field();
            } else if is_type(fields, b"\"message\" \"rfc822\" ")
                || is_type(fields, b"\"message\" \"global\" ")
            {
                self.field(); // envelope
                self.copy(1);
                self.body();
                self.field(); // lines
            }
        }
        while !matches!(self.rest.first(), None | Some(b')')) {
            let skipped = if self.rest[0] == b' ' { 1 } else { value_bytes(self.rest) };
            self.rest = &self.rest[skipped.min(self.rest.len())..];
        }
        self.copy(1);
    }

    /// A value, with the space before it.
    fn field(&mut self) {
        if self.rest.first() == Some(&b' ') {
            self.copy(1);
        }
        self.copy(value_bytes(self.rest));
    }

    fn copy(&mut self, bytes: usize) {
        let (copied, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.out.extend_from_slice(copied);
        self.rest = rest;
    }
}

fn is_type(fields: &[u8], names: &[u8]) -> bool {
    fields.starts_with(names)
}

/// Length of the string, number, NIL or list that `text` begins with; at least 1 unless it is empty.
fn value_bytes(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        at += match text.get(at) {
            None => return at,
            Some(b'(') => {
                depth += 1;
                1
            }
            Some(b')') => {
                depth = depth.saturating_sub(1);
                1
            }
            Some(b' ') => 1,
            Some(b'"') => quoted_bytes(&text[at..]),
            Some(b'{') => literal_bytes(&text[at..]),
            Some(_) => text[at..].iter().position(|byte| b" ()".contains(byte)).unwrap_or(text.len() - at),
        };
        if depth == 0 {
            return at.min(text.len());
        }
    }
}

fn quoted_bytes(text: &[u8]) -> usize {
    text.len() - crate::mime::quoted(text).1.len()
}

/// `{n}` CRLF and n bytes.
fn literal_bytes(text: &[u8]) -> usize {
    let digits = text[1..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits
        .clone()
        .fold(0_usize, |value, digit| value.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
    (digits.count() + 4).saturating_add(length).min(text.len())
}

#[cfg(test)]
mod tests;
