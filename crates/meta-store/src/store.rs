//! The one trait that both databases implement; `tests/conformance.rs` holds them to it.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use buzon_model::change::Change;
use buzon_model::digest::StateDigest;
use buzon_model::reply::Outcome;
use buzon_model::row::{AddressRow, DomainRow, NodeRow, PlacementRow, ShardRow, TenantRow, Tombstone};
use buzon_model::scope::{Loaded, Need, Seed};
use buzon_types::id::{AccountId, GroupId, MailboxKey, TenantId};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::error::StoreError;

/// Who owns a database: cluster, node and incarnation, as the log says too (DESIGN D2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: u128,
    /// The node.
    pub node: u64,
    /// Changes when a node's log or database was lost and made anew.
    pub incarnation: u128,
}

/// A position in a group's log, with the raft log id as its owner encodes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// The index; 0 before the first entry.
    pub index: u64,
    /// The full raft log id, opaque here.
    pub log_id: Bytes,
}

/// What is always known of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupHead {
    /// Which group.
    pub group: GroupId,
    /// How far the log is applied.
    pub applied: Applied,
    /// The last applied membership, opaque here.
    pub membership: Bytes,
}

/// A batch of applied entries, written in one transaction.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Which group.
    pub group: GroupId,
    /// `last_applied` must stand exactly here.
    pub expected_index: u64,
    /// And moves to here.
    pub applied: Applied,
    /// The membership, if an entry changed it.
    pub membership: Option<Bytes>,
    /// In order.
    pub changes: &'a [Change],
    /// The group's state digest after them, once it has one.
    pub digest: Option<StateDigest>,
}

/// Encodes outcomes for the records' rows; their format belongs to the wire crate.
pub trait OutcomeCodec: Send + Sync + 'static {
    /// To bytes.
    fn encode(&self, outcome: &Outcome) -> Vec<u8>;
    /// From bytes; `None` if they are none.
    fn decode(&self, bytes: &[u8]) -> Option<Outcome>;
}

/// A page of one group's rows on their way to another node: protobuf, only fields are ever added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page(pub Bytes);

/// One database, many groups.
#[async_trait]
pub trait MetaStore: Send + Sync + 'static {
    /// Who owns this database; claims it when it is new.
    async fn claim(&self, identity: &Identity) -> Result<(), StoreError>;

    /// All groups that have rows here.
    async fn groups(&self) -> Result<Vec<GroupHead>, StoreError>;

    /// A new group at index 0; nothing happens if it exists.
    async fn create_group(&self, group: GroupId) -> Result<(), StoreError>;

    /// Deletes a group: its head at once, its rows in steps, and what was staged for it. Others are not touched. Nobody may
    /// use the group meanwhile. Nothing happens if it is not there; an attempt that broke off is carried on.
    async fn remove_group(&self, group: GroupId) -> Result<(), StoreError>;

    /// How far a group is; `None` if it has no rows here.
    async fn head(&self, group: GroupId) -> Result<Option<GroupHead>, StoreError>;

    /// What the state in memory starts from.
    async fn seed(&self, group: GroupId) -> Result<Seed, StoreError>;

    /// Rows that a command or a reader needs, as of the last commit.
    async fn load(&self, group: GroupId, need: &Need) -> Result<Loaded, StoreError>;

    /// Writes a batch in one transaction that does not wait for the disk. Fails without a trace if
    /// `last_applied` stands elsewhere. After any error the caller drops its caches and replays.
    async fn commit(&self, batch: Batch<'_>) -> Result<(), StoreError>;

    /// The greatest index whose transaction is on the database's disk (flushed WAL position at or past it;
    /// SQLite: checkpointed). `flush` makes it so first; else it only looks. The log may be purged up to it.
    async fn durable_index(&self, group: GroupId, flush: bool) -> Result<u64, StoreError>;

    /// Changes when the server has restarted since: what it had not flushed may be lost.
    async fn server_incarnation(&self) -> Result<u64, StoreError>;

    /// Encoded summaries, ascending by UID, of live messages and tombstones; unknown UIDs are left out.
    async fn summaries(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<(Uid, Bytes)>, StoreError>;

    /// Tombstones among these UIDs, ascending by UID.
    async fn tombstones(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<Tombstone>, StoreError>;

    /// UIDs expunged after a modseq.
    async fn expunged_since(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        since: ModSeq,
    ) -> Result<UidSet, StoreError>;

    /// Mailboxes that are being deleted, in the order of their rows, after one, at most so many.
    async fn deleting_mailboxes(
        &self,
        group: GroupId,
        after: Option<MailboxKey>,
        rows_max: u32,
    ) -> Result<Vec<MailboxKey>, StoreError>;

    /// Staged copies by account and name, in the order of their rows, after one, at most so many.
    async fn staged_copies(
        &self,
        group: GroupId,
        after: Option<(AccountId, u128)>,
        rows_max: u32,
    ) -> Result<Vec<(AccountId, u128)>, StoreError>;

    /// Tenants by name, after one, at most so many.
    async fn tenants(&self, after: Option<&str>, rows_max: u32) -> Result<Vec<TenantRow>, StoreError>;

    /// Domains by name, of one tenant or all, after one, at most so many.
    async fn domains(
        &self,
        tenant: Option<TenantId>,
        after: Option<&str>,
        rows_max: u32,
    ) -> Result<Vec<DomainRow>, StoreError>;

    /// Placements by id, of one tenant or all, after one, at most so many.
    async fn placements(
        &self,
        tenant: Option<TenantId>,
        after: Option<AccountId>,
        rows_max: u32,
    ) -> Result<Vec<PlacementRow>, StoreError>;

    /// The cluster's nodes, by id; those that were removed too.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError>;

    /// The cluster's shards, by group.
    async fn shards(&self) -> Result<Vec<ShardRow>, StoreError>;

    /// Addresses that lead to an account.
    async fn addresses(&self, account: AccountId) -> Result<Vec<AddressRow>, StoreError>;

    /// Reads all rows of a group as of one applied position, page by page, in one transaction, which keeps the database
    /// from cleaning up as long as it takes: for receivers that know no other pages. The visitor may stop it.
    async fn export(
        &self,
        group: GroupId,
        visit: &mut (dyn FnMut(Page) -> ControlFlow<()> + Send),
    ) -> Result<GroupHead, StoreError>;

    /// Begins to read all rows of a group, page by page, in short transactions between which the group goes on. Commits
    /// do not wait for it. For receivers that know [`PAGE_FORMAT`].
    async fn begin_export(&self, group: GroupId) -> Result<Box<dyn Export>, StoreError>;

    /// A digest of all rows and of the applied index: equal on replicas that stand at the same index (DESIGN D10).
    /// Reads everything.
    async fn digest(&self, group: GroupId) -> Result<u128, StoreError>;

    /// Begins to stage a snapshot under a new part; an earlier unfinished one is dropped, and can then neither take
    /// pages nor be finished.
    async fn begin_install(&self, group: GroupId) -> Result<Arc<dyn Install>, StoreError>;

    /// Ends all connections, once what uses them is done; whatever comes after fails as unavailable.
    async fn close(&self);
}

/// What pages of an export may say; raised with each new kind of page. 0: rows only, each once.
pub const PAGE_FORMAT: u32 = 1;

/// What comes next of an export.
#[derive(Debug)]
pub enum Exported {
    /// A page.
    Page(Page),
    /// With all pages before, the rows are those of this position, exactly.
    End(GroupHead),
}

/// An export that is under way. The database notes meanwhile what commits write, within bounds; it ends when this is
/// dropped.
#[async_trait]
pub trait Export: Send {
    /// The next page, or the end. After an end it may be asked on: more pages then lead to a later end.
    ///
    /// # Errors
    /// After any, or when it was dropped while it waited, the export is over and must begin anew:
    /// [`StoreError::ExportOver`] when the database is well.
    async fn next(&mut self) -> Result<Exported, StoreError>;
}

/// A snapshot being staged.
#[async_trait]
pub trait Install: Send + Sync {
    /// Adds a page; pages come in the order of the export. The last one may be repeated after an error, whatever came of
    /// it.
    async fn page(&self, page: Page) -> Result<(), StoreError>;

    /// Makes the staged rows the group's, together with its head, in one transaction; the old rows go after.
    /// May be repeated after an error, whatever came of it.
    async fn finish(&self, head: GroupHead) -> Result<(), StoreError>;
}
