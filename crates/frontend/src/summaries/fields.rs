//! One header field of a page of summaries: its values, made ready when a search first asks for them.

use std::sync::Arc;

use buzon_message::search::Needle;
use buzon_message::search::column::HeaderColumn;
use buzon_message::searched::Searched;
use buzon_types::id::MailboxKey;
use buzon_types::uid_set::UidSet;

use super::{Page, SummaryCache, pages, places_of, uids_of};

/// Bytes that are looked through before other sessions of the thread get their turn: a tenth of a millisecond or so.
const BYTES_TOGETHER_MAX: usize = 1 << 20;
/// A page counts for so many more.
const PAGE_BYTES: usize = 1 << 10;

/// What was looked through since others had their turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    bytes: usize,
}

impl Turn {
    async fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > BYTES_TOGETHER_MAX {
            self.bytes = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// What is known of a header key without reading anything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderMatches {
    /// Messages that fulfil it.
    pub(crate) found: UidSet,
    /// Those of which nothing is known; the others do not.
    pub(crate) open: UidSet,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// The messages that had a summary when it was made: a bit for each UID.
    seen: u64,
    /// Those of them whose summaries certainly have all fields of this name.
    told: u64,
    /// Theirs, in this order.
    values: HeaderColumn,
}

impl Field {
    fn of(page: &Page, name: &str) -> Self {
        let mut field = Self { seen: page.present, ..Self::default() };
        for place in places_of(page.present) {
            // One that is damaged is an error of who reads it.
            let searched = page.get(place).and_then(|summary| Searched::decode(summary).ok());
            if let Some(lines) = searched.as_ref().and_then(|searched| searched.header_lines(name.as_bytes()))
            {
                field.told |= 1 << place;
                field.values.add(lines, name.as_bytes());
            }
        }
        field.values.shrink();
        field
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.values.bytes()
    }

    /// A bit for each message that holds it.
    fn matching(&self, needle: &Needle) -> u64 {
        let mut told = places_of(self.told).enumerate();
        let places = self.values.matches(needle);
        let places = places.filter_map(|at| told.find(|(number, _)| *number == at).map(|(_, place)| place));
        places.fold(0, |bits, place| bits | 1 << place)
    }
}

impl SummaryCache {
    /// Which of these messages have a field of this name that holds it, as far as summaries that are here tell.
    pub(crate) async fn search_header(
        &self,
        key: MailboxKey,
        uids: &UidSet,
        (name, needle): (&str, &Needle),
        turn: &mut Turn,
    ) -> HeaderMatches {
        let mut matches = HeaderMatches::default();
        let Some(number) = Searched::field_number(name.as_bytes()) else {
            matches.open = uids.clone();
            return matches;
        };
        for (page, wanted) in pages(uids) {
            let field = self.field((key, page, number), wanted, name).await;
            turn.add(PAGE_BYTES + field.bytes()).await;
            let found = wanted & field.matching(needle);
            uids_of(page, found).for_each(|uid| matches.found.push(uid));
            uids_of(page, wanted & !field.told).for_each(|uid| matches.open.push(uid));
        }
        matches
    }

    /// With as many of the wanted messages as have summaries here.
    async fn field(&self, id: (MailboxKey, u32, u32), wanted: u64, name: &str) -> Arc<Field> {
        let known = self.fields.get(&id).await.unwrap_or_default();
        if wanted & !known.seen == 0 {
            return known;
        }
        match self.pages.get(&(id.0, id.1)).await {
            Some(page) if wanted & page.present & !known.seen != 0 => {
                let field = Arc::new(Field::of(&page, name));
                self.fields.insert(id, Arc::clone(&field)).await;
                // 64 summaries were looked through, of 64 KiB each at worst.
                tokio::task::yield_now().await;
                field
            }
            _ => known,
        }
    }
}
