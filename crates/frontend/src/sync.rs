//! Bringing the view up to date, and telling the client (DESIGN D9, D13).
//!
//! A delta is asked for when the feed told of news, when a reply of our own did not begin where the view stands, or
//! when the client asked (NOOP, CHECK): then with a linearizable read, so that what was acknowledged to anybody
//! before is seen. New messages are told once it is known whether they are `\Recent` here, or when that takes too long.

use buzon_model::read::ReadAt;
use tokio::time::Instant;

use crate::claim::{PATIENCE, Wait, claim, holds_arrivals};
use crate::ctx::Ctx;
use crate::rescue::CommandError;
use crate::selected::news::{Arrivals, Expunges};
use crate::selected::recent::Claimed;

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

/// Sends the news that the view holds, at the end of a command.
pub(crate) async fn tell(ctx: &mut Ctx, expunges: Expunges) -> Result<(), CommandError> {
    claim_all(ctx, Wait::WithArrivals).await;
    send(ctx, expunges, Arrivals::Told).await
}

/// Sends the news that the view holds, in IDLE: new messages may have to wait for their claim, all else does not wait for
/// them.
pub(crate) async fn tell_at_once(ctx: &mut Ctx) -> Result<(), CommandError> {
    claim_all(ctx, Wait::No).await;
    let arrivals = if holds_arrivals(ctx) { Arrivals::Held } else { Arrivals::Told };
    send(ctx, Expunges::Told, arrivals).await
}

/// A claim may bring messages that came after the last delta. They are told now: recent to a client that hears of them. The
/// delta that brings them may bring newer ones, and so on: not for ever, where mail comes faster than it is claimed.
async fn claim_all(ctx: &mut Ctx, wait: Wait) {
    let until = Instant::now() + PATIENCE;
    while claim(ctx, wait).await == Claimed::Beyond && Instant::now() < until {
        ctx.behind = true;
        if let Err(error) = catch_up(ctx, Freshness::AsTold).await {
            let error = &error as &dyn std::error::Error;
            return tracing::warn!(error, "claimed messages cannot be read");
        }
    }
}

async fn send(ctx: &mut Ctx, expunges: Expunges, arrivals: Arrivals) -> Result<(), CommandError> {
    let Ctx { selected: Some(selected), wire, enabled, .. } = ctx else { return Ok(()) };
    let news = selected.news(expunges, arrivals);
    for response in news.responses(selected, *enabled) {
        wire.put(&response, enabled.names());
        wire.flush_if_full().await?;
    }
    Ok(())
}
