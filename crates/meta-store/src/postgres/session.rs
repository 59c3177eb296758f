//! Transactions of Postgres.

use std::ops::ControlFlow;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow, PgValueFormat};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction, ValueRef as _};

use crate::cell::{Cells, Column, Rows, Value};
use crate::codec::corrupt;
use crate::database::{Session, Visit};
use crate::error::StoreError;
use crate::statement::Statement;

/// A transaction.
#[derive(Debug)]
pub struct PostgresSession {
    transaction: Transaction<'static, Postgres>,
}

impl PostgresSession {
    pub(super) fn new(transaction: Transaction<'static, Postgres>) -> Self {
        Self { transaction }
    }
}

type PostgresQuery<'q> = Query<'q, Postgres, PgArguments>;

fn bind<'q>(query: PostgresQuery<'q>, value: &Value) -> PostgresQuery<'q> {
    match value {
        Value::Int(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.as_deref()),
        Value::Bytes(value) => query.bind(value.as_deref()),
    }
}

fn bind_column<'q>(query: PostgresQuery<'q>, column: &Column) -> PostgresQuery<'q> {
    match column {
        Column::Int(cells) => query.bind(cells.as_slice()),
        Column::Text(cells) => query.bind(cells.as_slice()),
        Column::Bytes(cells) => query.bind(cells.iter().map(Option::as_deref).collect::<Vec<_>>()),
    }
}

fn batch_query<'q>(statement: &Statement, part: i64, rows: &Rows) -> PostgresQuery<'q> {
    let query = sqlx::query(AssertSqlSafe(statement.postgres())).bind(part);
    rows.columns.iter().fold(query, bind_column)
}

impl PostgresSession {
    async fn show(&mut self, query: PostgresQuery<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        let mut rows = query.fetch(&mut *self.transaction);
        while let Some(row) = rows.try_next().await? {
            if let ControlFlow::Break(()) = visit(&row)? {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Session for PostgresSession {
    async fn each(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        let query = values.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), bind);
        self.show(query, visit).await
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let query = values.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), bind);
        Ok(query.execute(&mut *self.transaction).await?.rows_affected())
    }

    async fn batch(&mut self, statement: &Statement, part: i64, rows: &Rows) -> Result<(), StoreError> {
        if !rows.is_empty() {
            batch_query(statement, part, rows).execute(&mut *self.transaction).await?;
        }
        Ok(())
    }

    async fn batch_each(
        &mut self,
        statement: &Statement,
        part: i64,
        rows: &Rows,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let query = batch_query(statement, part, rows);
        self.show(query, visit).await
    }

    async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

impl Cells for PgRow {
    /// Flags and the like are `smallint` to keep rows narrow: whatever the width, it is a number.
    fn int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        let Some(bytes) = raw(self, at)? else { return Ok(None) };
        let number = match bytes.len() {
            8 => bytes.try_into().map(i64::from_be_bytes),
            4 => bytes.try_into().map(i32::from_be_bytes).map(i64::from),
            _ => bytes.try_into().map(i16::from_be_bytes).map(i64::from),
        };
        number.map(Some).map_err(|_| corrupt("number of unknown width"))
    }

    fn text(&self, at: usize) -> Result<Option<&str>, StoreError> {
        let Some(bytes) = raw(self, at)? else { return Ok(None) };
        std::str::from_utf8(bytes).map(Some).map_err(|_| corrupt("text that is not UTF-8"))
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        raw(self, at)
    }
}

fn raw(row: &PgRow, at: usize) -> Result<Option<&[u8]>, StoreError> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(None);
    }
    if value.format() != PgValueFormat::Binary {
        return Err(corrupt("cell in text form"));
    }
    value.as_bytes().map(Some).map_err(|error| corrupt(&error.to_string()))
}
