//! Summaries read lately: the next list of the same mailbox costs its rows alone.
//!
//! A message's summary never changes, and its UID is never another's (DESIGN promise 2), so nothing here is ever stale.
//! What exists, and who may see it, its row says, which is always read. Kept in pages of 64 UIDs, of which each is one
//! piece of memory: a lookup and an allocation for each message would cost more than they save.

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

/// UIDs of a page: as many as a word has bits.
const PAGE_UIDS: u32 = u64::BITS;
/// What a page costs beside its bytes.
const PAGE_OVERHEAD_BYTES: usize = 300;

/// See the module; clones share everything.
#[derive(Clone)]
pub(crate) struct SummaryCache {
    pages: Cache<(MailboxKey, u32), Arc<Page>>,
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

impl SummaryCache {
    /// Of so many bytes; with 0 it keeps nothing.
    pub(crate) fn new(bytes_max: u64, meter: &Meter) -> Self {
        let weigh = |_: &(MailboxKey, u32), page: &Arc<Page>| {
            u32::try_from(page.bytes.len() + PAGE_OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let lookups = meter
            .u64_counter("buzon.imap.summary_cache.lookups")
            .with_description("Summaries of messages that a command needed, by whether the cache had them")
            .build();
        [true, false].iter().for_each(|&found| lookups.add(0, &[KeyValue::new("found", found)]));
        Self { pages: Cache::builder().max_capacity(bytes_max).weigher(weigh).build(), lookups }
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
        for (first, last) in uids.runs() {
            let (mut number, last_page) = (page(first), page(last));
            while number <= last_page {
                let known = self.pages.get(&(key, number)).await.map_or(0, |page| page.present);
                let from = first.get().max(number * PAGE_UIDS);
                let to = last.get().min(number * PAGE_UIDS + (PAGE_UIDS - 1));
                let unknown = (from..=to).filter_map(Uid::new).filter(|uid| known >> place(*uid) & 1 == 0);
                unknown.for_each(|uid| missing.push(uid));
                number += 1;
            }
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
