//! Tokens of the grammar, read from a command's lines and literals in turn.

use super::Parsed;
use crate::command::Numbering;
use crate::response::NameEncoding;
use crate::sequence_set::SequenceSet;
use crate::session::Reason;
use buzon_types::uid::ModSeq;
use std::borrow::Cow;

/// A stretch of a line, and the literal that follows it; only the last piece has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    /// Without the literal's header and without CRLF.
    pub(crate) text: &'a [u8],
    pub(crate) literal: Option<Literal<'a>>,
}

/// A literal's content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Literal<'a> {
    pub(crate) bytes: &'a [u8],
    /// `~{n}`: allowed only where binary data is.
    pub(crate) binary: bool,
}

/// Where parsing stands.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    literal: Option<Literal<'a>>,
    pieces: &'a [Piece<'a>],
    names: NameEncoding,
}

/// ATOM-CHAR: any CHAR but `(){ %*"\]` and controls
pub(crate) fn is_atom_char(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// ASTRING-CHAR, and 8-bit bytes, which clients send bare in names against the rule.
pub(crate) fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']' || byte >= 0x80
}

impl<'a> Cursor<'a> {
    /// At the beginning of the first piece.
    pub(crate) fn new(pieces: &'a [Piece<'a>], names: NameEncoding) -> Self {
        match pieces.split_first() {
            Some((first, pieces)) => Self { rest: first.text, literal: first.literal, pieces, names },
            None => Self { rest: b"", literal: None, pieces, names },
        }
    }

    pub(crate) fn names(&self) -> NameEncoding {
        self.names
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next byte, if it is this.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        if eaten {
            self.rest = &self.rest[1..];
        }
        eaten
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        if self.eat(byte) { Ok(()) } else { Err(Reason::Arguments(what)) }
    }

    /// Any number of spaces.
    pub(crate) fn spaces(&mut self) {
        while self.eat(b' ') {}
    }

    /// SP, or more of them.
    pub(crate) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "space expected")?;
        self.spaces();
        Ok(())
    }

    /// Spaces and something after them: an optional argument follows.
    pub(crate) fn more(&mut self) -> bool {
        let mut ahead = self.clone();
        ahead.spaces();
        let more = !ahead.at_end() && ahead.rest.len() < self.rest.len();
        if more {
            *self = ahead;
        }
        more
    }

    /// The command's last literal, if nothing else lies ahead.
    pub(crate) fn at_last_literal(&self) -> Option<Literal<'a>> {
        if self.rest.is_empty() && self.pieces.is_empty() { self.literal } else { None }
    }

    fn at_end(&self) -> bool {
        self.rest.is_empty() && self.literal.is_none()
    }

    /// The end of the command; spaces before it are forgiven.
    pub(crate) fn end(&mut self) -> Parsed<()> {
        self.spaces();
        if self.at_end() { Ok(()) } else { Err(Reason::Arguments("end of command expected")) }
    }

    pub(crate) fn take_while(&mut self, test: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|&byte| !test(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// 1*ATOM-CHAR
    pub(crate) fn atom(&mut self) -> Parsed<&'a [u8]> {
        let atom = self.take_while(is_atom_char);
        if atom.is_empty() { Err(Reason::Arguments("atom expected")) } else { Ok(atom) }
    }

    /// An atom as text, in upper case.
    pub(crate) fn upper_atom(&mut self) -> Parsed<String> {
        let atom = self.atom()?.to_ascii_uppercase();
        String::from_utf8(atom).map_err(|_| Reason::Arguments("atom expected"))
    }

    /// The next atom, if it is this word; else nothing is read.
    pub(crate) fn eat_word(&mut self, word: &[u8]) -> bool {
        let mut ahead = self.clone();
        let eaten = ahead.take_while(is_atom_char).eq_ignore_ascii_case(word);
        if eaten {
            *self = ahead;
        }
        eaten
    }

    /// astring = 1*ASTRING-CHAR / string
    pub(crate) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.string_or(is_astring_char)
    }

    /// list-mailbox = 1*list-char / string
    pub(crate) fn list_mailbox(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.string_or(|byte| is_astring_char(byte) || matches!(byte, b'%' | b'*'))
    }

    /// nstring = string / nil; an atom instead of a string is forgiven.
    pub(crate) fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.eat_word(b"NIL") { Ok(None) } else { self.astring().map(Some) }
    }

    /// An astring that must be UTF-8.
    pub(crate) fn text(&mut self) -> Parsed<String> {
        String::from_utf8(self.astring()?.into_owned()).map_err(|_| Reason::Arguments("UTF-8 expected"))
    }

    fn string_or(&mut self, bare: impl Fn(u8) -> bool) -> Parsed<Cow<'a, [u8]>> {
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        if self.rest.is_empty() && self.literal.is_some() {
            return self.literal().map(Cow::Borrowed);
        }
        let text = self.take_while(bare);
        if text.is_empty() { Err(Reason::Arguments("string expected")) } else { Ok(Cow::Borrowed(text)) }
    }

    fn literal(&mut self) -> Parsed<&'a [u8]> {
        match self.literal {
            Some(Literal { bytes, binary: false }) => {
                *self = Self::new(self.pieces, self.names);
                Ok(bytes)
            }
            _ => Err(Reason::Arguments("literal8 not allowed here")),
        }
    }

    /// quoted = DQUOTE *QUOTED-CHAR DQUOTE
    pub(crate) fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b'"', "quoted string expected")?;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let plain = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\0'));
            let closed = self.eat(b'"');
            if !closed && !self.eat(b'\\') {
                return Err(Reason::Arguments("quoted string not closed"));
            }
            match &mut unescaped {
                None if closed => return Ok(Cow::Borrowed(plain)),
                None => unescaped = Some(plain.to_vec()),
                Some(text) => text.extend_from_slice(plain),
            }
            let text = unescaped.get_or_insert_default();
            if closed {
                return Ok(Cow::Owned(std::mem::take(text)));
            }
            match self.peek() {
                Some(byte @ (b'"' | b'\\')) => text.push(byte),
                _ => return Err(Reason::Arguments("only \\\" and \\\\ can be escaped")),
            }
            self.rest = &self.rest[1..];
        }
    }

    /// number64, and number: at most 63 bits
    pub(crate) fn number64(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if digits.is_empty() {
            return Err(Reason::Arguments("number expected"));
        }
        let value = digits.iter().try_fold(0u64, |value, digit| {
            value
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))
                .filter(|&value| value <= ModSeq::MAX.get())
        });
        value.ok_or(Reason::Arguments("number too large"))
    }

    /// number: 32 bits
    pub(crate) fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.number64()?).map_err(|_| Reason::Arguments("number too large"))
    }

    /// nz-number
    pub(crate) fn nonzero(&mut self) -> Parsed<u32> {
        match self.number()? {
            0 => Err(Reason::Arguments("number must not be 0")),
            number => Ok(number),
        }
    }

    /// mod-sequence-valzer
    pub(crate) fn modseq(&mut self) -> Parsed<ModSeq> {
        ModSeq::new(self.number64()?).ok_or(Reason::Arguments("number too large"))
    }

    /// sequence-set
    pub(crate) fn sequence_set(&mut self, numbering: Numbering) -> Parsed<SequenceSet> {
        let text = self.take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'*' | b':' | b',' | b'$'));
        SequenceSet::parse(text, numbering).ok_or(Reason::Arguments("sequence set expected"))
    }

    /// "(" [item *(SP item)] ")"; each call of `item` reads one.
    pub(crate) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.expect(b'(', "( expected")?;
        self.spaces();
        while !self.eat(b')') {
            item(self)?;
            if self.peek() != Some(b')') {
                self.space()?;
            }
        }
        Ok(())
    }
}
