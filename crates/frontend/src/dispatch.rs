//! From an event of the protocol to the command that answers it: one match, one line per command.

use std::io;
use std::time::Instant;

use buzon_imap::command::append::AppendForm;
use buzon_imap::command::search::Search;
use buzon_imap::command::{Command, CommandBody, Numbering, Tag};
use buzon_imap::response::{Condition, Response};
use buzon_imap::session::Event;
use tracing::Instrument;

use crate::cmd::{
    append, authenticate, close, copy, create, delete, enable, expunge, fetch, id, idle, list, login, logout,
    lsub, namespace, noop, rename, search, select, starttls, status, store, subscribe,
};
use crate::ctx::{Ctx, Done, Then};
use crate::rescue::{CommandError, rescue};
use crate::selected::news::Expunges;
use crate::sync::{Freshness, catch_up, tell};

/// Handles an event to its end; everything that it answers is in the output.
///
/// # Errors
/// If the connection is lost.
pub(crate) async fn handle(ctx: &mut Ctx, event: Event) -> io::Result<Then> {
    match event {
        Event::Command(Command { tag, body }) => command(ctx, tag, body).await,
        // Nobody can enable UTF8=ACCEPT here, and without it the form is no syntax (RFC 6855 §4).
        Event::AppendStart(start) if start.form == AppendForm::Utf8 => {
            let status = rescue(&start.tag, CommandError::bad("UTF8=ACCEPT is not enabled"))?;
            ctx.protocol.refuse_append(&status, &mut ctx.wire.output);
            ctx.services.metrics.command("APPEND", "BAD", std::time::Duration::ZERO);
            Ok(Then::Continue)
        }
        Event::AppendStart(start) => append::begin(ctx, start).await,
        Event::AppendChunk(bytes) => Ok(append::make_room(ctx, &bytes).await),
        Event::AppendEnd => {
            let Some(receiving) = ctx.receiving.take() else { return Ok(Then::Close) };
            let (tag, started) = (receiving.tag().clone(), Instant::now());
            let result = append::run(ctx, receiving).await;
            conclude(ctx, &tag, "APPEND", Some(Expunges::Told), started, result).await
        }
        Event::SaslResponse(response) => {
            let Some((tag, result)) = authenticate::respond(ctx, response).await else {
                return Ok(Then::Close);
            };
            match result.transpose() {
                None => Ok(Then::Continue),
                Some(result) => conclude(ctx, &tag, "AUTHENTICATE", None, Instant::now(), result).await,
            }
        }
        Event::IdleDone => {
            let Some(tag) = ctx.idle.take() else { return Ok(Then::Close) };
            conclude(ctx, &tag, "IDLE", Some(Expunges::Told), Instant::now(), Ok(idle::done(&tag))).await
        }
        Event::Bad(_) => {
            (ctx.exchange, ctx.receiving, ctx.idle) = (None, None, None);
            ctx.services.metrics.command("invalid", "BAD", std::time::Duration::ZERO);
            Ok(Then::Continue)
        }
        Event::Fatal(_) => Ok(Then::Close),
    }
}

async fn command(ctx: &mut Ctx, tag: Tag, body: CommandBody) -> io::Result<Then> {
    let started = Instant::now();
    let (name, news) = (name(&body), news(&body));
    let account = ctx.account.as_ref().map(|account| account.handle.account.0);
    let mailbox = ctx.selected.as_ref().map(|selected| selected.key.mailbox.0);
    let span = tracing::info_span!("command", tag = tag.as_str(), command = name, account, mailbox);
    let result = match body {
        CommandBody::Idle => return idle::begin(ctx, tag).instrument(span).await,
        CommandBody::Authenticate(body) => {
            match authenticate::begin(ctx, &tag, body).instrument(span).await.transpose() {
                None => return Ok(Then::Continue),
                Some(result) => result,
            }
        }
        body => run(ctx, &tag, body).instrument(span).await,
    };
    conclude(ctx, &tag, name, news, started, result).await
}

async fn run(ctx: &mut Ctx, tag: &Tag, body: CommandBody) -> Result<Done, CommandError> {
    match body {
        CommandBody::Capability => Ok(noop::capability(ctx, tag)),
        CommandBody::Noop => noop::run(ctx, tag).await,
        CommandBody::Check => noop::run(ctx, tag).await,
        CommandBody::Logout => Ok(logout::run(ctx, tag)),
        CommandBody::Id(fields) => Ok(id::run(ctx, tag, fields)),
        CommandBody::StartTls => starttls::run(ctx, tag),
        CommandBody::Login(body) => login::run(ctx, tag, body).await,
        CommandBody::Enable(names) => Ok(enable::run(ctx, tag, &names)),
        CommandBody::Select(body) => select::run(ctx, tag, body).await,
        CommandBody::Examine(body) => select::examine(ctx, tag, body).await,
        CommandBody::Create(body) => create::run(ctx, tag, body).await,
        CommandBody::Delete(mailbox) => delete::run(ctx, tag, &mailbox).await,
        CommandBody::Rename(body) => rename::run(ctx, tag, &body).await,
        CommandBody::Subscribe(mailbox) => subscribe::run(ctx, tag, &mailbox).await,
        CommandBody::Unsubscribe(mailbox) => subscribe::undo(ctx, tag, &mailbox).await,
        CommandBody::List(body) => list::run(ctx, tag, body).await,
        CommandBody::Lsub(body) => lsub::run(ctx, tag, &body).await,
        CommandBody::Namespace => Ok(namespace::run(ctx, tag)),
        CommandBody::Status(body) => status::run(ctx, tag, &body).await,
        CommandBody::Close => close::run(ctx, tag).await,
        CommandBody::Unselect => Ok(close::unselect(ctx, tag)),
        CommandBody::Expunge(set) => expunge::run(ctx, tag, set.as_ref()).await,
        CommandBody::Search(body) => search::run(ctx, tag, body).await,
        CommandBody::Fetch(body) => fetch::run(ctx, tag, body).await,
        CommandBody::Store(body) => store::run(ctx, tag, body).await,
        CommandBody::Copy(body) => copy::run(ctx, tag, &body).await,
        CommandBody::Move(body) => copy::move_messages(ctx, tag, &body).await,
        // Answered before.
        CommandBody::Idle | CommandBody::Authenticate(_) => Err(CommandError::State),
    }
}

/// Tells the news that may be told, then answers.
async fn conclude(
    ctx: &mut Ctx,
    tag: &Tag,
    name: &'static str,
    news: Option<Expunges>,
    started: Instant,
    result: Result<Done, CommandError>,
) -> io::Result<Then> {
    let done = match result {
        Ok(done) => done,
        Err(error) => Done::from(rescue(tag, error)?),
    };
    if let Some(expunges) = news {
        tell_news(ctx, expunges).await?;
    }
    let outcome = match done.status.condition {
        Condition::Ok | Condition::PreAuth => "OK",
        Condition::No => "NO",
        Condition::Bad => "BAD",
        Condition::Bye => "BYE",
    };
    ctx.services.metrics.command(name, outcome, started.elapsed());
    ctx.put(Response::Status(done.status));
    Ok(done.then)
}

async fn tell_news(ctx: &mut Ctx, expunges: Expunges) -> io::Result<()> {
    let told = match catch_up(ctx, Freshness::AsTold).await {
        Ok(()) => tell(ctx, expunges).await,
        Err(error) => {
            // The command itself is done; what cannot be read now comes with the next.
            tracing::warn!(error = &error as &dyn std::error::Error, "news cannot be read");
            tell(ctx, expunges).await
        }
    };
    match told {
        Err(CommandError::Connection(error)) => Err(error),
        _ => Ok(()),
    }
}

/// EXPUNGE is held back where the answer holds sequence numbers that it would move (RFC 9051 §7.5.1). `None`: no news
/// at all; SELECT has just told everything.
fn news(body: &CommandBody) -> Option<Expunges> {
    let by_number = match body {
        CommandBody::Select(_) | CommandBody::Examine(_) => return None,
        CommandBody::Fetch(body) => body.numbering == Numbering::Sequence,
        CommandBody::Store(body) => body.numbering == Numbering::Sequence,
        CommandBody::Search(Search { numbering, .. }) => *numbering == Numbering::Sequence,
        _ => false,
    };
    Some(if by_number { Expunges::Held } else { Expunges::Told })
}

/// For metrics and spans.
fn name(body: &CommandBody) -> &'static str {
    match body {
        CommandBody::Capability => "CAPABILITY",
        CommandBody::Noop => "NOOP",
        CommandBody::Check => "CHECK",
        CommandBody::Logout => "LOGOUT",
        CommandBody::Id(_) => "ID",
        CommandBody::StartTls => "STARTTLS",
        CommandBody::Login(_) => "LOGIN",
        CommandBody::Authenticate(_) => "AUTHENTICATE",
        CommandBody::Enable(_) => "ENABLE",
        CommandBody::Select(_) => "SELECT",
        CommandBody::Examine(_) => "EXAMINE",
        CommandBody::Create(_) => "CREATE",
        CommandBody::Delete(_) => "DELETE",
        CommandBody::Rename(_) => "RENAME",
        CommandBody::Subscribe(_) => "SUBSCRIBE",
        CommandBody::Unsubscribe(_) => "UNSUBSCRIBE",
        CommandBody::List(_) => "LIST",
        CommandBody::Lsub(_) => "LSUB",
        CommandBody::Namespace => "NAMESPACE",
        CommandBody::Status(_) => "STATUS",
        CommandBody::Idle => "IDLE",
        CommandBody::Close => "CLOSE",
        CommandBody::Unselect => "UNSELECT",
        CommandBody::Expunge(_) => "EXPUNGE",
        CommandBody::Search(_) => "SEARCH",
        CommandBody::Fetch(_) => "FETCH",
        CommandBody::Store(_) => "STORE",
        CommandBody::Copy(_) => "COPY",
        CommandBody::Move(_) => "MOVE",
    }
}
