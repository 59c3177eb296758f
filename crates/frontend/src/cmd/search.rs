//! SEARCH and UID SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5182, RFC 7162 §3.1.5, RFC 5032).
//!
//! ```text
//! keys ─ compile ─▶ one set, or a tree ─?▶ by index rows ─?▶ by cached fields ─?▶ by summaries ─?▶ by headers ─?▶ by bodies
//! ```
//! Each stage decides what it can (three-valued: yes, no, not yet); only what is open goes on to the next, dearer one.
//! Other sessions of the thread get their turn every few messages, and a search ends after [`SEARCH_MAX`]: also one
//! whose client is gone, since nothing is read from it meanwhile.

mod compile;
mod evaluate;
mod headers;

use std::sync::Arc;
use std::time::Duration;

use buzon_imap::command::search::{Search, SearchReturn};
use buzon_imap::command::{Numbering, Tag};
use buzon_imap::response::code::Code;
use buzon_imap::response::search::{Esearch, SearchNumbers};
use buzon_imap::response::{Condition, Response, Status};
use buzon_message::search::Needle;
use buzon_message::searched::Searched;
use buzon_message::summary::Summary;
use buzon_model::read::{Columns, MessageRead};
use buzon_types::id::AccountId;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::ctx::{Ctx, Done, Services};
use crate::rescue::CommandError;
use crate::selected::Selected;
use compile::{Key, Stage, compile};
use evaluate::{Known, evaluate, wants_header};

/// Bodies that are searched at one time.
const BODIES_MAX: usize = 4;
/// Messages whose summaries are asked for in one request, so that what is open stays bounded.
const SUMMARIES_TOGETHER_MAX: u32 = 2_000;

/// Bytes of summaries that are looked at in one go, those that several keys look at several times: a millisecond or so.
const SUMMARY_BYTES_TOGETHER_MAX: usize = 1 << 20;
/// Index rows that are looked at in one go: some milliseconds with four thousand keys.
const ROWS_TOGETHER_MAX: usize = 64;
/// A message of no more bytes, times the keys that look at it, is searched in place: waking another thread, and being woken
/// by it, takes as long as decoding some KiB. The oddest of messages, all short lines of 8-bit bytes, take much longer for each
/// byte; so few of these should still be a millisecond or two (estimated, not measured).
const IN_PLACE_BYTES_MAX: u64 = 8 << 10;
/// A search of every body of a large mailbox may take this long; clients have given up by then.
const SEARCH_MAX: Duration = Duration::from_secs(5 * 60);

/// What was found by looking at messages.
#[derive(Debug, Default)]
struct Found {
    uids: Vec<Uid>,
    first: Option<(Uid, ModSeq)>,
    last: Option<(Uid, ModSeq)>,
    /// The greatest of all.
    modseq: ModSeq,
}

pub(crate) async fn run(ctx: &mut Ctx, tag: &Tag, body: Search) -> Result<Done, CommandError> {
    let saves = body.returns.is_some_and(|returns| returns.save);
    let until = Instant::now() + SEARCH_MAX;
    let too_long = || CommandError::no(Code::Limit, "search takes too long, please ask for less");
    let result = timeout_at(until, search(ctx, &body, until)).await.unwrap_or_else(|_| Err(too_long()));
    let (uids, found) = match result {
        Ok(found) => found,
        Err(error) => {
            // `$` must not stand for what an earlier search found, unless the command was BAD (RFC 9051 §6.4.4.1).
            if saves && !is_bad(&error) {
                ctx.selected_mut()?.save(UidSet::new());
            }
            return Err(error);
        }
    };
    if let Some(returns) = body.returns.filter(|returns| returns.save) {
        ctx.selected_mut()?.save(saved(&uids, returns));
    }
    let modseq = compile::asks_modseq(&body.keys).then(|| found.modseq(body.returns));
    if let Some(response) = respond(ctx, tag, &body, &uids, modseq)? {
        ctx.put(response);
    }
    Ok(Status::ok(tag, "Done").into())
}

fn is_bad(error: &CommandError) -> bool {
    matches!(error, CommandError::Refused { condition: Condition::Bad, .. })
}

/// Only MIN or MAX or both were asked for.
fn only_ends(returns: SearchReturn) -> bool {
    (returns.min || returns.max) && !returns.all && !returns.count
}

/// With MIN or MAX alone only these are kept (RFC 9051 §6.4.4.2).
fn saved(found: &UidSet, returns: SearchReturn) -> UidSet {
    if !only_ends(returns) {
        return found.clone();
    }
    let min = found.first().filter(|_| returns.min);
    let max = found.last().filter(|_| returns.max);
    min.into_iter().chain(max).collect()
}

async fn search(ctx: &mut Ctx, body: &Search, until: Instant) -> Result<(UidSet, Found), CommandError> {
    let key = compile(&body.keys, body.charset.as_deref(), ctx.selected()?).await?;
    // MODSEQ switches CONDSTORE on (RFC 7162 §3.1).
    let modseq_asked = compile::asks_modseq(&body.keys);
    if modseq_asked {
        ctx.enable_condstore();
    }
    let candidates = key.narrow(&ctx.selected()?.present());
    if key.stage() == Stage::View && !modseq_asked {
        return Ok((candidates, Found::default()));
    }
    let mut found = Found::default();
    let mut open = by_rows(ctx, &key, candidates, &mut found).await?;
    let (key, has_decided) = headers::decide(ctx, key, &open).await?;
    if has_decided {
        // Fields tell of messages that may be gone by now: those that are found are asked for.
        open = by_rows(ctx, &key, key.narrow(&open), &mut found).await?;
    }
    let key = Arc::new(key);
    for part in open.chunks(SUMMARIES_TOGETHER_MAX) {
        by_contents(ctx, &key, &part, until, &mut found).await?;
    }
    let uids = found.uids.iter().copied().collect();
    Ok((uids, found))
}

/// Goes through the index, if that may decide something; returns what only more can decide.
async fn by_rows(
    ctx: &Ctx,
    key: &Key,
    candidates: UidSet,
    found: &mut Found,
) -> Result<UidSet, CommandError> {
    let mut open = Vec::new();
    if candidates.is_empty() || (key.stage() > Stage::Row && !key.asks_rows()) {
        return Ok(candidates);
    }
    let (meta, account) = (&ctx.services.meta, &ctx.account()?.handle);
    let (mailbox, at) = (ctx.selected()?.key.mailbox, ctx.read_at()?);
    let mut chunks = meta.fetch(account, mailbox, &candidates, Columns::default(), at).await?;
    while let Some(chunk) = chunks.next().await {
        for (at, message) in chunk?.into_iter().enumerate() {
            if at % ROWS_TOGETHER_MAX == ROWS_TOGETHER_MAX - 1 {
                tokio::task::yield_now().await;
            }
            match evaluate(key, &Known::row(&message.row)) {
                _ if message.expunged => {}
                Some(true) => found.add(&message),
                Some(false) => {}
                None => open.push(message.row.uid),
            }
        }
    }
    Ok(open.into_iter().collect())
}

/// Reads summaries, and bodies where these do not decide.
async fn by_contents(
    ctx: &Ctx,
    key: &Arc<Key>,
    open: &UidSet,
    until: Instant,
    found: &mut Found,
) -> Result<(), CommandError> {
    let Services { meta, summaries, .. } = &*ctx.services;
    let (account, mailbox) = (&ctx.account()?.handle, ctx.selected()?.key.mailbox);
    let mut chunks = summaries.fetch(meta, account, mailbox, open, ctx.read_at()?).await?;
    let (leaves, mut looked_at) = (key.leaves(), 0);
    while let Some(chunk) = chunks.next().await {
        let mut unread = Vec::new();
        for message in chunk?.into_iter().filter(|message| !message.expunged) {
            // A summary is up to 64 KiB, and each key may go through all of it.
            looked_at += leaves * message.summary.as_ref().map_or(0, Bytes::len);
            if looked_at > SUMMARY_BYTES_TOGETHER_MAX {
                looked_at = 0;
                tokio::task::yield_now().await;
            }
            let summary = Searched::decode(message.summary.clone().unwrap_or_default())?;
            match evaluate(key, &Known::summary(&message.row, &summary)) {
                Some(true) => found.add(&message),
                Some(false) => {}
                None => unread.push((message, summary)),
            }
        }
        let (services, account) = (&*ctx.services, ctx.account()?.handle.account);
        let reader = Reader { services, account, key, leaves: leaves as u64, until };
        let mut read = stream::iter(unread)
            .map(|(message, summary)| reader.decide(message, summary))
            .buffer_unordered(BODIES_MAX);
        while let Some(hit) = read.next().await {
            if let Some(message) = hit? {
                found.add(&message);
            }
        }
    }
    Ok(())
}

/// Reads messages to decide what is still open.
struct Reader<'a> {
    services: &'a Services,
    account: AccountId,
    key: &'a Arc<Key>,
    leaves: u64,
    until: Instant,
}

impl Reader<'_> {
    /// The message if it is found; its header is read before the rest if that may spare the rest.
    async fn decide(
        &self,
        message: MessageRead,
        searched: Searched,
    ) -> Result<Option<MessageRead>, CommandError> {
        let size = message.row.size;
        let mut decided = None;
        if wants_header(self.key, &Known::summary(&message.row, &searched)) {
            let header = searched.header_end().min(size);
            decided = self.evaluate(&message, searched.clone(), None, header).await?;
        }
        if decided.is_none() {
            let parts = Summary::decode(message.summary.clone().unwrap_or_default())?;
            decided = self.evaluate(&message, searched, Some(parts), size).await?;
        }
        Ok((decided == Some(true)).then_some(message))
    }

    /// Decides by the first bytes of a message, which are all of it if its parts are given. Long ones on a thread of
    /// their own: decoding 50 MB takes a while.
    async fn evaluate(
        &self,
        message: &MessageRead,
        searched: Searched,
        parts: Option<Summary>,
        bytes: u64,
    ) -> Result<Option<bool>, CommandError> {
        let Services { options, search_budget, bodies, .. } = self.services;
        let mut memory = search_budget.reserve_for(self.account, options.append_bytes_max);
        // One that came by another way may be larger than all there is.
        let reserved = memory.wait_for(bytes.min(memory.bytes_max())).await;
        reserved.map_err(|error| CommandError::no(Code::Unavailable, error.to_string()))?;
        let body = &message.row.body;
        let content =
            if bytes == body.length { bodies.get(body).await? } else { bodies.range(body, 0..bytes).await? };
        let (key, row, until) = (Arc::clone(self.key), message.row, self.until);
        let search = move || {
            let _memory = memory; // held until the thread is done, whoever still waits for it
            let known = Known::bytes(&row, &searched, &content, until);
            match &parts {
                Some(parts) => evaluate(&key, &known.whole(&content, parts)),
                None => evaluate(&key, &known),
            }
        };
        if bytes.saturating_mul(self.leaves) > IN_PLACE_BYTES_MAX {
            return tokio::task::spawn_blocking(search).await.map_err(|_| CommandError::State);
        }
        let decided = search();
        tokio::task::yield_now().await;
        Ok(decided)
    }
}

impl Found {
    fn add(&mut self, message: &MessageRead) {
        let this = (message.row.uid, message.row.modseq);
        self.uids.push(this.0);
        self.first = Some(self.first.map_or(this, |first| first.min(this)));
        self.last = Some(self.last.map_or(this, |last| last.max(this)));
        self.modseq = self.modseq.max(this.1);
    }

    /// With MIN or MAX alone, that of these messages; else the greatest of all (RFC 4731 §3.2).
    fn modseq(&self, returns: Option<SearchReturn>) -> ModSeq {
        let Some(returns) = returns.filter(|returns| only_ends(*returns)) else { return self.modseq };
        let min = self.first.filter(|_| returns.min);
        let max = self.last.filter(|_| returns.max);
        min.into_iter().chain(max).map(|(_, modseq)| modseq).max().unwrap_or_default()
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
