//! APPEND up to its message (RFC 9051 §6.3.12, RFC 3516 §4.4, RFC 6855 §4).

use super::{Cursor, Parsed, mailbox, messages};
use crate::command::MailboxArg;
use crate::command::append::AppendForm;
use crate::command::flags::FlagList;
use crate::date::parse_date_time;
use crate::session::Reason;
use buzon_types::time::InternalDate;

/// What the literal at the end of the lines read so far is.
pub(crate) enum Append {
    /// The mailbox's name.
    Name,
    /// The message.
    Message { mailbox: MailboxArg, flags: FlagList, date: Option<InternalDate>, form: AppendForm },
}

/// append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP (literal / literal8 / "UTF8" SP "(" literal8 ")")
///
/// The last piece's literal is the one that is about to come; its bytes are not there yet.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Append> {
    cursor.space()?;
    if cursor.at_last_literal().is_some() {
        return Ok(Append::Name);
    }
    let name = cursor.astring()?;
    let mailbox = MailboxArg(mailbox::decode(&name, cursor.names())?.into());
    cursor.space()?;
    let mut flags = FlagList::default();
    if cursor.peek() == Some(b'(') {
        flags = messages::flag_list(cursor)?;
        cursor.space()?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        let text = cursor.quoted()?;
        date = Some(parse_date_time(&text).ok_or(Reason::Arguments("date-time expected"))?);
        cursor.space()?;
    }
    let utf8 = cursor.eat_word(b"UTF8");
    if utf8 {
        cursor.space()?;
        cursor.expect(b'(', "( expected")?;
        cursor.spaces();
    }
    let literal = cursor.at_last_literal().ok_or(Reason::Arguments("message literal expected"))?;
    let form = match (utf8, literal.binary) {
        (true, true) => AppendForm::Utf8,
        (true, false) => return Err(Reason::Arguments("literal8 expected")),
        (false, true) => AppendForm::Literal8,
        (false, false) => AppendForm::Literal,
    };
    Ok(Append::Message { mailbox, flags, date, form })
}
