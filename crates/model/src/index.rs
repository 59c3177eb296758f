//! The live messages of one mailbox in memory (DESIGN D4): packed rows in blocks, and a ring of recent changes.
//!
//! ```text
//! blocks: [ 1..  512 rows ][ 513.. ][ … ]   each knows its greatest modseq and how many are unseen
//! ring:   (modseq, uid, expunged?) of the last changes, so that a delta costs as much as what changed
//! ```
//! Blocks bound the cost of an expunge at the front of a large mailbox and of finding the first unseen message.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;

use crate::row::MessageRow;

/// Rows in a full block: 40 KiB, so that removing one row moves little and a million messages are 2,000 blocks.
const BLOCK_ROWS_MAX: usize = 512;
/// Changes kept for deltas: two entries of the largest size, 64 KiB.
pub const RING_CHANGES_MAX: usize = 4_096;

/// A [`MessageRow`] in 80 bytes: its keywords are a number in the index's table of combinations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedRow {
    uid: Uid,
    combination: u32,
    key: u32,
    zone_minutes: i16,
    flags: SystemFlags,
    encoding: Encoding,
    modseq: ModSeq,
    seconds: i64,
    saved_at: i64,
    object: [u64; 2],
    offset: u64,
    length: u64,
    size: u64,
}

/// Each combination of keywords that occurs, once: most messages have none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Combinations {
    bits: Vec<u128>,
    numbers: BTreeMap<u128, u32>,
}

#[derive(Debug, Clone, Default)]
struct Block {
    rows: Vec<PackedRow>,
    unseen: usize,
    /// An upper bound: it does not fall when a row goes.
    modseq_max: ModSeq,
}

#[derive(Debug, Clone, Copy)]
struct Recent {
    modseq: ModSeq,
    uid: Uid,
    expunged: bool,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct MailboxIndex {
    blocks: Vec<Block>,
    combinations: Combinations,
    messages: usize,
    recent: VecDeque<Recent>,
    /// Every change above this modseq is in `recent`.
    recent_floor: ModSeq,
}

impl MailboxIndex {
    /// From rows ascending by UID; `modseq` is the mailbox's HIGHESTMODSEQ: what happened up to it is not in the
    /// ring.
    ///
    /// # Panics
    /// If the rows do not ascend.
    pub fn new(rows: &[MessageRow], modseq: ModSeq) -> Self {
        let mut index = Self { recent_floor: modseq, ..Self::default() };
        for (at, row) in rows.iter().enumerate() {
            index.append(row, rows.len() - at);
        }
        index
    }

    /// How many live messages.
    pub fn len(&self) -> usize {
        self.messages
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// One message: logarithmic.
    pub fn get(&self, uid: Uid) -> Option<MessageRow> {
        let (block, at) = self.find(uid)?;
        Some(self.blocks[block].rows[at].unpack(&self.combinations))
    }

    /// Those of `uids` that exist, ascending. Costs what exists plus a search for each run.
    pub fn rows<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = MessageRow> + 'a {
        uids.runs()
            .flat_map(|(first, last)| self.range(first, last))
            .map(|row| row.unpack(&self.combinations))
    }

    /// Every live message, ascending.
    pub fn all(&self) -> impl Iterator<Item = MessageRow> + '_ {
        self.blocks.iter().flat_map(|block| &block.rows).map(|row| row.unpack(&self.combinations))
    }

    /// The live messages as runs: costs the blocks and the runs, not the messages.
    pub fn uids(&self) -> UidSet {
        let mut runs = Vec::new();
        for block in &self.blocks {
            let mut rest = &block.rows[..];
            while let Some(first) = rest.first() {
                // UIDs ascend strictly, so "as far from the first as its place" holds exactly up to a gap.
                let start = first.uid.get();
                let gap = partition(rest, |at, row| (row.uid.get() - start) as usize == at);
                runs.push((first.uid, rest[gap - 1].uid));
                rest = &rest[gap..];
            }
        }
        UidSet::from_runs(runs)
    }

    /// The first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<Uid> {
        let block = self.blocks.iter().find(|block| block.unseen > 0)?;
        block.rows.iter().find(|row| row.is_unseen()).map(|row| row.uid)
    }

    /// Live messages that came or changed after `since`, ascending: costs the changes as far back as the ring
    /// reaches, else a scan of the blocks that changed.
    pub fn changes_since(&self, since: ModSeq) -> Vec<MessageRow> {
        if since < self.recent_floor {
            let blocks = self.blocks.iter().filter(|block| block.modseq_max > since);
            let changed = blocks.flat_map(|block| &block.rows).filter(|row| row.modseq > since);
            return changed.map(|row| row.unpack(&self.combinations)).collect();
        }
        let uids: BTreeSet<Uid> =
            self.recent_after(since).filter(|it| !it.expunged).map(|it| it.uid).collect();
        uids.into_iter().filter_map(|uid| self.get(uid)).collect()
    }

    /// At most so many live messages that came or changed after `since` and have a greater UID than `after`, ascending:
    /// costs the changes as far back as the ring reaches, else a walk over the blocks from there on that changed.
    pub fn changed_after(&self, since: ModSeq, after: Option<Uid>, messages_max: usize) -> Vec<MessageRow> {
        if since >= self.recent_floor {
            let live = self.recent_after(since).filter(|it| !it.expunged && Some(it.uid) > after);
            let uids: BTreeSet<Uid> = live.map(|it| it.uid).collect();
            return uids.into_iter().filter_map(|uid| self.get(uid)).take(messages_max).collect();
        }
        let from = after.map_or(0, |uid| self.block_of(uid)).min(self.blocks.len());
        let blocks = self.blocks[from..].iter().filter(|block| block.modseq_max > since);
        let changed =
            blocks.flat_map(|block| &block.rows).filter(|row| row.modseq > since && Some(row.uid) > after);
        changed.take(messages_max).map(|row| row.unpack(&self.combinations)).collect()
    }

    /// Messages expunged after `since`; `None` when the ring does not reach back that far: ask SQL.
    pub fn expunged_since(&self, since: ModSeq) -> Option<UidSet> {
        (since >= self.recent_floor).then(|| {
            let expunged = self.recent_after(since).filter(|it| it.expunged);
            UidSet::from_runs(expunged.map(|it| (it.uid, it.uid)))
        })
    }

    /// How much memory it takes, nearly.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.messages * size_of::<PackedRow>()
            + self.blocks.len() * size_of::<Block>()
            + self.recent.len() * size_of::<Recent>()
            + self.combinations.bits.len() * 64
    }

    /// A new message.
    ///
    /// # Panics
    /// If its UID is not greater than all before.
    pub(crate) fn add(&mut self, row: &MessageRow) {
        self.append(row, 0);
        self.remember(Recent { modseq: row.modseq, uid: row.uid, expunged: false });
    }

    /// New flags.
    ///
    /// # Panics
    /// If there is no such message.
    pub(crate) fn set_flags(&mut self, uid: Uid, flags: SystemFlags, keywords: KeywordBits, modseq: ModSeq) {
        let (at_block, at) = self.find(uid).expect("flags are set only on messages that decide has seen");
        let combination = self.combinations.number(keywords);
        let block = &mut self.blocks[at_block];
        let row = &mut block.rows[at];
        block.unseen -= usize::from(row.is_unseen());
        (row.flags, row.combination, row.modseq) = (flags, combination, modseq);
        block.unseen += usize::from(row.is_unseen());
        block.modseq_max = block.modseq_max.max(modseq);
        self.remember(Recent { modseq, uid, expunged: false });
    }

    /// Messages become tombstones; those that do not exist are passed over.
    pub(crate) fn expunge(&mut self, uids: &UidSet, modseq: ModSeq) {
        for (first, last) in uids.runs() {
            for uid in self.remove_run(first, last) {
                self.remember(Recent { modseq, uid, expunged: true });
            }
        }
    }

    /// Messages that go without a trace.
    pub(crate) fn remove(&mut self, uids: &UidSet) {
        for (first, last) in uids.runs() {
            self.remove_run(first, last);
        }
    }

    /// A message of a mailbox that is on its way here, new or as it is by now; what happened to it before is not in the
    /// ring. False if it has no place: the index is of no use then.
    #[must_use]
    pub(crate) fn put(&mut self, row: &MessageRow) -> bool {
        if let Some((at_block, at)) = self.find(row.uid) {
            let packed = PackedRow::pack(row, &mut self.combinations);
            let block = &mut self.blocks[at_block];
            block.unseen -= usize::from(block.rows[at].is_unseen());
            block.unseen += usize::from(packed.is_unseen());
            block.modseq_max = block.modseq_max.max(packed.modseq);
            block.rows[at] = packed;
        } else if self.blocks.last().and_then(|block| block.rows.last()).is_none_or(|last| last.uid < row.uid)
        {
            self.append(row, 0);
        } else {
            return false;
        }
        self.forget_changes(row.modseq);
        true
    }

    /// Nothing is known any more of what was changed up to a modseq.
    pub(crate) fn forget_changes(&mut self, upto: ModSeq) {
        self.recent_floor = self.recent_floor.max(upto);
        while self.recent.front().is_some_and(|oldest| oldest.modseq <= upto) {
            self.recent.pop_front();
        }
    }

    /// A block that begins gets room for so many rows.
    fn append(&mut self, row: &MessageRow, rows: usize) {
        let last = self.blocks.last().and_then(|block| block.rows.last());
        assert!(last.is_none_or(|last| last.uid < row.uid), "UIDs ascend: {} comes late", row.uid);
        if self.blocks.last().is_none_or(|block| block.rows.len() >= BLOCK_ROWS_MAX) {
            let rows = Vec::with_capacity(rows.min(BLOCK_ROWS_MAX));
            self.blocks.push(Block { rows, ..Block::default() });
        }
        let packed = PackedRow::pack(row, &mut self.combinations);
        let block = self.blocks.last_mut().expect("a block was pushed if there was none");
        block.unseen += usize::from(packed.is_unseen());
        block.modseq_max = block.modseq_max.max(packed.modseq);
        block.rows.push(packed);
        self.messages += 1;
    }

    /// Removes what lies in a run, from the affected blocks only; emptied blocks go, small neighbours merge.
    fn remove_run(&mut self, first: Uid, last: Uid) -> Vec<Uid> {
        let mut removed = Vec::new();
        let start = self.block_of(first);
        let mut end = start;
        while let Some(block) = self.blocks.get_mut(end).filter(|block| block.first() <= Some(last)) {
            let from = block.rows.partition_point(|row| row.uid < first);
            let to = block.rows.partition_point(|row| row.uid <= last);
            for row in block.rows.drain(from..to) {
                block.unseen -= usize::from(row.is_unseen());
                removed.push(row.uid);
            }
            end += 1;
        }
        self.messages -= removed.len();
        if !removed.is_empty() {
            self.tidy(start, end);
        }
        removed
    }

    /// Drops empty blocks among `start..end` and merges the first one left there into the one before if both fit
    /// in half a block, so that scattered expunges leave no trail of tiny blocks.
    fn tidy(&mut self, start: usize, end: usize) {
        let kept: Vec<Block> = self.blocks.drain(start..end).filter(|block| !block.rows.is_empty()).collect();
        self.blocks.splice(start..start, kept);
        for at in [start + 1, start] {
            let fits = |a: &Block, b: &Block| a.rows.len() + b.rows.len() <= BLOCK_ROWS_MAX / 2;
            if at > 0 && at < self.blocks.len() && fits(&self.blocks[at - 1], &self.blocks[at]) {
                let right = self.blocks.remove(at);
                let left = &mut self.blocks[at - 1];
                left.unseen += right.unseen;
                left.modseq_max = left.modseq_max.max(right.modseq_max);
                left.rows.extend(right.rows);
            }
        }
    }

    fn remember(&mut self, change: Recent) {
        if self.recent.len() == RING_CHANGES_MAX
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_floor = oldest.modseq;
        }
        self.recent.push_back(change);
    }

    fn recent_after(&self, since: ModSeq) -> impl Iterator<Item = &Recent> {
        let after = self.recent.partition_point(|it| it.modseq <= since);
        self.recent.range(after..)
    }

    /// The block that holds `uid`, or would.
    fn block_of(&self, uid: Uid) -> usize {
        self.blocks.partition_point(|block| block.first() <= Some(uid)).saturating_sub(1)
    }

    fn find(&self, uid: Uid) -> Option<(usize, usize)> {
        let block = self.block_of(uid);
        let at = self.blocks.get(block)?.rows.binary_search_by_key(&uid, |row| row.uid).ok()?;
        Some((block, at))
    }

    fn range(&self, first: Uid, last: Uid) -> impl Iterator<Item = &PackedRow> {
        let blocks = self.blocks[self.block_of(first).min(self.blocks.len())..].iter();
        let inside = move |block: &&Block| block.first() <= Some(last);
        blocks.take_while(inside).flat_map(move |block| {
            let from = block.rows.partition_point(|row| row.uid < first);
            let to = block.rows.partition_point(|row| row.uid <= last);
            &block.rows[from..to]
        })
    }
}

impl Block {
    fn first(&self) -> Option<Uid> {
        self.rows.first().map(|row| row.uid)
    }
}

impl Combinations {
    fn number(&mut self, keywords: KeywordBits) -> u32 {
        if self.bits.first() == Some(&keywords.0) {
            return 0; // as most are
        }
        *self.numbers.entry(keywords.0).or_insert_with(|| {
            self.bits.push(keywords.0);
            (self.bits.len() - 1) as u32
        })
    }

    fn bits(&self, number: u32) -> KeywordBits {
        KeywordBits(self.bits[number as usize])
    }
}

impl PackedRow {
    pub(crate) fn pack(row: &MessageRow, combinations: &mut Combinations) -> Self {
        Self {
            uid: row.uid,
            combination: combinations.number(row.keywords),
            key: row.body.key.0,
            zone_minutes: row.internal_date.zone_minutes,
            flags: row.flags,
            encoding: row.body.encoding,
            modseq: row.modseq,
            seconds: row.internal_date.seconds,
            saved_at: row.saved_at.0,
            object: [(row.body.object.0 >> 64) as u64, row.body.object.0 as u64],
            offset: row.body.offset,
            length: row.body.length,
            size: row.size,
        }
    }

    pub(crate) fn unpack(&self, combinations: &Combinations) -> MessageRow {
        MessageRow {
            uid: self.uid,
            flags: self.flags,
            keywords: combinations.bits(self.combination),
            modseq: self.modseq,
            size: self.size,
            internal_date: InternalDate { seconds: self.seconds, zone_minutes: self.zone_minutes },
            saved_at: Timestamp(self.saved_at),
            body: BodyRef {
                object: ObjectId(u128::from(self.object[0]) << 64 | u128::from(self.object[1])),
                offset: self.offset,
                length: self.length,
                encoding: self.encoding,
                key: KeyId(self.key),
            },
        }
    }

    fn is_unseen(&self) -> bool {
        !self.flags.contains(SystemFlags::SEEN)
    }
}

/// The first place at which `holds` fails, if it never holds again after.
fn partition(rows: &[PackedRow], holds: impl Fn(usize, &PackedRow) -> bool) -> usize {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle, &rows[middle]) { low = middle + 1 } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests;
