//! What a command came to. Replies are recorded, so that a repeated request gets the first one again.

use buzon_types::address::{Address, Domain};
use buzon_types::flag::{Keyword, KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, Epoch, GroupId, MailboxId, NodeId, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::node::NodeAddress;
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

/// Applied, or refused with nothing changed.
pub type Outcome = Result<Reply, Rejection>;

/// How a mailbox's modseq moved; a session that stood at `before` has seen all once it has seen this reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Advance {
    /// HIGHESTMODSEQ before the command.
    pub before: ModSeq,
    /// HIGHESTMODSEQ after it.
    pub after: ModSeq,
}

/// A message's flags after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlagState {
    /// Which message.
    pub uid: Uid,
    /// System flags now.
    pub flags: SystemFlags,
    /// Keywords now.
    pub keywords: KeywordBits,
    /// Of the last change.
    pub modseq: ModSeq,
}

/// A message that came into a mailbox by delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The message's UID.
    pub uid: Uid,
}

/// Applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing more to say.
    Done,
    /// To `CreateTenant`.
    TenantCreated(TenantId),
    /// To `PlaceAccount`.
    AccountPlaced {
        /// Its id.
        account: AccountId,
        /// The group that holds it: not the one asked for, if it was placed before.
        shard: GroupId,
        /// Counts its moves.
        epoch: Epoch,
    },
    /// To `AddNode`: the id that it has, or has had since an earlier one.
    NodeAdded(NodeId),
    /// To `AddShards`: their groups, in the order of the command.
    ShardsAdded(Vec<GroupId>),
    /// To `BeginMove`.
    MoveBegun {
        /// The shard it comes from.
        from: GroupId,
        /// The epoch that the account has after the move.
        epoch: Epoch,
    },
    /// To `BeginArrive` and `ArrivePage`: how far the arrival is.
    Arriving {
        /// Pages taken.
        pages: u64,
        /// Where the next page begins at the source.
        cursor: Bytes,
        /// Whether all of it is there.
        complete: bool,
    },
    /// To `CreateMailbox`.
    MailboxCreated {
        /// Its id.
        mailbox: MailboxId,
        /// Its UIDVALIDITY.
        uid_validity: UidValidity,
    },
    /// To `Append`.
    Appended {
        /// For APPENDUID.
        uid_validity: UidValidity,
        /// In the order of the messages.
        uids: UidSet,
        /// How the mailbox moved.
        advance: Advance,
    },
    /// To `Deliver`: one for each recipient, in order.
    Delivered(Vec<Result<Delivery, Rejection>>),
    /// To `StoreFlags`.
    Stored {
        /// Messages that were asked for, exist and were not left alone: their flags now, changed or not.
        messages: Vec<FlagState>,
        /// Messages left alone by UNCHANGEDSINCE.
        modified: UidSet,
        /// The mailbox's keywords now.
        keywords: Vec<Keyword>,
        /// How the mailbox moved.
        advance: Advance,
    },
    /// To `Expunge`.
    Expunged {
        /// What went.
        uids: UidSet,
        /// How the mailbox moved.
        advance: Advance,
    },
    /// To `Copy` and `PublishCopy`. Both sets have the same length and go pairwise in ascending order.
    Copied {
        /// The target's UIDVALIDITY, for COPYUID.
        uid_validity: UidValidity,
        /// What was copied.
        source: UidSet,
        /// What it became.
        target: UidSet,
    },
    /// To `Move`.
    Moved {
        /// The target's UIDVALIDITY, for COPYUID.
        uid_validity: UidValidity,
        /// What was moved.
        source: UidSet,
        /// What it became.
        target: UidSet,
        /// How the source moved.
        advance: Advance,
    },
    /// To `StageCopy`: messages staged so far.
    Staged {
        /// In all entries so far.
        messages: u32,
    },
    /// To `ClaimRecent`: messages with `from <= UID < below` are this session's.
    RecentClaimed {
        /// The first.
        from: Option<Uid>,
        /// UIDNEXT.
        below: Option<Uid>,
    },
    /// To `PurgeMailbox` and `PurgeAccount`.
    Purged {
        /// Whether rows are left: ask again.
        more: bool,
    },
}

/// Which limit a message would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaKind {
    /// Bytes.
    Bytes,
    /// Number of messages.
    Messages,
}

/// Refused: nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// This group does not hold that account (or it is being deleted).
    #[error("no such account")]
    NoSuchAccount,
    /// It lives elsewhere: ask there.
    #[error("account has moved to shard {shard}, its epoch is {epoch}")]
    Moved {
        /// Where.
        shard: GroupId,
        /// Its epoch there: of two answers, the one with the greater epoch is newer.
        epoch: Epoch,
    },
    /// It is about to move, or has just come: the same request may be sent again, for this answer is not recorded.
    #[error("account is being moved")]
    Frozen,
    /// A step of a move that is over, or of none.
    #[error("no such move, or it is over")]
    MoveOver,
    /// Another move of the account is pending.
    #[error("account is being moved to shard {0}")]
    MovePending(GroupId),
    /// Over [`crate::limits::MOVES_MAX`].
    #[error("too many moves are pending")]
    TooManyMoves,
    /// No live mailbox of that name or id.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// The name is taken.
    #[error("mailbox {0} exists already")]
    MailboxExists(MailboxName),
    /// INBOX cannot be deleted, made, or be a target of RENAME; `INBOX/INBOX` cannot be made.
    #[error("not possible with INBOX")]
    Inbox,
    /// A mailbox cannot be renamed to a name below itself.
    #[error("the new name lies below the old one")]
    IntoItself,
    /// A name in the renamed tree would get too long or too deep.
    #[error("a mailbox name becomes too long or too deep")]
    NameTooLong,
    /// Another mailbox has that special use.
    #[error("special use is taken by {0}")]
    SpecialUseTaken(MailboxName),
    /// Over [`crate::limits::MAILBOXES_MAX`] or [`crate::limits::SUBSCRIPTIONS_MAX`].
    #[error("too many mailboxes or subscriptions")]
    TooManyMailboxes,
    /// Over [`buzon_types::flag::KEYWORDS_MAX`] in this mailbox.
    #[error("too many different keywords in this mailbox")]
    TooManyKeywords,
    /// More than the account may hold.
    #[error("over quota")]
    OverQuota(QuotaKind),
    /// The mailbox has used all UIDs.
    #[error("no UIDs are left in this mailbox")]
    UidsExhausted,
    /// More messages than one entry may touch, or a staged copy of another size than said.
    #[error("more messages than one step may touch")]
    TooManyMessages,
    /// No staged copy of that name.
    #[error("no such staged copy")]
    NoSuchStaging,
    /// Source and target do not fit (another target in the same staging).
    #[error("staged copy has another target")]
    StagingMismatch,
    /// The instance was never opened here, or is closed: nothing can be said about its earlier requests.
    #[error("client instance is not open")]
    InstanceUnknown,
    /// The sequence is below the acknowledged mark: its outcome is forgotten.
    #[error("request was acknowledged before")]
    RequestForgotten,
    /// Too many requests without an acknowledgement.
    #[error("too many unacknowledged requests")]
    TooManyRequests,
    /// A command for another kind of group, or a value it may not have.
    #[error("command does not belong here")]
    NotHere,
    /// No such tenant.
    #[error("no such tenant")]
    NoSuchTenant,
    /// The tenant's name is taken.
    #[error("tenant {0} exists already")]
    TenantExists(String),
    /// No such domain, or another tenant's.
    #[error("no such domain")]
    NoSuchDomain,
    /// Somebody has it.
    #[error("domain {0} is taken")]
    DomainTaken(Domain),
    /// No such address.
    #[error("no such address")]
    NoSuchAddress,
    /// Somebody has it.
    #[error("address {0} is taken")]
    AddressTaken(Address),
    /// A primary address goes only with its account.
    #[error("primary address cannot be removed")]
    PrimaryAddress,
    /// Something is left in it.
    #[error("not empty")]
    NotEmpty,
    /// The tenant has as many accounts as it may.
    #[error("tenant has all the accounts it may have")]
    TenantFull,
    /// Nodes and shards have no rows yet.
    #[error("the cluster is not founded yet")]
    ClusterNotFounded,
    /// Founded before, with other nodes or shards.
    #[error("a cluster is founded already, with other nodes, shards or voters per shard")]
    ClusterExists,
    /// No such node.
    #[error("no such node: {0}")]
    NoSuchNode(NodeId),
    /// Its id is never used again; a node that had it must begin anew with an empty log and database.
    #[error("node {0} is removed")]
    NodeRemoved(NodeId),
    /// Another node is reached there. A node that lost its disk must say whom it replaces.
    #[error("address {0} belongs to node {1}")]
    NodeAddressTaken(NodeAddress, NodeId),
    /// That disk has an id already, and is reached at another address.
    #[error("this is node {0} already, known at another address: change its address")]
    NodeExists(NodeId),
    /// A shard wants a replica there: it must be moved first.
    #[error("node {0} is wanted by shard {1}")]
    NodeInUse(NodeId, GroupId),
    /// Nobody would be left to carry replicas.
    #[error("node {0} is the last active one")]
    LastActiveNode(NodeId),
    /// No such shard.
    #[error("no such shard: {0}")]
    NoSuchShard(GroupId),
    /// They were changed since they were looked at.
    #[error("voters of shard {0} were changed meanwhile")]
    ShardVotersChanged(GroupId),
    /// Not 1 to [`crate::limits::VOTERS_MAX`] different ones, or, of a whole cluster, not 1, 3 or 5.
    #[error("a shard has 1 to 5 different voters, and a cluster 1, 3 or 5 per shard")]
    BadVoters,
    /// Over [`crate::limits::NODES_MAX`] or [`crate::limits::SHARDS_MAX`].
    #[error("too many nodes or shards")]
    ClusterFull,
}
