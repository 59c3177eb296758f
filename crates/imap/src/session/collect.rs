//! Collecting a command: its lines, and the literals between them, until all is there to be parsed at once.

use super::append::Incoming;
use super::line::{Line, LiteralHeader, split_literal_header};
use super::skip::Skip;
use super::{Event, LITERALS_MAX, Mode, Reason, Session, State, Step};
use crate::command::append::AppendStart;
use crate::command::{Command, Tag};
use crate::parse::append::Append;
use crate::parse::verb::Verb;
use crate::parse::{self, Cursor, Literal, Piece};
use crate::response::{NameEncoding, write_continuation};
use bytes::{Buf, BytesMut};
use smallvec::SmallVec;

/// Lines that ended in a literal, with it.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pieces: Vec<Owned>,
    line_bytes: usize,
    literal_bytes: usize,
}

#[derive(Debug)]
struct Owned {
    text: Vec<u8>,
    literal: Vec<u8>,
    binary: bool,
}

/// Nearly every command is one line.
type Pieces<'a> = SmallVec<[Piece<'a>; 4]>;

/// A refusal, with what could be read of the tag.
type Refused = (Option<Tag>, Reason);

impl Collected {
    /// All pieces, with what the input holds as the last.
    fn with<'a>(&'a self, text: &'a [u8], literal: Option<Literal<'a>>) -> Pieces<'a> {
        let owned = self.pieces.iter().map(|piece| Piece {
            text: &piece.text,
            literal: Some(Literal { bytes: &piece.literal, binary: piece.binary }),
        });
        owned.chain([Piece { text, literal }]).collect()
    }
}

impl Session {
    /// The next line of a command: its first, or one after a literal.
    pub(super) fn command_line(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Step {
        let length_max = self.line_bytes_max().saturating_sub(self.collected.line_bytes);
        match self.scanner.next(input, length_max) {
            Line::Partial => Step::Wait,
            Line::TooLong => {
                let pieces = self.collected.with(&input[..length_max], None);
                let tag = parse::tag(&mut Cursor::new(&pieces, self.names)).ok();
                drop(pieces);
                self.collected = Collected::default();
                self.refuse_line(tag, Reason::LineTooLong, output)
            }
            Line::Whole { length, with_end } => {
                // Not split off: a buffer that nobody shares can be used again.
                let step = self.whole_line(&input[..length], output);
                self.scanner.consume(input, with_end);
                step
            }
        }
    }

    fn whole_line(&mut self, line: &[u8], output: &mut BytesMut) -> Step {
        let (text, header) = split_literal_header(line);
        if let Some(header) = header {
            return match self.announced(text, header) {
                Ok(Announced::Argument) => self.await_argument(text, header, line.len(), output),
                Ok(Announced::Message(start)) => self.await_append(start),
                Err((tag, reason)) => self.refuse(tag, reason, Some(header), output),
            };
        }
        if self.collected.pieces.is_empty() && line.iter().all(|&byte| byte == b' ') {
            return Step::Again;
        }
        let collected = std::mem::take(&mut self.collected);
        match parse_command(&collected.with(text, None), self.state, self.names) {
            Ok(command) => Step::Event(Event::Command(command)),
            Err((tag, reason)) => self.bad(tag, reason, output),
        }
    }

    /// Judges a literal before a byte of it is read.
    fn announced(&self, text: &[u8], header: LiteralHeader) -> Result<Announced, Refused> {
        let placeholder = Literal { bytes: b"", binary: header.binary };
        let pieces = self.collected.with(text, Some(placeholder));
        let mut cursor = Cursor::new(&pieces, self.names);
        let (tag, verb) = parse_head(&mut cursor, self.state)?;
        if verb == Verb::Append {
            match parse::append::parse(&mut cursor) {
                Err(reason) => return Err((Some(tag), reason)),
                Ok(Append::Name) => {}
                Ok(Append::Message { mailbox, flags, date, form }) => {
                    let (message_bytes, synchronizing) = (header.bytes, header.synchronizing);
                    let start = AppendStart { tag, mailbox, flags, date, message_bytes, form, synchronizing };
                    return Ok(Announced::Message(start));
                }
            }
        }
        let literal_bytes_max = match self.state {
            State::NotAuthenticated => self.limits.literal_bytes_max_unauthenticated,
            _ => self.limits.literal_bytes_max,
        };
        if self.collected.pieces.len() >= LITERALS_MAX {
            return Err((Some(tag), Reason::TooManyLiterals));
        }
        if header.bytes > literal_bytes_max.saturating_sub(self.collected.literal_bytes) as u64 {
            return Err((Some(tag), Reason::LiteralTooLarge));
        }
        Ok(Announced::Argument)
    }

    fn await_argument(
        &mut self,
        text: &[u8],
        header: LiteralHeader,
        line: usize,
        output: &mut BytesMut,
    ) -> Step {
        // The limit on literals fits into memory, so it fits into usize.
        let bytes = usize::try_from(header.bytes).unwrap_or(usize::MAX);
        self.collected.line_bytes += line;
        self.collected.literal_bytes += bytes;
        self.collected.pieces.push(Owned { text: text.to_vec(), literal: Vec::new(), binary: header.binary });
        if header.synchronizing {
            write_continuation(output, "go on");
        }
        self.mode = Mode::Argument(bytes);
        Step::Again
    }

    fn await_append(&mut self, start: AppendStart) -> Step {
        self.collected = Collected::default();
        self.mode = Mode::AppendDecision(Incoming::new(&start));
        Step::Event(Event::AppendStart(start))
    }

    /// Takes a literal once it is there as a whole.
    pub(super) fn argument(&mut self, bytes: usize, input: &mut BytesMut) -> Step {
        if input.len() < bytes {
            return Step::Wait;
        }
        if let Some(piece) = self.collected.pieces.last_mut() {
            piece.literal = input[..bytes].to_vec();
        }
        input.advance(bytes);
        self.mode = Mode::Command;
        Step::Again
    }

    /// Answers BAD to a command whose line was read, and sees to the literal that the line may have announced.
    pub(super) fn refuse(
        &mut self,
        tag: Option<Tag>,
        reason: Reason,
        header: Option<LiteralHeader>,
        output: &mut BytesMut,
    ) -> Step {
        self.collected = Collected::default();
        self.mode = match header {
            Some(header) if !header.synchronizing => Mode::Skip(Skip::literal(header.bytes)),
            _ => Mode::Command,
        };
        self.bad(tag, reason, output)
    }
}

/// What an announced literal is.
enum Announced {
    Argument,
    Message(AppendStart),
}

fn parse_command(pieces: &[Piece<'_>], state: State, names: NameEncoding) -> Result<Command, Refused> {
    let mut cursor = Cursor::new(pieces, names);
    let (tag, verb) = parse_head(&mut cursor, state)?;
    match parse::body(verb, &mut cursor) {
        Ok(body) => Ok(Command { tag, body }),
        Err(reason) => Err((Some(tag), reason)),
    }
}

/// The tag and the command's name, if the command may come in this state.
fn parse_head(cursor: &mut Cursor<'_>, state: State) -> Result<(Tag, Verb), Refused> {
    let tag = parse::tag(cursor).map_err(|reason| (None, reason))?;
    match Verb::parse(cursor) {
        Ok(verb) if verb.allowed_in(state) => Ok((tag, verb)),
        Ok(_) => Err((Some(tag), Reason::State)),
        Err(reason) => Err((Some(tag), reason)),
    }
}
