//! Arguments of LIST and LSUB (RFC 9051 §6.3.9, RFC 5258 §6, RFC 5819, RFC 6154).

use super::mailbox::{decode, status_items};
use super::{Cursor, Parsed};
use crate::command::CommandBody;
use crate::command::list::{List, ListReturn, ListSelect, Lsub, PATTERN_BYTES_MAX, PATTERNS_MAX};
use crate::session::Reason;

/// lsub = "LSUB" SP mailbox SP list-mailbox
pub(super) fn lsub(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let reference = reference(cursor)?;
    cursor.space()?;
    Ok(CommandBody::Lsub(Lsub { reference, pattern: pattern(cursor)? }))
}

/// list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP "RETURN" SP list-return-opts]
pub(super) fn list(cursor: &mut Cursor<'_>) -> Parsed<CommandBody> {
    cursor.space()?;
    let mut extended = false;
    let mut select = ListSelect::default();
    if cursor.peek() == Some(b'(') {
        extended = true;
        select = select_options(cursor)?;
        cursor.space()?;
    }
    let reference = reference(cursor)?;
    cursor.space()?;
    let mut patterns = Vec::new();
    if cursor.peek() == Some(b'(') {
        extended = true;
        cursor.list(|cursor| {
            if patterns.len() == PATTERNS_MAX {
                return Err(Reason::Arguments("too many patterns"));
            }
            patterns.push(pattern(cursor)?);
            Ok(())
        })?;
    } else {
        patterns.push(pattern(cursor)?);
    }
    let mut returns = ListReturn::default();
    if cursor.more() {
        extended = true;
        if !cursor.eat_word(b"RETURN") {
            return Err(Reason::Arguments("RETURN expected"));
        }
        cursor.space()?;
        returns = return_options(cursor)?;
    }
    Ok(CommandBody::List(List { select, reference, patterns, returns, extended }))
}

fn reference(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let text = cursor.astring()?;
    bounded(decode(&text, cursor.names())?)
}

fn pattern(cursor: &mut Cursor<'_>) -> Parsed<String> {
    let text = cursor.list_mailbox()?;
    bounded(decode(&text, cursor.names())?)
}

fn bounded(text: String) -> Parsed<String> {
    if text.len() > PATTERN_BYTES_MAX { Err(Reason::Arguments("pattern too long")) } else { Ok(text) }
}

/// list-select-opts; an unknown option is an error, since it would change the answer (RFC 5258 §3).
fn select_options(cursor: &mut Cursor<'_>) -> Parsed<ListSelect> {
    let mut select = ListSelect::default();
    cursor.list(|cursor| {
        match cursor.upper_atom()?.as_str() {
            "SUBSCRIBED" => select.subscribed = true,
            "REMOTE" => select.remote = true,
            "RECURSIVEMATCH" => select.recursive_match = true,
            "SPECIAL-USE" => select.special_use = true,
            _ => return Err(Reason::Arguments("unknown selection option")),
        }
        Ok(())
    })?;
    if select.recursive_match && !select.subscribed {
        return Err(Reason::Arguments("RECURSIVEMATCH needs SUBSCRIBED"));
    }
    Ok(select)
}

/// "(" [list-return-opt *(SP list-return-opt)] ")"
fn return_options(cursor: &mut Cursor<'_>) -> Parsed<ListReturn> {
    let mut returns = ListReturn::default();
    cursor.list(|cursor| {
        match cursor.upper_atom()?.as_str() {
            "SUBSCRIBED" => returns.subscribed = true,
            "CHILDREN" => returns.children = true,
            "SPECIAL-USE" => returns.special_use = true,
            "STATUS" => {
                cursor.space()?;
                returns.status = status_items(cursor)?;
            }
            _ => return Err(Reason::Arguments("unknown return option")),
        }
        Ok(())
    })?;
    Ok(returns)
}
