//! The rows that make up a group's state. A row here is a row in SQL; what changes often is kept apart
//! (`…Counters`) from what seldom does.

use buzon_types::address::{Address, Domain};
use buzon_types::body_ref::BodyRef;
use buzon_types::flag::{Keyword, KeywordBits, SystemFlags};
use buzon_types::id::{
    AccountId, CredentialVersion, Epoch, GroupId, Incarnation, MailboxId, MailboxKey, NodeId, TenantId,
};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::node::{NodeAddress, Zone};
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use bytes::Bytes;

/// What an account may do. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AccountState {
    /// Logs in and receives mail.
    Active = 1,
    /// Receives mail; nobody logs in.
    Suspended = 2,
    /// Being removed in steps; to everybody else it does not exist.
    Deleting = 3,
}

impl AccountState {
    /// From its stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleting].into_iter().find(|it| *it as u8 == number)
    }
}

/// What an account may hold; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Quota {
    /// Bytes of messages.
    pub bytes_max: Option<u64>,
    /// Number of messages.
    pub messages_max: Option<u64>,
}

/// What changes with each message of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AccountCounters {
    /// The greatest modseq given out.
    pub modseq: ModSeq,
    /// Bytes of all live messages.
    pub bytes: u64,
    /// Number of live messages.
    pub messages: u64,
}

/// An account as its shard knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub id: AccountId,
    /// Who owns it.
    pub tenant: TenantId,
    /// The placement under which this shard owns it.
    pub epoch: Epoch,
    /// Its primary address, under which it logs in.
    pub address: Address,
    /// Whether it may log in.
    pub state: AccountState,
    /// Argon2id in PHC string form; `None`: no password works.
    pub credential: Option<Secret<String>>,
    /// Raised with each change of `credential` or `state`.
    pub credential_version: CredentialVersion,
    /// What it may hold.
    pub quota: Quota,
    /// The last UIDVALIDITY given out; 0 before the first.
    pub last_uid_validity: u32,
    /// The next mailbox's id.
    pub next_mailbox: MailboxId,
    /// When it was made.
    pub created_at: Timestamp,
    /// What changes often.
    pub counters: AccountCounters,
    /// Whether the account lives here.
    pub place: Place,
}

/// Whether an account lives in this shard. To clients it exists in the first two.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Place {
    /// It does.
    #[default]
    Here,
    /// It does and is about to go: it can be read and not changed.
    Frozen {
        /// Where it goes.
        to: GroupId,
        /// The epoch that it has there.
        epoch: Epoch,
    },
    /// It does not: the forwarding record.
    Gone {
        /// Where it went.
        to: GroupId,
        /// The epoch that it has there.
        epoch: Epoch,
    },
    /// It is on its way here.
    Arriving(Arrival),
}

/// How far an account has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arrival {
    /// Where it comes from.
    pub from: GroupId,
    /// The epoch that it has here.
    pub epoch: Epoch,
    /// Pages taken.
    pub pages: u64,
    /// Where the next page begins at the source; opaque here.
    pub cursor: Bytes,
    /// Whether all of it is here.
    pub complete: bool,
}

impl Arrival {
    /// Of nothing yet.
    pub const fn new(from: GroupId, epoch: Epoch) -> Self {
        Self { from, epoch, pages: 0, cursor: Bytes::new(), complete: false }
    }
}

impl AccountRow {
    /// Whether clients find it here.
    pub fn is_held(&self) -> bool {
        self.state != AccountState::Deleting && matches!(self.place, Place::Here | Place::Frozen { .. })
    }

    /// Whether it is on its way here.
    pub fn is_arriving(&self) -> bool {
        matches!(self.place, Place::Arriving(_))
    }
}

/// What changes with each message of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MailboxCounters {
    /// The next message's UID; `None` once all are used.
    pub uid_next: Option<Uid>,
    /// Messages from this UID on have not been told to any session as `\Recent`.
    pub recent_from: Option<Uid>,
    /// HIGHESTMODSEQ: the greatest modseq of a change in this mailbox.
    pub modseq: ModSeq,
    /// Live messages.
    pub messages: u32,
    /// Live messages without `\Seen`.
    pub unseen: u32,
    /// Live messages with `\Deleted`.
    pub deleted: u32,
    /// Bytes of live messages.
    pub bytes: u64,
}

/// Whether a mailbox can be seen. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MailboxState {
    /// It exists.
    Live = 1,
    /// Deleted: invisible, its rows go in steps. Its name is free.
    Deleting = 2,
}

impl MailboxState {
    /// From its stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Live, Self::Deleting].into_iter().find(|it| *it as u8 == number)
    }
}

/// A mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxRow {
    /// Its account and id.
    pub key: MailboxKey,
    /// Its whole name; unique among the account's live mailboxes.
    pub name: MailboxName,
    /// Whether it can be seen.
    pub state: MailboxState,
    /// Fixed for its life.
    pub uid_validity: UidValidity,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Every keyword ever set here; a message's bit `n` means `keywords[n]`. Only grows.
    pub keywords: Vec<Keyword>,
    /// Tombstones of expunges at or below this modseq may be gone: below it, clients compare UID sets.
    pub tombstone_floor: ModSeq,
    /// When it was made.
    pub created_at: Timestamp,
    /// What changes often.
    pub counters: MailboxCounters,
}

/// A message in a mailbox: the part that is kept in memory. Its summary is a row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageRow {
    /// Its number in the mailbox.
    pub uid: Uid,
    /// System flags.
    pub flags: SystemFlags,
    /// Keywords, as bits of the mailbox's list.
    pub keywords: KeywordBits,
    /// Its last change.
    pub modseq: ModSeq,
    /// RFC822.SIZE.
    pub size: u64,
    /// INTERNALDATE.
    pub internal_date: InternalDate,
    /// When it came into this mailbox.
    pub saved_at: Timestamp,
    /// Where its bytes are.
    pub body: BodyRef,
}

/// An expunged message: kept for sessions that still see it, for undo, and to tell clients what vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tombstone {
    /// The message as it was, with the modseq of its expunge.
    pub message: MessageRow,
    /// When it was expunged.
    pub expunged_at: Timestamp,
}

/// A message staged for a COPY too large for one entry; invisible until it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StagedRow {
    /// Its place in the copy, from 0.
    pub ordinal: u32,
    /// The mailbox and UID whose summary it shares.
    pub source: (MailboxId, Uid),
    /// The message; `uid` is that of the source until it is published.
    pub message: MessageRow,
}

/// What a tenant may hold; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TenantLimits {
    /// Accounts.
    pub accounts_max: Option<u64>,
}

/// A customer of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Its id.
    pub id: TenantId,
    /// Its name for operators; unique.
    pub name: String,
    /// What it may hold.
    pub limits: TenantLimits,
    /// How many accounts it has.
    pub accounts: u64,
    /// How many domains it has.
    pub domains: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A domain, owned by one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// The domain.
    pub domain: Domain,
    /// Who owns it.
    pub tenant: TenantId,
    /// How many addresses it has.
    pub addresses: u64,
}

/// How far an account's life has got. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PlacementState {
    /// Address and id are taken; the shard may not know it yet.
    Creating = 1,
    /// In use.
    Active = 2,
    /// Being removed from its shard.
    Deleting = 3,
}

impl PlacementState {
    /// From its stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Creating, Self::Active, Self::Deleting].into_iter().find(|it| *it as u8 == number)
    }
}

/// Where an account lives, as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementRow {
    /// The account.
    pub account: AccountId,
    /// Who owns it.
    pub tenant: TenantId,
    /// Its primary address.
    pub address: Address,
    /// The group that holds it.
    pub shard: GroupId,
    /// Counts its moves.
    pub epoch: Epoch,
    /// How far its life has got.
    pub state: PlacementState,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An address and the account it leads to; primary when it is the placement's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRow {
    /// The address.
    pub address: Address,
    /// Where it leads.
    pub account: AccountId,
}

/// Whether a node may carry replicas. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NodeState {
    /// It carries replicas and gets new ones.
    Active = 1,
    /// Its replicas go elsewhere.
    Draining = 2,
    /// It has none, and never comes back: its id is not used again.
    Removed = 3,
}

impl NodeState {
    /// From its stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Active, Self::Draining, Self::Removed].into_iter().find(|it| *it as u8 == number)
    }
}

/// A metadata node, as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its raft id.
    pub id: NodeId,
    /// Where the others reach it; no two nodes that are not removed share one.
    pub address: NodeAddress,
    /// Where it stands, if that is known.
    pub zone: Option<Zone>,
    /// Whether it may carry replicas.
    pub state: NodeState,
    /// Which life of its disk has this id.
    pub incarnation: Incarnation,
    /// When it was added.
    pub added_at: Timestamp,
}

/// A shard, as the directory wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardRow {
    /// The raft group.
    pub group: GroupId,
    /// The nodes that shall vote in it, ascending; none of them is removed.
    pub voters: Vec<NodeId>,
    /// Accounts placed on it.
    pub accounts: u64,
}

/// How far a move is. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MoveState {
    /// The account lives at the source.
    Copying = 1,
    /// It lives at the destination; the shards are told.
    Committed = 2,
    /// It stays at the source; the shards are told.
    Aborting = 3,
}

impl MoveState {
    /// From its stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Copying, Self::Committed, Self::Aborting].into_iter().find(|it| *it as u8 == number)
    }
}

/// A pending move of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRow {
    /// Which account.
    pub account: AccountId,
    /// The shard it comes from.
    pub from: GroupId,
    /// The shard it goes to.
    pub to: GroupId,
    /// The epoch that the account has after it, whatever becomes of it.
    pub epoch: Epoch,
    /// How far it is.
    pub state: MoveState,
    /// When it was begun.
    pub began_at: Timestamp,
}

/// What the directory counts ids from, and what holds for the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirectoryCounters {
    /// The next tenant's id.
    pub next_tenant: TenantId,
    /// The next account's id.
    pub next_account: AccountId,
    /// The next node's id.
    pub next_node: NodeId,
    /// The next shard's group.
    pub next_group: GroupId,
    /// How many voters a shard shall have; 0 until the cluster is founded.
    pub voters_per_shard: u8,
}

/// What a new directory starts with.
impl Default for DirectoryCounters {
    fn default() -> Self {
        Self {
            next_tenant: TenantId(1),
            next_account: AccountId(1),
            next_node: NodeId(1),
            next_group: GroupId(1),
            voters_per_shard: 0,
        }
    }
}
