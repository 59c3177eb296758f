//! IMAP without I/O: bytes in to events, replies to bytes out (RFC 9051, RFC 3501).
//!
//! ```text
//! bytes ─▶ session: lines, literals, states ─▶ parse ─▶ Event::Command(command::Command)
//! bytes ◀─ response: status, data, fetch    ◀────────── what the front end answers
//! ```
//! Forgiving in what is read, strict in what is written. It knows nothing of sockets, storage or accounts.

pub mod command;
mod date;
pub mod list_match;
mod parse;
pub mod response;
pub mod sequence_set;
pub mod session;
pub mod utf7;
