//! A digest of all rows of a group, equal on both databases and on every replica that stands at the same index
//! (DESIGN D10). It tells mistakes apart, not attacks: FNV-1a with 128 bits.

use std::ops::ControlFlow;

use buzon_model::row::DirectoryCounters;
use buzon_types::id::GroupId;

use crate::cell::{Column, Rows};
use crate::database::Session;
use crate::error::StoreError;
use crate::read::{StoredHead, known_head};
use crate::scan::scan;
use crate::table::Table;

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

struct Digest(u128);

impl Digest {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }

    /// Lengths go first, so that no two rows look alike by where they are cut.
    fn cell(&mut self, bytes: Option<&[u8]>) {
        let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
        self.bytes(&length.to_be_bytes());
        self.bytes(bytes.unwrap_or_default());
    }

    fn number(&mut self, number: Option<i64>) {
        self.cell(number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
    }

    /// Nulls at a row's end are not in it: a column that is added later comes last and is null until it says something,
    /// so versions before and after it have the same digest.
    fn row(&mut self, rows: &Rows, at: usize) {
        let said = rows.columns.iter().rposition(|column| !is_null(column, at)).map_or(0, |last| last + 1);
        for column in &rows.columns[..said] {
            match column {
                Column::Int(cells) => self.number(cells[at]),
                Column::Text(cells) => self.cell(cells[at].as_ref().map(String::as_bytes)),
                Column::Bytes(cells) => self.cell(cells[at].as_deref()),
            }
        }
    }
}

fn is_null(column: &Column, at: usize) -> bool {
    match column {
        Column::Int(cells) => cells[at].is_none(),
        Column::Text(cells) => cells[at].is_none(),
        Column::Bytes(cells) => cells[at].is_none(),
    }
}

/// Digests what a group's state is made of: not the part, and not the log id and membership, which are raft's.
pub(crate) async fn digest(session: &mut impl Session, group: GroupId) -> Result<u128, StoreError> {
    let StoredHead { head, part, time, feature_level, counters, digest: history } =
        known_head(session, group).await?;
    let mut digest = Digest(OFFSET);
    for number in [
        head.applied.index.cast_signed(),
        time.0,
        i64::from(feature_level.0),
        counters.next_tenant.0.cast_signed(),
        counters.next_account.0.cast_signed(),
    ] {
        digest.number(Some(number));
    }
    // Added later: a version that does not know them has the same digest as long as they say nothing.
    let first = DirectoryCounters::default();
    for (name, number, unsaid) in [
        ("next_node", counters.next_node.0, first.next_node.0),
        ("next_group", counters.next_group.0, first.next_group.0),
        ("voters_per_shard", counters.voters_per_shard.into(), first.voters_per_shard.into()),
    ] {
        if number != unsaid {
            digest.cell(Some(name.as_bytes()));
            digest.number(Some(number.cast_signed()));
        }
    }
    if let Some(history) = history {
        digest.cell(Some(b"digest"));
        digest.cell(Some(&history.0.to_be_bytes()));
    }
    let mut visit = |table: &'static Table, rows: &Rows| {
        for at in 0..rows.len() {
            digest.cell(Some(table.name.as_bytes()));
            digest.row(rows, at);
        }
        Ok(ControlFlow::Continue(()))
    };
    let _never_stopped = scan(session, part, &mut visit).await?;
    Ok(digest.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Kind;

    fn digest_of(kinds: &[Kind], numbers: &[Option<i64>]) -> u128 {
        let mut rows = Rows::new(kinds.iter().copied());
        let mut row = rows.row();
        for (kind, number) in kinds.iter().zip(numbers) {
            match kind {
                Kind::Int => row.int_or_null(*number),
                Kind::Text => row.text_or_null(None),
                Kind::Bytes => row.bytes_or_null(None),
            };
        }
        let mut digest = Digest(OFFSET);
        digest.row(&rows, 0);
        digest.0
    }

    #[test]
    fn columns_that_were_added_and_are_null_are_not_in_a_digest() {
        use Kind::{Bytes, Int, Text};
        let before = digest_of(&[Int, Int], &[Some(1), Some(2)]);
        assert_eq!(digest_of(&[Int, Int, Text, Bytes, Int], &[Some(1), Some(2), None, None, None]), before);
        assert_ne!(digest_of(&[Int, Int, Text, Int], &[Some(1), Some(2), None, Some(3)]), before);
        assert_ne!(digest_of(&[Int, Int, Int], &[Some(1), None, Some(2)]), before);
    }
}
