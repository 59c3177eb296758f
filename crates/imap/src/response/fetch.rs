//! FETCH responses, written piece by piece (RFC 9051 §7.5.2, RFC 3516, RFC 7162 §3.1.4).
//!
//! ```text
//! let mut fetch = FetchWriter::begin(&mut output, number);   // * 12 FETCH (
//! fetch.uid(uid);                                            // UID 4827313
//! fetch.flags(system, ExtraFlag::None, &keywords);           //  FLAGS (\Seen)
//! fetch.section_literal(&section, 342);                      //  BODY[HEADER] {342}\r\n
//! …exactly 342 bytes: fetch.raw(…), or straight to the socket once the output is flushed
//! FetchWriter::resume(&mut output).end();                    // )\r\n
//! ```
//! UID first, then the order asked: clients rely on it.

use super::data::{ExtraFlag, write_flags};
use super::encode;
use crate::command::fetch::{BinarySection, BodySection, PartPath, Partial, Section, SectionText};
use crate::date::format_date_time;
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::time::InternalDate;
use buzon_types::uid::{ModSeq, SequenceNumber, Uid};
use bytes::{BufMut, BytesMut};

/// Writes the items of one message.
#[derive(Debug)]
pub struct FetchWriter<'a> {
    out: &'a mut BytesMut,
    first: bool,
}

/// The three old names for texts of a message (RFC 3501 §7.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rfc822 {
    /// `RFC822`
    Message,
    /// `RFC822.HEADER`
    Header,
    /// `RFC822.TEXT`
    Text,
}

impl<'a> FetchWriter<'a> {
    /// Begins a response.
    pub fn begin(out: &'a mut BytesMut, number: SequenceNumber) -> Self {
        out.reserve(128);
        out.put_slice(b"* ");
        encode::number(out, number.get().into());
        out.put_slice(b" FETCH (");
        Self { out, first: true }
    }

    /// Goes on with a response that has at least one item already, after the output was flushed.
    pub fn resume(out: &'a mut BytesMut) -> Self {
        Self { out, first: false }
    }

    /// Ends the response.
    pub fn end(self) {
        self.out.put_slice(b")\r\n");
    }

    /// UID
    pub fn uid(&mut self, uid: Uid) {
        self.name(b"UID ");
        encode::number(self.out, uid.get().into());
    }

    /// FLAGS
    pub fn flags<'k>(
        &mut self,
        system: SystemFlags,
        extra: ExtraFlag,
        keywords: impl IntoIterator<Item = &'k Keyword>,
    ) {
        self.name(b"FLAGS ");
        write_flags(self.out, system, extra, keywords);
    }

    /// MODSEQ
    pub fn modseq(&mut self, modseq: ModSeq) {
        self.name(b"MODSEQ (");
        encode::number(self.out, modseq.get());
        self.out.put_u8(b')');
    }

    /// INTERNALDATE
    pub fn internal_date(&mut self, date: InternalDate) {
        self.name(b"INTERNALDATE \"");
        self.out.put_slice(&format_date_time(date));
        self.out.put_u8(b'"');
    }

    /// RFC822.SIZE
    pub fn rfc822_size(&mut self, bytes: u64) {
        self.name(b"RFC822.SIZE ");
        encode::number(self.out, bytes);
    }

    /// ENVELOPE, rendered already with its parentheses.
    pub fn envelope(&mut self, rendered: &[u8]) {
        self.name(b"ENVELOPE ");
        self.out.put_slice(rendered);
    }

    /// BODY without a section, rendered already.
    pub fn body(&mut self, rendered: &[u8]) {
        self.name(b"BODY ");
        self.out.put_slice(rendered);
    }

    /// BODYSTRUCTURE, rendered already.
    pub fn body_structure(&mut self, rendered: &[u8]) {
        self.name(b"BODYSTRUCTURE ");
        self.out.put_slice(rendered);
    }

    /// `BODY[…]<…> {n}`: exactly `bytes` bytes must follow.
    pub fn section_literal(&mut self, section: &BodySection, bytes: u64) {
        self.section_name(section);
        encode::literal_header(self.out, bytes);
    }

    /// `BODY[…]<…>` whole.
    pub fn section(&mut self, section: &BodySection, content: &[u8]) {
        self.section_literal(section, content.len() as u64);
        self.out.put_slice(content);
    }

    /// `BODY[…] NIL`: there is no such part.
    pub fn section_nil(&mut self, section: &BodySection) {
        self.section_name(section);
        self.out.put_slice(b"NIL");
    }

    /// `RFC822 {n}` and its like: exactly `bytes` bytes must follow.
    pub fn rfc822_literal(&mut self, which: Rfc822, bytes: u64) {
        self.name(match which {
            Rfc822::Message => &b"RFC822 "[..],
            Rfc822::Header => b"RFC822.HEADER ",
            Rfc822::Text => b"RFC822.TEXT ",
        });
        encode::literal_header(self.out, bytes);
    }

    /// `BINARY[…]<…> ~{n}`: exactly `bytes` decoded bytes must follow, NULs among them or not.
    pub fn binary_literal(&mut self, section: &BinarySection, bytes: u64) {
        self.binary_name(section);
        self.out.put_u8(b'~');
        encode::literal_header(self.out, bytes);
    }

    /// `BINARY[…]<…>` whole.
    pub fn binary(&mut self, section: &BinarySection, content: &[u8]) {
        self.binary_literal(section, content.len() as u64);
        self.out.put_slice(content);
    }

    /// `BINARY[…] NIL`: there is no such part.
    pub fn binary_nil(&mut self, section: &BinarySection) {
        self.binary_name(section);
        self.out.put_slice(b"NIL");
    }

    /// `BINARY.SIZE[…]`: the size once decoded.
    pub fn binary_size(&mut self, part: &PartPath, bytes: u64) {
        self.name(b"BINARY.SIZE[");
        write_part(self.out, part);
        self.out.put_slice(b"] ");
        encode::number(self.out, bytes);
    }

    /// Bytes of the literal that was begun last.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    fn name(&mut self, name: &[u8]) {
        if !self.first {
            self.out.put_u8(b' ');
        }
        self.first = false;
        self.out.put_slice(name);
    }

    fn section_name(&mut self, section: &BodySection) {
        self.name(b"BODY[");
        write_section(self.out, &section.section);
        self.close(section.partial);
    }

    fn binary_name(&mut self, section: &BinarySection) {
        self.name(b"BINARY[");
        write_part(self.out, &section.part);
        self.close(section.partial);
    }

    /// `]<origin> `: how much was asked does not come back, only where it begins.
    fn close(&mut self, partial: Option<Partial>) {
        self.out.put_u8(b']');
        if let Some(partial) = partial {
            self.out.put_u8(b'<');
            encode::number(self.out, partial.offset);
            self.out.put_u8(b'>');
        }
        self.out.put_u8(b' ');
    }
}

fn write_part(out: &mut BytesMut, part: &PartPath) {
    for (at, &number) in part.0.iter().enumerate() {
        if at > 0 {
            out.put_u8(b'.');
        }
        encode::number(out, number.into());
    }
}

fn write_section(out: &mut BytesMut, section: &Section) {
    write_part(out, &section.part);
    if !section.part.0.is_empty() && section.text != SectionText::Whole {
        out.put_u8(b'.');
    }
    match &section.text {
        SectionText::Whole => {}
        SectionText::Header => out.put_slice(b"HEADER"),
        SectionText::Text => out.put_slice(b"TEXT"),
        SectionText::Mime => out.put_slice(b"MIME"),
        SectionText::HeaderFields { fields, not } => {
            out.put_slice(if *not { &b"HEADER.FIELDS.NOT ("[..] } else { b"HEADER.FIELDS (" });
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    out.put_u8(b' ');
                }
                encode::astring(out, field.as_bytes());
            }
            out.put_u8(b')');
        }
    }
}
