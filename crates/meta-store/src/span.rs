//! Which rows a step of a plan may write, told by their keys: an export that is under way reads them again.
//!
//! ```text
//! SET_FLAGS, 3 rows of input     ─▶ three keys of `message`
//! DELETE FROM staged WHERE …     ─▶ all keys of `staged` that begin with this account and name
//! expunge of UIDs 5 to 90        ─▶ a run of the key's next column
//! ```
//! Every statement says what it touches, so that a new one cannot be forgotten; to say too much costs a read, to say
//! too little a row.

use crate::cell::{Column, Rows, Value};
use crate::plan::{Plan, Step};
use crate::table::{TABLES, Table};

/// What a statement over a batch may write, by columns of its input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Touch {
    /// The rows whose keys the input has, under the same names.
    Key(&'static Table),
    /// Rows whose keys begin as the input says.
    Rows {
        table: &'static Table,
        /// Columns of the input: the first ones of the table's key, in that order.
        prefix: &'static [&'static str],
        /// Bounds of the key's next column, which is a number.
        run: Option<Run>,
    },
}

/// Bounds by columns of the input.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Run {
    /// From one to the other, both included.
    Between(&'static str, &'static str),
    /// Below this one.
    Before(&'static str),
}

/// Rows of one table whose keys lie together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its place in [`TABLES`].
    pub(crate) table: usize,
    /// The first columns of the key.
    pub(crate) prefix: Vec<Value>,
    /// Bounds of the next column, both included.
    pub(crate) run: Option<(i64, i64)>,
    /// Only what comes after this key: the rest of a span that was too much at once.
    pub(crate) after: Option<Vec<Value>>,
}

/// What a span takes in memory besides its values.
const SPAN_BYTES: usize = 128;
/// And each of its values, besides what it points to.
const VALUE_BYTES: usize = 32;

impl Span {
    /// All rows whose keys begin so.
    pub(crate) fn of(table: &Table, prefix: Vec<Value>) -> Self {
        Self { table: place(table), prefix, run: None, after: None }
    }

    /// Its table.
    pub(crate) fn table(&self) -> &'static Table {
        TABLES[self.table]
    }

    /// Whether it is one row.
    pub(crate) fn is_key(&self) -> bool {
        self.prefix.len() == self.table().keys
    }

    /// Whether all its rows come after a key of its table.
    pub(crate) fn is_after(&self, key: &[Value]) -> bool {
        let start = self.prefix.iter().cloned().chain(self.run.map(|(first, _)| first.into()));
        start.cmp(key.iter().take(self.prefix.len() + usize::from(self.run.is_some())).cloned()).is_gt()
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        let values = self.prefix.iter().chain(self.after.iter().flatten());
        SPAN_BYTES + values.map(|value| VALUE_BYTES + value_bytes(value)).sum::<usize>()
    }
}

/// What a value points to.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Int(_) => 0,
        Value::Text(text) => text.as_ref().map_or(0, String::len),
        Value::Bytes(bytes) => bytes.as_ref().map_or(0, bytes::Bytes::len),
    }
}

/// The place of a table among all.
pub(crate) fn place(table: &Table) -> usize {
    let found = TABLES.iter().position(|it| std::ptr::eq(*it, table) || it.name == table.name);
    found.expect("every table is among all of them")
}

/// The rows that a plan may write.
pub(crate) fn spans(plan: &Plan) -> Vec<Span> {
    let mut spans = Vec::new();
    for step in &plan.steps {
        match step {
            Step::Batch(statement, rows) => {
                let columns = &statement.columns;
                let column = |name: &str| {
                    let at = columns.iter().position(|column| column.0 == name);
                    &rows.columns[at.expect("a statement says what it touches by its own columns")]
                };
                statement.touches.iter().for_each(|touch| touched(touch, rows, column, &mut spans));
            }
            Step::One { touches, .. } => spans.extend(touches.iter().cloned()),
        }
    }
    spans
}

fn touched<'a>(touch: &Touch, rows: &Rows, column: impl Fn(&str) -> &'a Column, spans: &mut Vec<Span>) {
    let (table, prefix, run): (_, Vec<_>, _) = match *touch {
        Touch::Key(table) => (table, table.key().iter().map(|key| column(key.0)).collect(), None),
        Touch::Rows { table, prefix, run } => (table, prefix.iter().map(|name| column(name)).collect(), run),
    };
    let number = |name: &str, at: usize| match column(name).value(at) {
        Value::Int(Some(number)) => number,
        other => unreachable!("a bound is a number, not {other:?}"),
    };
    let place = place(table);
    for at in 0..rows.len() {
        let run = run.map(|run| match run {
            Run::Between(first, last) => (number(first, at), number(last, at)),
            Run::Before(end) => (i64::MIN, number(end, at).saturating_sub(1)),
        });
        let prefix = prefix.iter().map(|column| column.value(at)).collect();
        spans.push(Span { table: place, prefix, run, after: None });
    }
}

#[cfg(test)]
mod tests;
