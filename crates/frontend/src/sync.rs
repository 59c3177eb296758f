//! Bringing the view up to date, and telling the client (DESIGN D9, D13).
//!
//! A delta is asked for when the feed told of news, when a reply of our own did not begin where the view stands, or
//! when the client asked (NOOP, CHECK): then with a linearizable read, so that what was acknowledged to anybody
//! before is seen.

use buzon_model::read::ReadAt;

use crate::ctx::Ctx;
use crate::rescue::CommandError;
use crate::selected::news::Expunges;

/// How new the view must become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// All that was acknowledged to anybody.
    Newest,
    /// All that this process heard of.
    AsTold,
}

/// Absorbs what happened in the selected mailbox. Tells nothing; without a selected mailbox does nothing.
pub(crate) async fn catch_up(ctx: &mut Ctx, freshness: Freshness) -> Result<(), CommandError> {
    let Some(selected) = &ctx.selected else { return Ok(()) };
    let (mailbox, modseq) = (selected.key.mailbox, selected.modseq());
    if freshness == Freshness::AsTold && !ctx.behind && !ctx.feed.has_news(mailbox, modseq) {
        return Ok(());
    }
    let heard = ctx.feed.begin_catching_up();
    ctx.saw(heard);
    let at = match freshness {
        Freshness::Newest => ReadAt::Linearizable,
        Freshness::AsTold => ctx.read_at()?,
    };
    let account = &ctx.account()?.handle;
    let read = match ctx.services.meta.changes(account, mailbox, modseq, at).await {
        Ok(read) => read,
        Err(error) => {
            ctx.feed.failed_to_catch_up();
            return Err(error.into());
        }
    };
    let delta = ctx.take(read);
    ctx.selected_mut()?.absorb(delta);
    ctx.behind = false;
    Ok(())
}

/// Sends the news that the view holds.
pub(crate) async fn tell(ctx: &mut Ctx, expunges: Expunges) -> Result<(), CommandError> {
    let Ctx { selected: Some(selected), wire, enabled, .. } = ctx else { return Ok(()) };
    let news = selected.news(expunges);
    for response in news.responses(selected, *enabled) {
        wire.put(&response, enabled.names());
        wire.flush_if_full().await?;
    }
    Ok(())
}
