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

    fn row(&mut self, rows: &Rows, at: usize) {
        for column in &rows.columns {
            match column {
                Column::Int(cells) => self.number(cells[at]),
                Column::Text(cells) => self.cell(cells[at].as_ref().map(String::as_bytes)),
                Column::Bytes(cells) => self.cell(cells[at].as_deref()),
            }
        }
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
