//! The grammar of commands (RFC 9051 §9, RFC 3501 §9 and the extensions named in each file).
//!
//! A command is parsed once, when all its lines and literals are there. Forgiving: letters in any case, more than one
//! space, spaces at the end and inside parentheses. Every loop and recursion is bounded by a named constant or
//! by the length of the line.

pub(crate) mod append;
mod cursor;
mod fetch;
mod list;
mod mailbox;
mod messages;
mod search;
pub(crate) mod session;
pub(crate) mod verb;

#[cfg(test)]
mod tests;

use crate::command::{CommandBody, Numbering, Tag};
use crate::session::Reason;
pub(crate) use cursor::{Cursor, Literal, Piece};
use verb::Verb;

/// Why parsing stopped.
pub(crate) type Parsed<T> = Result<T, Reason>;

/// Longest tag: it is kept and comes back; clients use four to twelve bytes.
pub(crate) const TAG_BYTES_MAX: usize = 256;

/// tag = 1*<any ASTRING-CHAR except "+">
pub(crate) fn tag(cursor: &mut Cursor<'_>) -> Parsed<Tag> {
    cursor.spaces();
    let tag = cursor.take_while(is_tag_char);
    if !is_tag(tag) || !matches!(cursor.peek(), None | Some(b' ')) {
        return Err(Reason::Tag);
    }
    std::str::from_utf8(tag).map(|tag| Tag(tag.into())).map_err(|_| Reason::Tag)
}

/// Whether the whole text is a tag.
pub(crate) fn is_tag(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= TAG_BYTES_MAX && text.iter().all(|&byte| is_tag_char(byte))
}

fn is_tag_char(byte: u8) -> bool {
    cursor::is_atom_char(byte) && byte != b'+' || byte == b']'
}

/// The arguments of `verb`, up to the end of the command. APPEND goes by [`append::parse`].
pub(crate) fn body(verb: Verb, cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let body = arguments(verb, cursor)?;
    cursor.end()?;
    Ok(body)
}

fn arguments(verb: Verb, cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    Ok(match verb {
        Verb::Capability => CommandBody::Capability,
        Verb::Noop => CommandBody::Noop,
        Verb::Logout => CommandBody::Logout,
        Verb::StartTls => CommandBody::StartTls,
        Verb::Namespace => CommandBody::Namespace,
        Verb::Idle => CommandBody::Idle,
        Verb::Close => CommandBody::Close,
        Verb::Unselect => CommandBody::Unselect,
        Verb::Check => CommandBody::Check,
        Verb::Id => session::id(cursor)?,
        Verb::Authenticate => session::authenticate(cursor)?,
        Verb::Login => session::login(cursor)?,
        Verb::Enable => session::enable(cursor)?,
        Verb::Select => CommandBody::Select(mailbox::select(cursor)?),
        Verb::Examine => CommandBody::Examine(mailbox::select(cursor)?),
        Verb::Create => mailbox::create(cursor)?,
        Verb::Delete => CommandBody::Delete(mailbox::argument(cursor)?),
        Verb::Rename => mailbox::rename(cursor)?,
        Verb::Subscribe => CommandBody::Subscribe(mailbox::argument(cursor)?),
        Verb::Unsubscribe => CommandBody::Unsubscribe(mailbox::argument(cursor)?),
        Verb::Status => mailbox::status(cursor)?,
        Verb::List => list::list(cursor)?,
        Verb::Lsub => list::lsub(cursor)?,
        Verb::Expunge => CommandBody::Expunge(None),
        Verb::UidExpunge => messages::uid_expunge(cursor)?,
        Verb::Search(numbering) => search::search(cursor, numbering)?,
        Verb::Fetch(numbering) => fetch::fetch(cursor, numbering)?,
        Verb::Store(numbering) => messages::store(cursor, numbering)?,
        Verb::Copy(numbering) => CommandBody::Copy(messages::transfer(cursor, numbering)?),
        Verb::Move(numbering) => CommandBody::Move(messages::transfer(cursor, numbering)?),
        Verb::Append => return Err(Reason::Arguments("message literal expected")),
    })
}

/// SP sequence-set
fn sequence_set(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<crate::sequence_set::SequenceSet> {
    cursor.space()?;
    cursor.sequence_set(numbering)
}
