//! CREATE (RFC 9051 §6.3.4), with a special use (RFC 6154 §3).

use std::time::SystemTime;

use buzon_imap::command::{Create, Tag, UseAttribute};
use buzon_imap::response::Status;
use buzon_imap::response::code::Code;
use buzon_model::command::ShardCommand;
use buzon_types::special_use::SpecialUse;

use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: Create) -> Result<Done, CommandError> {
    let name = body.mailbox.name().map_err(|error| CommandError::no(Code::Cannot, error.to_string()))?;
    let special_use = special_use(&body.special_use)?;
    let account = ctx.account()?.handle.account;
    let uid_validity_seed = uid_validity_seed();
    ctx.propose(ShardCommand::CreateMailbox { account, name, special_use, uid_validity_seed }).await?;
    Ok(Status::ok(tag, "Created").into())
}

/// A mailbox is for one thing at most; `\All` and `\Flagged` would be views, which we have not.
fn special_use(attributes: &[UseAttribute]) -> Result<Option<SpecialUse>, CommandError> {
    match attributes {
        [] => Ok(None),
        [UseAttribute::Known(SpecialUse::All | SpecialUse::Flagged)] => {
            Err(CommandError::no(Code::UseAttr, "mailboxes for that use cannot be made"))
        }
        [UseAttribute::Known(one)] => Ok(Some(*one)),
        [UseAttribute::Unknown(_)] => Err(CommandError::no(Code::UseAttr, "no such use")),
        _ => Err(CommandError::no(Code::UseAttr, "a mailbox has one use at most")),
    }
}

/// The proposer's clock in seconds, as the log wants it.
pub(crate) fn uid_validity_seed() -> u32 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}
