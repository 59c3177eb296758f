//! NOOP, CHECK: news now (RFC 9051 §6.1.2, RFC 3501 §6.4.1). CAPABILITY (RFC 9051 §6.1.1).

use buzon_imap::command::Tag;
use buzon_imap::response::{Response, Status};

use crate::ctx::{Ctx, Done};
use crate::rescue::CommandError;
use crate::sync::{Freshness, catch_up};

/// Everything that was acknowledged to anybody before is told. All is durable already, so CHECK has nothing to do.
pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag) -> Result<Done, CommandError> {
    catch_up(ctx, Freshness::Newest).await?;
    Ok(Status::ok(tag, "Done").into())
}

/// Cheap, and the same each time.
pub(crate) fn capability(ctx: &mut Ctx, tag: &Tag) -> Done {
    let names = ctx.capabilities();
    ctx.put(Response::Capability(names));
    Status::ok(tag, "Done").into()
}
