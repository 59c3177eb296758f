//! Arguments that are mailbox names, and the commands that have little else.

use super::{Cursor, Parsed};
use crate::command::select::{Qresync, Select};
use crate::command::status::{Status, StatusItem};
use crate::command::{CommandBody, Create, MailboxArg, Numbering, Rename, UseAttribute};
use crate::response::NameEncoding;
use crate::sequence_set::SequenceSet;
use crate::session::Reason;
use crate::utf7;
use buzon_types::special_use::SpecialUse;
use buzon_types::uid::UidValidity;

/// Special uses of one mailbox: there are eight.
const USE_ATTRIBUTES_MAX: usize = 16;

/// SP mailbox
pub(super) fn argument(cursor: &mut Cursor<'_>) -> Parsed<MailboxArg> {
    cursor.space()?;
    let name = cursor.astring()?;
    decode(&name, cursor.names()).map(|name| MailboxArg(name.into()))
}

/// A name or pattern as UTF-8. What is no modified UTF-7 is taken as it stands: rev2 clients write UTF-8.
pub(super) fn decode(text: &[u8], encoding: NameEncoding) -> Parsed<String> {
    let text =
        std::str::from_utf8(text).map_err(|_| Reason::Arguments("UTF-8 or modified UTF-7 expected"))?;
    let decoded = match encoding {
        NameEncoding::ModifiedUtf7 if text.contains('&') => utf7::decode(text).ok(),
        _ => None,
    };
    Ok(decoded.unwrap_or_else(|| text.to_owned()))
}

/// create = "CREATE" SP mailbox [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"]
pub(super) fn create(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mailbox = argument(cursor)?;
    let mut special_use = Vec::new();
    if cursor.more() {
        cursor.list(|cursor| {
            if !cursor.eat_word(b"USE") {
                return Err(Reason::Arguments("USE expected"));
            }
            cursor.space()?;
            cursor.list(|cursor| {
                if special_use.len() == USE_ATTRIBUTES_MAX {
                    return Err(Reason::Arguments("too many attributes"));
                }
                special_use.push(use_attribute(cursor)?);
                Ok(())
            })
        })?;
    }
    Ok(CommandBody::Create(Create { mailbox, special_use }))
}

/// use-attr = "\" atom
fn use_attribute(cursor: &mut Cursor<'_>) -> Parsed<UseAttribute> {
    cursor.expect(b'\\', "attribute expected")?;
    let name = format!("\\{}", String::from_utf8_lossy(cursor.atom()?));
    Ok(SpecialUse::from_name(&name).map_or(UseAttribute::Unknown(name), UseAttribute::Known))
}

/// rename = "RENAME" SP mailbox SP mailbox
pub(super) fn rename(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let from = argument(cursor)?;
    Ok(CommandBody::Rename(Rename { from, to: argument(cursor)? }))
}

/// select = "SELECT" SP mailbox [SP "(" select-param *(SP select-param) ")"]
pub(super) fn select(cursor: &mut Cursor<'_>) -> Parsed<Select> {
    let mut select = Select { mailbox: argument(cursor)?, condstore: false, qresync: None };
    if cursor.more() {
        cursor.list(|cursor| {
            if cursor.eat_word(b"CONDSTORE") {
                select.condstore = true;
            } else if cursor.eat_word(b"QRESYNC") && select.qresync.is_none() {
                cursor.space()?;
                select.qresync = Some(qresync(cursor)?);
            } else {
                return Err(Reason::Arguments("unknown select parameter"));
            }
            Ok(())
        })?;
    }
    Ok(select)
}

/// "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")" (RFC 7162 §7)
fn qresync(cursor: &mut Cursor<'_>) -> Parsed<Qresync> {
    let mut arguments = 0;
    let mut qresync = None;
    cursor.list(|cursor| {
        arguments += 1;
        match &mut qresync {
            None => {
                let uid_validity =
                    UidValidity::new(cursor.nonzero()?).ok_or(Reason::Arguments("UIDVALIDITY"))?;
                cursor.space()?;
                let modseq = cursor.modseq()?;
                qresync = Some(Qresync { uid_validity, modseq, known_uids: None, sequence_match: None });
            }
            Some(Qresync { sequence_match: sequence_match @ None, .. }) if cursor.peek() == Some(b'(') => {
                *sequence_match = Some(sequence_match_data(cursor)?);
            }
            Some(Qresync { known_uids: known_uids @ None, sequence_match: None, .. }) => {
                *known_uids = Some(known_set(cursor, Numbering::Uid)?);
            }
            Some(_) => return Err(Reason::Arguments("too many QRESYNC parameters")),
        }
        Ok(())
    })?;
    qresync.ok_or(Reason::Arguments("UIDVALIDITY expected"))
}

/// seq-match-data = "(" known-sequence-set SP known-uid-set ")"
fn sequence_match_data(cursor: &mut Cursor<'_>) -> Parsed<(SequenceSet, SequenceSet)> {
    let mut sets = Vec::with_capacity(2);
    cursor.list(|cursor| {
        let numbering = if sets.is_empty() { Numbering::Sequence } else { Numbering::Uid };
        if sets.len() == 2 {
            return Err(Reason::Arguments("two sets expected"));
        }
        sets.push(known_set(cursor, numbering)?);
        Ok(())
    })?;
    match <[SequenceSet; 2]>::try_from(sets) {
        Ok([numbers, uids]) => Ok((numbers, uids)),
        Err(_) => Err(Reason::Arguments("two sets expected")),
    }
}

/// sequence-set; "*" and "$" are not allowed
fn known_set(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<SequenceSet> {
    let set = cursor.sequence_set(numbering)?;
    if set == SequenceSet::LastSearch || set.names_greatest() {
        return Err(Reason::Arguments("* and $ are not allowed here"));
    }
    Ok(set)
}

/// status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"
pub(super) fn status(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    let mailbox = argument(cursor)?;
    cursor.space()?;
    Ok(CommandBody::Status(Status { mailbox, items: status_items(cursor)? }))
}

/// "(" status-att *(SP status-att) ")"
pub(super) fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    let mut items = Vec::new();
    cursor.list(|cursor| {
        let word = cursor.atom()?;
        let known =
            StatusItem::ALL.into_iter().find(|item| item.name().as_bytes().eq_ignore_ascii_case(word));
        let item = known.ok_or(Reason::Arguments("unknown STATUS item"))?;
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err(Reason::Arguments("STATUS item expected")) } else { Ok(items) }
}
