//! Walks over all rows of a part, table by table, each in the order of its key: for snapshots and digests.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::cell::{Cells, Column, Kind, Rows};
use crate::database::Session;
use crate::error::StoreError;
use crate::statement::names;
use crate::table::{TABLES, Table};

/// Rows handed on at once; what a page holds in memory on both ends.
pub(crate) const PAGE_ROWS_MAX: usize = 2_000;
/// Bytes handed on at once, before the row that passes it: well below gRPC's 4 MiB.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 20;

/// Sees some rows of a table.
pub(crate) type VisitRows<'a> =
    &'a mut (dyn FnMut(&'static Table, &Rows) -> Result<ControlFlow<()>, StoreError> + Send);

/// Reads all rows of a part in pieces; what the visitor said last.
pub(crate) async fn scan(
    session: &mut impl Session,
    part: i64,
    visit: VisitRows<'_>,
) -> Result<ControlFlow<()>, StoreError> {
    for table in TABLES {
        let (columns, keys) = (names(table.columns), names(table.key()));
        let sql = format!("SELECT {columns} FROM {} WHERE part = $1 ORDER BY {keys}", table.name);
        let mut piece = Piece::new(table);
        let mut flow = ControlFlow::Continue(());
        session
            .each(&sql, &[part.into()], &mut |cells| {
                flow = piece.add(cells, visit)?;
                Ok(flow)
            })
            .await?;
        if flow.is_continue() {
            flow = piece.hand_on(visit)?;
        }
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

struct Piece {
    table: &'static Table,
    rows: Rows,
    bytes: usize,
}

impl Piece {
    fn new(table: &'static Table) -> Self {
        Self { table, rows: table.rows(), bytes: 0 }
    }

    fn add(&mut self, cells: &dyn Cells, visit: VisitRows<'_>) -> Result<ControlFlow<()>, StoreError> {
        self.bytes += copy_row(&mut self.rows, self.table, cells)?;
        if self.rows.len() < PAGE_ROWS_MAX && self.bytes < PAGE_BYTES_MAX {
            return Ok(ControlFlow::Continue(()));
        }
        self.hand_on(visit)
    }

    fn hand_on(&mut self, visit: VisitRows<'_>) -> Result<ControlFlow<()>, StoreError> {
        if self.rows.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let rows = std::mem::replace(&mut self.rows, self.table.rows());
        self.bytes = 0;
        visit(self.table, &rows)
    }
}

/// Adds a row that was read; its bytes, about.
pub(crate) fn copy_row(rows: &mut Rows, table: &Table, cells: &dyn Cells) -> Result<usize, StoreError> {
    let mut bytes = 0;
    for (at, (column, (_, kind))) in rows.columns.iter_mut().zip(table.columns).enumerate() {
        match (column, kind) {
            (Column::Int(column), Kind::Int) => column.push(cells.int(at)?),
            (Column::Text(column), Kind::Text) => column.push(cells.text(at)?.map(str::to_owned)),
            (Column::Bytes(column), Kind::Bytes) => column.push(cells.bytes(at)?.map(Bytes::copy_from_slice)),
            (column, kind) => unreachable!("{kind:?} meets {column:?}"),
        }
        bytes += match kind {
            Kind::Int => 8,
            Kind::Text => cells.text(at)?.map_or(0, str::len),
            Kind::Bytes => cells.bytes(at)?.map_or(0, <[u8]>::len),
        };
    }
    Ok(bytes)
}

/// Statements with a few parameters, for tests of how they run: those that must not walk through a part.
#[cfg(test)]
pub(crate) fn reads() -> Vec<String> {
    let texts = [
        include_str!("../queries/message/index.sql"),
        include_str!("../queries/message/extent.sql"),
        include_str!("../queries/message/residue.sql"),
        include_str!("../queries/message/expunged_since.sql"),
        include_str!("../queries/mailbox/deleting.sql"),
        include_str!("../queries/staged/load.sql"),
        include_str!("../queries/staged/names.sql"),
        include_str!("../queries/staged/publish_messages.sql"),
        include_str!("../queries/staged/publish_summaries.sql"),
    ];
    texts.map(str::to_owned).to_vec()
}
