//! IDLE (RFC 9051 §6.3.13): news as they come.

use std::io;

use buzon_imap::command::Tag;
use buzon_imap::response::Status;

use crate::ctx::{Ctx, Done, Then};
use crate::rescue::{CommandError, rescue};
use crate::sync::{Freshness, catch_up, tell_at_once};

/// What happened before is told at once.
pub(crate) async fn begin(ctx: &mut Ctx, tag: Tag) -> io::Result<Then> {
    match catch_up(ctx, Freshness::Newest).await {
        Ok(()) => {}
        Err(error) => {
            let status = rescue(&tag, error)?;
            ctx.put(status);
            return Ok(Then::Continue);
        }
    }
    ctx.protocol.start_idle(tag.clone(), &mut ctx.wire.output);
    ctx.idle = Some(tag);
    told(tell_at_once(ctx).await)?;
    Ok(Then::Continue)
}

/// The feed told something.
pub(crate) async fn tell_news(ctx: &mut Ctx) -> io::Result<()> {
    told(catch_up(ctx, Freshness::AsTold).await)?;
    told(tell_at_once(ctx).await)
}

/// DONE came.
pub(crate) fn done(tag: &Tag) -> Done {
    Status::ok(tag, "Done").into()
}

/// News that cannot be read now come later: with the next event, or the next command.
fn told(result: Result<(), CommandError>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(CommandError::Connection(error)) => Err(error),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "news cannot be read");
            Ok(())
        }
    }
}
