//! What the engine asks of a database; SQLite and Postgres are the two answers.

use std::borrow::Cow;
use std::ops::ControlFlow;

use async_trait::async_trait;
use buzon_types::id::GroupId;

use crate::cell::{Cells, Rows, Value};
use crate::error::StoreError;
use crate::plan::Step;
use crate::statement::Statement;

/// Sees each row of a result; may end the reading.
pub type Visit<'a> = &'a mut (dyn FnMut(&dyn Cells) -> Result<ControlFlow<()>, StoreError> + Send);

/// Makes something of a row.
pub type Decode<T> = fn(&dyn Cells) -> Result<T, StoreError>;

/// A statement with parameters `$1`, `$2`, …
#[derive(Debug, Clone)]
pub struct Query {
    /// Its text.
    pub sql: Cow<'static, str>,
    /// From `$1` on.
    pub values: Vec<Value>,
}

/// A database.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// Its transactions.
    type Session: Session;

    /// A read-only transaction that sees one committed state, however many statements it runs.
    async fn read(&self) -> Result<Self::Session, StoreError>;

    /// A writing transaction. Dropping it undoes it.
    async fn write(&self) -> Result<Self::Session, StoreError>;

    /// Writes a batch in one transaction: `head` moves the group's head and tells its part, in which the steps run. False,
    /// and nothing is written, if it finds no such head.
    async fn apply(&self, head: Query, steps: Vec<Step>) -> Result<bool, StoreError> {
        let mut session = self.write().await?;
        let mut part = None;
        session
            .each(&head.sql, &head.values, &mut |cells| {
                part = cells.int(0)?;
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        let Some(part) = part else { return Ok(false) };
        for step in &steps {
            match step {
                Step::Batch(statement, rows) => session.batch(statement, part, rows).await?,
                Step::One { sql, values, .. } => {
                    session.execute(sql, &[&[part.into()], values.as_slice()].concat()).await?;
                }
            }
        }
        session.commit().await?;
        Ok(true)
    }

    /// Called after each commit of a batch: time to think of checkpoints. Must not fail what is committed.
    async fn committed(&self);

    /// See [`crate::store::MetaStore::durable_index`].
    async fn durable_index(&self, group: GroupId, flush: bool) -> Result<u64, StoreError>;

    /// What was known to be on the disk of a group that is gone means nothing for one that comes back.
    async fn forget(&self, group: GroupId);

    /// See [`crate::store::MetaStore::server_incarnation`].
    async fn server_incarnation(&self) -> Result<u64, StoreError>;

    /// See [`crate::store::MetaStore::close`].
    async fn close(&self);
}

/// A transaction.
#[async_trait]
pub trait Session: Send {
    /// Runs a query with parameters `$1`, `$2`, … and shows its rows.
    async fn each(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError>;

    /// What `decode` makes of each row of a query, wherever rows are read.
    async fn collect<T: Send + 'static>(
        &mut self,
        sql: &str,
        values: &[Value],
        decode: Decode<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.collect_many(sql, values, decode, 0).await
    }

    /// [`Self::collect`] of about so many rows: room for them is made at once.
    async fn collect_many<T: Send + 'static>(
        &mut self,
        sql: &str,
        values: &[Value],
        decode: Decode<T>,
        rows: usize,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::with_capacity(rows);
        self.each(sql, values, &mut |cells| {
            found.push(decode(cells)?);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok(found)
    }

    /// Runs a statement; how many rows it changed.
    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError>;

    /// Runs a statement for a batch of rows, in pieces if need be.
    async fn batch(&mut self, statement: &Statement, part: i64, rows: &Rows) -> Result<(), StoreError>;

    /// Runs a query over a batch of rows, in pieces if need be, and shows what it finds.
    async fn batch_each(
        &mut self,
        statement: &Statement,
        part: i64,
        rows: &Rows,
        visit: Visit<'_>,
    ) -> Result<(), StoreError>;

    /// The same, and what `decode` makes of each row, wherever rows are read.
    async fn batch_collect<T: Send + 'static>(
        &mut self,
        statement: &Statement,
        part: i64,
        rows: &Rows,
        decode: Decode<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.batch_each(statement, part, rows, &mut |cells| {
            found.push(decode(cells)?);
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        Ok(found)
    }

    /// Commits.
    async fn commit(self) -> Result<(), StoreError>;
}
