//! What can be asked of a group, as it stands in the log. Everything that varies (time, random ids, seeds) is in
//! the entry, put there by the proposer.

use buzon_types::address::{Address, Domain};
use buzon_types::body_ref::BodyRef;
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::id::{AccountId, Epoch, FeatureLevel, GroupId, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::row::{AccountState, Quota, TenantLimits};

pub mod cluster;
pub mod relocation;
pub use cluster::{AddNode, ClusterCommand, FoundCluster, FoundingNode, FoundingShard, NewShard};
pub use relocation::{
    ArrivePage, ArrivingMessage, ArrivingRecord, ArrivingRows, ArrivingTombstone, BeginArrive, Leaving,
    Relocation, Step,
};

/// One log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The proposer's clock, never below the entry before (apply takes the greater of the two).
    pub at: Timestamp,
    /// Makes it apply once; `None` only for commands that are safe to repeat.
    pub request: Option<RequestId>,
    /// What to do.
    pub command: Command,
}

/// Every command of every group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A client instance begins to send requests to this group. Other instances of its owner are closed: their process is
    /// gone.
    OpenInstance(InstanceId),
    /// It will send no more; its records go.
    CloseInstance(InstanceId),
    /// Raises what `decide` does (DESIGN D10); never lowered.
    RaiseFeatureLevel(FeatureLevel),
    /// For the directory group.
    Directory(DirectoryCommand),
    /// For the directory group too: nodes and shards.
    Cluster(ClusterCommand),
    /// For a shard group.
    Shard(ShardCommand),
}

/// What can be asked of the directory. Steps of one operation over several groups are each safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryCommand {
    /// → [`crate::reply::Reply::TenantCreated`]
    CreateTenant {
        /// Unique among tenants.
        name: String,
        /// What it may hold.
        limits: TenantLimits,
    },
    /// Changes what a tenant may hold.
    SetTenantLimits {
        /// Which tenant.
        tenant: TenantId,
        /// From now on.
        limits: TenantLimits,
    },
    /// Only when it has no accounts and no domains.
    DeleteTenant(TenantId),
    /// Gives a domain to a tenant.
    AddDomain {
        /// Who gets it.
        tenant: TenantId,
        /// Not owned by anybody else.
        domain: Domain,
    },
    /// Only when no address is left in it.
    RemoveDomain {
        /// Who owns it.
        tenant: TenantId,
        /// The domain.
        domain: Domain,
    },
    /// First step of making an account: takes the address and an id. → [`crate::reply::Reply::AccountPlaced`];
    /// while that account is still being made, a repetition gets the same one.
    PlaceAccount {
        /// Who owns it; must own the address's domain too.
        tenant: TenantId,
        /// Its primary address.
        address: Address,
        /// The group that shall hold it. 0: the shard with the fewest accounts, from
        /// [`crate::limits::FEATURE_LEVEL_CLUSTER`] on.
        shard: GroupId,
    },
    /// Last step of making an account: its shard holds it.
    ActivateAccount(AccountId),
    /// First step of deleting an account: it no longer receives mail or logs in.
    BeginDeleteAccount(AccountId),
    /// Last step: its shard has nothing left of it; its addresses are free.
    FinishDeleteAccount(AccountId),
    /// One more address for an account.
    AddAlias {
        /// Must belong to a domain of the account's tenant.
        address: Address,
        /// Where it leads.
        account: AccountId,
    },
    /// Takes an alias back; never the primary address.
    RemoveAlias {
        /// The alias.
        address: Address,
    },
    /// An account shall move. From [`crate::limits::FEATURE_LEVEL_MOVES`] on, as are the three after it. Refused while
    /// another move of it is pending. → [`crate::reply::Reply::MoveBegun`], or `Done` where it is there.
    BeginMove {
        /// Which.
        account: AccountId,
        /// Where to.
        to: GroupId,
    },
    /// The destination has all of it: from now on it lives there. Refused if the move was aborted, or the placement's epoch
    /// is not the one before.
    CommitMove(Step),
    /// It stays where it is. Refused once it is committed.
    AbortMove(Step),
    /// The shards have done what a committed or aborted move wants of them.
    FinishMove(Step),
}

/// What can be asked of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardCommand {
    /// Makes an account with INBOX, Drafts, Sent, Junk, Trash and Archive, all subscribed. Repeating it with the
    /// same id changes nothing.
    CreateAccount(CreateAccount),
    /// Hides the account; [`ShardCommand::PurgeAccount`] removes it.
    DeleteAccount(AccountId),
    /// Removes rows of a deleted or moved account, at most [`crate::limits::ENTRY_MESSAGES_MAX`]. → `Purged`
    PurgeAccount(AccountId),
    /// A new password; `None` lets nobody in.
    SetCredential {
        /// Whose.
        account: AccountId,
        /// Argon2id in PHC string form.
        credential: Option<Secret<String>>,
    },
    /// Suspends or resumes. `Deleting` is refused.
    SetAccountState {
        /// Whose.
        account: AccountId,
        /// From now on.
        state: AccountState,
    },
    /// Changes what an account may hold.
    SetQuota {
        /// Whose.
        account: AccountId,
        /// From now on.
        quota: Quota,
    },
    /// Makes a mailbox and what is missing above it. → `MailboxCreated`
    CreateMailbox {
        /// Whose.
        account: AccountId,
        /// Its whole name.
        name: MailboxName,
        /// What it is for; at most one mailbox of an account has a given use.
        special_use: Option<SpecialUse>,
        /// UIDVALIDITY is the greater of this and the account's last plus one: the proposer's clock in seconds.
        uid_validity_seed: u32,
    },
    /// Hides a mailbox and frees its name; mailboxes below it stay. [`ShardCommand::PurgeMailbox`] removes its
    /// rows. INBOX is refused.
    DeleteMailbox {
        /// Whose.
        account: AccountId,
        /// Its whole name.
        name: MailboxName,
    },
    /// Removes rows of a deleted mailbox, at most [`crate::limits::ENTRY_MESSAGES_MAX`]. → `Purged`
    PurgeMailbox(MailboxKey),
    /// Renames a mailbox and all below it. INBOX: its messages go to the new name, with their UIDs and
    /// UIDVALIDITY, and a new, empty INBOX takes its place; what is below INBOX stays (RFC 9051 §6.3.6).
    RenameMailbox {
        /// Whose.
        account: AccountId,
        /// The name now; may exist only as a level above others.
        from: MailboxName,
        /// The new one, not taken.
        to: MailboxName,
        /// As in `CreateMailbox`, for the new INBOX and for levels above `to`.
        uid_validity_seed: u32,
    },
    /// Subscribes to a name, which need not exist.
    Subscribe {
        /// Whose.
        account: AccountId,
        /// The name.
        name: MailboxName,
    },
    /// Takes a subscription back; none is no error.
    Unsubscribe {
        /// Whose.
        account: AccountId,
        /// The name.
        name: MailboxName,
    },
    /// APPEND: all the messages or none. → `Appended`
    Append {
        /// Where to.
        mailbox: MailboxKey,
        /// Bodies are durable already.
        messages: Vec<NewMessage>,
    },
    /// One message to several accounts of this shard, each on its own. → `Delivered`
    Deliver {
        /// Who gets it.
        recipients: Vec<Recipient>,
        /// Its body is durable already.
        message: NewMessage,
    },
    /// STORE. → `Stored`
    StoreFlags(StoreFlags),
    /// Expunges those of `uids` that have `\Deleted`. → `Expunged`
    Expunge {
        /// Where.
        mailbox: MailboxKey,
        /// At most [`crate::limits::ENTRY_MESSAGES_MAX`] messages that exist.
        uids: UidSet,
    },
    /// COPY: all that exist of `uids`, or none. → `Copied`
    Copy(Transfer),
    /// MOVE: copies and expunges. → `Moved`
    Move(Transfer),
    /// Adds to a copy that is too large for one entry. → `Staged`
    StageCopy {
        /// Names the copy, and whose it is: see [`buzon_types::staging::StagingId`].
        staging: u128,
        /// As for `Copy`.
        transfer: Transfer,
    },
    /// Makes a staged copy visible, all of it. → `Copied`
    PublishCopy {
        /// Whose.
        account: AccountId,
        /// Names the copy.
        staging: u128,
        /// As counted from the `Staged` replies; another number is refused.
        messages: u32,
    },
    /// Drops a staged copy. None is no error.
    DropCopy {
        /// Whose.
        account: AccountId,
        /// Names the copy.
        staging: u128,
    },
    /// Makes all unclaimed messages `\Recent` for one session. → `RecentClaimed`
    ClaimRecent(MailboxKey),
    /// A step of moving an account to another shard.
    Relocate(Relocation),
}

/// See [`ShardCommand::CreateAccount`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAccount {
    /// From the directory.
    pub account: AccountId,
    /// From the directory.
    pub tenant: TenantId,
    /// From the directory.
    pub epoch: Epoch,
    /// Its primary address.
    pub address: Address,
    /// Argon2id in PHC string form; `None` lets nobody in.
    pub credential: Option<Secret<String>>,
    /// What it may hold.
    pub quota: Quota,
    /// As in `CreateMailbox`.
    pub uid_validity_seed: u32,
}

/// A message that arrives; its body is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// System flags.
    pub flags: SystemFlags,
    /// Keywords by name.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE.
    pub internal_date: InternalDate,
    /// RFC822.SIZE.
    pub size: u64,
    /// Where its bytes are.
    pub body: BodyRef,
    /// What was derived from it on arrival, encoded; opaque here.
    pub summary: Bytes,
}

/// One account that a message is delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub account: AccountId,
    /// Deliver to this mailbox if it exists, else to INBOX.
    pub mailbox: Option<MailboxName>,
}

/// What STORE does with the flags it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreMode {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFlags {
    /// Where.
    pub mailbox: MailboxKey,
    /// At most [`crate::limits::ENTRY_MESSAGES_MAX`] messages that exist; others are passed over.
    pub uids: UidSet,
    /// What to do with the flags.
    pub mode: StoreMode,
    /// System flags.
    pub flags: SystemFlags,
    /// Keywords by name.
    pub keywords: Vec<Keyword>,
    /// Leave messages alone whose modseq is greater.
    pub unchanged_since: Option<ModSeq>,
}

/// COPY or MOVE within one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// From where.
    pub source: MailboxKey,
    /// At most [`crate::limits::ENTRY_MESSAGES_MAX`] messages that exist; others are passed over.
    pub uids: UidSet,
    /// To where, in the same account.
    pub target: MailboxId,
}
