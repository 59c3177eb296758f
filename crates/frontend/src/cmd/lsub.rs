//! LSUB (RFC 3501 §6.3.9): subscribed names for clients of old, with what they need to find their folders.

use buzon_imap::command::Tag;
use buzon_imap::command::list::Lsub;
use buzon_imap::list_match::ListPattern;
use buzon_imap::response::list::{ListAttribute, ListRow};
use buzon_imap::response::{Response, Status};

use crate::cmd::list::names::{Name, Names};
use crate::cmd::list::root;
use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: &Lsub) -> Result<Done, CommandError> {
    if body.pattern.is_empty() {
        ctx.put(Response::Lsub(root()));
        return Ok(Status::ok(tag, "Done").into());
    }
    let list = ctx.list_mailboxes().await?;
    let names = Names::of(&list);
    let pattern = ListPattern::new(&body.reference, &body.pattern);
    for (text, name) in names.iter().filter(|(text, _)| pattern.matches(text)) {
        if let Some(attributes) = attributes(&names, text, name, body) {
            ctx.put(Response::Lsub(ListRow { mailbox: text.to_owned(), attributes, ..ListRow::default() }));
            ctx.wire.flush_if_full().await?;
        }
    }
    Ok(Status::ok(tag, "Done").into())
}

/// `%` stops at a level; if something below it is subscribed, the level is told as `\Noselect`.
fn attributes(names: &Names<'_>, text: &str, name: &Name<'_>, body: &Lsub) -> Option<Vec<ListAttribute>> {
    if name.subscribed {
        return Some(name.special_use().map(ListAttribute::Use).into_iter().collect());
    }
    let stands_for = body.pattern.ends_with('%') && names.below(text).any(|(_, below)| below.subscribed);
    stands_for.then(|| vec![ListAttribute::NoSelect])
}
