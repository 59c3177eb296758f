//! Finds the parts of a message and where they lie: one pass over its lines, no recursion, bounded state.
//!
//! ```text
//! line by line ─▶ delimiter of an open multipart? ─▶ close what is within it, begin its next part
//!               ─▶ blank line that ends a header?  ─▶ look at the header: multipart, message or content
//! ```
//! RFC 2046 §5.1.1: the line end before a delimiter belongs to the delimiter; an outer delimiter ends inner parts.
//! A delimiter line is the boundary alone, with white space after it, as the grammar says; a mere prefix is content.

use crate::header::{is_blank, line_end};
use crate::mime::MimeHeader;
use crate::part::{Part, PartKind, PartTree, TransferEncoding};

/// Levels of multiparts and messages within each other; what is deeper is one opaque part. Clients recurse too, and
/// real mail stays under ten.
pub(crate) const DEPTH_MAX: usize = 64;
/// Parts of one message that have numbers; what comes later is seen only as part of its multipart.
pub(crate) const PARTS_MAX: usize = 1000;

/// Finds at most `parts_max` parts.
pub(crate) fn index(message: &[u8], parts_max: usize) -> PartTree {
    let mut indexer = Indexer { message, parts_max, parts: Vec::new(), open: Vec::new(), in_header: false };
    indexer.begin_part(0, 0);
    let (mut at, mut line_number) = (0, 0);
    while at < message.len() {
        if indexer.open.iter().all(|open| open.boundary.is_none()) && !indexer.in_header {
            break; // no delimiter can come
        }
        let end = at + line_end(&message[at..]);
        let next = Place { at: end, lines: line_number + u64::from(message[end - 1] == b'\n') };
        indexer.line(&Place { at, lines: line_number }, &next);
        (at, line_number) = (next.at, next.lines);
    }
    let rest = memchr::memchr_iter(b'\n', &message[at..]).count() as u64;
    indexer.close_down_to(0, &Place { at: message.len(), lines: line_number + rest }, false);
    PartTree::new(indexer.parts)
}

/// A place in the message, and how many lines end before it.
struct Place {
    at: usize,
    lines: u64,
}

struct Indexer<'a> {
    message: &'a [u8],
    parts_max: usize,
    parts: Vec<Part>,
    /// Those whose end is not known yet, outermost first.
    open: Vec<Open>,
    /// Whether the innermost open part's header has not ended.
    in_header: bool,
}

struct Open {
    part: usize,
    /// Lines before its body.
    body_line: u64,
    /// Of a multipart that has not been closed.
    boundary: Option<Vec<u8>>,
    is_digest: bool,
}

impl Indexer<'_> {
    fn line(&mut self, start: &Place, next: &Place) {
        let line = &self.message[start.at..next.at];
        if line.starts_with(b"--")
            && let Some((level, closes)) = self.delimited(&line[2..])
        {
            self.close_down_to(level + 1, start, true);
            self.in_header = false;
            if closes {
                self.open[level].boundary = None;
            } else if self.parts.len() < self.parts_max {
                self.parts[self.open[level].part].children += 1;
                self.begin_part(next.at, next.lines);
            }
        } else if self.in_header && is_blank(line) {
            self.header_ends(next);
        }
    }

    /// The level of the multipart that a line delimits, innermost first, and whether it closes it.
    fn delimited(&self, after_hyphens: &[u8]) -> Option<(usize, bool)> {
        let text = after_hyphens.trim_ascii_end();
        let closing = text.strip_suffix(b"--").map(<[u8]>::trim_ascii_end);
        self.open.iter().enumerate().rev().find_map(|(level, open)| {
            let boundary = open.boundary.as_deref()?;
            #[cfg(test)]
            crate::testing::steps::add(text.len().min(boundary.len()));
            if text == boundary {
                Some((level, false))
            } else {
                (closing == Some(boundary)).then_some((level, true))
            }
        })
    }

    fn begin_part(&mut self, at: usize, lines: u64) {
        let at = at as u64;
        self.open.push(Open { part: self.parts.len(), body_line: lines, boundary: None, is_digest: false });
        self.parts.push(Part {
            kind: PartKind::Single,
            header: at..at,
            body: at..at,
            lines: 0,
            media_type: String::new(),
            subtype: String::new(),
            encoding: TransferEncoding::Identity,
            charset: None,
            filename: None,
            is_attachment: false,
            children: 0,
            end: 0,
        });
        self.in_header = true;
    }

    /// The innermost part's header ends at `body`: what it says decides how to go on.
    fn header_ends(&mut self, body: &Place) {
        self.in_header = false;
        let may_hold = self.open.len() < DEPTH_MAX && self.parts.len() < self.parts_max;
        let within_digest = self.open.len() > 1 && self.open[self.open.len() - 2].is_digest;
        let Some(open) = self.open.last_mut() else { return };
        let part = &mut self.parts[open.part];
        let header = MimeHeader::of(&self.message[part.header.start as usize..body.at], within_digest);
        let content_type = &header.content_type;
        part.header.end = body.at as u64;
        part.body = part.header.end..part.header.end;
        open.body_line = body.lines;
        describe(part, &header);
        if content_type.is("multipart") && may_hold {
            part.kind = PartKind::Multipart;
            part.encoding = TransferEncoding::Identity;
            open.boundary = content_type.boundary();
            open.is_digest = content_type.subtype == "digest";
        } else if content_type.is_message() && may_hold && part.encoding == TransferEncoding::Identity {
            part.kind = PartKind::Message;
            part.children = 1;
            self.begin_part(body.at, body.lines);
        } else if content_type.is("multipart") || content_type.is_message() {
            // Too deep, too many, or encoded where RFC 2046 forbids it: opaque content, as RFC 2046 §4 has unknown types.
            (part.media_type, part.subtype) = ("application".into(), "octet-stream".into());
        }
    }

    /// Closes the open parts from level `level` inwards; `end` is a delimiter's line or the end of the message.
    fn close_down_to(&mut self, level: usize, end: &Place, by_delimiter: bool) {
        if self.in_header && self.open.len() > level {
            self.header_ends_without_blank_line(end, by_delimiter);
        }
        let content_end = if by_delimiter { self.before_line_end(end.at) } else { end.at };
        let mut inner_end = 0;
        while self.open.len() > level {
            let Some(open) = self.open.pop() else { return };
            let last = self.parts.len();
            let part = &mut self.parts[open.part];
            let body_end = content_end.max(part.body.start as usize).max(inner_end);
            inner_end = body_end;
            part.body.end = body_end as u64;
            part.lines = if part.body.start == part.body.end {
                0
            } else {
                end.lines - open.body_line - u64::from(body_end < end.at)
            };
            part.end = last;
            if part.kind == PartKind::Multipart && part.children == 0 {
                self.hold_all(open.part);
            }
        }
    }

    /// A message that begins just there (the header said `message/rfc822`) has an empty header, and so on inwards.
    fn header_ends_without_blank_line(&mut self, end: &Place, by_delimiter: bool) {
        while self.in_header {
            let Some(open) = self.open.last() else { return };
            let start = self.parts[open.part].header.start as usize;
            let header_end = if by_delimiter { self.before_line_end(end.at).max(start) } else { end.at };
            let lines = end.lines - u64::from(header_end < end.at);
            self.header_ends(&Place { at: header_end, lines });
        }
    }

    /// Where the line end before a line begins.
    fn before_line_end(&self, at: usize) -> usize {
        let before = &self.message[..at];
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        before.strip_suffix(b"\r").unwrap_or(before).len()
    }

    /// A multipart in which no delimiter was found holds all its content as one text: the grammar wants a part, and
    /// nothing must become invisible.
    fn hold_all(&mut self, at: usize) {
        let holder = &mut self.parts[at];
        holder.children = 1;
        holder.end = at + 2;
        let (start, lines, body) = (holder.body.start, holder.lines, holder.body.clone());
        let mut part =
            Part { kind: PartKind::Single, header: start..start, body, lines, children: 0, ..holder.clone() };
        part.is_attachment = false;
        describe(&mut part, &MimeHeader::of(b"", false));
        self.parts.insert(at + 1, part);
    }
}

fn describe(part: &mut Part, header: &MimeHeader) {
    part.media_type.clone_from(&header.content_type.media_type);
    part.subtype.clone_from(&header.content_type.subtype);
    part.encoding = header.transfer_encoding();
    part.charset = header.content_type.parameter("charset").and_then(charset);
    part.filename = header.filename();
    part.is_attachment = header.is_attachment();
}

/// Longest charset label that is kept.
const CHARSET_BYTES_MAX: usize = 40;

fn charset(label: &[u8]) -> Option<String> {
    let label = std::str::from_utf8(label).ok()?.trim();
    (1..=CHARSET_BYTES_MAX).contains(&label.len()).then(|| label.to_ascii_lowercase())
}
