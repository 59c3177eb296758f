//! RENAME (RFC 9051 §6.3.6). A session that has the mailbox open goes on with it under its new name, as all others do:
//! UIDs and UIDVALIDITY stay.

use buzon_imap::command::{Rename, Tag};
use buzon_imap::response::Status;
use buzon_imap::response::code::Code;
use buzon_model::command::ShardCommand;

use crate::cmd::create::uid_validity_seed;
use crate::ctx::{Ctx, Done, existing_name};
use crate::rescue::CommandError;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: &Rename) -> Result<Done, CommandError> {
    let from = existing_name(&body.from)?;
    let to = body.to.name().map_err(|error| CommandError::no(Code::Cannot, error.to_string()))?;
    let account = ctx.account()?.handle.account;
    let uid_validity_seed = uid_validity_seed();
    ctx.propose(ShardCommand::RenameMailbox { account, from, to, uid_validity_seed }).await?;
    Ok(Status::ok(tag, "Renamed").into())
}
