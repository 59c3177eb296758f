//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9, RFC 4315).

use buzon_imap::command::{Numbering, Tag};
use buzon_imap::response::Status;
use buzon_imap::response::code::Code;
use buzon_imap::sequence_set::SequenceSet;
use buzon_model::limits::ENTRY_MESSAGES_MAX;
use buzon_model::read::Columns;
use buzon_types::flag::SystemFlags;
use buzon_types::uid_set::UidSet;
use futures::StreamExt;

use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;
use crate::selected::Access;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, set: Option<&SequenceSet>) -> Result<Done, CommandError> {
    let selected = ctx.selected()?;
    if selected.access == Access::ReadOnly {
        return Err(CommandError::no(Code::Cannot, "mailbox was opened with EXAMINE"));
    }
    let uids = match set {
        Some(set) => selected.resolve(Numbering::Uid, set)?,
        None => selected.uids(),
    };
    expunge(ctx, uids).await?;
    Ok(Status::ok(tag, "Expunged").into())
}

/// Expunges those that have `\Deleted`: only such as the client can see, never what came meanwhile.
pub(crate) async fn expunge(ctx: &mut Ctx, uids: UidSet) -> Result<(), CommandError> {
    let uids = if uids.len() > u64::from(ENTRY_MESSAGES_MAX) { deleted(ctx, &uids).await? } else { uids };
    if uids.is_empty() {
        return Ok(());
    }
    let (account, key) = (&ctx.account()?.handle, ctx.selected()?.key);
    let expunged = ctx.services.meta.expunge(account, key, &uids).await?;
    ctx.saw(expunged.index);
    let selected = ctx.selected_mut()?;
    if selected.follow(expunged.advance) {
        selected.lose(&expunged.uids);
    } else {
        ctx.behind = true;
    }
    Ok(())
}

/// A log entry is not to name a hundred thousand messages to remove three.
async fn deleted(ctx: &Ctx, uids: &UidSet) -> Result<UidSet, CommandError> {
    let (account, mailbox) = (&ctx.account()?.handle, ctx.selected()?.key.mailbox);
    let at = ctx.read_at()?;
    let mut messages = ctx.services.meta.fetch(account, mailbox, uids, Columns::default(), at).await?;
    let mut found = Vec::new();
    while let Some(chunk) = messages.next().await {
        for message in chunk? {
            if !message.expunged && message.row.flags.contains(SystemFlags::DELETED) {
                found.push(message.row.uid);
            }
        }
    }
    Ok(found.into_iter().collect())
}
