//! Arguments of STORE, COPY, MOVE and UID EXPUNGE, and flags.

use super::{Cursor, Parsed, mailbox, sequence_set};
use crate::command::flags::{FlagList, KEYWORDS_IN_LIST_MAX};
use crate::command::store::{Store, StoreMode};
use crate::command::{CommandBody, Numbering, Transfer};
use crate::session::Reason;
use buzon_types::flag::{Keyword, SystemFlags};

/// copy = "COPY" SP sequence-set SP mailbox
pub(super) fn transfer(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<Transfer> {
    let set = sequence_set(cursor, numbering)?;
    Ok(Transfer { numbering, set, mailbox: mailbox::argument(cursor)? })
}

/// uid-expunge = "EXPUNGE" SP sequence-set
pub(super) fn uid_expunge(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    sequence_set(cursor, Numbering::Uid).map(|set| CommandBody::Expunge(Some(set)))
}

/// store = "STORE" SP sequence-set [SP "(UNCHANGEDSINCE" SP mod-seq ")"] SP store-att-flags
pub(super) fn store(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<CommandBody> {
    let set = sequence_set(cursor, numbering)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.peek() == Some(b'(') {
        cursor.list(|cursor| {
            if !cursor.eat_word(b"UNCHANGEDSINCE") || unchanged_since.is_some() {
                return Err(Reason::Arguments("UNCHANGEDSINCE expected"));
            }
            cursor.space()?;
            unchanged_since = Some(cursor.modseq()?);
            Ok(())
        })?;
        cursor.space()?;
    }
    let (mode, silent) = match cursor.upper_atom()?.as_str() {
        "FLAGS" => (StoreMode::Replace, false),
        "FLAGS.SILENT" => (StoreMode::Replace, true),
        "+FLAGS" => (StoreMode::Add, false),
        "+FLAGS.SILENT" => (StoreMode::Add, true),
        "-FLAGS" => (StoreMode::Remove, false),
        "-FLAGS.SILENT" => (StoreMode::Remove, true),
        _ => return Err(Reason::Arguments("FLAGS expected")),
    };
    cursor.space()?;
    let flags = if cursor.peek() == Some(b'(') { flag_list(cursor)? } else { bare_flags(cursor)? };
    Ok(CommandBody::Store(Store { numbering, set, unchanged_since, mode, silent, flags }))
}

/// flag-list = "(" [flag *(SP flag)] ")"
pub(super) fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<FlagList> {
    let mut flags = FlagList::default();
    cursor.list(|cursor| flag(cursor, &mut flags))?;
    Ok(flags)
}

/// flag *(SP flag)
fn bare_flags(cursor: &mut Cursor<'_>) -> Parsed<FlagList> {
    let mut flags = FlagList::default();
    flag(cursor, &mut flags)?;
    while cursor.more() {
        flag(cursor, &mut flags)?;
    }
    Ok(flags)
}

/// flag = "\" atom / atom
fn flag(cursor: &mut Cursor<'_>, flags: &mut FlagList) -> Parsed<()> {
    if cursor.eat(b'\\') {
        let name = [b"\\", cursor.atom()?].concat();
        match std::str::from_utf8(&name).ok().and_then(SystemFlags::from_name) {
            Some(flag) => flags.system |= flag,
            None => flags.names_unsettable = true,
        }
        return Ok(());
    }
    let keyword = keyword(cursor)?;
    if flags.keywords.contains(&keyword) {
        return Ok(());
    }
    if flags.keywords.len() == KEYWORDS_IN_LIST_MAX {
        return Err(Reason::Arguments("too many keywords"));
    }
    flags.keywords.push(keyword);
    Ok(())
}

/// flag-keyword = atom
pub(super) fn keyword(cursor: &mut Cursor<'_>) -> Parsed<Keyword> {
    let atom = cursor.atom()?;
    let text = std::str::from_utf8(atom).map_err(|_| Reason::Arguments("keyword expected"))?;
    Keyword::new(text).map_err(|_| Reason::Arguments("keyword too long"))
}
