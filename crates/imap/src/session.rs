//! One session's framing and states: bytes in, events out (RFC 9051 §2.2, §3, RFC 7888).
//!
//! ```text
//! loop {
//!     while let Some(event) = session.next_event(&mut input, &mut output) { handle, answer into output }
//!     flush output; read more into input        // None: more bytes are needed
//! }
//! ```
//! The caller owns both buffers, appends to `input` and changes nothing else in it. What the session can answer
//! by itself (malformed commands, wrong states, leave to send a literal) it writes to `output`, after all replies
//! that the caller wrote before. So the caller finishes one command before it asks for the next event, and the
//! replies come in the order of the commands however they were pipelined.

mod append;
mod collect;
mod exchange;
mod line;
mod skip;
#[cfg(test)]
mod tests;

use crate::command::append::AppendStart;
use crate::command::{Command, Tag};
use crate::response::{Condition, NameEncoding, Status};
use append::Incoming;
use buzon_types::secret::Secret;
use bytes::{Bytes, BytesMut};
use collect::Collected;
use line::LineScanner;
use skip::Skip;

/// Where a session stands (RFC 9051 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody logged in yet.
    NotAuthenticated,
    /// Logged in, no mailbox open.
    Authenticated,
    /// A mailbox is open.
    Selected,
    /// Over: whatever comes is not read.
    Logout,
}

/// What the session tells its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole command, allowed in the present state. Answer it fully before the next event is asked for.
    Command(Command),
    /// An APPEND whose message waits. Answer with `accept_append` or `refuse_append`; until then nothing more comes.
    AppendStart(AppendStart),
    /// The next bytes of an accepted message.
    AppendChunk(Bytes),
    /// The message is complete and the command well-formed: store it and answer.
    /// Where the end was malformed, [`Event::Bad`] comes instead: drop the message.
    AppendEnd,
    /// DONE: answer the IDLE command now.
    IdleDone,
    /// The client's answer to a challenge, decoded from base64.
    SaslResponse(Secret<Bytes>),
    /// The session answered BAD by itself. Ends an IDLE, an AUTHENTICATE or an APPEND that was going on.
    Bad(Bad),
    /// BYE was written since the client cannot be followed any further: flush and close.
    Fatal(Reason),
}

/// A command that the session refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// `None` where not even the tag could be read.
    pub tag: Option<Tag>,
    /// Why.
    pub reason: Reason,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// The line begins with no tag.
    #[error("tag expected")]
    Tag,
    /// No such command.
    #[error("unknown command")]
    UnknownCommand,
    /// The command exists, but not now.
    #[error("command not allowed in this state")]
    State,
    /// Its arguments are malformed; the text says what was expected.
    #[error("{0}")]
    Arguments(&'static str),
    /// A line over [`Limits::line_bytes_max`].
    #[error("command line too long")]
    LineTooLong,
    /// Literals over [`Limits::literal_bytes_max`].
    #[error("literal too large")]
    LiteralTooLarge,
    /// A refused command goes on beyond [`Limits::skip_bytes_max`].
    #[error("too much data behind a refused command")]
    TooMuchToSkip,
    /// Over [`LITERALS_MAX`].
    #[error("too many literals")]
    TooManyLiterals,
    /// `*` in AUTHENTICATE.
    #[error("authentication cancelled")]
    AuthenticationCancelled,
    /// No base64 in AUTHENTICATE.
    #[error("base64 expected")]
    Base64,
    /// Anything but DONE in IDLE.
    #[error("DONE expected")]
    DoneExpected,
}

/// What one command may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One command without its literals.
    pub line_bytes_max: usize,
    /// All literals of one command together; APPEND's message does not count.
    pub literal_bytes_max: usize,
    /// As `line_bytes_max`, before login. Also bounds each line of AUTHENTICATE.
    pub line_bytes_max_unauthenticated: usize,
    /// As `literal_bytes_max`, before login.
    pub literal_bytes_max_unauthenticated: usize,
    /// A refused literal that the client sends without waiting is read and thrown away up to this size; for a greater one
    /// the connection ends (RFC 7888 §4). Bounds everything of a refused command together.
    pub skip_bytes_max: u64,
}

/// One client's protocol state.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    state: State,
    names: NameEncoding,
    mode: Mode,
    scanner: LineScanner,
    collected: Collected,
    bad_commands: u32,
}

/// What the next bytes are.
#[derive(Debug)]
enum Mode {
    /// A line of a command.
    Command,
    /// A literal of a command: so many bytes.
    Argument(usize),
    /// Not read until the caller decides about the APPEND.
    AppendDecision(Incoming),
    /// An accepted message.
    AppendData(Incoming),
    /// The end of the command, after the message.
    AppendTail(Incoming),
    /// DONE
    Idle(Tag),
    /// A line of AUTHENTICATE.
    Sasl(Tag),
    /// What is left of a refused command.
    Skip(Skip),
    /// Nothing: BYE comes next.
    Doomed(Reason),
    /// Nothing: BYE was said.
    Ended,
}

/// What a step came to.
enum Step {
    Event(Event),
    /// More bytes, or the caller's decision, are needed.
    Wait,
    /// Another step can be made at once.
    Again,
}

/// Literals in one command: a SEARCH has one or two per text.
pub const LITERALS_MAX: usize = 1000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Clients send UID sets of 64 KiB.
            line_bytes_max: 128 * 1024,
            // Search texts and names.
            literal_bytes_max: 64 * 1024,
            // A SASL token has at most 12,000 bytes in practice (Kerberos with groups), in base64 a third more.
            line_bytes_max_unauthenticated: 16 * 1024,
            // User name and password.
            literal_bytes_max_unauthenticated: 4 * 1024,
            // What common providers take as a message: a client that sends more does not expect to be heard.
            skip_bytes_max: 64 * 1024 * 1024,
        }
    }
}

impl Session {
    /// A session that begins [`State::NotAuthenticated`]; the greeting is the caller's.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::NotAuthenticated,
            names: NameEncoding::default(),
            mode: Mode::Command,
            scanner: LineScanner::default(),
            collected: Collected::default(),
            bad_commands: 0,
        }
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The caller moves the session when LOGIN, SELECT, CLOSE … succeed or LOGOUT comes.
    pub fn set_state(&mut self, state: State) {
        self.state = state;
    }

    /// How mailbox names come and go: [`NameEncoding::Utf8`] after `ENABLE IMAP4rev2` or `UTF8=ACCEPT`.
    pub fn name_encoding(&self) -> NameEncoding {
        self.names
    }

    /// Sets how mailbox names come; the caller uses the same for its responses.
    pub fn set_name_encoding(&mut self, names: NameEncoding) {
        self.names = names;
    }

    /// How many commands were refused since the last one that was not: the caller disconnects a client that sends
    /// nothing else.
    pub fn bad_commands(&self) -> u32 {
        self.bad_commands
    }

    /// The next event of `input`; `None` until more bytes came (flush `output` before waiting for them) or, after
    /// [`Event::AppendStart`], until the caller decided. What was used is gone from `input`.
    pub fn next_event(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event> {
        loop {
            if self.state == State::Logout {
                self.mode = Mode::Ended;
            }
            let step = match &self.mode {
                Mode::Command => self.command_line(input, output),
                Mode::Argument(bytes) => self.argument(*bytes, input),
                Mode::AppendDecision(_) => Step::Wait,
                Mode::AppendData(_) => self.append_data(input),
                Mode::AppendTail(_) => self.append_tail(input, output),
                Mode::Idle(_) => self.idle_line(input, output),
                Mode::Sasl(_) => self.sasl_line(input, output),
                Mode::Skip(_) => self.skip(input),
                Mode::Doomed(reason) => {
                    let reason = *reason;
                    self.bye(reason, output)
                }
                Mode::Ended => {
                    input.clear();
                    Step::Wait
                }
            };
            match step {
                Step::Event(event) => {
                    if matches!(event, Event::Command(_) | Event::AppendEnd) {
                        self.bad_commands = 0;
                    }
                    return Some(event);
                }
                Step::Wait => return None,
                Step::Again => {}
            }
        }
    }

    /// After the OK to STARTTLS is flushed: throws away what was sent in plaintext behind the command, so that nobody
    /// on the way can slip commands into the encrypted session (RFC 9051 §6.2.1).
    pub fn reset_for_tls(&mut self, input: &mut BytesMut) {
        input.clear();
        self.scanner = LineScanner::default();
        self.collected = Collected::default();
        self.mode = Mode::Command;
    }

    fn line_bytes_max(&self) -> usize {
        match self.state {
            State::NotAuthenticated => self.limits.line_bytes_max_unauthenticated,
            _ => self.limits.line_bytes_max,
        }
    }

    /// Answers BAD.
    fn bad(&mut self, tag: Option<Tag>, reason: Reason, output: &mut BytesMut) -> Step {
        self.bad_commands = self.bad_commands.saturating_add(1);
        let status = Status {
            tag: tag.clone(),
            condition: Condition::Bad,
            code: None,
            text: reason.to_string().into(),
        };
        status.write(output, NameEncoding::ModifiedUtf7);
        Step::Event(Event::Bad(Bad { tag, reason }))
    }

    /// Answers BAD and reads over the line that `input` begins with.
    fn refuse_line(&mut self, tag: Option<Tag>, reason: Reason, output: &mut BytesMut) -> Step {
        self.mode = Mode::Skip(Skip::line());
        self.scanner = LineScanner::default();
        self.bad(tag, reason, output)
    }

    fn bye(&mut self, reason: Reason, output: &mut BytesMut) -> Step {
        let text = reason.to_string();
        Status::untagged(Condition::Bye, text)
            .with(crate::response::code::Code::TooBig)
            .write(output, self.names);
        self.mode = Mode::Ended;
        Step::Event(Event::Fatal(reason))
    }
}
