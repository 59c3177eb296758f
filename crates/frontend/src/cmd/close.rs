//! CLOSE and UNSELECT (RFC 9051 §6.4.1, §6.4.2).

use buzon_imap::command::Tag;
use buzon_imap::response::Status;

use crate::cmd::expunge;
use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;
use crate::selected::Access;

/// Expunges what is marked, without a word, unless the mailbox was only examined. What fails then is told, and the
/// mailbox stays open: the client believes that its messages are gone.
pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag) -> Result<Done, CommandError> {
    if ctx.selected()?.access == Access::ReadWrite {
        let uids = ctx.selected()?.uids();
        expunge::expunge(ctx, uids).await?;
    }
    ctx.deselect();
    Ok(Status::ok(tag, "Closed").into())
}

/// Leaves everything as it is.
pub(crate) fn unselect(ctx: &mut Ctx, tag: &Tag) -> Done {
    ctx.deselect();
    Status::ok(tag, "Closed").into()
}
