//! Snapshots' pages: what rows are there now, or gone, that the receiver does not know so. What travels is a number; the
//! rows are in a vault that all databases share.

use std::collections::BTreeMap;
use std::sync::Arc;

use buzon_meta_store::store::Page;
use buzon_model::row::{MessageRow, Tombstone};
use buzon_model::testing::Rows;
use buzon_types::id::MailboxKey;
use buzon_types::uid::Uid;
use bytes::Bytes;
use parking_lot::Mutex;

/// Rows in a page: few, so that a snapshot of a simulation has several.
const PAGE_ROWS: usize = 5;

/// See the module.
#[derive(Default)]
pub(crate) struct Vault(Mutex<Vec<Arc<Piece>>>);

impl Vault {
    pub(super) fn put(&self, piece: Piece) -> Page {
        let mut vault = self.0.lock();
        vault.push(Arc::new(piece));
        Page(Bytes::copy_from_slice(&(vault.len() as u64 - 1).to_be_bytes()))
    }

    pub(super) fn get(&self, page: &Page) -> Option<Arc<Piece>> {
        let number = u64::from_be_bytes(page.0.as_ref().try_into().ok()?);
        self.0.lock().get(usize::try_from(number).ok()?).cloned()
    }
}

/// Rows by their keys; those that are gone are none.
type Changed<V> = BTreeMap<(MailboxKey, Uid), Option<V>>;

/// What a page says.
#[derive(Default)]
pub(super) struct Piece {
    messages: Changed<MessageRow>,
    tombstones: Changed<Tombstone>,
    summaries: Changed<Bytes>,
    /// All rows that are none of these.
    rest: Option<Rows>,
}

/// The next page for a receiver that has some rows already; none if it has all.
pub(super) fn next(has: &Rows, rows: &Rows) -> Option<Piece> {
    let mut room = PAGE_ROWS;
    let mut piece = Piece {
        messages: differ(&has.messages, &rows.messages, &mut room),
        tombstones: differ(&has.tombstones, &rows.tombstones, &mut room),
        summaries: differ(&has.summaries, &rows.summaries, &mut room),
        rest: None,
    };
    if room > 0 {
        piece.rest = Some(rest(rows)).filter(|it| *it != rest(has));
    }
    (room < PAGE_ROWS || piece.rest.is_some()).then_some(piece)
}

fn rest(rows: &Rows) -> Rows {
    let Rows { messages, tombstones, summaries, .. } = Rows::default();
    Rows { messages, tombstones, summaries, ..rows.clone() }
}

fn differ<V: PartialEq + Clone>(
    from: &BTreeMap<(MailboxKey, Uid), V>,
    to: &BTreeMap<(MailboxKey, Uid), V>,
    room: &mut usize,
) -> Changed<V> {
    let there = to.iter().filter(|(key, row)| from.get(key) != Some(row));
    let there = there.map(|(key, row)| (*key, Some(row.clone())));
    let gone = from.keys().filter(|key| !to.contains_key(key)).map(|key| (*key, None));
    let some: Changed<V> = there.chain(gone).take(*room).collect();
    *room -= some.len();
    some
}

/// Takes a page. Twice is as once.
pub(super) fn merge(staged: &mut Rows, piece: &Piece) {
    if let Some(rest) = &piece.rest {
        let messages = std::mem::take(&mut staged.messages);
        let tombstones = std::mem::take(&mut staged.tombstones);
        let summaries = std::mem::take(&mut staged.summaries);
        *staged = Rows { messages, tombstones, summaries, ..rest.clone() };
    }
    put(&mut staged.messages, &piece.messages);
    put(&mut staged.tombstones, &piece.tombstones);
    put(&mut staged.summaries, &piece.summaries);
}

fn put<V: Clone>(staged: &mut BTreeMap<(MailboxKey, Uid), V>, some: &Changed<V>) {
    for (key, row) in some {
        match row {
            Some(row) => drop(staged.insert(*key, row.clone())),
            None => drop(staged.remove(key)),
        }
    }
}
