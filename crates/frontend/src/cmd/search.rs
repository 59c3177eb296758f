//! SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5, RFC 5032).
//!
//! ```text
//! keys ─ compile ─▶ tree ─▶ by the view alone ─?▶ by index rows ─?▶ by summaries ─?▶ by bodies (a few at a time)
//! ```
//! Each stage decides what it can (three-valued: yes, no, not yet); only what is open goes on to the next, dearer one.

mod compile;
mod evaluate;

use std::sync::Arc;

use buzon_imap::command::search::{Search, SearchReturn};
use buzon_imap::command::{Numbering, Tag};
use buzon_imap::response::code::Code;
use buzon_imap::response::search::{Esearch, SearchNumbers};
use buzon_imap::response::{Response, Status};
use buzon_message::search::Needle;
use buzon_message::summary::Summary;
use buzon_model::read::{Columns, MessageRead};
use buzon_types::id::AccountId;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use futures::stream::{self, StreamExt};

use crate::ctx::{Ctx, Done, Services};
use crate::rescue::CommandError;
use crate::selected::Selected;
use compile::{Key, Stage, compile};
use evaluate::{Known, evaluate};

/// Bodies that are searched at one time.
const BODIES_MAX: usize = 4;
/// Messages whose summaries are asked for in one request, so that what is open stays bounded.
const SUMMARIES_TOGETHER_MAX: u32 = 2_000;

/// What was found.
#[derive(Debug, Default)]
struct Found {
    uids: Vec<Uid>,
    /// The greatest among them.
    modseq: ModSeq,
}

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: Search) -> Result<Done, CommandError> {
    let saves = body.returns.is_some_and(|returns| returns.save);
    let found = match search(ctx, &body).await {
        Ok(found) => found,
        Err(error) => {
            // `$` must not stand for what an earlier search found (RFC 9051 §6.4.4.1).
            if saves {
                ctx.selected_mut()?.save(UidSet::new());
            }
            return Err(error);
        }
    };
    let uids: UidSet = found.uids.iter().copied().collect();
    if let Some(returns) = body.returns.filter(|returns| returns.save) {
        ctx.selected_mut()?.save(saved(&uids, returns));
    }
    let modseq = compile::asks_modseq(&body.keys).then_some(found.modseq);
    if let Some(response) = respond(ctx, tag, &body, &uids, modseq)? {
        ctx.put(response);
    }
    Ok(Status::ok(tag, "Done").into())
}

/// With MIN or MAX alone only these are kept (RFC 9051 §6.4.4.2).
fn saved(found: &UidSet, returns: SearchReturn) -> UidSet {
    let only_ends = (returns.min || returns.max) && !returns.all && !returns.count;
    if !only_ends {
        return found.clone();
    }
    let min = found.first().filter(|_| returns.min);
    let max = found.last().filter(|_| returns.max);
    min.into_iter().chain(max).collect()
}

async fn search(ctx: &mut Ctx, body: &Search) -> Result<Found, CommandError> {
    let key = {
        let selected = ctx.selected()?;
        Arc::new(compile(&body.keys, body.charset.as_deref(), selected)?)
    };
    // MODSEQ switches CONDSTORE on (RFC 7162 §3.1).
    let modseq_asked = compile::asks_modseq(&body.keys);
    ctx.enabled.condstore |= modseq_asked;
    let selected = ctx.selected()?;
    let candidates = key.narrow(&selected.present());
    let stage = key.stage().max(if modseq_asked { Stage::Row } else { Stage::View });
    if stage == Stage::View {
        let uids = candidates.iter().filter(|uid| evaluate(&key, &Known::view(*uid)) == Some(true)).collect();
        return Ok(Found { uids, modseq: ModSeq::ZERO });
    }
    let (mut found, open) = by_rows(ctx, &key, &candidates).await?;
    for part in open.chunks(SUMMARIES_TOGETHER_MAX) {
        by_contents(ctx, &key, &part, &mut found).await?;
    }
    found.uids.sort_unstable();
    Ok(found)
}

/// Goes through the index; returns what only more can decide.
async fn by_rows(ctx: &Ctx, key: &Key, candidates: &UidSet) -> Result<(Found, UidSet), CommandError> {
    let (mut found, mut open) = (Found::default(), Vec::new());
    if candidates.is_empty() {
        return Ok((found, UidSet::new()));
    }
    let mut chunks = fetch(ctx, candidates, Columns::default()).await?;
    while let Some(chunk) = chunks.next().await {
        for message in chunk? {
            match evaluate(key, &Known::row(&message.row)) {
                _ if message.expunged => {}
                Some(true) => found.add(&message),
                Some(false) => {}
                None => open.push(message.row.uid),
            }
        }
    }
    Ok((found, open.into_iter().collect()))
}

/// Reads summaries, and bodies where these do not decide.
async fn by_contents(
    ctx: &Ctx,
    key: &Arc<Key>,
    open: &UidSet,
    found: &mut Found,
) -> Result<(), CommandError> {
    let mut chunks = fetch(ctx, open, Columns { summary: true }).await?;
    while let Some(chunk) = chunks.next().await {
        let mut unread = Vec::new();
        for message in chunk?.into_iter().filter(|message| !message.expunged) {
            let summary = Summary::decode(message.summary.clone().unwrap_or_default())?;
            match evaluate(key, &Known::summary(&message.row, &summary)) {
                Some(true) => found.add(&message),
                Some(false) => {}
                None => unread.push((message, summary)),
            }
        }
        let (services, account) = (&ctx.services, ctx.account()?.handle.account);
        let mut read = stream::iter(unread)
            .map(|(message, summary)| read_and_evaluate(services, account, Arc::clone(key), message, summary))
            .buffer_unordered(BODIES_MAX);
        while let Some(hit) = read.next().await {
            if let Some(message) = hit? {
                found.add(&message);
            }
        }
    }
    Ok(())
}

/// A body is searched on a thread of its own: decoding 50 MB takes a while.
async fn read_and_evaluate(
    services: &Services,
    account: AccountId,
    key: Arc<Key>,
    message: MessageRead,
    summary: Summary,
) -> Result<Option<MessageRead>, CommandError> {
    let mut memory = services.search_budget.reserve_for(account, services.options.append_bytes_max);
    // One that came by another way may be larger than all there is.
    let reserved = memory.wait_for(message.row.size.min(memory.bytes_max())).await;
    reserved.map_err(|error| CommandError::no(Code::Unavailable, error.to_string()))?;
    let body = services.bodies.get(&message.row.body).await?;
    let row = message.row;
    let search = move || evaluate(&key, &Known::body(&row, &summary, &body));
    let decided = tokio::task::spawn_blocking(search).await.map_err(|_| CommandError::State)?;
    Ok((decided == Some(true)).then_some(message))
}

async fn fetch(
    ctx: &Ctx,
    uids: &UidSet,
    columns: Columns,
) -> Result<crate::meta_api::Messages, CommandError> {
    let (account, mailbox) = (&ctx.account()?.handle, ctx.selected()?.key.mailbox);
    Ok(ctx.services.meta.fetch(account, mailbox, uids, columns, ctx.read_at()?).await?)
}

impl Found {
    fn add(&mut self, message: &MessageRead) {
        self.uids.push(message.row.uid);
        self.modseq = self.modseq.max(message.row.modseq);
    }
}

/// `None` where nothing but the saving was wanted.
fn respond(
    ctx: &Ctx,
    tag: &Tag,
    body: &Search,
    found: &UidSet,
    modseq: Option<ModSeq>,
) -> Result<Option<Response>, CommandError> {
    let selected = ctx.selected()?;
    let runs = runs(selected, body.numbering, found);
    let modseq = modseq.filter(|_| !found.is_empty());
    let returns = match body.returns {
        Some(returns) => returns,
        None if ctx.enabled.rev2 => SearchReturn { all: true, ..SearchReturn::default() },
        None => {
            let numbers = runs.into_iter().flat_map(|(first, last)| first..=last).collect();
            return Ok(Some(Response::Search(SearchNumbers { numbers, modseq })));
        }
    };
    if !(returns.min || returns.max || returns.all || returns.count) {
        return Ok(None);
    }
    Ok(Some(Response::Esearch(Esearch {
        tag: tag.clone(),
        numbering: body.numbering,
        min: runs.first().map(|run| run.0).filter(|_| returns.min),
        max: runs.last().map(|run| run.1).filter(|_| returns.max),
        count: returns.count.then(|| runs.iter().map(|(first, last)| last - first + 1).sum()),
        all: if returns.all { runs } else { Vec::new() },
        modseq,
    })))
}

/// In the numbers that were asked for.
fn runs(selected: &Selected, numbering: Numbering, found: &UidSet) -> Vec<(u32, u32)> {
    match numbering {
        Numbering::Uid => found.runs().map(|(first, last)| (first.get(), last.get())).collect(),
        Numbering::Sequence => {
            selected.number_runs(found).into_iter().map(|(first, last)| (first.get(), last.get())).collect()
        }
    }
}

/// For charsets that nobody knows.
fn bad_charset() -> CommandError {
    let known = ["US-ASCII", "UTF-8"].map(std::borrow::Cow::Borrowed).to_vec();
    CommandError::no(Code::BadCharset(known), "charset is not known, or the text is not in it")
}

/// A text of the search as what is looked for.
fn needle(charset: Option<&str>, text: &[u8]) -> Result<Needle, CommandError> {
    let decoded = match charset {
        None => std::str::from_utf8(text).ok().map(str::to_owned),
        Some(charset) => buzon_message::charset::to_utf8(charset, text),
    };
    decoded.map(|text| Needle::new(&text)).ok_or_else(bad_charset)
}
