//! Rows that were read, on their way from the thread that read them.

use std::ops::ControlFlow;

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
    Text(Piece),
    Bytes(Piece),
}

/// Where it lies in the buffer.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u32,
    end: u32,
}

impl Found {
    /// Takes what was found. What is found next will be about as much, but for a single long row: room for it is made at
    /// once.
    pub(super) fn take(&mut self) -> Self {
        let next = Self {
            columns: self.columns,
            cells: Vec::with_capacity(self.cells.len()),
            buffer: Vec::with_capacity(self.buffer.len().min(BYTES_MAX)),
        };
        std::mem::replace(self, next)
    }

    pub(super) fn add(&mut self, row: &Row<'_>, columns: usize) -> Result<(), StoreError> {
        self.columns = columns;
        for column in 0..columns {
            let cell = match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Int(number),
                ValueRef::Text(text) => Cell::Text(self.keep(text)?),
                ValueRef::Blob(bytes) => Cell::Bytes(self.keep(bytes)?),
                ValueRef::Real(_) => return Err(corrupt("number with a fraction")),
            };
            self.cells.push(cell);
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Piece, StoreError> {
        let too_long = |_| corrupt("value of 4 GiB");
        let start = u32::try_from(self.buffer.len()).map_err(too_long)?;
        self.buffer.extend_from_slice(bytes);
        Ok(Piece { start, end: u32::try_from(self.buffer.len()).map_err(too_long)? })
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

/// The row that a statement stands at.
pub(super) struct ReadRow<'a>(pub(super) &'a Row<'a>);

impl Cells for ReadRow<'_> {
    fn int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get_ref(at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            _ => Err(corrupt("no number in a column of numbers")),
        }
    }

    fn text(&self, at: usize) -> Result<Option<&str>, StoreError> {
        match self.0.get_ref(at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => to_text(text).map(Some),
            _ => Err(corrupt("no text in a column of texts")),
        }
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        match self.0.get_ref(at)? {
            ValueRef::Null => Ok(None),
            // SQLite keeps what it was given: zeroblob and the like, or a text where a blob is meant.
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(Some(bytes)),
            _ => Err(corrupt("a number in a column of bytes")),
        }
    }
}

fn to_text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes).map_err(|_| corrupt("text that is not UTF-8"))
}

struct FoundRow<'a> {
    cells: &'a [Cell],
    buffer: &'a [u8],
}

impl FoundRow<'_> {
    fn piece(&self, piece: Piece) -> &[u8] {
        &self.buffer[piece.start as usize..piece.end as usize]
    }

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
            Cell::Text(piece) => to_text(self.piece(*piece)).map(Some),
            _ => Err(corrupt("no text in a column of texts")),
        }
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        match self.cell(at)? {
            Cell::Null => Ok(None),
            Cell::Bytes(piece) | Cell::Text(piece) => Ok(Some(self.piece(*piece))),
            Cell::Int(_) => Err(corrupt("a number in a column of bytes")),
        }
    }
}
