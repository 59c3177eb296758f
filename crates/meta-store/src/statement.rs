//! Statements over a batch of rows, in each database's dialect.
//!
//! The batch is a common table expression named `input` whose first column is `part`. Bodies take everything from
//! it: SQLite then sees no constant that would make it scan a part from its start, and starts from `input`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::cell::Kind;
use crate::span::{Touch, place};
use crate::table::{TABLES, Table};

/// A statement that is run once for many rows.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Of `input`, after `part`.
    pub columns: Cow<'static, [(&'static str, Kind)]>,
    /// SQL after `WITH input … AS (…)`.
    pub body: Cow<'static, str>,
    /// Which rows it may write; none for one that reads.
    pub(crate) touches: Cow<'static, [Touch]>,
}

impl Statement {
    /// From text.
    pub(crate) const fn new(
        columns: &'static [(&'static str, Kind)],
        touches: &'static [Touch],
        body: &'static str,
    ) -> Self {
        Self { columns: Cow::Borrowed(columns), body: Cow::Borrowed(body), touches: Cow::Borrowed(touches) }
    }

    /// Inserts rows or replaces those with the same key.
    pub(crate) fn put(table: &'static Table) -> Self {
        OfTable::of(table).statement(table.columns, |it| &it.put)
    }

    /// Inserts rows whose key is not there yet, and leaves the others alone.
    pub(crate) fn put_missing(table: &'static Table) -> Self {
        OfTable::of(table).statement(table.columns, |it| &it.put_missing)
    }

    /// Inserts rows that must be new.
    pub(crate) fn insert(table: &'static Table) -> Self {
        OfTable::of(table).statement(table.columns, |it| &it.insert)
    }

    /// Deletes rows by key.
    pub(crate) fn delete(table: &'static Table) -> Self {
        OfTable::of(table).statement(table.key(), |it| &it.delete)
    }

    /// For Postgres: `$1` is the part, then one array for each column.
    pub(crate) fn postgres(&self) -> String {
        let mut sql =
            format!("WITH input(part, {}) AS (SELECT $1::bigint, * FROM UNNEST(", names(&self.columns));
        for (at, (_, kind)) in self.columns.iter().enumerate() {
            let array = match kind {
                Kind::Int => "bigint[]",
                Kind::Text => "text[]",
                Kind::Bytes => "bytea[]",
            };
            let comma = if at == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}${}::{array}", at + 2);
        }
        sql.push_str(")) ");
        sql.push_str(&self.body);
        sql
    }

    /// For SQLite: parameters without names (looking a name up takes time linear in their number), row by row,
    /// the part first in each.
    pub(crate) fn sqlite(&self, rows: usize) -> String {
        let row = format!("(?{})", ",?".repeat(self.columns.len()));
        let mut sql = format!("WITH input(part, {}) AS (VALUES {row}", names(&self.columns));
        for _ in 1..rows {
            sql.push(',');
            sql.push_str(&row);
        }
        sql.push_str(") ");
        sql.push_str(&self.body);
        sql
    }
}

/// What can be done with rows of a table by their keys: made once, since each batch asks for most of it.
struct OfTable {
    touches: [Touch; 1],
    put: String,
    put_missing: String,
    insert: String,
    delete: String,
}

impl OfTable {
    fn of(table: &'static Table) -> &'static Self {
        static ALL: LazyLock<Vec<OfTable>> =
            LazyLock::new(|| TABLES.iter().map(|it| OfTable::new(it)).collect());
        &ALL[place(table)]
    }

    fn new(table: &'static Table) -> Self {
        let (name, keys, columns) = (table.name, names(table.key()), names(table.columns));
        let insert = format!("INSERT INTO {name} (part, {columns}) SELECT part, {columns} FROM input");
        // `WHERE true` lets SQLite tell ON CONFLICT from a join's ON.
        let upsert = |action: &str| format!("{insert} WHERE true ON CONFLICT (part, {keys}) DO {action}");
        let rest = table.columns[table.keys..].iter();
        let updates: Vec<String> = rest.map(|(name, _)| format!("{name} = excluded.{name}")).collect();
        let update = format!("UPDATE SET {}", updates.join(", "));
        Self {
            touches: [Touch::Key(table)],
            put: upsert(if updates.is_empty() { "NOTHING" } else { &update }),
            put_missing: upsert("NOTHING"),
            delete: format!("DELETE FROM {name} WHERE (part, {keys}) IN (SELECT part, {keys} FROM input)"),
            insert,
        }
    }

    fn statement(
        &'static self,
        columns: &'static [(&'static str, Kind)],
        body: impl FnOnce(&'static Self) -> &'static String,
    ) -> Statement {
        let (columns, body) = (Cow::Borrowed(columns), Cow::Borrowed(body(self).as_str()));
        Statement { columns, body, touches: Cow::Borrowed(&self.touches) }
    }
}

/// `a, b, c`.
pub(crate) fn names(columns: &[(&'static str, Kind)]) -> String {
    columns.iter().map(|column| column.0).collect::<Vec<_>>().join(", ")
}
