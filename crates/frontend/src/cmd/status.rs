//! STATUS (RFC 9051 §6.3.11): from the mailbox's counters alone.

use buzon_imap::command::Tag;
use buzon_imap::command::status::{Status as Body, StatusItem};
use buzon_imap::response::code::Code;
use buzon_imap::response::{Response, Status};
use buzon_model::read::ReadAt;
use buzon_model::row::MailboxRow;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;

use crate::ctx::{Ctx, Done, existing_name};
use crate::rescue::CommandError;
use crate::selected::Selected;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: &Body) -> Result<Done, CommandError> {
    let name = existing_name(&body.mailbox)?;
    let Some(row) = ctx.find_mailbox(&name).await? else {
        return Err(CommandError::no(Code::NonExistent, "no such mailbox"));
    };
    respond(ctx, &row, &body.items).await?;
    Ok(Status::ok(tag, "Done").into())
}

/// `* STATUS`; LIST answers with it too (RFC 5819).
pub(crate) async fn respond(
    ctx: &mut Ctx,
    row: &MailboxRow,
    items: &[StatusItem],
) -> Result<(), CommandError> {
    let recent = if items.contains(&StatusItem::Recent) { recent(ctx, row).await? } else { 0 };
    // Asking for it is how a client says that it wants it (RFC 7162 §3.1).
    if items.contains(&StatusItem::HighestModSeq) {
        ctx.enable_condstore();
    }
    let values = items.iter().map(|&item| (item, value(row, item, recent))).collect();
    ctx.put(Response::MailboxStatus { mailbox: row.name.to_string(), values });
    Ok(())
}

fn value(row: &MailboxRow, item: StatusItem, recent: u64) -> u64 {
    let counters = &row.counters;
    match item {
        StatusItem::Messages => counters.messages.into(),
        StatusItem::Recent => recent,
        // With all UIDs used up there is no next one; the greatest is the nearest that can be said.
        StatusItem::UidNext => counters.uid_next.unwrap_or(Uid::MAX).get().into(),
        StatusItem::UidValidity => row.uid_validity.get().into(),
        StatusItem::Unseen => counters.unseen.into(),
        StatusItem::Deleted => counters.deleted.into(),
        StatusItem::Size => counters.bytes,
        // An account that never changed anything has 0, which the protocol does not know.
        StatusItem::HighestModSeq => counters.modseq.get().max(1),
    }
}

/// Messages that are recent to whoever opens the mailbox next: this is not counted by the mailbox itself. In the mailbox that
/// the session has open also those that are recent here.
async fn recent(ctx: &mut Ctx, row: &MailboxRow) -> Result<u64, CommandError> {
    let open = ctx.selected.as_ref().filter(|selected| selected.key == row.key);
    let here = open.map_or_else(UidSet::new, Selected::recent_uids);
    let (from, next) = (row.counters.recent_from, row.counters.uid_next);
    let Some(from) = from.filter(|from| row.counters.messages > 0 && next.is_none_or(|next| *from < next))
    else {
        return Ok(here.len());
    };
    let at = ReadAt::Index(ctx.account()?.seen);
    let read = ctx.services.meta.open_mailbox(&ctx.account()?.handle, &row.name, at).await?;
    let opened = ctx.take(read);
    let recent = here.union(&UidSet::from_runs([(from, Uid::MAX)]));
    Ok(opened.map_or(0, |opened| opened.uids.intersection(&recent).len()))
}
