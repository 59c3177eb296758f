//! Transactions of SQLite.

use std::ops::ControlFlow;

use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement as Prepared};
use tokio::sync::mpsc;

use super::disk::Disk;
use super::found::{Found, ReadRow};
use super::pool::{Lease, blocking};
use crate::cell::{Column, Rows, Value};
use crate::codec::corrupt;
use crate::database::{Decode, Query, Session, Visit};
use crate::error::{DatabaseError, StoreError};
use crate::plan::Step;
use crate::statement::Statement;

/// Rows in one statement: few sizes, so that each is prepared once; the largest has at most 512 × 21 parameters of
/// SQLite's 32,766.
const PIECES: [usize; 4] = [512, 64, 8, 1];

/// A transaction. Whatever fails in it, it can only be dropped after.
#[derive(Debug)]
pub struct SqliteSession {
    /// None after an error.
    lease: Option<Lease>,
    /// How the transaction begins, with its first statement.
    begin: Option<&'static str>,
    disk: Disk,
}

impl SqliteSession {
    pub(super) fn new(lease: Lease, begin: &'static str, disk: Disk) -> Self {
        Self { lease: Some(lease), begin: Some(begin), disk }
    }

    /// Works within the transaction, on another thread.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lease = self.lease.take().ok_or_else(gone)?;
        let begin = self.begin.take();
        let done = lease.with(move |connection| {
            run(connection, begin)?;
            work(connection)
        });
        let (lease, done) = self.disk.observe(done.await)?;
        self.lease = Some(lease);
        Ok(done)
    }

    /// Shows what a query finds while the rest of it is being read.
    async fn show(
        &mut self,
        visit: Visit<'_>,
        query: impl FnOnce(&Connection, &mut Reader) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let mut lease = self.lease.take().ok_or_else(gone)?;
        let begin = self.begin.take();
        let (send, mut receive) = mpsc::channel(1);
        let reading = blocking(move || {
            let connection = lease.connection();
            run(connection, begin)?;
            let mut reader = Reader { found: Found::default(), send };
            match query(connection, &mut reader) {
                Ok(()) | Err(StoreError::Unavailable(DatabaseError::Closed)) => Ok((lease, reader.found)),
                Err(error) => Err(error),
            }
        });
        let mut reading = std::pin::pin!(reading);
        let mut flow = ControlFlow::Continue(());
        let read = loop {
            tokio::select! {
                biased;
                Some(found) = receive.recv(), if flow.is_continue() => {
                    flow = found.visit(visit)?;
                    if flow.is_break() {
                        receive.close();
                    }
                }
                read = &mut reading => break read,
            }
        };
        let (lease, rest) = self.disk.observe(read)?;
        self.lease = Some(lease);
        // What was on its way when the reading ended.
        while flow.is_continue()
            && let Ok(found) = receive.try_recv()
        {
            flow = found.visit(visit)?;
        }
        if flow.is_continue() {
            let _last = rest.visit(visit)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn each(&mut self, sql: &str, values: &[Value], visit: Visit<'_>) -> Result<(), StoreError> {
        let query = Query { sql: sql.to_owned().into(), values: values.to_vec() };
        let each = move |connection: &Connection, reader: &mut Reader| {
            let mut prepared = prepare(connection, &query)?;
            reader.read(&mut prepared)
        };
        self.show(visit, each).await
    }

    async fn collect_many<T: Send + 'static>(
        &mut self,
        sql: &str,
        values: &[Value],
        decode: Decode<T>,
        rows: usize,
    ) -> Result<Vec<T>, StoreError> {
        let query = Query { sql: sql.to_owned().into(), values: values.to_vec() };
        self.with(move |connection| {
            let mut found = Vec::with_capacity(rows);
            let mut prepared = prepare(connection, &query)?;
            decode_all(&mut prepared, decode, &mut found)?;
            Ok(found)
        })
        .await
    }

    async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let query = Query { sql: sql.to_owned().into(), values: values.to_vec() };
        self.with(move |connection| execute(connection, &query)).await
    }

    async fn batch(&mut self, statement: &Statement, part: i64, rows: &Rows) -> Result<(), StoreError> {
        let (statement, rows) = (statement.clone(), rows.clone());
        self.with(move |connection| batch(connection, &statement, part, &rows)).await
    }

    async fn batch_each(
        &mut self,
        statement: &Statement,
        part: i64,
        rows: &Rows,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let (statement, rows) = (statement.clone(), rows.clone());
        let each = move |connection: &Connection, reader: &mut Reader| {
            pieces(connection, &statement, part, &rows, |prepared| reader.read(prepared))
        };
        self.show(visit, each).await
    }

    async fn batch_collect<T: Send + 'static>(
        &mut self,
        statement: &Statement,
        part: i64,
        rows: &Rows,
        decode: Decode<T>,
    ) -> Result<Vec<T>, StoreError> {
        let (statement, rows) = (statement.clone(), rows.clone());
        self.with(move |connection| {
            let mut found = Vec::new();
            pieces(connection, &statement, part, &rows, |prepared| decode_all(prepared, decode, &mut found))?;
            Ok(found)
        })
        .await
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        self.with(|connection| run(connection, Some("COMMIT"))).await
    }
}

/// A batch in one transaction, as [`crate::database::Database::apply`] wants it.
pub(super) fn apply(connection: &mut Connection, head: &Query, steps: &[Step]) -> Result<bool, StoreError> {
    run(connection, Some("BEGIN IMMEDIATE"))?;
    let Some(part) = number(connection, head)? else {
        run(connection, Some("ROLLBACK"))?;
        return Ok(false);
    };
    for step in steps {
        match step {
            Step::Batch(statement, rows) => batch(connection, statement, part, rows)?,
            Step::One { sql, values, .. } => {
                let values = [&[part.into()], values.as_slice()].concat();
                execute(connection, &Query { sql: (*sql).into(), values })?;
            }
        }
    }
    run(connection, Some("COMMIT"))?;
    Ok(true)
}

/// Rows of a query, handed on in pieces.
struct Reader {
    found: Found,
    send: mpsc::Sender<Found>,
}

impl Reader {
    /// All rows of a statement with its parameters bound; [`DatabaseError::Closed`] if nobody wants more.
    fn read(&mut self, prepared: &mut Prepared<'_>) -> Result<(), StoreError> {
        let columns = prepared.column_count();
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next()? {
            self.found.add(row, columns)?;
            if self.found.is_full() {
                let sent = self.send.blocking_send(self.found.take());
                sent.map_err(|_| StoreError::Unavailable(DatabaseError::Closed))?;
            }
        }
        Ok(())
    }
}

/// All rows of a statement with its parameters bound, on the thread that reads them.
fn decode_all<T>(
    prepared: &mut Prepared<'_>,
    decode: Decode<T>,
    found: &mut Vec<T>,
) -> Result<(), StoreError> {
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        found.push(decode(&ReadRow(row))?);
    }
    Ok(())
}

/// A statement without parameters, and none is fine.
fn run(connection: &Connection, sql: Option<&'static str>) -> Result<(), StoreError> {
    if let Some(sql) = sql {
        connection.prepare_cached(sql)?.raw_execute()?;
    }
    Ok(())
}

fn prepare<'a>(
    connection: &'a Connection,
    query: &Query,
) -> Result<rusqlite::CachedStatement<'a>, StoreError> {
    let mut prepared = connection.prepare_cached(&query.sql)?;
    for at in 1..=prepared.parameter_count() {
        // SQLite counts `$2` as the first parameter if it comes first.
        let name = prepared.parameter_name(at).and_then(|name| name.strip_prefix('$')?.parse().ok());
        let number: usize = name.unwrap_or(at);
        if let Some(value) = query.values.get(number - 1) {
            prepared.raw_bind_parameter(at, bound(value))?;
        }
    }
    Ok(prepared)
}

fn execute(connection: &Connection, query: &Query) -> Result<u64, StoreError> {
    let mut prepared = prepare(connection, query)?;
    let mut rows = prepared.raw_query();
    while rows.next()?.is_some() {}
    Ok(connection.changes())
}

/// The first number of the first row.
fn number(connection: &Connection, query: &Query) -> Result<Option<i64>, StoreError> {
    let mut prepared = prepare(connection, query)?;
    let mut rows = prepared.raw_query();
    let mut found = None;
    // To its end: a statement that writes is done only then.
    while let Some(row) = rows.next()? {
        found = found.or(row.get(0)?);
    }
    Ok(found)
}

fn batch(connection: &Connection, statement: &Statement, part: i64, rows: &Rows) -> Result<(), StoreError> {
    pieces(connection, statement, part, rows, |prepared| {
        prepared.raw_execute()?;
        Ok(())
    })
}

/// The statements for a batch, in the order of the rows.
fn pieces(
    connection: &Connection,
    statement: &Statement,
    part: i64,
    rows: &Rows,
    mut each: impl FnMut(&mut Prepared<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut at = 0;
    for size in PIECES {
        if rows.len() - at < size {
            continue;
        }
        let mut prepared = connection.prepare_cached(&statement.sqlite(size))?;
        while rows.len() - at >= size {
            let mut parameter = 0;
            let mut bind = |value| {
                parameter += 1;
                prepared.raw_bind_parameter(parameter, value)
            };
            for row in at..at + size {
                bind(ToSqlOutput::from(part))?;
                rows.columns.iter().try_for_each(|column| bind(bound_cell(column, row)))?;
            }
            each(&mut prepared)?;
            at += size;
        }
    }
    Ok(())
}

fn bound(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Int(value) => value.map_or(ValueRef::Null, ValueRef::Integer),
        Value::Text(value) => value.as_ref().map_or(ValueRef::Null, |it| ValueRef::Text(it.as_bytes())),
        Value::Bytes(value) => value.as_ref().map_or(ValueRef::Null, |it| ValueRef::Blob(it)),
    })
}

fn bound_cell(column: &Column, at: usize) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match column {
        Column::Int(cells) => cells[at].map_or(ValueRef::Null, ValueRef::Integer),
        Column::Text(cells) => cells[at].as_ref().map_or(ValueRef::Null, |it| ValueRef::Text(it.as_bytes())),
        Column::Bytes(cells) => cells[at].as_ref().map_or(ValueRef::Null, |it| ValueRef::Blob(it)),
    })
}

/// Nobody uses a transaction after an error.
fn gone() -> StoreError {
    corrupt("transaction that has failed is used")
}
