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

use crate::command::append::AppendStart;
use crate::command::{Command, Tag};
use buzon_types::secret::Secret;
use bytes::Bytes;

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
    /// the connection ends (RFC 7888 §4).
    pub skip_bytes_max: u64,
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

// The session itself is the next commit; its methods will be:
//
// Session::new(Limits) -> Session                       begins NotAuthenticated; the caller writes the greeting
// state(&self) -> State; set_state(&mut self, State)    the caller sets it when LOGIN, SELECT, CLOSE … succeed
// bad_commands(&self) -> u32                            refused so far: disconnect after some
// next_event(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event>
// accept_append(&mut self, output)                      writes `+ …` where the client waits for it
// refuse_append(&mut self, &Status, output)             writes the tagged NO; the message is skipped or never sent
// start_idle(&mut self, Tag, output)                    writes `+ idling`; then IdleDone or Bad
// challenge(&mut self, Tag, data: &[u8], output)        writes `+ base64`; then SaslResponse or Bad
// reset_for_tls(&mut self, input: &mut BytesMut)        throws away what was sent in plaintext after STARTTLS
