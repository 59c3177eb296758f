//! A database that fails when it is told to.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use buzon_meta_store::error::StoreError;
use buzon_meta_store::store::{Batch, Export, Exported, GroupHead, Identity, Install, MetaStore, Page};
use buzon_model::row::{AddressRow, DomainRow, NodeRow, PlacementRow, ShardRow, TenantRow, Tombstone};
use buzon_model::scope::{Loaded, Need, Seed};
use buzon_types::id::{AccountId, GroupId, MailboxKey, TenantId};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module.
pub(super) struct Flaky {
    pub(super) inner: Arc<dyn MetaStore>,
    /// Commits that fail before anything is written.
    pub(super) refuse: AtomicU64,
    /// Commits that are written, but reported as failed.
    pub(super) forget: AtomicU64,
    /// What the database says of its disk is 0.
    pub(super) never_durable: AtomicBool,
    /// It was asked to flush so often.
    pub(super) flushes: AtomicU64,
    pub(super) incarnation: AtomicU64,
    /// Commits wait for it.
    pub(super) gate: tokio::sync::Mutex<()>,
    /// Whether the disk under the database has failed.
    pub(super) disk_failed: AtomicBool,
    /// Snapshots that fail before their rows are the group's.
    pub(super) refuse_install: AtomicU64,
    /// Snapshots that are installed, but reported as failed.
    pub(super) forget_install: Arc<AtomicU64>,
    /// Rows were loaded so often.
    pub(super) loads: AtomicU64,
    /// How often that was at each commit.
    pub(super) loads_at_commit: Mutex<Vec<u64>>,
    /// Questions for the incarnation are never answered.
    pub(super) hold_incarnation: AtomicBool,
    /// Such a question has come.
    pub(super) held: Notify,
    /// Snapshots were begun to be staged so often.
    pub(super) installs: AtomicU64,
    /// Rows were exported so often.
    pub(super) exports: AtomicU64,
    /// Exports that end where the rows stood before, as of a database that somebody put back.
    pub(super) exports_behind: AtomicU64,
    /// Pages of a snapshot that are not staged, for the database is away.
    pub(super) refuse_pages: Arc<AtomicU64>,
    /// Pages that are staged, but reported as not.
    pub(super) forget_pages: Arc<AtomicU64>,
    /// Pages of a snapshot are never staged.
    pub(super) hold_pages: Arc<AtomicBool>,
    /// Such a page has come.
    pub(super) page_held: Arc<Notify>,
}

/// Fails to finish when it is told to.
struct FlakyInstall {
    inner: Arc<dyn Install>,
    group: GroupId,
    refuse: u64,
    refused: AtomicU64,
    forget: Arc<AtomicU64>,
    refuse_pages: Arc<AtomicU64>,
    forget_pages: Arc<AtomicU64>,
    hold_pages: Arc<AtomicBool>,
    page_held: Arc<Notify>,
}

#[async_trait]
impl Install for FlakyInstall {
    async fn page(&self, page: Page) -> Result<(), StoreError> {
        if self.hold_pages.load(Ordering::SeqCst) {
            self.page_held.notify_one();
            std::future::pending::<()>().await;
        }
        if take(&self.refuse_pages) {
            return Err(away());
        }
        self.inner.page(page).await?;
        if take(&self.forget_pages) { Err(away()) } else { Ok(()) }
    }

    async fn finish(&self, head: GroupHead) -> Result<(), StoreError> {
        if self.refused.fetch_add(1, Ordering::SeqCst) < self.refuse {
            return Err(broken(self.group));
        }
        self.inner.finish(head).await?;
        if take(&self.forget) { Err(broken(self.group)) } else { Ok(()) }
    }
}

/// Ends where the rows stood before.
struct Behind(Box<dyn Export>);

#[async_trait]
impl Export for Behind {
    async fn next(&mut self) -> Result<Exported, StoreError> {
        Ok(match self.0.next().await? {
            Exported::End(mut head) => {
                head.applied.index -= 1;
                Exported::End(head)
            }
            page @ Exported::Page(_) => page,
        })
    }
}

fn take(counter: &AtomicU64) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn away() -> StoreError {
    StoreError::Unavailable(std::io::Error::other("a test's database is away").into())
}

fn broken(group: GroupId) -> StoreError {
    StoreError::AppliedMismatch { group: group.0, expected: 0, found: 0 }
}

impl Flaky {
    pub(super) fn over(inner: Arc<dyn MetaStore>) -> Self {
        Self {
            inner,
            refuse: AtomicU64::default(),
            forget: AtomicU64::default(),
            never_durable: AtomicBool::default(),
            flushes: AtomicU64::default(),
            incarnation: AtomicU64::default(),
            gate: tokio::sync::Mutex::default(),
            disk_failed: AtomicBool::default(),
            refuse_install: AtomicU64::default(),
            forget_install: Arc::default(),
            loads: AtomicU64::default(),
            loads_at_commit: Mutex::default(),
            hold_incarnation: AtomicBool::default(),
            held: Notify::new(),
            installs: AtomicU64::default(),
            exports: AtomicU64::default(),
            exports_behind: AtomicU64::default(),
            refuse_pages: Arc::default(),
            forget_pages: Arc::default(),
            hold_pages: Arc::default(),
            page_held: Arc::default(),
        }
    }
}

#[async_trait]
impl MetaStore for Flaky {
    async fn claim(&self, identity: &Identity) -> Result<(), StoreError> {
        self.inner.claim(identity).await
    }

    async fn groups(&self) -> Result<Vec<GroupHead>, StoreError> {
        self.inner.groups().await
    }

    async fn create_group(&self, group: GroupId) -> Result<(), StoreError> {
        self.inner.create_group(group).await
    }

    async fn remove_group(&self, group: GroupId) -> Result<(), StoreError> {
        self.inner.remove_group(group).await
    }

    async fn head(&self, group: GroupId) -> Result<Option<GroupHead>, StoreError> {
        self.inner.head(group).await
    }

    async fn seed(&self, group: GroupId) -> Result<Seed, StoreError> {
        self.inner.seed(group).await
    }

    async fn load(&self, group: GroupId, need: &Need) -> Result<Loaded, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.inner.load(group, need).await
    }

    async fn commit(&self, batch: Batch<'_>) -> Result<(), StoreError> {
        let group = batch.group;
        self.loads_at_commit.lock().push(self.loads.load(Ordering::SeqCst));
        let _open = self.gate.lock().await;
        if self.disk_failed.load(Ordering::SeqCst) {
            return Err(StoreError::Disk(std::io::Error::other("a test's disk").into()));
        }
        if take(&self.refuse) {
            return Err(broken(group));
        }
        self.inner.commit(batch).await?;
        if take(&self.forget) { Err(broken(group)) } else { Ok(()) }
    }

    async fn durable_index(&self, group: GroupId, flush: bool) -> Result<u64, StoreError> {
        self.flushes.fetch_add(u64::from(flush), Ordering::SeqCst);
        if self.never_durable.load(Ordering::SeqCst) {
            return Ok(0);
        }
        self.inner.durable_index(group, flush).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    async fn server_incarnation(&self) -> Result<u64, StoreError> {
        if self.hold_incarnation.load(Ordering::SeqCst) {
            self.held.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(self.incarnation.load(Ordering::SeqCst))
    }

    async fn summaries(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<(Uid, Bytes)>, StoreError> {
        self.inner.summaries(group, mailbox, uids).await
    }

    async fn tombstones(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<Tombstone>, StoreError> {
        self.inner.tombstones(group, mailbox, uids).await
    }

    async fn expunged_since(
        &self,
        group: GroupId,
        mailbox: MailboxKey,
        since: ModSeq,
    ) -> Result<UidSet, StoreError> {
        self.inner.expunged_since(group, mailbox, since).await
    }

    async fn deleting_mailboxes(
        &self,
        group: GroupId,
        after: Option<MailboxKey>,
        rows_max: u32,
    ) -> Result<Vec<MailboxKey>, StoreError> {
        self.inner.deleting_mailboxes(group, after, rows_max).await
    }

    async fn staged_copies(
        &self,
        group: GroupId,
        after: Option<(AccountId, u128)>,
        rows_max: u32,
    ) -> Result<Vec<(AccountId, u128)>, StoreError> {
        self.inner.staged_copies(group, after, rows_max).await
    }

    async fn tenants(&self, after: Option<&str>, rows_max: u32) -> Result<Vec<TenantRow>, StoreError> {
        self.inner.tenants(after, rows_max).await
    }

    async fn domains(
        &self,
        tenant: Option<TenantId>,
        after: Option<&str>,
        rows_max: u32,
    ) -> Result<Vec<DomainRow>, StoreError> {
        self.inner.domains(tenant, after, rows_max).await
    }

    async fn placements(
        &self,
        tenant: Option<TenantId>,
        after: Option<AccountId>,
        rows_max: u32,
    ) -> Result<Vec<PlacementRow>, StoreError> {
        self.inner.placements(tenant, after, rows_max).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.inner.nodes().await
    }

    async fn shards(&self) -> Result<Vec<ShardRow>, StoreError> {
        self.inner.shards().await
    }

    async fn addresses(&self, account: AccountId) -> Result<Vec<AddressRow>, StoreError> {
        self.inner.addresses(account).await
    }

    async fn export(
        &self,
        group: GroupId,
        visit: &mut (dyn FnMut(Page) -> ControlFlow<()> + Send),
    ) -> Result<GroupHead, StoreError> {
        self.exports.fetch_add(1, Ordering::SeqCst);
        self.inner.export(group, visit).await
    }

    async fn begin_export(&self, group: GroupId) -> Result<Box<dyn Export>, StoreError> {
        self.exports.fetch_add(1, Ordering::SeqCst);
        let inner = self.inner.begin_export(group).await?;
        Ok(if take(&self.exports_behind) { Box::new(Behind(inner)) } else { inner })
    }

    async fn digest(&self, group: GroupId) -> Result<u128, StoreError> {
        self.inner.digest(group).await
    }

    async fn begin_install(&self, group: GroupId) -> Result<Arc<dyn Install>, StoreError> {
        self.installs.fetch_add(1, Ordering::SeqCst);
        let inner = self.inner.begin_install(group).await?;
        let (refuse, forget) = (self.refuse_install.load(Ordering::SeqCst), Arc::clone(&self.forget_install));
        let (hold_pages, page_held) = (Arc::clone(&self.hold_pages), Arc::clone(&self.page_held));
        let (refuse_pages, forget_pages) = (Arc::clone(&self.refuse_pages), Arc::clone(&self.forget_pages));
        let refused = AtomicU64::default();
        Ok(Arc::new(FlakyInstall {
            inner,
            group,
            refuse,
            refused,
            forget,
            refuse_pages,
            forget_pages,
            hold_pages,
            page_held,
        }))
    }
}
