//! Transactions of SQLite.

use std::ops::ControlFlow;

use async_trait::async_trait;
use futures::TryStreamExt as _;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, Transaction};

use super::disk::Disk;
use crate::cell::{Cells, Column, Rows, Value};
use crate::codec::corrupt;
use crate::database::{Session, Visit};
use crate::error::StoreError;
use crate::statement::Statement;

/// Rows in one statement: few sizes, so that each is prepared once; the largest has at most 512 × 21 parameters of
/// SQLite's 32,766.
const PIECES: [usize; 4] = [512, 64, 8, 1];

/// A transaction.
#[derive(Debug)]
pub struct SqliteSession {
    transaction: Transaction<'static, Sqlite>,
    disk: Disk,
}

impl SqliteSession {
    pub(super) fn new(transaction: Transaction<'static, Sqlite>, disk: Disk) -> Self {
        Self { transaction, disk }
    }
}

type SqliteQuery<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind<'q>(query: SqliteQuery<'q>, value: &Value) -> SqliteQuery<'q> {
    match value {
        Value::Int(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.clone()),
        Value::Bytes(value) => query.bind(value.as_ref().map(|bytes| bytes.to_vec())),
    }
}

fn bind_cell<'q>(query: SqliteQuery<'q>, column: &Column, at: usize) -> SqliteQuery<'q> {
    match column {
        Column::Int(cells) => query.bind(cells[at]),
        Column::Text(cells) => query.bind(cells[at].clone()),
        Column::Bytes(cells) => query.bind(cells[at].as_ref().map(|bytes| bytes.to_vec())),
    }
}

/// The statements for a batch: pieces in the order of the rows.
fn pieces<'q>(statement: &Statement, part: i64, rows: &Rows) -> Vec<SqliteQuery<'q>> {
    let mut queries = Vec::new();
    let mut at = 0;
    for size in PIECES {
        while rows.len() - at >= size {
            let mut query = sqlx::query(AssertSqlSafe(statement.sqlite(size)));
            for row in at..at + size {
                query = query.bind(part);
                query = rows.columns.iter().fold(query, |query, column| bind_cell(query, column, row));
            }
            queries.push(query);
            at += size;
        }
    }
    queries
}

impl SqliteSession {
    async fn show(&mut self, queries: Vec<SqliteQuery<'_>>, visit: Visit<'_>) -> Result<(), StoreError> {
        for query in queries {
            let mut rows = query.fetch(&mut *self.transaction);
            while let Some(row) = rows.try_next().await? {
                if let ControlFlow::Break(()) = visit(&row)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn run(&mut self, query: SqliteQuery<'_>) -> Result<u64, StoreError> {
        let done = query.execute(&mut *self.transaction).await.map_err(Into::into);
        Ok(self.disk.observe(done)?.rows_affected())
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn each(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        let query = values.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), bind);
        let shown = self.show(vec![query], visit).await;
        self.disk.observe(shown)
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let query = values.iter().fold(sqlx::query(AssertSqlSafe(sql.to_owned())), bind);
        self.run(query).await
    }

    async fn batch(&mut self, statement: &Statement, part: i64, rows: &Rows) -> Result<(), StoreError> {
        for query in pieces(statement, part, rows) {
            self.run(query).await?;
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
        let shown = self.show(pieces(statement, part, rows), visit).await;
        self.disk.observe(shown)
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.disk.observe(self.transaction.commit().await.map_err(Into::into))
    }
}

impl Cells for SqliteRow {
    fn int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        self.try_get(at).map_err(|error| mistaken(&error))
    }

    fn text(&self, at: usize) -> Result<Option<&str>, StoreError> {
        self.try_get(at).map_err(|error| mistaken(&error))
    }

    fn bytes(&self, at: usize) -> Result<Option<&[u8]>, StoreError> {
        self.try_get(at).map_err(|error| mistaken(&error))
    }
}

fn mistaken(error: &sqlx::Error) -> StoreError {
    corrupt(&error.to_string())
}
