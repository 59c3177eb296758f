//! Groups on their way between nodes: export as pages, install under a new part.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_types::id::GroupId;
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::cell::{Column, Kind, Rows, Value};
use crate::codec::corrupt;
use crate::database::{Database, Session};
use crate::error::{DatabaseError, StoreError};
use crate::page::{self, Means};
use crate::read::{StoredHead, known_head};
use crate::remove;
use crate::scan::scan;
use crate::statement::Statement;
use crate::store::{GroupHead, Install, Page};
use crate::table::TABLES;
use crate::write::{PartState, drop_part, drop_parts, new_part};

/// The pseudo table of the first page: what the group's head holds besides what the log's owner keeps.
const HEAD_TABLE: &str = "group";
const HEAD_COLUMNS: &[(&str, Kind)] = &[
    ("time", Kind::Int),
    ("feature_level", Kind::Int),
    ("next_tenant", Kind::Int),
    ("next_account", Kind::Int),
    ("next_node", Kind::Int),
    ("next_group", Kind::Int),
    ("voters_per_shard", Kind::Int),
    // Comes only with a digest: those that do not know it refuse the page, and know no such level either.
    ("digest", Kind::Bytes),
];

/// How long an export may hold its view of the database: it keeps Postgres from vacuuming and SQLite from
/// starting its WAL anew. A group of this age of rows is exported in a fraction of it.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(600);

/// See [`crate::store::MetaStore::export`].
pub(crate) async fn export<D: Database>(
    database: &D,
    group: GroupId,
    visit: &mut (dyn FnMut(Page) -> ControlFlow<()> + Send),
) -> Result<GroupHead, StoreError> {
    let export = async {
        let mut session = database.read().await?;
        let stored = known_head(&mut session, group).await?;
        if visit(head_page(&stored)).is_continue() {
            let mut visit = |table: &'static crate::table::Table, rows: &Rows| {
                Ok(visit(page::encode(table.name, table.columns, rows)))
            };
            let _stopped = scan(&mut session, stored.part, &mut visit).await?;
        }
        Ok(stored.head)
    };
    let late = |_| StoreError::Unavailable(DatabaseError::Late);
    tokio::time::timeout(EXPORT_TIME_MAX, export).await.map_err(late)?
}

pub(crate) fn head_page(stored: &StoredHead) -> Page {
    let columns = &HEAD_COLUMNS[..HEAD_COLUMNS.len() - usize::from(stored.digest.is_none())];
    let mut rows = Rows::new(columns.iter().map(|column| column.1));
    let mut row = rows.row();
    row.int(stored.time.0)
        .int(stored.feature_level.0)
        .unsigned(stored.counters.next_tenant.0)
        .unsigned(stored.counters.next_account.0)
        .unsigned(stored.counters.next_node.0)
        .unsigned(stored.counters.next_group.0)
        .int(stored.counters.voters_per_shard);
    if let Some(digest) = stored.digest {
        row.wide(digest.0);
    }
    page::encode(HEAD_TABLE, columns, &rows)
}

/// Begins to stage a snapshot; what an earlier one left behind goes first.
pub(crate) async fn begin_install<D: Database>(
    database: &Arc<D>,
    group: GroupId,
) -> Result<Arc<dyn Install>, StoreError> {
    drop_parts(&**database, Some(group)).await?;
    let mut session = database.write().await?;
    let part = new_part(&mut session, group, PartState::Staged).await?;
    session.commit().await?;
    Ok(Arc::new(Staging {
        database: Arc::clone(database),
        group,
        part,
        head: Mutex::new(None),
        last: Mutex::new(None),
        in_doubt: AtomicBool::new(false),
    }))
}

struct Staging<D> {
    database: Arc<D>,
    group: GroupId,
    part: i64,
    /// From the first page, or the last that has it.
    head: Mutex<Option<Rows>>,
    /// The last page that was staged.
    last: Mutex<Option<Page>>,
    /// Whether one after it may have been, too, though nobody was told.
    in_doubt: AtomicBool,
}

#[async_trait]
impl<D: Database> Install for Staging<D> {
    async fn page(&self, page: Page) -> Result<(), StoreError> {
        let decoded = page::decode(&page)?;
        if decoded.table() == HEAD_TABLE {
            let head = decoded.rows(HEAD_COLUMNS)?;
            check_feature_level(&head)?;
            *self.head.lock().await = Some(head);
            return Ok(());
        }
        let mut last = self.last.lock().await;
        if last.as_ref() == Some(&page) {
            return Ok(()); // the answer was lost
        }
        let table = TABLES.into_iter().find(|table| table.name == decoded.table());
        let table = table.ok_or_else(|| corrupt(&format!("page has table {}", decoded.table())))?;
        let (statement, rows) = match decoded.means()? {
            Means::Removes => remove::decode(table, decoded)?,
            // Once more, if it is there already.
            Means::Adds if !self.in_doubt.load(Ordering::SeqCst) => {
                (Statement::insert(table), decoded.rows(table.columns)?)
            }
            Means::Adds | Means::Replaces => (Statement::put(table), decoded.rows(table.columns)?),
        };
        self.in_doubt.store(true, Ordering::SeqCst);
        let mut session = self.database.write().await?;
        if !self.move_on(&mut session, PartState::Staged).await? {
            return Err(self.gone());
        }
        session.batch(&statement, self.part, &rows).await?;
        session.commit().await?;
        self.in_doubt.store(false, Ordering::SeqCst);
        *last = Some(page);
        drop(last);
        self.database.committed().await;
        Ok(())
    }

    async fn finish(&self, head: GroupHead) -> Result<(), StoreError> {
        let stored = self.head.lock().await.clone();
        let stored = stored.ok_or_else(|| corrupt("snapshot without its first page"))?;
        if head.group != self.group {
            return Err(corrupt("snapshot of another group"));
        }
        let old_part = self.flip(&head, &stored).await?;
        self.database.committed().await;
        if let Some(part) = old_part {
            let database = Arc::clone(&self.database);
            // The flip holds whether this works or not; the next open or install tries again.
            tokio::spawn(async move {
                if let Err(error) = drop_part(&*database, part).await {
                    tracing::warn!(
                        part,
                        error = &error as &dyn std::error::Error,
                        "delete rows of a replaced part"
                    );
                }
            });
        }
        Ok(())
    }
}

/// Before anything of it is staged: once it was installed, the group could not be opened.
fn check_feature_level(head: &Rows) -> Result<(), StoreError> {
    let found = number(head, 1).and_then(|level| u32::try_from(level).ok()).unwrap_or(0);
    let known = FEATURE_LEVEL_MAX.0;
    if found > known { Err(StoreError::FeatureLevel { found, known }) } else { Ok(()) }
}

/// A number of the first page.
fn number(head: &Rows, at: usize) -> Option<i64> {
    match head.columns.get(at) {
        Some(Column::Int(cells)) => cells.first().copied().flatten(),
        _ => None,
    }
}

/// The state digest of the first page, if the group has one.
fn digest(head: &Rows) -> Option<Bytes> {
    match head.columns.get(HEAD_COLUMNS.len() - 1) {
        Some(Column::Bytes(cells)) => cells.first().cloned().flatten(),
        _ => None,
    }
}

impl<D: Database> Staging<D> {
    /// Gives the part a state if it is still staged; it is locked, or stays so, until the transaction ends.
    async fn move_on(&self, session: &mut D::Session, to: PartState) -> Result<bool, StoreError> {
        let sql = "UPDATE part SET state = $2 WHERE part = $1 AND state = 2";
        Ok(session.execute(sql, &[self.part.into(), Value::from(to as i64)]).await? == 1)
    }

    fn gone(&self) -> StoreError {
        StoreError::StagingGone { group: self.group.0, part: self.part }
    }

    async fn flip(&self, head: &GroupHead, stored: &Rows) -> Result<Option<i64>, StoreError> {
        let number = |at: usize| number(stored, at);
        let mut session = self.database.write().await?;
        let is_staged = self.move_on(&mut session, PartState::Live).await?;
        let old_part = crate::read::head(&mut session, self.group).await?.map(|old| old.part);
        if !is_staged {
            // An attempt whose answer was lost came to pass.
            return if old_part == Some(self.part) { Ok(None) } else { Err(self.gone()) };
        }
        let values = [
            self.group.0.into(),
            self.part.into(),
            head.applied.index.into(),
            head.applied.log_id.clone().into(),
            head.membership.clone().into(),
            Value::from(number(0).unwrap_or(0)),
            Value::from(number(1).unwrap_or(1)),
            Value::from(number(2).unwrap_or(1)),
            Value::from(number(3).unwrap_or(1)),
            // Not in snapshots of versions that knew one node only.
            Value::from(number(4).unwrap_or(1)),
            Value::from(number(5).unwrap_or(1)),
            Value::from(number(6).unwrap_or(0)),
            Value::Bytes(digest(stored)),
        ];
        session.execute(include_str!("../queries/group/install.sql"), &values).await?;
        if let Some(part) = old_part {
            let set_state = "UPDATE part SET state = $2 WHERE part = $1";
            session.execute(set_state, &[part.into(), Value::from(PartState::Dropped as i64)]).await?;
        }
        session.commit().await?;
        Ok(old_part)
    }
}
