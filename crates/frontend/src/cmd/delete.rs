//! DELETE (RFC 9051 §6.3.5). What lies below stays; its rows are removed in steps by the shard.

use buzon_imap::command::{MailboxArg, Tag};
use buzon_imap::response::code::Code;
use buzon_imap::response::{Condition, Status};
use buzon_model::command::ShardCommand;

use crate::ctx::{Ctx, Done, existing_name};
use crate::rescue::CommandError;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, mailbox: &MailboxArg) -> Result<Done, CommandError> {
    let (account, name) = (ctx.account()?.handle.account, existing_name(mailbox)?);
    let was_selected = ctx.selected.as_ref().is_some_and(|selected| selected.name == name);
    ctx.propose(ShardCommand::DeleteMailbox { account, name }).await?;
    if was_selected {
        ctx.deselect();
        ctx.put(Status::untagged(Condition::Ok, "Mailbox is gone").with(Code::Closed));
    }
    Ok(Status::ok(tag, "Deleted").into())
}
