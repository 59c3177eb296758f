//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8, RFC 4315 §3, RFC 6851).

use buzon_imap::command::{Tag, Transfer as Body};
use buzon_imap::response::code::Code;
use buzon_imap::response::{Condition, Status};
use buzon_model::command::Transfer;

use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;
use crate::selected::Access;

/// All of the messages, or none. The answer carries their new UIDs.
pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: &Body) -> Result<Done, CommandError> {
    let transfer = parse(ctx, body).await?;
    if transfer.uids.is_empty() {
        return Ok(Status::ok(tag, "Nothing to copy").into());
    }
    let into_itself = transfer.target == transfer.source.mailbox;
    let copied = ctx.services.meta.copy(&ctx.account()?.handle, transfer).await;
    let copied = copied.map_err(|error| CommandError::from(error).or_try_create())?;
    ctx.saw(copied.index);
    ctx.behind |= into_itself;
    if copied.source.is_empty() {
        return Err(CommandError::no(Code::ExpungeIssued, "the messages are gone"));
    }
    let code = Code::CopyUid { uid_validity: copied.uid_validity, from: copied.source, to: copied.target };
    Ok(Status::ok(tag, "Copied").with(code).into())
}

/// COPYUID comes before the EXPUNGE responses, in an untagged OK (RFC 6851 §4.3).
pub(crate) async fn move_messages(ctx: &mut Ctx, tag: &Tag, body: &Body) -> Result<Done, CommandError> {
    if ctx.selected()?.access == Access::ReadOnly {
        return Err(CommandError::no(Code::Cannot, "mailbox was opened with EXAMINE"));
    }
    let transfer = parse(ctx, body).await?;
    if transfer.uids.is_empty() {
        return Ok(Status::ok(tag, "Nothing to move").into());
    }
    let into_itself = transfer.target == transfer.source.mailbox;
    let moved = ctx.services.meta.move_messages(&ctx.account()?.handle, transfer).await;
    let moved = moved.map_err(|error| ctx.may_be_behind(error).or_try_create())?;
    ctx.saw(moved.index);
    if moved.source.is_empty() {
        ctx.behind = true;
        return Err(CommandError::no(Code::ExpungeIssued, "the messages are gone"));
    }
    let gone = moved.source.clone();
    let code = Code::CopyUid { uid_validity: moved.uid_validity, from: moved.source, to: moved.target };
    ctx.put(Status::untagged(Condition::Ok, "Moved").with(code));
    let selected = ctx.selected_mut()?;
    if !into_itself && selected.follow(moved.advance) {
        selected.lose(&gone);
    } else {
        ctx.behind = true;
    }
    Ok(Status::ok(tag, "Moved").into())
}

/// A target that does not exist can be made: TRYCREATE.
async fn parse(ctx: &mut Ctx, body: &Body) -> Result<Transfer, CommandError> {
    let selected = ctx.selected()?;
    let (source, uids) = (selected.key, selected.resolve(body.numbering, &body.set)?);
    let name = body.mailbox.name().map_err(|error| CommandError::no(Code::Cannot, error.to_string()))?;
    let target = match ctx.find_mailbox(&name).await? {
        Some(row) => row.key.mailbox,
        None => return Err(CommandError::no(Code::TryCreate, "no such mailbox")),
    };
    Ok(Transfer { source, uids, target })
}
