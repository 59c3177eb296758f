//! The database as apply and snapshots use it.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{Batch, Export, Exported, GroupHead, Identity, Install, MetaStore, Page};
use buzon_model::row::{
    AddressRow, DomainRow, MailboxState, NodeRow, PlacementRow, ShardRow, TenantRow, Tombstone,
};
use buzon_model::scope::{Loaded, Need, Seed};
use buzon_model::testing::Rows;
use buzon_types::id::{AccountId, DIRECTORY, GroupId, LogIndex, MailboxKey, TenantId};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use super::tables::{Record, Tables};
use super::{Database, State, pages};
use crate::simulation::digest;

/// The database as a node sees it: clones are the same.
#[derive(Clone)]
pub(crate) struct Store(pub(crate) Arc<Database>);

impl Store {
    /// A transaction that always fits.
    async fn write(&self, record: impl FnOnce(&Tables) -> Record) -> Result<(), StoreError> {
        let server = self.0.enter().await?;
        {
            let mut state = self.0.state.lock();
            let record = record(&state.tables);
            self.0.carry_out(&mut state, record)?;
        }
        self.0.leave(server).await
    }

    async fn read<T>(&self, group: GroupId, read: impl FnOnce(&Rows) -> T) -> Result<T, StoreError> {
        self.0.enter().await?;
        let state = self.0.state.lock();
        let stored = state.tables.groups.get(&group).ok_or_else(|| no_rows(group))?;
        Ok(read(&stored.rows))
    }
}

impl Database {
    fn carry_out(&self, state: &mut State, record: Record) -> Result<(), StoreError> {
        if let Err(what) = state.tables.carry_out(&record) {
            self.oracle.violated("rows_fit_the_constraints", format!("node {}: {what}", self.node));
            return Err(StoreError::Corrupt { what });
        }
        state.log.push(record);
        Ok(())
    }
}

/// As the real one says it.
fn no_rows(group: GroupId) -> StoreError {
    StoreError::NoRows { group: group.0 }
}

#[async_trait]
impl MetaStore for Store {
    async fn claim(&self, identity: &Identity) -> Result<(), StoreError> {
        self.0.enter().await?;
        let mut state = self.0.state.lock();
        match &state.tables.identity {
            Some(found) if found != identity => {
                Err(StoreError::Identity { found: format!("{found:?}"), expected: format!("{identity:?}") })
            }
            Some(_) => Ok(()),
            None => {
                self.0.carry_out(&mut state, Record::Claim(identity.clone()))?;
                self.0.flush(&mut state);
                Ok(())
            }
        }
    }

    async fn groups(&self) -> Result<Vec<GroupHead>, StoreError> {
        self.0.enter().await?;
        Ok(self.0.state.lock().tables.groups.values().map(|stored| stored.head.clone()).collect())
    }

    async fn create_group(&self, group: GroupId) -> Result<(), StoreError> {
        self.write(|_| Record::Create(group)).await
    }

    async fn remove_group(&self, group: GroupId) -> Result<(), StoreError> {
        self.write(|_| Record::Remove(group)).await
    }

    async fn head(&self, group: GroupId) -> Result<Option<GroupHead>, StoreError> {
        self.0.enter().await?;
        Ok(self.0.state.lock().tables.groups.get(&group).map(|stored| stored.head.clone()))
    }

    async fn seed(&self, group: GroupId) -> Result<Seed, StoreError> {
        self.read(group, Rows::seed).await
    }

    async fn load(&self, group: GroupId, need: &Need) -> Result<Loaded, StoreError> {
        self.read(group, |rows| rows.load(need)).await
    }

    async fn commit(&self, batch: Batch<'_>) -> Result<(), StoreError> {
        let Batch { group, expected_index, applied, membership, changes, digest } = batch;
        let server = self.0.enter().await?;
        {
            let mut state = self.0.state.lock();
            let stored = state.tables.groups.get(&group).ok_or_else(|| no_rows(group))?;
            let found = stored.head.applied.index;
            if found != expected_index {
                return Err(StoreError::AppliedMismatch { group: group.0, expected: expected_index, found });
            }
            let to = LogIndex(applied.index);
            self.0.carry_out(
                &mut state,
                Record::Commit { group, applied, membership, changes: changes.to_vec(), digest },
            )?;
            let rows = &state.tables.groups[&group].rows;
            self.0.oracle.applied(self.0.node, group, (LogIndex(expected_index), to), rows);
        }
        self.0.leave(server).await
    }

    async fn durable_index(&self, group: GroupId, flush: bool) -> Result<u64, StoreError> {
        self.0.enter().await?;
        let mut state = self.0.state.lock();
        if flush {
            self.0.flush(&mut state);
        }
        if !state.tables.groups.contains_key(&group) {
            return Err(no_rows(group));
        }
        Ok(state.durable.groups.get(&group).map_or(0, |stored| stored.head.applied.index))
    }

    async fn server_incarnation(&self) -> Result<u64, StoreError> {
        self.0.enter().await
    }

    async fn summaries(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<(Uid, Bytes)>, StoreError> {
        self.read(group, |rows| {
            let all = rows.summaries.range((mailbox, Uid::MIN)..=(mailbox, Uid::MAX));
            all.filter(|((_, uid), _)| uids.contains(*uid)).map(|((_, uid), it)| (*uid, it.clone())).collect()
        })
        .await
    }

    async fn tombstones(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<Tombstone>, StoreError> {
        self.read(group, |rows| {
            let all = rows.tombstones.range((mailbox, Uid::MIN)..=(mailbox, Uid::MAX));
            all.filter(|((_, uid), _)| uids.contains(*uid)).map(|(_, row)| *row).collect()
        })
        .await
    }

    async fn expunged_since(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        since: ModSeq,
    ) -> Result<UidSet, StoreError> {
        self.read(group, |rows| rows.expunged_since(mailbox, since)).await
    }

    async fn deleting_mailboxes(
        &self,
        group: GroupId,
        after: Option<MailboxKey>,
        rows_max: u32,
    ) -> Result<Vec<MailboxKey>, StoreError> {
        self.read(group, |rows| {
            let deleting = rows.mailboxes.values().filter(|row| row.state != MailboxState::Live);
            let keys = deleting.map(|row| row.key).filter(|key| Some(*key) > after);
            keys.take(rows_max as usize).collect()
        })
        .await
    }

    async fn staged_copies(
        &self,
        group: GroupId,
        after: Option<(AccountId, u128)>,
        rows_max: u32,
    ) -> Result<Vec<(AccountId, u128)>, StoreError> {
        self.read(group, |rows| {
            let keys = rows.staged.keys().copied().filter(|key| Some(*key) > after);
            keys.take(rows_max as usize).collect()
        })
        .await
    }

    async fn tenants(&self, after: Option<&str>, rows_max: u32) -> Result<Vec<TenantRow>, StoreError> {
        self.read(DIRECTORY, |rows| {
            let rows = rows.tenants.values().filter(|row| Some(row.name.as_str()) > after);
            rows.take(rows_max as usize).cloned().collect()
        })
        .await
    }

    async fn domains(
        &self,
        tenant: Option<TenantId>,
        after: Option<&str>,
        rows_max: u32,
    ) -> Result<Vec<DomainRow>, StoreError> {
        self.read(DIRECTORY, |rows| {
            let rows = rows.domains.values().filter(|row| tenant.is_none_or(|it| it == row.tenant));
            let rows = rows.filter(|row| after.is_none_or(|after| row.domain.to_string().as_str() > after));
            rows.take(rows_max as usize).cloned().collect()
        })
        .await
    }

    async fn placements(
        &self,
        tenant: Option<TenantId>,
        after: Option<AccountId>,
        rows_max: u32,
    ) -> Result<Vec<PlacementRow>, StoreError> {
        self.read(DIRECTORY, |rows| {
            let rows = rows.placements.values().filter(|row| tenant.is_none_or(|it| it == row.tenant));
            rows.filter(|row| Some(row.account) > after).take(rows_max as usize).cloned().collect()
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.read(DIRECTORY, |rows| rows.nodes.values().cloned().collect()).await
    }

    async fn shards(&self) -> Result<Vec<ShardRow>, StoreError> {
        self.read(DIRECTORY, |rows| rows.shards.values().cloned().collect()).await
    }

    async fn addresses(&self, account: AccountId) -> Result<Vec<AddressRow>, StoreError> {
        self.read(DIRECTORY, |rows| {
            rows.addresses.values().filter(|row| row.account == account).cloned().collect()
        })
        .await
    }

    async fn export(
        &self,
        group: GroupId,
        visit: &mut (dyn FnMut(Page) -> ControlFlow<()> + Send),
    ) -> Result<GroupHead, StoreError> {
        self.0.enter().await?;
        let stored = self.0.state.lock().tables.groups.get(&group).cloned();
        let stored = stored.ok_or_else(|| no_rows(group))?;
        let mut has = Rows::default();
        while let Some(piece) = pages::next(&has, &stored.rows) {
            pages::merge(&mut has, &piece);
            if visit(self.0.vault.put(piece)).is_break() {
                break;
            }
        }
        Ok(stored.head)
    }

    async fn begin_export(&self, group: GroupId) -> Result<Box<dyn Export>, StoreError> {
        let server = self.0.enter().await?;
        let state = self.0.state.lock();
        let stored = state.tables.groups.get(&group).ok_or_else(|| no_rows(group))?;
        let (began, part) = (stored.head.applied.index, state.tables.parts.get(&group).copied());
        let (store, has) = (self.clone(), Rows::default());
        Ok(Box::new(Pages { store, group, server, part, began, has, over: None }))
    }

    async fn digest(&self, group: GroupId) -> Result<u128, StoreError> {
        self.read(group, |rows| digest::of_rows(rows).into()).await
    }

    async fn begin_install(&self, group: GroupId) -> Result<Arc<dyn Install>, StoreError> {
        let mut begun = 0;
        self.write(|tables| {
            begun = tables.next_part;
            Record::Stage { group, part: begun }
        })
        .await?;
        Ok(Arc::new(Staging { store: self.clone(), group, part: begun }))
    }

    async fn close(&self) {}
}

/// Rows page by page, of whatever they are when each is read.
struct Pages {
    store: Store,
    group: GroupId,
    server: u64,
    part: Option<i64>,
    /// Where the rows stood then.
    began: u64,
    /// What the receiver has with all pages so far.
    has: Rows,
    /// Why there are no more.
    over: Option<&'static str>,
}

#[async_trait]
impl Export for Pages {
    async fn next(&mut self) -> Result<Exported, StoreError> {
        let over = |why| StoreError::ExportOver { group: self.group.0, why };
        if let Some(why) = self.over.replace("a page could not be read") {
            return Err(over(why));
        }
        let database = &self.store.0;
        let server = database.enter().await?;
        let state = database.state.lock();
        let stored = state.tables.groups.get(&self.group).ok_or_else(|| no_rows(self.group))?;
        if (server, state.tables.parts.get(&self.group).copied()) != (self.server, self.part) {
            return Err(over("the database restarted, or has other rows"));
        }
        self.over = None;
        let Some(piece) = pages::next(&self.has, &stored.rows) else {
            let is_later = stored.head.applied.index > self.began;
            database.oracle.count(if is_later { "exports beside commits" } else { "exports" });
            return Ok(Exported::End(stored.head.clone()));
        };
        pages::merge(&mut self.has, &piece);
        Ok(Exported::Page(database.vault.put(piece)))
    }
}

struct Staging {
    store: Store,
    group: GroupId,
    part: i64,
}

impl Staging {
    fn is_staged(&self, tables: &Tables) -> bool {
        tables.staged.get(&self.group).is_some_and(|(part, _)| *part == self.part)
    }

    fn gone(&self) -> StoreError {
        StoreError::StagingGone { group: self.group.0, part: self.part }
    }
}

#[async_trait]
impl Install for Staging {
    async fn page(&self, page: Page) -> Result<(), StoreError> {
        let database = &self.store.0;
        let piece = database.vault.get(&page);
        let piece = piece.ok_or_else(|| StoreError::Corrupt { what: "page".to_owned() })?;
        let server = database.enter().await?;
        {
            let mut state = database.state.lock();
            if !self.is_staged(&state.tables) {
                return Err(self.gone());
            }
            database.carry_out(&mut state, Record::Page { group: self.group, part: self.part, piece })?;
        }
        database.leave(server).await
    }

    async fn finish(&self, head: GroupHead) -> Result<(), StoreError> {
        let database = &self.store.0;
        let server = database.enter().await?;
        {
            let mut state = database.state.lock();
            if self.is_staged(&state.tables) {
                let at = LogIndex(head.applied.index);
                database.carry_out(&mut state, Record::Flip { head, part: self.part })?;
                let rows = &state.tables.groups[&self.group].rows;
                database.oracle.installed(database.node, self.group, at, rows);
            } else if state.tables.parts.get(&self.group) != Some(&self.part) {
                return Err(self.gone());
            }
        }
        database.leave(server).await
    }
}
