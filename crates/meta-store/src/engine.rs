//! The store: everything that both databases do alike.

use std::num::NonZero;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use async_trait::async_trait;
use buzon_model::row::{
    AddressRow, DomainRow, MessageRow, NodeRow, PlacementRow, ShardRow, TenantRow, Tombstone,
};
use buzon_model::scope::{Loaded, Need, Seed};
use buzon_types::id::{AccountId, DIRECTORY, GroupId, MailboxKey, TenantId};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::cell::{Cells, Value};
use crate::codec::{self, cluster, directory};
use crate::database::{Database, Decode, Session};
use crate::error::StoreError;
use crate::scan::PAGE_ROWS_MAX;
use crate::store::{Batch, Export, GroupHead, Identity, Install, MetaStore, OutcomeCodec, Page};
use crate::table::{DOMAIN, NODE, PLACEMENT, SHARD, TENANT, Table};
use crate::tracking::Exports;
use crate::{digest, export, read, snapshot, write};

/// Reading a mailbox of so many messages takes some 15 ms, which is worth more connections.
const LARGE_MESSAGES: u32 = 20_000;
/// Room is made at once for no more rows, whatever a counter says.
const ROOM_ROWS_MAX: u32 = 1 << 20;
/// Parts that are read at one time: other readers have the database too.
const PARTS_MAX: usize = 3;

/// Nodes or shards: as many as the model allows are in memory anyway.
const CLUSTER_ROWS_MAX: u32 = 1 << 16;

/// A [`MetaStore`] over a database.
pub struct Store<D> {
    database: Arc<D>,
    outcomes: Arc<dyn OutcomeCodec>,
    exports: Arc<Exports>,
    /// Rows that one transaction of an export reads.
    page_rows: usize,
    /// Mailboxes with so many messages are read in parts.
    large_messages: u32,
}

impl<D> std::fmt::Debug for Store<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl<D: Database> Store<D> {
    /// Over a database whose schema is there; drops what snapshots that never finished left behind.
    pub(crate) async fn over(database: D, outcomes: Arc<dyn OutcomeCodec>) -> Result<Self, StoreError> {
        write::drop_parts(&database, None).await?;
        let (database, exports) = (Arc::new(database), Arc::default());
        let (page_rows, large_messages) = (PAGE_ROWS_MAX, LARGE_MESSAGES);
        Ok(Self { database, outcomes, exports, page_rows, large_messages })
    }

    /// With mailboxes read in parts from so few messages on.
    #[cfg(feature = "testing")]
    pub fn with_large_mailboxes_of(self, large_messages: u32) -> Self {
        Self { large_messages, ..self }
    }

    /// With so few rows in a page of an export that small groups have many.
    #[cfg(feature = "testing")]
    pub fn with_pages_of(self, page_rows: usize) -> Self {
        Self { page_rows, ..self }
    }

    /// The database itself.
    pub(crate) fn database(&self) -> &D {
        &self.database
    }

    /// A reading session and the part of a group.
    async fn part(&self, group: GroupId) -> Result<(D::Session, i64), StoreError> {
        let mut session = self.database.read().await?;
        let part = read::known_head(&mut session, group).await?.part;
        Ok((session, part))
    }

    /// The index of a mailbox; a large one's parts side by side.
    async fn index(&self, group: GroupId, key: MailboxKey) -> Result<Vec<MessageRow>, StoreError> {
        let mut session = self.database.read().await?;
        let mut head = read::known_head(&mut session, group).await?;
        let extent = read::extent(&mut session, head.part, key).await?;
        if let Some((messages, uids)) = extent.filter(|(messages, _)| *messages >= self.large_messages) {
            // None is held while another is waited for.
            drop(session);
            let read = self.index_in_parts(group, key, head.head.applied.index, (uids, messages));
            if let Some(rows) = read.await? {
                return Ok(rows);
            }
            session = self.database.read().await?;
            head = read::known_head(&mut session, group).await?;
        }
        read::messages(&mut session, head.part, key, (&(Uid::MIN..=Uid::MAX), 0)).await
    }

    /// None if a batch came between the parts, or before them.
    async fn index_in_parts(
        &self,
        group: GroupId,
        key: MailboxKey,
        applied: u64,
        (uids, messages): (RangeInclusive<Uid>, u32),
    ) -> Result<Option<Vec<MessageRow>>, StoreError> {
        let parts = std::thread::available_parallelism().map_or(1, NonZero::get).min(PARTS_MAX);
        let about = messages.min(uids.end().get() - uids.start().get()).min(ROOM_ROWS_MAX) as usize / parts;
        let read = pieces(&uids, parts).map(|uids| async move {
            let mut session = self.database.read().await?;
            let head = read::known_head(&mut session, group).await?;
            let rows = read::messages(&mut session, head.part, key, (&uids, about)).await?;
            Ok::<_, StoreError>((head.head.applied.index, rows))
        });
        let read = futures::future::try_join_all(read).await?;
        let is_one_state = read.iter().all(|(at, _)| *at == applied);
        if !is_one_state {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(read.iter().map(|(_, rows)| rows.len()).sum());
        read.into_iter().for_each(|(_, mut rows)| all.append(&mut rows));
        Ok(Some(all))
    }

    /// Rows of a directory table after a key, of one tenant or all.
    async fn list<T: Send + 'static>(
        &self,
        table: &'static Table,
        key: &str,
        (tenant, after, rows_max): (Option<TenantId>, Option<Value>, u32),
        decode: Decode<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut session = self.database.read().await?;
        let Some(head) = read::head(&mut session, DIRECTORY).await? else { return Ok(Vec::new()) };
        let mut values = vec![Value::from(head.part)];
        let mut condition = String::new();
        for (column, value) in
            [("tenant =", tenant.map(|tenant| tenant.0.into())), (&*format!("{key} >"), after)]
        {
            if let Some(value) = value {
                values.push(value);
                condition.push_str(&format!(" AND {column} ${}", values.len()));
            }
        }
        let columns = crate::statement::names(table.columns);
        let sql = format!(
            "SELECT {columns} FROM {} WHERE part = $1{condition} ORDER BY {key} LIMIT {rows_max}",
            table.name
        );
        session.collect(&sql, &values, decode).await
    }
}

#[async_trait]
impl<D: Database> MetaStore for Store<D> {
    async fn claim(&self, identity: &Identity) -> Result<(), StoreError> {
        let mut session = self.database.write().await?;
        let sql = "SELECT cluster, node, incarnation FROM node";
        let mut found = session.collect(sql, &[], identity_row).await?;
        match found.pop().flatten() {
            Some(found) if found == *identity => Ok(()),
            Some(found) => {
                let text = |it: &Identity| format!("{:032x}/{}/{:032x}", it.cluster, it.node, it.incarnation);
                Err(StoreError::Identity { found: text(&found), expected: text(identity) })
            }
            None => {
                let values = [identity.cluster.into(), identity.node.into(), identity.incarnation.into()];
                let sql = "UPDATE node SET cluster = $1, node = $2, incarnation = $3";
                session.execute(sql, &values).await?;
                session.commit().await
            }
        }
    }

    async fn groups(&self) -> Result<Vec<GroupHead>, StoreError> {
        let mut session = self.database.read().await?;
        Ok(read::heads(&mut session).await?.into_iter().map(|stored| stored.head).collect())
    }

    async fn create_group(&self, group: GroupId) -> Result<(), StoreError> {
        write::create_group(self.database(), group).await
    }

    async fn remove_group(&self, group: GroupId) -> Result<(), StoreError> {
        write::remove_group(self.database(), group).await
    }

    async fn head(&self, group: GroupId) -> Result<Option<GroupHead>, StoreError> {
        let mut session = self.database.read().await?;
        Ok(read::head(&mut session, group).await?.map(|stored| stored.head))
    }

    async fn seed(&self, group: GroupId) -> Result<Seed, StoreError> {
        read::seed(&mut self.database.read().await?, group, &*self.outcomes).await
    }

    async fn load(&self, group: GroupId, need: &Need) -> Result<Loaded, StoreError> {
        if let Need::Index(key) = need {
            return Ok(Loaded::Index(*key, self.index(group, *key).await?));
        }
        read::load(&mut self.database.read().await?, group, need).await
    }

    async fn commit(&self, batch: Batch<'_>) -> Result<(), StoreError> {
        write::commit(self.database(), &self.exports, batch, &*self.outcomes).await
    }

    async fn durable_index(&self, group: GroupId, flush: bool) -> Result<u64, StoreError> {
        self.database.durable_index(group, flush).await
    }

    async fn server_incarnation(&self) -> Result<u64, StoreError> {
        self.database.server_incarnation().await
    }

    async fn close(&self) {
        self.database.close().await;
    }

    async fn summaries(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<(Uid, Bytes)>, StoreError> {
        let (mut session, part) = self.part(group).await?;
        read::summaries(&mut session, part, mailbox, uids).await
    }

    async fn tombstones(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<Tombstone>, StoreError> {
        let (mut session, part) = self.part(group).await?;
        read::tombstones(&mut session, part, mailbox, uids).await
    }

    async fn expunged_since(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        since: ModSeq,
    ) -> Result<UidSet, StoreError> {
        let (mut session, part) = self.part(group).await?;
        read::expunged_since(&mut session, part, mailbox, since.get()).await
    }

    async fn deleting_mailboxes(
        &self,
        group: GroupId,
        after: Option<MailboxKey>,
        rows_max: u32,
    ) -> Result<Vec<MailboxKey>, StoreError> {
        let (mut session, part) = self.part(group).await?;
        read::deleting_mailboxes(&mut session, part, after, rows_max).await
    }

    async fn staged_copies(
        &self,
        group: GroupId,
        after: Option<(AccountId, u128)>,
        rows_max: u32,
    ) -> Result<Vec<(AccountId, u128)>, StoreError> {
        let (mut session, part) = self.part(group).await?;
        read::staged_copies(&mut session, part, after, rows_max).await
    }

    async fn tenants(&self, after: Option<&str>, rows_max: u32) -> Result<Vec<TenantRow>, StoreError> {
        let after = after.map(|name| Bytes::copy_from_slice(name.as_bytes()).into());
        self.list(&TENANT, "name", (None, after, rows_max), directory::tenant).await
    }

    async fn domains(
        &self,
        tenant: Option<TenantId>,
        after: Option<&str>,
        rows_max: u32,
    ) -> Result<Vec<DomainRow>, StoreError> {
        let after = after.map(Value::from);
        self.list(&DOMAIN, "domain", (tenant, after, rows_max), directory::domain).await
    }

    async fn placements(
        &self,
        tenant: Option<TenantId>,
        after: Option<AccountId>,
        rows_max: u32,
    ) -> Result<Vec<PlacementRow>, StoreError> {
        let after = after.map(|account| account.0.into());
        self.list(&PLACEMENT, "account", (tenant, after, rows_max), directory::placement).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.list(&NODE, "id", (None, None, CLUSTER_ROWS_MAX), cluster::node).await
    }

    async fn shards(&self) -> Result<Vec<ShardRow>, StoreError> {
        self.list(&SHARD, "group_id", (None, None, CLUSTER_ROWS_MAX), cluster::shard).await
    }

    async fn addresses(&self, account: AccountId) -> Result<Vec<AddressRow>, StoreError> {
        let mut session = self.database.read().await?;
        let Some(head) = read::head(&mut session, DIRECTORY).await? else { return Ok(Vec::new()) };
        read::addresses(&mut session, head.part, account).await
    }

    async fn export(
        &self,
        group: GroupId,
        visit: &mut (dyn FnMut(Page) -> ControlFlow<()> + Send),
    ) -> Result<GroupHead, StoreError> {
        snapshot::export(self.database(), group, visit).await
    }

    async fn begin_export(&self, group: GroupId) -> Result<Box<dyn Export>, StoreError> {
        Ok(Box::new(export::begin(&self.database, &self.exports, group, self.page_rows).await?))
    }

    async fn begin_install(&self, group: GroupId) -> Result<Arc<dyn Install>, StoreError> {
        snapshot::begin_install(&self.database, group).await
    }

    async fn digest(&self, group: GroupId) -> Result<u128, StoreError> {
        digest::digest(&mut self.database.read().await?, group).await
    }
}

/// `None` for a database that nobody has claimed.
fn identity_row(cells: &dyn Cells) -> Result<Option<Identity>, StoreError> {
    if cells.bytes(0)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Identity {
        cluster: codec::wide(cells, 0, "node.cluster")?,
        node: codec::unsigned(cells, 1, "node.node")?,
        incarnation: codec::wide(cells, 2, "node.incarnation")?,
    }))
}

/// A range of UIDs in so many parts, of about the same width.
fn pieces(uids: &RangeInclusive<Uid>, parts: usize) -> impl Iterator<Item = RangeInclusive<Uid>> {
    let (first, last) = (u64::from(uids.start().get()), u64::from(uids.end().get()));
    let bound = move |at: usize| first + (last + 1 - first) * at as u64 / parts as u64;
    let uid = |at: u64| u32::try_from(at).ok().and_then(Uid::new);
    (0..parts).filter_map(move |at| Some(uid(bound(at))?..=uid(bound(at + 1) - 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_of_another_state_than_the_extent_are_not_used() {
        struct NoOutcomes;
        impl OutcomeCodec for NoOutcomes {
            fn encode(&self, _: &buzon_model::reply::Outcome) -> Vec<u8> {
                Vec::new()
            }

            fn decode(&self, _: &[u8]) -> Option<buzon_model::reply::Outcome> {
                None
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let store = crate::sqlite::SqliteStore::open(&path, Arc::new(NoOutcomes)).await.unwrap();
        let (group, uids) = (GroupId(1), Uid::MIN..=Uid::MAX);
        let key = MailboxKey { account: AccountId(1), mailbox: buzon_types::id::MailboxId(1) };
        store.create_group(group).await.unwrap();
        assert_eq!(store.index_in_parts(group, key, 0, (uids.clone(), 0)).await.unwrap(), Some(Vec::new()));
        assert_eq!(store.index_in_parts(group, key, 1, (uids, 0)).await.unwrap(), None);
    }

    #[test]
    fn pieces_hold_each_uid_once() {
        let uid = |at| Uid::new(at).unwrap();
        for (first, last, parts) in [(1, 10, 3), (5, 6, 4), (7, 7, 4), (1, u32::MAX, 4)] {
            let pieces: Vec<_> =
                pieces(&(uid(first)..=uid(last)), parts).filter(|it| !it.is_empty()).collect();
            assert_eq!((*pieces[0].start(), *pieces[pieces.len() - 1].end()), (uid(first), uid(last)));
            for pair in pieces.windows(2) {
                assert_eq!(pair[0].end().get() + 1, pair[1].start().get());
            }
        }
    }
}
