//! LIST, basic and extended, with STATUS (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

pub(crate) mod names;

use buzon_imap::command::Tag;
use buzon_imap::command::list::{List, ListReturn, ListSelect};
use buzon_imap::list_match::ListPattern;
use buzon_imap::response::list::{ChildInfo, ListAttribute, ListRow};
use buzon_imap::response::{Response, Status};
use buzon_model::read::MailboxList;
use buzon_model::row::MailboxRow;

use crate::cmd::status;
use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;
use names::{Name, Names};

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: List) -> Result<Done, CommandError> {
    if !body.extended && body.patterns.iter().all(String::is_empty) {
        ctx.put(Response::List(root()));
        return Ok(Status::ok(tag, "Done").into());
    }
    let list = ctx.list_mailboxes().await?;
    for (row, mailbox) in rows(&list, &body) {
        ctx.put(Response::List(row));
        if let Some(mailbox) = mailbox.filter(|_| !body.returns.status.is_empty()) {
            status::respond(ctx, mailbox, &body.returns.status).await?;
        }
        ctx.wire.flush_if_full().await?;
    }
    Ok(Status::ok(tag, "Done").into())
}

/// What separates levels, and that no name is above all.
pub(crate) fn root() -> ListRow {
    ListRow { attributes: vec![ListAttribute::NoSelect], ..ListRow::default() }
}

/// The names that are told, in order, each with its mailbox if there is one.
fn rows<'a>(list: &'a MailboxList, body: &List) -> Vec<(ListRow, Option<&'a MailboxRow>)> {
    let names = Names::of(list);
    let patterns = patterns(&body.reference, &body.patterns);
    let matches = |text: &str| patterns.iter().any(|pattern| pattern.matches(text));
    let chosen = |name: &Name<'_>| is_chosen(body.select, name);
    let mut rows = Vec::new();
    for (text, name) in names.iter() {
        if !matches(text) {
            continue;
        }
        let recursive = body.select.recursive_match;
        let has_chosen_below = recursive && names.below(text).any(|(_, below)| chosen(below));
        // A parent is told for what lies below only if that is not told itself (RFC 9051 §6.3.9.6).
        let stands_for = || names.below(text).any(|(text, below)| chosen(below) && !matches(text));
        if chosen(name) || (has_chosen_below && stands_for()) {
            let child_info = if has_chosen_below { child_info(body.select) } else { Vec::new() };
            let attributes = attributes(&names, text, name, body.select, &body.returns);
            let row = ListRow { mailbox: text.to_owned(), attributes, child_info, old_name: None };
            rows.push((row, name.mailbox));
        }
    }
    rows
}

/// In extended syntax an empty pattern is nothing (RFC 5258 §3).
fn patterns(reference: &str, patterns: &[String]) -> Vec<ListPattern> {
    let asked = patterns.iter().filter(|pattern| !pattern.is_empty());
    asked.map(|pattern| ListPattern::new(reference, pattern)).collect()
}

/// All conditions must hold; without one, mailboxes and the levels above them are meant.
fn is_chosen(select: ListSelect, name: &Name<'_>) -> bool {
    let subscribed = !select.subscribed || name.subscribed;
    let special = !select.special_use || name.special_use().is_some();
    let anything = select.subscribed || select.special_use;
    subscribed && special && (anything || name.mailbox.is_some() || name.is_level)
}

/// `SUBSCRIBED` is the only option that the grammar of CHILDINFO knows (RFC 9051 §9 `list-select-base-opt`).
fn child_info(select: ListSelect) -> Vec<ChildInfo> {
    if select.subscribed { vec![ChildInfo::Subscribed] } else { Vec::new() }
}

fn attributes(
    names: &Names<'_>,
    text: &str,
    name: &Name<'_>,
    select: ListSelect,
    returns: &ListReturn,
) -> Vec<ListAttribute> {
    let mut attributes = Vec::with_capacity(4);
    if name.mailbox.is_none() {
        // The second for clients that never heard of the first.
        attributes.extend([ListAttribute::NonExistent, ListAttribute::NoSelect]);
    }
    if (select.subscribed || returns.subscribed) && name.subscribed {
        attributes.push(ListAttribute::Subscribed);
    }
    let children = names.has_children(text);
    attributes.push(if children { ListAttribute::HasChildren } else { ListAttribute::HasNoChildren });
    // Told unasked too: some clients never ask, and make folders of their own (RFC 6154 §2 allows it).
    attributes.extend(name.special_use().map(ListAttribute::Use));
    attributes
}

#[cfg(test)]
mod tests;
