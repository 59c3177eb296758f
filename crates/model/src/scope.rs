//! Which rows a command must see before it can be decided. The state in memory holds part of the rows; the
//! shell asks `missing`, loads, inserts, and asks again until nothing is missing.

use std::collections::BTreeMap;

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, FeatureLevel, GroupId, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use buzon_types::uid_set::UidSet;

use crate::digest::StateDigest;
use crate::reply::Outcome;
use crate::row::{
    AccountRow, AddressRow, DirectoryCounters, DomainRow, MailboxRow, MessageRow, MoveRow, NodeRow,
    PlacementRow, ShardRow, StagedRow, TenantRow,
};

/// Rows to load.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Need {
    /// An account with its mailboxes' rows and subscriptions.
    Account(AccountId),
    /// All live messages of a mailbox.
    Index(MailboxKey),
    /// A staged copy.
    Staging(AccountId, u128),
    /// Up to [`crate::limits::ENTRY_MESSAGES_MAX`] UIDs, live or tombstones, of a mailbox being deleted.
    Residue(MailboxKey),
    /// A tenant.
    Tenant(TenantId),
    /// The tenant of that name.
    TenantName(String),
    /// A domain.
    Domain(Domain),
    /// An address.
    Address(Address),
    /// Where an account lives.
    Placement(AccountId),
    /// All addresses that lead to an account.
    AddressesOf(AccountId),
    /// How many accounts are placed on each shard. Counts all of them: only for founding a cluster.
    PlacementCounts,
}

/// What was found for a [`Need`]; an empty answer is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// For [`Need::Account`].
    Account(AccountId, Option<Box<AccountLoaded>>),
    /// For [`Need::Index`]: ascending by UID.
    Index(MailboxKey, Vec<MessageRow>),
    /// For [`Need::Staging`]: the target and the rows by ordinal.
    Staging(AccountId, u128, Option<(MailboxId, Vec<StagedRow>)>),
    /// For [`Need::Residue`].
    Residue(MailboxKey, UidSet),
    /// For [`Need::Tenant`].
    Tenant(TenantId, Option<TenantRow>),
    /// For [`Need::TenantName`].
    TenantName(String, Option<TenantRow>),
    /// For [`Need::Domain`].
    Domain(Domain, Option<DomainRow>),
    /// For [`Need::Address`].
    Address(Address, Option<AddressRow>),
    /// For [`Need::Placement`].
    Placement(AccountId, Option<PlacementRow>),
    /// For [`Need::AddressesOf`].
    AddressesOf(AccountId, Vec<AddressRow>),
    /// For [`Need::PlacementCounts`]: shards without accounts may be left out.
    PlacementCounts(BTreeMap<GroupId, u64>),
}

/// See [`Need::Account`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLoaded {
    /// Its row.
    pub row: AccountRow,
    /// All its mailboxes, those being deleted too.
    pub mailboxes: Vec<MailboxRow>,
    /// Its subscriptions.
    pub subscriptions: Vec<MailboxName>,
}

/// What a group's state starts from: the rows that are always in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The group's time.
    pub time: Timestamp,
    /// What `decide` does.
    pub feature_level: FeatureLevel,
    /// The state digest after the last entry, once the group has one.
    pub digest: Option<StateDigest>,
    /// What the directory counts from; unused in a shard.
    pub counters: DirectoryCounters,
    /// Open instances with the mark below which their records are gone.
    pub instances: Vec<(InstanceId, Timestamp, u64)>,
    /// The cluster's nodes, by id; none in a shard.
    pub nodes: Vec<NodeRow>,
    /// The cluster's shards, by group; none in a shard.
    pub shards: Vec<ShardRow>,
    /// Pending moves, by account; none in a shard.
    pub moves: Vec<MoveRow>,
    /// Records: whose, which, whom they concern, what it came to.
    pub records: Vec<(InstanceId, u64, Vec<AccountId>, Outcome)>,
}
