//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7, §6.3.8). Names need not exist: mailboxes come back.

use buzon_imap::command::{MailboxArg, Tag};
use buzon_imap::response::Status;
use buzon_model::command::ShardCommand;

use crate::ctx::{Ctx, Done, existing_name};
use crate::rescue::CommandError;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, mailbox: &MailboxArg) -> Result<Done, CommandError> {
    let (account, name) = (ctx.account()?.handle.account, existing_name(mailbox)?);
    ctx.propose(ShardCommand::Subscribe { account, name }).await?;
    Ok(Status::ok(tag, "Subscribed").into())
}

pub(crate) async fn undo(ctx: &mut Ctx, tag: &Tag, mailbox: &MailboxArg) -> Result<Done, CommandError> {
    let (account, name) = (ctx.account()?.handle.account, existing_name(mailbox)?);
    ctx.propose(ShardCommand::Unsubscribe { account, name }).await?;
    Ok(Status::ok(tag, "Unsubscribed").into())
}
