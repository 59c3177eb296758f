//! Whole rows of a table, as pages carry them: those of a span, or those with some keys. No more at once than a page
//! holds.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use std::borrow::Cow;

use crate::cell::{Rows, Value};
use crate::database::Session;
use crate::error::StoreError;
use crate::scan::{PAGE_BYTES_MAX, PAGE_ROWS_MAX, copy_row};
use crate::span::Span;
use crate::statement::{Statement, names};
use crate::table::Table;

/// Keys looked up in one statement.
const KEYS_AT_ONCE: usize = 512;
/// Limits that a statement may carry, as text, so that the database plans for few rows. Some rows more than there is room
/// for may be read, which are then on their way from the database for nothing.
const LIMITS: [usize; 3] = [32, 256, PAGE_ROWS_MAX];
/// What a row is taken for before any was seen.
pub(crate) const ROW_BYTES: usize = 256;

/// What one transaction may still read.
pub(crate) struct Budget {
    rows: usize,
    bytes: usize,
    /// What a row takes, as last seen.
    pub(crate) row_bytes: usize,
}

impl Budget {
    pub(crate) fn new(rows: usize) -> Self {
        Self { rows, bytes: PAGE_BYTES_MAX, row_bytes: ROW_BYTES }
    }

    /// Whether nothing more may be begun.
    pub(crate) fn is_spent(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    /// One more.
    pub(crate) fn row(&mut self) {
        self.rows = self.rows.saturating_sub(1);
    }

    fn spend(&mut self, bytes: usize) {
        self.row();
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// The least limit that does not leave room unused.
    fn limit(&self) -> usize {
        let room = self.rows.min(self.bytes.div_ceil(self.row_bytes.max(1)));
        LIMITS.into_iter().find(|limit| *limit >= room).unwrap_or(PAGE_ROWS_MAX)
    }

    /// How many keys may be looked up in one statement.
    pub(crate) fn keys_at_once(&self) -> usize {
        self.rows.min(KEYS_AT_ONCE)
    }
}

/// The rows of a span, or the first of them.
pub(crate) struct Found {
    pub(crate) rows: Rows,
    /// The last one's key, if there may be more.
    pub(crate) last: Option<Vec<Value>>,
}

/// Reads the rows of a span in the order of their keys, as many as there is room for.
pub(crate) async fn in_span(
    session: &mut impl Session,
    part: i64,
    span: &Span,
    budget: &mut Budget,
) -> Result<Found, StoreError> {
    let table = span.table();
    let limit = budget.limit();
    let (sql, values) = select(span, part, limit);
    let (mut rows, mut bytes) = (table.rows(), 0);
    session
        .each(&sql, &values, &mut |cells| {
            let row = copy_row(&mut rows, table, cells)?;
            bytes += row;
            budget.spend(row);
            Ok(if budget.is_spent() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .await?;
    budget.row_bytes = bytes.checked_div(rows.len()).unwrap_or(ROW_BYTES);
    let is_cut = budget.is_spent() || rows.len() >= limit;
    let last = rows.len().checked_sub(1).filter(|_| is_cut);
    let last = last.map(|at| rows.columns[..table.keys].iter().map(|column| column.value(at)).collect());
    Ok(Found { rows, last })
}

/// The statement, and its values.
fn select(span: &Span, part: i64, limit: usize) -> (String, Vec<Value>) {
    let (table, fixed) = (span.table(), span.prefix.len());
    let mut values = vec![Value::from(part)];
    let mut condition = String::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    for (column, value) in table.key().iter().zip(&span.prefix) {
        condition.push_str(&format!(" AND {} = {}", column.0, bind(value.clone())));
    }
    let rest = &table.key()[fixed..];
    if let Some(after) = &span.after {
        let bound: Vec<String> = after[fixed..].iter().map(|value| bind(value.clone())).collect();
        condition.push_str(&format!(" AND ({}) > ({})", names(rest), bound.join(", ")));
    }
    if let Some((first, last)) = span.run {
        // After a key, the run's beginning says nothing more, and would keep SQLite from walking on from there.
        if span.after.is_none() {
            condition.push_str(&format!(" AND {} >= {}", rest[0].0, bind(first.into())));
        }
        condition.push_str(&format!(" AND {} <= {}", rest[0].0, bind(last.into())));
    }
    let (columns, keys) = (names(table.columns), names(table.key()));
    let sql = format!(
        "SELECT {columns} FROM {} WHERE part = $1{condition} ORDER BY {keys} LIMIT {limit}",
        table.name
    );
    (sql, values)
}

/// What came of looking keys up.
pub(crate) struct Looked {
    pub(crate) rows: Rows,
    /// Keys without a row.
    pub(crate) gone: Vec<Span>,
    /// There was no room to read them.
    pub(crate) left: Vec<Span>,
}

/// Reads rows by their keys.
pub(crate) async fn by_keys(
    session: &mut impl Session,
    part: i64,
    table: &'static Table,
    keys: Vec<Span>,
    budget: &mut Budget,
) -> Result<Looked, StoreError> {
    let mut input = table.key_rows();
    for span in &keys {
        let columns = input.columns.iter_mut().zip(&span.prefix);
        columns.for_each(|(column, value)| column.push(value.clone()));
    }
    let (mut rows, mut is_cut) = (table.rows(), false);
    session
        .batch_each(&look_up(table), part, &input, &mut |cells| {
            budget.spend(copy_row(&mut rows, table, cells)?);
            is_cut = budget.is_spent();
            Ok(if is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .await?;
    let key = |at: usize| rows.columns[..table.keys].iter().map(|column| column.value(at)).collect();
    let seen: BTreeSet<Vec<Value>> = (0..rows.len()).map(key).collect();
    let unseen: Vec<Span> = keys.into_iter().filter(|span| !seen.contains(&span.prefix)).collect();
    // When it was cut short, nobody knows which of them have rows.
    let (gone, left) = if is_cut { (Vec::new(), unseen) } else { (unseen, Vec::new()) };
    gone.iter().for_each(|_| budget.row());
    Ok(Looked { rows, gone, left })
}

/// `CROSS JOIN` keeps SQLite's order: one look along the key for each row of the input.
fn look_up(table: &'static Table) -> Statement {
    let same = |column: &(&str, _)| format!(" AND {1}.{0} = input.{0}", column.0, table.name);
    let condition: String = table.key().iter().map(same).collect();
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("{}.{}", table.name, column.0)).collect();
    let body = format!(
        "SELECT {} FROM input CROSS JOIN {name} WHERE {name}.part = input.part{condition}",
        columns.join(", "),
        name = table.name
    );
    Statement { columns: Cow::Borrowed(table.key()), body: Cow::Owned(body), touches: Cow::Borrowed(&[]) }
}

/// Every statement of an export, for tests of how they run: those over a batch, and others.
#[cfg(test)]
pub(crate) fn statements() -> (Vec<Statement>, Vec<String>) {
    use crate::cell::Kind;
    use crate::table::TABLES;
    let value = |column: &(&str, Kind)| match column.1 {
        Kind::Int => Value::from(1i64),
        Kind::Text => Value::from(""),
        Kind::Bytes => Value::from(bytes::Bytes::new()),
    };
    let mut texts = Vec::new();
    for table in TABLES {
        let key: Vec<Value> = table.key().iter().map(value).collect();
        for fixed in 0..table.keys {
            let plain = Span::of(table, key[..fixed].to_vec());
            let after = Span { after: Some(key.clone()), ..plain.clone() };
            let mut spans = vec![after.clone()];
            if fixed > 0 {
                let run = (table.columns[fixed].1 == Kind::Int).then_some((1, 5));
                spans.extend([plain.clone(), Span { run, ..plain }, Span { run, ..after }]);
            }
            texts.extend(spans.iter().map(|span| select(span, 1, 32).0));
        }
    }
    (TABLES.into_iter().map(look_up).collect(), texts)
}
