//! Snapshots' pages: some of the rows each. What travels is a number; the rows are in a vault that all databases share.

use std::sync::Arc;

use buzon_meta_store::store::Page;
use buzon_model::testing::Rows;
use bytes::Bytes;
use parking_lot::Mutex;

/// Messages in a page: few, so that a snapshot of a simulation has several.
const PAGE_ROWS: usize = 32;

/// See the module.
#[derive(Default)]
pub(crate) struct Vault(Mutex<Vec<Arc<Rows>>>);

impl Vault {
    pub(super) fn put(&self, rows: Rows) -> Page {
        let mut vault = self.0.lock();
        vault.push(Arc::new(rows));
        Page(Bytes::copy_from_slice(&(vault.len() as u64 - 1).to_be_bytes()))
    }

    pub(super) fn get(&self, page: &Page) -> Option<Arc<Rows>> {
        let number = u64::from_be_bytes(page.0.as_ref().try_into().ok()?);
        self.0.lock().get(usize::try_from(number).ok()?).cloned()
    }
}

/// Rows in pieces. The first has all but messages.
pub(super) fn split(rows: &Rows) -> Vec<Rows> {
    let mut first = rows.clone();
    let (messages, tombstones) = (std::mem::take(&mut first.messages), std::mem::take(&mut first.tombstones));
    let summaries = std::mem::take(&mut first.summaries);
    let mut pieces = vec![first];
    let messages: Vec<_> = messages.into_iter().collect();
    for some in messages.chunks(PAGE_ROWS) {
        let messages = some.iter().cloned().collect();
        pieces.push(Rows { messages, ..Rows::default() });
    }
    let tombstones: Vec<_> = tombstones.into_iter().collect();
    for some in tombstones.chunks(PAGE_ROWS) {
        let tombstones = some.iter().cloned().collect();
        pieces.push(Rows { tombstones, ..Rows::default() });
    }
    let summaries: Vec<_> = summaries.into_iter().collect();
    for some in summaries.chunks(PAGE_ROWS) {
        let summaries = some.iter().cloned().collect();
        pieces.push(Rows { summaries, ..Rows::default() });
    }
    pieces
}

/// Adds a piece to those that came before it.
pub(super) fn merge(staged: &mut Rows, piece: &Rows) {
    let Rows { messages, tombstones, summaries, .. } = piece;
    if messages.is_empty() && tombstones.is_empty() && summaries.is_empty() {
        *staged = piece.clone();
    } else {
        staged.messages.extend(messages.iter().map(|(key, row)| (*key, *row)));
        staged.tombstones.extend(tombstones.iter().map(|(key, row)| (*key, *row)));
        staged.summaries.extend(summaries.iter().map(|(key, row)| (*key, row.clone())));
    }
}
