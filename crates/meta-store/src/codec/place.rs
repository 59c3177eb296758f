//! Where an account lives, in five columns that are null for almost all.

use buzon_model::row::{Arrival, Place};
use buzon_types::id::{Epoch, GroupId};
use bytes::Bytes;

use super::{corrupt, unsigned};
use crate::cell::{Cells, RowWriter};
use crate::error::StoreError;

const FROZEN: u8 = 1;
const GONE: u8 = 2;
const ARRIVING: u8 = 3;
const ARRIVED: u8 = 4;

pub(crate) fn put(writer: &mut RowWriter<'_>, place: &Place) {
    let (kind, shard, epoch, arrival) = match place {
        Place::Here => (None, None, None, None),
        Place::Frozen { to, epoch } => (Some(FROZEN), Some(to), Some(epoch), None),
        Place::Gone { to, epoch } => (Some(GONE), Some(to), Some(epoch), None),
        Place::Arriving(it) => {
            let kind = if it.complete { ARRIVED } else { ARRIVING };
            (Some(kind), Some(&it.from), Some(&it.epoch), Some(it))
        }
    };
    writer
        .int_or_null(kind.map(i64::from))
        .int_or_null(shard.map(|shard| shard.0.cast_signed()))
        .int_or_null(epoch.map(|epoch| epoch.0.cast_signed()))
        .int_or_null(arrival.map(|it| it.pages.cast_signed()))
        .bytes_or_null(arrival.map(|it| it.cursor.clone()));
}

/// Reads what [`put`] wrote, from a column on.
pub(crate) fn read(cells: &dyn Cells, at: usize) -> Result<Place, StoreError> {
    let Some(kind) = cells.int(at)? else { return Ok(Place::Here) };
    let shard = GroupId(unsigned(cells, at + 1, "account.place_shard")?);
    let epoch = Epoch(unsigned(cells, at + 2, "account.place_epoch")?);
    match u8::try_from(kind) {
        Ok(FROZEN) => Ok(Place::Frozen { to: shard, epoch }),
        Ok(GONE) => Ok(Place::Gone { to: shard, epoch }),
        Ok(kind @ (ARRIVING | ARRIVED)) => Ok(Place::Arriving(Arrival {
            from: shard,
            epoch,
            pages: unsigned(cells, at + 3, "account.place_pages")?,
            cursor: Bytes::copy_from_slice(cells.bytes(at + 4)?.unwrap_or_default()),
            complete: kind == ARRIVED,
        })),
        _ => Err(corrupt("account.place")),
    }
}
