//! What a command does to the rows. The shell absorbs changes into the state in memory and writes them to SQL,
//! in this order, both or neither.

use buzon_types::address::{Address, Domain};
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, FeatureLevel, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::command::{ArrivingMessage, ArrivingTombstone};
use crate::reply::Outcome;
use crate::row::{
    AccountCounters, AccountRow, AddressRow, DirectoryCounters, DomainRow, MailboxCounters, MailboxRow,
    MessageRow, MoveRow, NodeRow, PlacementRow, ShardRow, StagedRow, TenantRow,
};

/// Where a message's summary comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummarySource {
    /// It came with the message.
    Given(Bytes),
    /// The same as that of another message (live or tombstone) of the same account.
    SameAs(MailboxId, Uid),
}

/// One step. `Put…` inserts or replaces a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An account's whole row.
    PutAccount(AccountRow),
    /// Only an account's counters.
    SetAccountCounters(AccountId, AccountCounters),
    /// An account with all that hangs on it; no messages are left.
    RemoveAccount(AccountId),
    /// A mailbox's whole row.
    PutMailbox(MailboxRow),
    /// Only a mailbox's counters.
    SetMailboxCounters(MailboxKey, MailboxCounters),
    /// A mailbox's row; no messages are left.
    RemoveMailbox(MailboxKey),
    /// A name that an account subscribes to.
    Subscribe(AccountId, MailboxName),
    /// No longer.
    Unsubscribe(AccountId, MailboxName),
    /// A new message.
    AddMessage {
        /// Where.
        mailbox: MailboxKey,
        /// Its row.
        row: MessageRow,
        /// Its summary.
        summary: SummarySource,
    },
    /// A message's flags.
    SetFlags {
        /// Where.
        mailbox: MailboxKey,
        /// Which.
        uid: Uid,
        /// All its system flags.
        flags: SystemFlags,
        /// All its keywords.
        keywords: KeywordBits,
        /// Of this change.
        modseq: ModSeq,
    },
    /// Messages become tombstones; their summaries stay.
    Expunge {
        /// Where.
        mailbox: MailboxKey,
        /// Which.
        uids: UidSet,
        /// Of this change.
        modseq: ModSeq,
        /// When.
        at: Timestamp,
    },
    /// Live messages, tombstones and their summaries are gone for good.
    RemoveMessages {
        /// Where.
        mailbox: MailboxKey,
        /// Which.
        uids: UidSet,
    },
    /// Messages and tombstones of an account that arrives, in the place of what has their UIDs.
    Arrive {
        /// Where; its row is `Deleting`, so that nobody sees it yet.
        mailbox: MailboxKey,
        /// Live.
        messages: Vec<ArrivingMessage>,
        /// Expunged.
        tombstones: Vec<ArrivingTombstone>,
    },
    /// Messages of a staged copy.
    Stage {
        /// Whose.
        account: AccountId,
        /// Names the copy.
        staging: u128,
        /// Where it is to go.
        target: MailboxId,
        /// In order.
        rows: Vec<StagedRow>,
    },
    /// All rows of a staged copy become messages of `target`: the one with ordinal `n` gets UID `first + n`,
    /// `modseq` and `saved_at`; the staged rows are gone.
    Publish {
        /// Whose.
        account: AccountId,
        /// Names the copy.
        staging: u128,
        /// Where it goes.
        target: MailboxKey,
        /// UID of ordinal 0.
        first: Uid,
        /// How many.
        messages: u32,
        /// Of this change.
        modseq: ModSeq,
        /// When.
        saved_at: Timestamp,
    },
    /// A staged copy is gone.
    DropStaged {
        /// Whose.
        account: AccountId,
        /// Names the copy.
        staging: u128,
    },
    /// A client instance may send requests.
    OpenInstance(InstanceId, Timestamp),
    /// It is gone with all its records.
    CloseInstance(InstanceId),
    /// What a request came to.
    Record {
        /// Who asked.
        instance: InstanceId,
        /// Which of its requests.
        sequence: u64,
        /// Whom it concerned; the record moves with them.
        accounts: Vec<AccountId>,
        /// What it came to.
        outcome: Outcome,
    },
    /// Records of an instance with a lower sequence are gone; later requests below are refused.
    ForgetBelow {
        /// Whose.
        instance: InstanceId,
        /// The mark; only rises.
        sequence: u64,
    },
    /// A tenant's row.
    PutTenant(TenantRow),
    /// A tenant is gone.
    RemoveTenant(TenantId),
    /// A domain's row.
    PutDomain(DomainRow),
    /// A domain is gone.
    RemoveDomain(Domain),
    /// Where an account lives.
    PutPlacement(PlacementRow),
    /// An account is gone.
    RemovePlacement(AccountId),
    /// An address.
    PutAddress(AddressRow),
    /// An address is free.
    RemoveAddress(Address),
    /// A node's row; none ever goes.
    PutNode(NodeRow),
    /// A shard's row; none ever goes.
    PutShard(ShardRow),
    /// A pending move.
    PutMove(MoveRow),
    /// A move is over.
    RemoveMove(AccountId),
    /// What ids are counted from, and the cluster's settings.
    SetDirectoryCounters(DirectoryCounters),
    /// What `decide` does from the next entry on.
    SetFeatureLevel(FeatureLevel),
    /// The group's time: the greatest `at` so far.
    SetTime(Timestamp),
}
