//! Summaries read lately: the next list of the same mailbox costs its rows alone.
//!
//! A message's summary never changes, and its UID is never another's (DESIGN promise 2), so nothing here is ever stale.
//! What exists, and who may see it, its row says, which is always read; a search reads those of what it found. Kept in
//! pages of 64 UIDs, of which each is one piece of memory: a lookup and an allocation for each message would cost more than they save.
//!
//! Searches of a header field look through its values alone, page by page ([`fields`]): these lie beside each other.

mod fields;

use std::sync::Arc;

use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::error::MetaError;
use buzon_model::read::{Columns, MessageRead, ReadAt, Summaries};
use buzon_types::id::{MailboxId, MailboxKey};
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use moka::future::Cache;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use crate::meta_api::{Messages, MetaApi};
use fields::Field;
pub(crate) use fields::{HeaderMatches, Turn};

/// UIDs of a page: as many as a word has bits.
const PAGE_UIDS: u32 = u64::BITS;
/// What a page, or one of its fields, costs beside its bytes.
const PAGE_OVERHEAD_BYTES: usize = 300;
/// Of the bytes that there are, fields get one in so many.
const FIELDS_SHARE: u64 = 8;

/// See the module; clones share everything.
#[derive(Clone)]
pub(crate) struct SummaryCache {
    pages: Cache<(MailboxKey, u32), Arc<Page>>,
    /// By the field's number, too.
    fields: Cache<(MailboxKey, u32, u32), Arc<Field>>,
    lookups: Counter<u64>,
}

/// Summaries of some of 64 UIDs, one after the other.
#[derive(Default)]
struct Page {
    /// A bit for each UID.
    present: u64,
    /// Where that of each of them ends.
    ends: Vec<u32>,
    bytes: Bytes,
}

impl Page {
    fn get(&self, place: u32) -> Option<Bytes> {
        let bit = 1 << place;
        let before = (self.present & (bit - 1)).count_ones() as usize;
        let end = self.ends.get(before).filter(|_| self.present & bit != 0)?;
        let start = before.checked_sub(1).map_or(0, |last| self.ends[last]);
        Some(self.bytes.slice(start as usize..*end as usize))
    }

    /// With what was read now.
    fn with(&self, read: &[MessageRead]) -> Self {
        let mut all: [Option<Bytes>; PAGE_UIDS as usize] =
            std::array::from_fn(|place| self.get(place as u32));
        for message in read {
            if let Some(summary) = &message.summary {
                all[place(message.row.uid) as usize] = Some(summary.clone());
            }
        }
        let mut bytes = BytesMut::with_capacity(all.iter().flatten().map(Bytes::len).sum());
        let (mut present, mut ends) = (0, Vec::new());
        for (place, summary) in all.iter().enumerate() {
            if let Some(summary) = summary {
                bytes.extend_from_slice(summary);
                present |= 1 << place;
                ends.push(bytes.len() as u32);
            }
        }
        Self { present, ends, bytes: bytes.freeze() }
    }
}

fn page(uid: Uid) -> u32 {
    uid.get() / PAGE_UIDS
}

fn place(uid: Uid) -> u32 {
    uid.get() % PAGE_UIDS
}

/// Pages that UIDs are of, ascending, and a bit for each of them.
fn pages(uids: &UidSet) -> impl Iterator<Item = (u32, u64)> + '_ {
    let pieces = uids.runs().flat_map(|(first, last)| {
        (page(first)..=page(last)).map(move |number| {
            let from = if number == page(first) { place(first) } else { 0 };
            let to = if number == page(last) { place(last) } else { PAGE_UIDS - 1 };
            (number, u64::MAX >> (PAGE_UIDS - 1 - to) & u64::MAX << from)
        })
    });
    let mut pieces = pieces.peekable();
    std::iter::from_fn(move || {
        let (number, mut wanted) = pieces.next()?;
        while let Some((_, more)) = pieces.next_if(|(at, _)| *at == number) {
            wanted |= more;
        }
        Some((number, wanted))
    })
}

/// The UIDs that bits of a page stand for, ascending.
fn uids_of(number: u32, bits: u64) -> impl Iterator<Item = Uid> {
    places_of(bits).filter_map(move |place| Uid::new(number * PAGE_UIDS + place))
}

/// The bits that are set, ascending.
fn places_of(bits: u64) -> impl Iterator<Item = u32> {
    let mut rest = bits;
    std::iter::from_fn(move || {
        let place = (rest != 0).then(|| rest.trailing_zeros())?;
        rest &= rest - 1;
        Some(place)
    })
}

impl SummaryCache {
    /// Of so many bytes; with 0 it keeps nothing.
    pub(crate) fn new(bytes_max: u64, meter: &Meter) -> Self {
        let weight = |bytes: usize| u32::try_from(bytes + PAGE_OVERHEAD_BYTES).unwrap_or(u32::MAX);
        let weigh = move |_: &(MailboxKey, u32), page: &Arc<Page>| weight(page.bytes.len());
        let weigh_field = move |_: &(MailboxKey, u32, u32), field: &Arc<Field>| weight(field.bytes());
        let lookups = meter
            .u64_counter("buzon.imap.summary_cache.lookups")
            .with_description("Summaries of messages that a command needed, by whether the cache had them")
            .build();
        [true, false].iter().for_each(|&found| lookups.add(0, &[KeyValue::new("found", found)]));
        let fields_bytes_max = bytes_max / FIELDS_SHARE;
        let pages = Cache::builder().max_capacity(bytes_max - fields_bytes_max).weigher(weigh).build();
        let fields = Cache::builder().max_capacity(fields_bytes_max).weigher(weigh_field).build();
        Self { pages, fields, lookups }
    }

    /// Messages with their summaries, as [`MetaApi::fetch`] reads them.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn fetch(
        &self,
        meta: &Arc<dyn MetaApi>,
        account: &AccountHandle,
        mailbox: MailboxId,
        uids: &UidSet,
        at: ReadAt,
    ) -> Result<Messages, MetaError> {
        let key = account.mailbox(mailbox);
        let missing = self.missing(key, uids).await;
        self.lookups.add(uids.len() - missing.len(), &[KeyValue::new("found", true)]);
        self.lookups.add(missing.len(), &[KeyValue::new("found", false)]);
        let columns = Columns { summaries: Summaries::Of(missing) };
        let rows = meta.fetch(account, mailbox, uids, columns, at).await?;
        let filling =
            Filling { cache: self.clone(), meta: Arc::clone(meta), account: account.clone(), key, at };
        let filled = rows.and_then(move |chunk| {
            let filling = filling.clone();
            async move { filling.fill(chunk).await }
        });
        Ok(filled.boxed())
    }

    async fn missing(&self, key: MailboxKey, uids: &UidSet) -> UidSet {
        let mut missing = UidSet::new();
        for (number, wanted) in pages(uids) {
            let known = self.pages.get(&(key, number)).await.map_or(0, |page| page.present);
            uids_of(number, wanted & !known).for_each(|uid| missing.push(uid));
        }
        missing
    }

    /// Gives messages the summaries that are here and keeps those that came. Returns what is on neither side.
    async fn complete(&self, key: MailboxKey, messages: &mut [MessageRead]) -> UidSet {
        let mut lost = UidSet::new();
        for group in messages.chunk_by_mut(|one, next| page(one.row.uid) == page(next.row.uid)) {
            let number = page(group[0].row.uid);
            let known = self.pages.get(&(key, number)).await.unwrap_or_default();
            let is_new =
                |it: &MessageRead| it.summary.is_some() && known.present >> place(it.row.uid) & 1 == 0;
            if group.iter().any(is_new) {
                self.pages.insert((key, number), Arc::new(known.with(group))).await;
            }
            for message in group.iter_mut().filter(|message| message.summary.is_none()) {
                message.summary = known.get(place(message.row.uid));
                if message.summary.is_none() {
                    lost.push(message.row.uid);
                }
            }
        }
        lost
    }
}

/// What a reading needs to complete its chunks.
#[derive(Clone)]
struct Filling {
    cache: SummaryCache,
    meta: Arc<dyn MetaApi>,
    account: AccountHandle,
    key: MailboxKey,
    at: ReadAt,
}

impl Filling {
    async fn fill(&self, mut messages: Vec<MessageRead>) -> Result<Vec<MessageRead>, MetaError> {
        let lost = self.cache.complete(self.key, &mut messages).await;
        if lost.is_empty() {
            return Ok(messages);
        }
        // Pushed out since the reading began. One whose last trace is gone meanwhile has no summary any more.
        let columns = Columns { summaries: Summaries::All };
        let again = self.meta.fetch(&self.account, self.key.mailbox, &lost, columns, self.at).await?;
        for message in again.try_concat().await? {
            if let Ok(at) = messages.binary_search_by_key(&message.row.uid, |it| it.row.uid) {
                messages[at].summary = message.summary;
            }
        }
        messages.retain(|message| message.summary.is_some());
        Ok(messages)
    }
}

#[cfg(test)]
mod tests;
