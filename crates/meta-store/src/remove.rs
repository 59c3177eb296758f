//! Rows that are gone, in pages of a snapshot: by their keys, by how their keys begin, or by a run of the key's next
//! column. One page holds rows of one table and one of these shapes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::cell::{Kind, Rows, Value};
use crate::error::StoreError;
use crate::page::{self, Decoded, Means};
use crate::span::Span;
use crate::statement::{Statement, names};
use crate::store::Page;
use crate::table::{TABLES, Table};

/// Bounds of a run, both included; no table has columns of these names.
const RUN: [(&str, Kind); 2] = [("run_first", Kind::Int), ("run_last", Kind::Int)];

/// How many columns of the key are said, and whether a run follows.
type Shape = (usize, bool);

/// Gathers rows that are gone, by table and shape.
#[derive(Default)]
pub(crate) struct Removed(BTreeMap<(usize, Shape), Rows>);

impl Removed {
    /// The rows of a span.
    pub(crate) fn add(&mut self, span: &Span) {
        let shape = (span.prefix.len(), span.run.is_some());
        let kinds = || columns(span.table(), shape).into_iter().map(|column| column.1);
        let rows = self.0.entry((span.table, shape)).or_insert_with(|| Rows::new(kinds()));
        let run = span.run.map(|(first, last)| [Value::from(first), Value::from(last)]);
        let values = span.prefix.iter().cloned().chain(run.into_iter().flatten());
        rows.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }

    /// As pages.
    pub(crate) fn pages(self) -> impl Iterator<Item = Page> {
        self.0.into_iter().map(|((table, shape), rows)| {
            let table = TABLES[table];
            page::encode_as(Means::Removes, table.name, &columns(table, shape), &rows)
        })
    }
}

fn columns(table: &'static Table, (prefix, has_run): Shape) -> Vec<(&'static str, Kind)> {
    let run = if has_run { &RUN[..] } else { &[] };
    table.columns[..prefix].iter().chain(run).copied().collect()
}

/// What deletes the rows that a page names, and its input.
pub(crate) fn decode(table: &'static Table, page: Decoded) -> Result<(Statement, Rows), StoreError> {
    let prefix = table.key().iter().take_while(|column| page.has(column.0)).count();
    let shape = (prefix, page.has(RUN[0].0) && prefix < table.keys);
    let columns = columns(table, shape);
    let rows = page.rows(&columns)?;
    let statement = if prefix == table.keys { Statement::delete(table) } else { statement(table, shape) };
    Ok((statement, rows))
}

/// A subselect, since SQLite has no `DELETE … USING`; `CROSS JOIN` keeps its order, one walk along the key for each row
/// of the input.
fn statement(table: &'static Table, shape: Shape) -> Statement {
    let (name, keys) = (table.name, names(table.key()));
    let same = |column: &(&str, Kind)| format!(" AND {name}.{0} = input.{0}", column.0);
    let mut condition: String = table.columns[..shape.0].iter().map(same).collect();
    if shape.1 {
        let next = table.columns[shape.0].0;
        condition.push_str(&format!(" AND {name}.{next} BETWEEN input.{} AND input.{}", RUN[0].0, RUN[1].0));
    }
    let chosen: Vec<String> = table.key().iter().map(|column| format!("{name}.{}", column.0)).collect();
    let body = format!(
        "DELETE FROM {name} WHERE (part, {keys}) IN (SELECT {name}.part, {} FROM input CROSS JOIN {name} \
         WHERE {name}.part = input.part{condition})",
        chosen.join(", ")
    );
    Statement {
        columns: Cow::Owned(columns(table, shape)),
        body: Cow::Owned(body),
        touches: Cow::Borrowed(&[]),
    }
}

/// Every statement that a page may ask for, for tests of how they run.
#[cfg(test)]
pub(crate) fn statements() -> Vec<Statement> {
    let shapes = |table: &'static Table| {
        let prefixes = (1..table.keys).map(|prefix| (prefix, false));
        let runs = (1..table.keys).filter(|prefix| table.columns[*prefix].1 == Kind::Int);
        prefixes.chain(runs.map(|prefix| (prefix, true))).map(move |shape| statement(table, shape))
    };
    TABLES.into_iter().flat_map(shapes).collect()
}
