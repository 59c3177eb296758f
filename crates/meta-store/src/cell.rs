//! Values between rows and SQL. Only three kinds exist, so that one piece of code serves both databases, the pages
//! of a snapshot and digests.

use bytes::Bytes;

use crate::codec::corrupt;
use crate::error::StoreError;

/// What a column holds; each kind may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A signed number of up to 64 bits.
    Int,
    /// UTF-8 without NUL, which Postgres cannot store.
    Text,
    /// Bytes.
    Bytes,
}

/// A parameter of a statement. Values of one column are in the order that the databases keep keys in: numbers with their
/// sign, texts and bytes byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// See [`Kind::Int`].
    Int(Option<i64>),
    /// See [`Kind::Text`].
    Text(Option<String>),
    /// See [`Kind::Bytes`].
    Bytes(Option<Bytes>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(Some(signed(value)))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<Bytes> for Value {
    fn from(value: Bytes) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<u128> for Value {
    fn from(value: u128) -> Self {
        Self::Bytes(Some(wide(value)))
    }
}

/// The same 64 bits with a sign: every value survives the way through a signed column.
pub(crate) fn signed(value: u64) -> i64 {
    value.cast_signed()
}

/// A 128-bit id as bytes that sort like the number.
pub(crate) fn wide(value: u128) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

/// A row that was read, cell by cell.
pub trait Cells {
    /// The number in a column.
    ///
    /// # Errors
    /// If it holds something else.
    fn int(&self, at: usize) -> Result<Option<i64>, StoreError>;

    /// The numbers in so many columns from one on, none of them null. One call instead of many where rows are.
    ///
    /// # Errors
    /// If one holds something else.
    fn ints(&self, from: usize, numbers: &mut [i64]) -> Result<(), StoreError> {
        for (at, number) in numbers.iter_mut().enumerate() {
            *number = self.int(from + at)?.ok_or_else(|| corrupt("null in a column of numbers"))?;
        }
        Ok(())
    }

    /// The text in a column.
    ///
    /// # Errors
    /// If it holds something else.
    fn text(&self, at: usize) -> Result<Option<&str>, StoreError>;

    /// The bytes in a column.
    ///
    /// # Errors
    /// If it holds something else.
    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, StoreError>;
}

/// One column of many rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    /// See [`Kind::Int`].
    Int(Vec<Option<i64>>),
    /// See [`Kind::Text`].
    Text(Vec<Option<String>>),
    /// See [`Kind::Bytes`].
    Bytes(Vec<Option<Bytes>>),
}

impl Column {
    /// An empty one.
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int => Self::Int(Vec::new()),
            Kind::Text => Self::Text(Vec::new()),
            Kind::Bytes => Self::Bytes(Vec::new()),
        }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
            Self::Bytes(cells) => cells.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of its cells.
    pub(crate) fn value(&self, at: usize) -> Value {
        match self {
            Self::Int(cells) => Value::Int(cells[at]),
            Self::Text(cells) => Value::Text(cells[at].clone()),
            Self::Bytes(cells) => Value::Bytes(cells[at].clone()),
        }
    }

    pub(crate) fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Int(cells), Value::Int(value)) => cells.push(value),
            (Self::Text(cells), Value::Text(value)) => cells.push(value),
            (Self::Bytes(cells), Value::Bytes(value)) => cells.push(value),
            (column, value) => unreachable!("{value:?} meets {column:?}"),
        }
    }
}

/// Rows kept as columns, as Postgres takes and pages carry them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// All of the same length.
    pub columns: Vec<Column>,
}

impl Rows {
    /// No rows yet.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self { columns: kinds.into_iter().map(Column::new).collect() }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins a row; each call on the writer fills the next column.
    pub(crate) fn row(&mut self) -> RowWriter<'_> {
        RowWriter { columns: self.columns.iter_mut() }
    }
}

/// Fills one row from left to right.
pub(crate) struct RowWriter<'a> {
    columns: std::slice::IterMut<'a, Column>,
}

impl RowWriter<'_> {
    pub(crate) fn int_or_null(&mut self, value: Option<i64>) -> &mut Self {
        match self.columns.next() {
            Some(Column::Int(cells)) => cells.push(value),
            other => unreachable!("a number meets {other:?}"),
        }
        self
    }

    pub(crate) fn text_or_null(&mut self, value: Option<String>) -> &mut Self {
        match self.columns.next() {
            Some(Column::Text(cells)) => cells.push(value),
            other => unreachable!("a text meets {other:?}"),
        }
        self
    }

    pub(crate) fn bytes_or_null(&mut self, value: Option<Bytes>) -> &mut Self {
        match self.columns.next() {
            Some(Column::Bytes(cells)) => cells.push(value),
            other => unreachable!("bytes meet {other:?}"),
        }
        self
    }

    pub(crate) fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        self.int_or_null(Some(value.into()))
    }

    pub(crate) fn unsigned(&mut self, value: u64) -> &mut Self {
        self.int_or_null(Some(signed(value)))
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.text_or_null(Some(value.to_owned()))
    }

    pub(crate) fn bytes(&mut self, value: Bytes) -> &mut Self {
        self.bytes_or_null(Some(value))
    }

    pub(crate) fn wide(&mut self, value: u128) -> &mut Self {
        self.bytes_or_null(Some(wide(value)))
    }
}
