//! One group's rows in memory: the requests, nodes and shards always, accounts, indexes and directory rows as far as loaded.
//! `missing` says what to load, `insert` takes it, `absorb` keeps it true, `shrink` drops what was not used.
//!
//! What is loaded never changes what is decided: `missing` is empty only when all that `decide` looks at is here.

mod absorb;
mod account;
mod directory;
mod missing;
mod shrink;

use std::collections::BTreeMap;

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, DIRECTORY, FeatureLevel, GroupId, MailboxKey, NodeId, TenantId};
use buzon_types::time::Timestamp;

use self::account::Staged;
pub use self::account::{Account, Mailbox};
use self::directory::Directory;
use crate::cache::{Cache, Used};
use crate::limits::FEATURE_LEVEL_FIRST;
use crate::requests::Requests;
use crate::row::{
    AddressRow, DirectoryCounters, DomainRow, MailboxState, MoveRow, NodeRow, Place, PlacementRow, ShardRow,
    TenantRow,
};
use crate::scope::{Loaded, Seed};

/// See the module.
#[derive(Debug)]
pub struct State {
    group: GroupId,
    time: Timestamp,
    feature_level: FeatureLevel,
    requests: Requests,
    accounts: Cache<AccountId, Account>,
    staged: Cache<(AccountId, u128), Staged>,
    directory: Directory,
    uses: Used,
}

impl State {
    /// A group's state with nothing loaded but what always is.
    pub fn new(group: GroupId, seed: Seed) -> Self {
        let mut requests = Requests::default();
        for (instance, opened_at, forgotten_below) in seed.instances {
            requests.open(instance, opened_at, forgotten_below);
        }
        for (instance, sequence, accounts, outcome) in seed.records {
            requests.record(instance, sequence, accounts, outcome);
        }
        Self {
            group,
            time: seed.time,
            feature_level: seed.feature_level.max(FEATURE_LEVEL_FIRST),
            requests,
            accounts: Cache::default(),
            staged: Cache::default(),
            directory: Directory::new(seed.counters, seed.nodes, seed.shards, seed.moves),
            uses: Used::default(),
        }
    }

    /// Which group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Whether it is the directory.
    pub fn is_directory(&self) -> bool {
        self.group == DIRECTORY
    }

    /// Whether nodes and shards have rows: not in a shard, nor where one node is all there is.
    pub fn is_founded(&self) -> bool {
        self.directory.counters.voters_per_shard > 0
    }

    /// The greatest time of an entry so far.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// What `decide` does.
    pub fn feature_level(&self) -> FeatureLevel {
        self.feature_level
    }

    /// Client instances and their answered requests.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// What ids are counted from; unused in a shard.
    pub fn directory_counters(&self) -> DirectoryCounters {
        self.directory.counters
    }

    /// The cluster's nodes, by id, those that were removed too; none in a shard. Always loaded.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &NodeRow> {
        self.directory.nodes.values()
    }

    /// A node of the cluster.
    pub fn node(&self, id: NodeId) -> Option<&NodeRow> {
        self.directory.nodes.get(&id)
    }

    /// The cluster's shards, by group; none in a shard. Always loaded.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &ShardRow> {
        self.directory.shards.values()
    }

    /// A shard of the cluster.
    pub fn shard(&self, group: GroupId) -> Option<&ShardRow> {
        self.directory.shards.get(&group)
    }

    /// An account that is loaded, lives here and is not being deleted.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id).filter(|account| account.row.is_held())
    }

    /// Where a loaded account lives, as far as this shard knows.
    pub fn place(&self, id: AccountId) -> Option<&Place> {
        self.accounts.get(&id).map(|account| &account.row.place)
    }

    /// Pending moves, by account; none in a shard. Always loaded.
    pub fn pending_moves(&self) -> impl ExactSizeIterator<Item = &MoveRow> {
        self.directory.moves.values()
    }

    /// The pending move of an account.
    pub fn pending_move(&self, account: AccountId) -> Option<&MoveRow> {
        self.directory.moves.get(&account)
    }

    /// A mailbox that is loaded and live, in a live account.
    pub fn mailbox(&self, key: MailboxKey) -> Option<&Mailbox> {
        self.account(key.account)?.mailbox(key.mailbox)
    }

    /// A loaded tenant.
    pub fn tenant(&self, id: TenantId) -> Option<&TenantRow> {
        self.directory.tenants.get(&id)
    }

    /// A loaded tenant by name.
    pub fn tenant_named(&self, name: &str) -> Option<&TenantRow> {
        self.tenant(*self.directory.tenant_names.get(&name.to_owned())?)
    }

    /// A loaded domain.
    pub fn domain(&self, domain: &Domain) -> Option<&DomainRow> {
        self.directory.domains.get(domain)
    }

    /// A loaded address.
    pub fn address(&self, address: &Address) -> Option<&AddressRow> {
        self.directory.addresses.get(address)
    }

    /// A loaded placement, whatever its state.
    pub fn placement(&self, account: AccountId) -> Option<&PlacementRow> {
        self.directory.placements.get(&account)
    }

    /// The loaded addresses of an account, ascending; `None` if they are not loaded.
    pub fn addresses_of(&self, account: AccountId) -> Option<impl Iterator<Item = &Address>> {
        self.directory.addresses_of.get(&account).map(|addresses| addresses.iter())
    }

    /// All loaded accounts, those being deleted too: for checks.
    pub fn loaded_accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().map(|(_, account)| account)
    }

    /// Takes loaded rows. They must be as of all changes absorbed so far: what was absorbed but not yet committed
    /// has to be committed before loading. What is in memory already stays as it is there.
    pub fn insert(&mut self, loaded: Loaded) {
        match loaded {
            Loaded::Account(id, found) => {
                if !self.accounts.contains(&id) {
                    let account = found.map(|it| Account::new(*it));
                    let bytes = account.as_ref().map_or(0, Account::bytes);
                    self.accounts.put(id, account, bytes, &self.uses);
                }
            }
            Loaded::Index(key, rows) => {
                self.with_account(key.account, |account| account.load_index(key, &rows))
            }
            Loaded::Residue(key, uids) => {
                self.with_account(key.account, |account| account.load_residue(key.mailbox, uids));
            }
            Loaded::Staging(account, staging, found) => {
                if !self.staged.contains(&(account, staging)) {
                    let staged = found.map(|(target, rows)| Staged::new(target, &rows));
                    let bytes = staged.as_ref().map_or(0, Staged::bytes);
                    self.staged.put((account, staging), staged, bytes, &self.uses);
                }
            }
            other => self.directory.insert(other, &self.uses),
        }
    }

    /// An account in any state: for `decide` of the steps that remove it.
    pub(crate) fn account_in_any_state(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    pub(crate) fn placement_counts(&self) -> Option<&BTreeMap<GroupId, u64>> {
        self.directory.placement_counts.as_ref()
    }

    pub(crate) fn staged(&self, account: AccountId, staging: u128) -> Option<&Staged> {
        self.staged.get(&(account, staging))
    }

    fn with_account(&mut self, id: AccountId, change: impl FnOnce(&mut Account)) {
        self.accounts.update(&id, change, Account::bytes);
    }

    fn is_live(&self, key: MailboxKey) -> bool {
        self.mailbox(key).is_some_and(|mailbox| mailbox.row.state == MailboxState::Live)
    }
}
