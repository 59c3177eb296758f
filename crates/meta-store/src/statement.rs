//! Statements over a batch of rows, in each database's dialect.
//!
//! The batch is a common table expression named `input` whose first column is `part`. Bodies take everything from
//! it: SQLite then sees no constant that would make it scan a part from its start, and starts from `input`.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::cell::Kind;
use crate::span::Touch;
use crate::table::Table;

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

    /// Of rows of `table` by their keys.
    fn of_table(table: &'static Table, columns: &'static [(&'static str, Kind)], body: String) -> Self {
        let touches = Cow::Owned(vec![Touch::Key(table)]);
        Self { columns: Cow::Borrowed(columns), body: Cow::Owned(body), touches }
    }

    /// Inserts rows or replaces those with the same key.
    pub(crate) fn put(table: &'static Table) -> Self {
        let rest = &table.columns[table.keys..];
        if rest.is_empty() {
            return Self::put_missing(table);
        }
        let updates: Vec<String> = rest.iter().map(|(name, _)| format!("{name} = excluded.{name}")).collect();
        Self::upsert(table, &format!("UPDATE SET {}", updates.join(", ")))
    }

    /// Inserts rows whose key is not there yet, and leaves the others alone.
    pub(crate) fn put_missing(table: &'static Table) -> Self {
        Self::upsert(table, "NOTHING")
    }

    fn upsert(table: &'static Table, action: &str) -> Self {
        // `WHERE true` lets SQLite tell ON CONFLICT from a join's ON.
        let (insert, keys) = (insert_text(table), names(table.key()));
        let body = format!("{insert} WHERE true ON CONFLICT (part, {keys}) DO {action}");
        Self::of_table(table, table.columns, body)
    }

    /// Inserts rows that must be new.
    pub(crate) fn insert(table: &'static Table) -> Self {
        Self::of_table(table, table.columns, insert_text(table))
    }

    /// Deletes rows by key.
    pub(crate) fn delete(table: &'static Table) -> Self {
        let keys = names(table.key());
        let body =
            format!("DELETE FROM {} WHERE (part, {keys}) IN (SELECT part, {keys} FROM input)", table.name);
        Self::of_table(table, table.key(), body)
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

/// `a, b, c`.
pub(crate) fn names(columns: &[(&'static str, Kind)]) -> String {
    columns.iter().map(|column| column.0).collect::<Vec<_>>().join(", ")
}

fn insert_text(table: &Table) -> String {
    let columns = names(table.columns);
    format!("INSERT INTO {} (part, {columns}) SELECT part, {columns} FROM input", table.name)
}
