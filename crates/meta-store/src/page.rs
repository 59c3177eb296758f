//! Pages of a snapshot: tables by name, columns by name, cells column by column. New columns and tables are only
//! added, and read as null by whoever does not get them; a page with something unknown is refused.
//!
//! Pages of an export that goes on beside commits may also say what has become of rows that were sent before. Such
//! pages go to nobody who has not said that it knows them.

use bytes::Bytes;
use prost::Message;

use crate::cell::{Column, Kind, Rows};
use crate::codec::corrupt;
use crate::error::StoreError;
use crate::store::Page;

/// Some rows of one table.
#[derive(Clone, PartialEq, Eq, Message)]
struct PageMessage {
    /// The table.
    #[prost(string, tag = "1")]
    table: String,
    /// How many rows.
    #[prost(uint32, tag = "2")]
    rows: u32,
    /// All of that length.
    #[prost(message, repeated, tag = "3")]
    columns: Vec<ColumnMessage>,
    /// What the rows do; 0 in versions that knew nothing else.
    #[prost(uint32, tag = "4")]
    means: u32,
}

/// What the rows of a page do. The numbers are in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// They are new.
    Adds = 0,
    /// They take the place of those with the same keys, if there are any.
    Replaces = 1,
    /// They are beginnings of keys: rows that have them go.
    Removes = 2,
}

/// One column; exactly one of the three lists is used.
#[derive(Clone, PartialEq, Eq, Message)]
struct ColumnMessage {
    /// Its name.
    #[prost(string, tag = "1")]
    name: String,
    /// Places of nulls, ascending; the lists hold a zero or an empty value there.
    #[prost(uint32, repeated, tag = "2")]
    nulls: Vec<u32>,
    /// Numbers.
    #[prost(sint64, repeated, tag = "3")]
    ints: Vec<i64>,
    /// Texts.
    #[prost(string, repeated, tag = "4")]
    texts: Vec<String>,
    /// Bytes.
    #[prost(bytes = "bytes", repeated, tag = "5")]
    bytes: Vec<Bytes>,
}

/// Encodes rows.
pub(crate) fn encode(table: &str, columns: &[(&'static str, Kind)], rows: &Rows) -> Page {
    encode_as(Means::Adds, table, columns, rows)
}

/// Encodes rows that do this.
pub(crate) fn encode_as(means: Means, table: &str, columns: &[(&'static str, Kind)], rows: &Rows) -> Page {
    let length = u32::try_from(rows.len()).expect("a page is cut at PAGE_ROWS_MAX");
    let columns = columns.iter().zip(&rows.columns).map(|((name, _), column)| encode_column(name, column));
    let (table, means) = (table.to_owned(), means as u32);
    let message = PageMessage { table, rows: length, columns: columns.collect(), means };
    Page(message.encode_to_vec().into())
}

fn encode_column(name: &str, column: &Column) -> ColumnMessage {
    let mut message = ColumnMessage { name: name.to_owned(), ..ColumnMessage::default() };
    match column {
        Column::Int(cells) => {
            message.nulls = nulls(cells);
            message.ints = cells.iter().map(|cell| cell.unwrap_or(0)).collect();
        }
        Column::Text(cells) => {
            message.nulls = nulls(cells);
            message.texts = cells.iter().map(|cell| cell.clone().unwrap_or_default()).collect();
        }
        Column::Bytes(cells) => {
            message.nulls = nulls(cells);
            message.bytes = cells.iter().map(|cell| cell.clone().unwrap_or_default()).collect();
        }
    }
    message
}

fn nulls<T>(cells: &[Option<T>]) -> Vec<u32> {
    cells.iter().zip(0u32..).filter(|(cell, _)| cell.is_none()).map(|(_, at)| at).collect()
}

/// A page whose table is known but whose columns are not yet.
pub(crate) struct Decoded(PageMessage);

/// Decodes a page up to its columns.
pub(crate) fn decode(page: &Page) -> Result<Decoded, StoreError> {
    PageMessage::decode(page.0.clone()).map(Decoded).map_err(|_| corrupt("page"))
}

impl Decoded {
    /// Which table.
    pub(crate) fn table(&self) -> &str {
        &self.0.table
    }

    /// What its rows do.
    pub(crate) fn means(&self) -> Result<Means, StoreError> {
        match self.0.means {
            0 => Ok(Means::Adds),
            1 => Ok(Means::Replaces),
            2 => Ok(Means::Removes),
            other => Err(corrupt(&format!("page means {other}"))),
        }
    }

    /// Whether it has a column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.columns.iter().any(|column| column.name == name)
    }

    /// Its rows, in the order of these columns.
    pub(crate) fn rows(self, columns: &[(&'static str, Kind)]) -> Result<Rows, StoreError> {
        let length = self.0.rows as usize;
        let known = |name: &str| columns.iter().any(|column| column.0 == name);
        if let Some(column) = self.0.columns.iter().find(|column| !known(&column.name)) {
            return Err(corrupt(&format!("page has column {}.{}", self.0.table, column.name)));
        }
        let mut rows = Rows { columns: Vec::with_capacity(columns.len()) };
        let mut given = self.0.columns;
        for (name, kind) in columns {
            let at = given.iter().position(|column| column.name == *name);
            let column = at.map(|at| given.swap_remove(at)).unwrap_or_default();
            rows.columns.push(decode_column(column, *kind, length, at.is_some())?);
        }
        Ok(rows)
    }
}

fn decode_column(
    message: ColumnMessage,
    kind: Kind,
    length: usize,
    given: bool,
) -> Result<Column, StoreError> {
    let ColumnMessage { name, nulls, ints, texts, bytes } = message;
    Ok(match kind {
        Kind::Int => Column::Int(cells(&name, ints, &nulls, length, given)?),
        Kind::Text => Column::Text(cells(&name, texts, &nulls, length, given)?),
        Kind::Bytes => Column::Bytes(cells(&name, bytes, &nulls, length, given)?),
    })
}

/// `length` cells, or all null when the column was not given: bounded, for the length is checked against what came
/// in for the key, which every table has.
fn cells<T>(
    name: &str,
    values: Vec<T>,
    nulls: &[u32],
    length: usize,
    given: bool,
) -> Result<Vec<Option<T>>, StoreError> {
    if !given {
        if length > super::scan::PAGE_ROWS_MAX {
            return Err(corrupt("page has too many rows"));
        }
        return Ok(std::iter::repeat_with(|| None).take(length).collect());
    }
    if values.len() != length {
        return Err(corrupt(&format!("page has another number of cells in column {name}")));
    }
    let mut cells: Vec<Option<T>> = values.into_iter().map(Some).collect();
    for at in nulls {
        let cell = usize::try_from(*at).ok().and_then(|at| cells.get_mut(at));
        *cell.ok_or_else(|| corrupt(&format!("page has a null outside of column {name}")))? = None;
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[(&str, Kind)] = &[("id", Kind::Int), ("name", Kind::Text), ("body", Kind::Bytes)];

    fn rows() -> Rows {
        let mut rows = Rows::new(COLUMNS.iter().map(|column| column.1));
        rows.row().int(-1).text("ñ").bytes(Bytes::from_static(b"\0x"));
        rows.row().int_or_null(None).text_or_null(None).bytes_or_null(None);
        rows
    }

    #[test]
    fn rows_survive_a_page() {
        let page = encode("t", COLUMNS, &rows());
        assert_eq!(decode(&page).unwrap().table(), "t");
        assert_eq!(decode(&page).unwrap().rows(COLUMNS).unwrap(), rows());
    }

    #[test]
    fn a_column_that_did_not_come_is_null_and_an_unknown_one_is_refused() {
        let page = encode("t", &COLUMNS[..1], &rows());
        let read = decode(&page).unwrap().rows(COLUMNS).unwrap();
        assert_eq!(read.columns[1], Column::Text(vec![None, None]));
        assert!(decode(&encode("t", COLUMNS, &rows())).unwrap().rows(&COLUMNS[..2]).is_err());
    }

    #[test]
    fn bytes_that_are_no_page_are_refused() {
        assert!(decode(&Page(Bytes::from_static(b"\xff\xff"))).is_err());
        let cut = encode("t", COLUMNS, &rows()).0;
        assert!(decode(&Page(cut.slice(..cut.len() - 1))).is_err());
    }
}
