//! What is on the server's disk, and whether the server has crashed since.
//!
//! A look reads the applied index together with the WAL's insert position: everything up to that index is on the
//! disk once the flush position has passed that mark, which a later look sees. Marks made before a crash mean
//! nothing after it, for the WAL may have been written anew from an earlier position.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use buzon_types::id::GroupId;
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};

use crate::error::StoreError;

/// Marks kept for a group. When there are more, the last one moves on: an index is then known a little later.
const MARKS_MAX: usize = 64;

/// What one look saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    applied: u64,
    flushed: u64,
    inserted: u64,
    incarnation: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    applied: u64,
    inserted: u64,
}

#[derive(Debug, Default)]
struct GroupMarks {
    incarnation: u64,
    marks: VecDeque<Mark>,
    durable: u64,
}

/// Marks of all groups.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<HashMap<GroupId, GroupMarks>>);

impl Marks {
    fn lock(&self) -> MutexGuard<'_, HashMap<GroupId, GroupMarks>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a look tells to be on the disk; 0 if nothing is known.
    pub(super) fn look(&self, group: GroupId, position: Position) -> u64 {
        let mut groups = self.lock();
        let group = groups.entry(group).or_default();
        if group.incarnation != position.incarnation {
            group.incarnation = position.incarnation;
            group.marks.clear();
        }
        while let Some(mark) = group.marks.pop_front_if(|mark| mark.inserted <= position.flushed) {
            group.durable = mark.applied.max(group.durable);
        }
        if group.marks.len() == MARKS_MAX {
            group.marks.pop_back();
        }
        group.marks.push_back(Mark { applied: position.applied, inserted: position.inserted });
        group.durable
    }

    /// The group is gone.
    pub(super) fn forget(&self, group: GroupId) {
        self.lock().remove(&group);
    }

    /// After a flush: this index is on the disk.
    pub(super) fn flushed(&self, group: GroupId, index: u64) -> u64 {
        let mut groups = self.lock();
        let group = groups.entry(group).or_default();
        group.durable = index.max(group.durable);
        group.durable
    }
}

/// Looks.
pub(super) async fn position(pool: &PgPool, group: GroupId) -> Result<Position, StoreError> {
    let mut incarnation_now = None;
    loop {
        let query = sqlx::query(include_str!("../../queries/group/position.sql"));
        let row = query.bind(group.0.cast_signed()).fetch_optional(pool).await?;
        let Some(row) = row else {
            return Err(StoreError::NoRows { group: group.0 });
        };
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
        if let Some(incarnation) = combine(&row, 3)? {
            let (applied, flushed, inserted) = (number(0)?, number(1)?, number(2)?);
            return Ok(Position { applied, flushed, inserted, incarnation });
        }
        if incarnation_now.is_some() {
            return Err(StoreError::from(sqlx::Error::RowNotFound)); // crashed again meanwhile
        }
        incarnation_now = Some(incarnation(pool).await?);
    }
}

/// Makes all that is applied durable; the index.
pub(super) async fn flush(pool: &PgPool, group: GroupId) -> Result<u64, StoreError> {
    let mut transaction = pool.begin().await?;
    let sql = "SELECT applied FROM group_head WHERE group_id = $1";
    let row = sqlx::query(sql).bind(group.0.cast_signed()).fetch_one(&mut *transaction).await?;
    let applied: i64 = row.try_get(0)?;
    // This commit's record comes after all that was just seen, and is waited for.
    sqlx::query("SET LOCAL synchronous_commit = on").execute(&mut *transaction).await?;
    sqlx::query("UPDATE node SET flushes = flushes + 1").execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(applied.cast_unsigned())
}

/// Changes when the server was restarted, and when one of its processes crashed and took the others along, which
/// its start time does not tell: an unlogged table is emptied then.
pub(super) async fn incarnation(pool: &PgPool) -> Result<u64, StoreError> {
    let sql = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, \
               (SELECT value FROM crash_canary)";
    let renew = "INSERT INTO crash_canary (only_row, value) \
                 VALUES (1, hashtextextended(gen_random_uuid()::text, 0)) ON CONFLICT DO NOTHING";
    if let Some(incarnation) = combine(&sqlx::query(sql).fetch_one(pool).await?, 0)? {
        return Ok(incarnation);
    }
    sqlx::query(renew).execute(pool).await?;
    let incarnation = combine(&sqlx::query(sql).fetch_one(pool).await?, 0)?;
    incarnation.ok_or(StoreError::from(sqlx::Error::RowNotFound))
}

/// Start time and canary in one number; `None` while there is no canary.
fn combine(row: &PgRow, at: usize) -> Result<Option<u64>, StoreError> {
    let (started, canary): (i64, Option<i64>) = (row.try_get(at)?, row.try_get(at + 1)?);
    Ok(canary.map(|canary| started.cast_unsigned().rotate_left(32) ^ canary.cast_unsigned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(1);

    fn position(applied: u64, flushed: u64, inserted: u64, incarnation: u64) -> Position {
        Position { applied, flushed, inserted, incarnation }
    }

    #[test]
    fn an_index_is_durable_once_the_flush_passes_its_mark() {
        let marks = Marks::default();
        assert_eq!(marks.look(GROUP, position(5, 90, 100, 1)), 0);
        assert_eq!(marks.look(GROUP, position(6, 99, 120, 1)), 0);
        assert_eq!(marks.look(GROUP, position(7, 110, 130, 1)), 5);
        assert_eq!(marks.look(GROUP, position(7, 130, 130, 1)), 7);
    }

    #[test]
    fn marks_from_before_a_crash_mean_nothing() {
        let marks = Marks::default();
        assert_eq!(marks.look(GROUP, position(5, 90, 100, 1)), 0);
        // The WAL was lost from 90 on and written anew, past the old mark.
        assert_eq!(marks.look(GROUP, position(3, 150, 160, 2)), 0);
        assert_eq!(marks.look(GROUP, position(3, 160, 160, 2)), 3);
    }

    #[test]
    fn too_many_marks_only_delay() {
        let marks = Marks::default();
        for at in 0..1000 {
            assert_eq!(marks.look(GROUP, position(at, 0, at, 1)), 0);
        }
        assert!(marks.look(GROUP, position(1000, 998, 1000, 1)) >= MARKS_MAX as u64 - 2);
        assert_eq!(marks.look(GROUP, position(1000, 1000, 1000, 1)), 1000);
    }
}
