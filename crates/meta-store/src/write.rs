//! Writes: a new group, a batch, and what is left of old parts.

use buzon_types::id::GroupId;
use std::ops::ControlFlow;

use crate::cell::{Value, wide};
use crate::codec;
use crate::database::{Database, Query, Session};
use crate::error::StoreError;
use crate::plan::{Plan, plan};
use crate::read;
use crate::store::{Batch, OutcomeCodec};
use crate::table::TABLES;
use crate::tracking::Exports;

/// Whose rows a part holds. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartState {
    /// The group's.
    Live = 1,
    /// A snapshot's that is coming in.
    Staged = 2,
    /// Nobody's any more.
    Dropped = 3,
}

/// Makes a group at index 0 unless it is there.
pub(crate) async fn create_group<D: Database>(database: &D, group: GroupId) -> Result<(), StoreError> {
    let mut session = database.write().await?;
    if read::head(&mut session, group).await?.is_some() {
        return Ok(());
    }
    let part = new_part(&mut session, group, PartState::Live).await?;
    let sql = "INSERT INTO group_head (group_id, part, applied, log_id, membership, time, feature_level, next_tenant, \
               next_account) VALUES ($1, $2, 0, $3, $3, 0, 1, 1, 1)";
    let empty = Value::from(bytes::Bytes::new());
    session.execute(sql, &[group.0.into(), part.into(), empty]).await?;
    session.commit().await
}

/// Deletes a group's head, then its rows in small transactions.
pub(crate) async fn remove_group<D: Database>(database: &D, group: GroupId) -> Result<(), StoreError> {
    let mut session = database.write().await?;
    session.execute("UPDATE part SET state = 3 WHERE group_id = $1", &[group.0.into()]).await?;
    session.execute("DELETE FROM group_head WHERE group_id = $1", &[group.0.into()]).await?;
    session.commit().await?;
    database.forget(group).await;
    drop_parts(database, Some(group)).await
}

/// A number that no part of this database ever had.
pub(crate) async fn new_part(
    session: &mut impl Session,
    group: GroupId,
    state: PartState,
) -> Result<i64, StoreError> {
    let mut part = None;
    let sql = "UPDATE node SET last_part = last_part + 1 RETURNING last_part";
    session
        .each(sql, &[], &mut |cells| {
            part = cells.int(0)?;
            Ok(ControlFlow::Continue(()))
        })
        .await?;
    let part = part.ok_or_else(|| codec::corrupt("node has no row"))?;
    let values = [part.into(), group.0.into(), Value::from(state as i64)];
    session.execute("INSERT INTO part (part, group_id, state) VALUES ($1, $2, $3)", &values).await?;
    Ok(part)
}

/// Writes a batch in one transaction.
pub(crate) async fn commit<D: Database>(
    database: &D,
    exports: &Exports,
    batch: Batch<'_>,
    outcomes: &dyn OutcomeCodec,
) -> Result<(), StoreError> {
    let plan = plan(batch.changes, outcomes);
    let noted = exports.commit(batch.group, &plan);
    let head = advance(&batch, &plan);
    if !database.apply(head, plan.steps).await? {
        let mut session = database.read().await?;
        let found = read::known_head(&mut session, batch.group).await?.head.applied.index;
        return Err(StoreError::AppliedMismatch {
            group: batch.group.0,
            expected: batch.expected_index,
            found,
        });
    }
    noted.succeeded();
    database.committed().await;
    Ok(())
}

/// Moves the group's head and locks it; tells its part. Finds none that stands elsewhere.
fn advance(batch: &Batch<'_>, plan: &Plan) -> Query {
    let head = &plan.head;
    let values = vec![
        batch.group.0.into(),
        batch.expected_index.into(),
        batch.applied.index.into(),
        batch.applied.log_id.clone().into(),
        Value::Bytes(batch.membership.clone()),
        Value::Int(head.time.map(|time| time.0)),
        Value::Int(head.feature_level.map(|level| i64::from(level.0))),
        Value::Int(head.counters.map(|counters| counters.next_tenant.0.cast_signed())),
        Value::Int(head.counters.map(|counters| counters.next_account.0.cast_signed())),
        Value::Int(head.counters.map(|counters| counters.next_node.0.cast_signed())),
        Value::Int(head.counters.map(|counters| counters.next_group.0.cast_signed())),
        Value::Int(head.counters.map(|counters| counters.voters_per_shard.into())),
        Value::Bytes(batch.digest.map(|digest| wide(digest.0))),
    ];
    Query { sql: include_str!("../queries/group/advance.sql").into(), values }
}

/// Rows of a part deleted in one transaction: others want to write too.
const DROP_ROWS_MAX: i64 = 10_000;

/// Deletes the rows of parts that nobody uses, in small transactions: snapshots that were never finished, and
/// rows that a finished one replaced. Those of one group, or of all.
///
/// A staged part is dropped first and emptied after, so that one which becomes its group's at this moment is either
/// refused or left alone. Dropped parts stay dropped.
pub(crate) async fn drop_parts<D: Database>(database: &D, group: Option<GroupId>) -> Result<(), StoreError> {
    let of_group = if group.is_some() { " AND group_id = $1" } else { "" };
    let values: Vec<Value> = group.iter().map(|group| group.0.into()).collect();
    let mut session = database.write().await?;
    session.execute(&format!("UPDATE part SET state = 3 WHERE state = 2{of_group}"), &values).await?;
    session.commit().await?;
    let sql = format!("SELECT part FROM part WHERE state = 3{of_group}");
    let mut session = database.read().await?;
    let parts = session.collect(&sql, &values, |cells| codec::int(cells, 0, "part.part")).await?;
    drop(session);
    for part in parts {
        drop_part(database, part).await?;
    }
    Ok(())
}

/// Deletes the rows of a part whose state says that it is dropped.
pub(crate) async fn drop_part<D: Database>(database: &D, part: i64) -> Result<(), StoreError> {
    for table in TABLES {
        let keys = crate::statement::names(table.key());
        let sql = format!(
            "DELETE FROM {name} WHERE (part, {keys}) IN (SELECT part, {keys} FROM {name} WHERE part = $1 LIMIT $2)",
            name = table.name
        );
        loop {
            let mut session = database.write().await?;
            let deleted = session.execute(&sql, &[part.into(), DROP_ROWS_MAX.into()]).await?;
            session.commit().await?;
            database.committed().await;
            if deleted == 0 {
                break;
            }
        }
    }
    let mut session = database.write().await?;
    session.execute("DELETE FROM part WHERE part = $1 AND state = 3", &[part.into()]).await?;
    session.commit().await
}
