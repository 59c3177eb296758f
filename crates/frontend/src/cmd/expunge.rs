//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9, RFC 4315).

use buzon_imap::command::{Numbering, Tag};
use buzon_imap::response::Status;
use buzon_imap::response::code::Code;
use buzon_imap::sequence_set::SequenceSet;
use buzon_types::uid_set::UidSet;

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

/// Expunges those that have `\Deleted`: only such as the client can see, never what came meanwhile. Where none has it,
/// nothing goes into the log: clients send this all the time.
pub(crate) async fn expunge(ctx: &mut Ctx, uids: UidSet) -> Result<(), CommandError> {
    if uids.is_empty() {
        return Ok(());
    }
    let (account, key) = (&ctx.account()?.handle, ctx.selected()?.key);
    let read = ctx.services.meta.deleted_uids(account, key.mailbox, ctx.read_at()?).await?;
    let uids = uids.intersection(&ctx.take(read));
    if uids.is_empty() {
        return Ok(());
    }
    let expunged = ctx.services.meta.expunge(&ctx.account()?.handle, key, &uids).await;
    let expunged = expunged.map_err(|error| ctx.may_be_behind(error))?;
    ctx.saw(expunged.index);
    let selected = ctx.selected_mut()?;
    if selected.follow(expunged.advance) {
        selected.lose(&expunged.uids);
    } else {
        ctx.behind = true;
    }
    Ok(())
}
