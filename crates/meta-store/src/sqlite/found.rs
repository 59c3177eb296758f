//! Rows that were read, on their way from the thread that read them.

use std::ops::{ControlFlow, Range};

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::cell::Cells;
use crate::codec::corrupt;
use crate::database::Visit;
use crate::error::StoreError;

/// Rows handed on at once: at each of so many two threads wait for each other.
const ROWS_MAX: usize = 512;
/// Bytes handed on at once, before the row that passes it.
const BYTES_MAX: usize = 256 << 10;

/// Some rows: their texts and bytes lie in one buffer.
#[derive(Debug, Default)]
pub(super) struct Found {
    columns: usize,
    cells: Vec<Cell>,
    buffer: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Cell {
    Null,
    Int(i64),
    Text(Range<usize>),
    Bytes(Range<usize>),
}

impl Found {
    pub(super) fn add(&mut self, row: &Row<'_>, columns: usize) -> Result<(), StoreError> {
        self.columns = columns;
        for column in 0..columns {
            let cell = match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Int(number),
                ValueRef::Text(text) => Cell::Text(self.keep(text)),
                ValueRef::Blob(bytes) => Cell::Bytes(self.keep(bytes)),
                ValueRef::Real(_) => return Err(corrupt("number with a fraction")),
            };
            self.cells.push(cell);
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        start..self.buffer.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.cells.len() >= ROWS_MAX * self.columns || self.buffer.len() >= BYTES_MAX
    }

    /// Shows each row; what the visitor said last.
    pub(super) fn visit(&self, visit: Visit<'_>) -> Result<ControlFlow<()>, StoreError> {
        for cells in self.cells.chunks(self.columns.max(1)) {
            if visit(&FoundRow { cells, buffer: &self.buffer })?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

struct FoundRow<'a> {
    cells: &'a [Cell],
    buffer: &'a [u8],
}

impl FoundRow<'_> {
    fn cell(&self, at: usize) -> Result<&Cell, StoreError> {
        self.cells.get(at).ok_or_else(|| corrupt("column that was not read"))
    }
}

impl Cells for FoundRow<'_> {
    fn int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self.cell(at)? {
            Cell::Null => Ok(None),
            Cell::Int(number) => Ok(Some(*number)),
            _ => Err(corrupt("no number in a column of numbers")),
        }
    }

    fn text(&self, at: usize) -> Result<Option<&str>, StoreError> {
        match self.cell(at)? {
            Cell::Null => Ok(None),
            Cell::Text(range) => {
                let text = std::str::from_utf8(&self.buffer[range.clone()]);
                text.map(Some).map_err(|_| corrupt("text that is not UTF-8"))
            }
            _ => Err(corrupt("no text in a column of texts")),
        }
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        match self.cell(at)? {
            Cell::Null => Ok(None),
            // SQLite keeps what it was given: zeroblob and the like, or a text where a blob is meant.
            Cell::Bytes(range) | Cell::Text(range) => Ok(Some(&self.buffer[range.clone()])),
            Cell::Int(_) => Err(corrupt("a number in a column of bytes")),
        }
    }
}
