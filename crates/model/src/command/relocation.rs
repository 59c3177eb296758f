//! The steps of moving an account from one shard to another, as its shards see them. From feature level
//! [`crate::limits::FEATURE_LEVEL_MOVES`] on.
//!
//! ```text
//! destination: BeginArrive ─▶ ArrivePage … ─▶ Activate        (or DropArriving)
//! source:                     … Freeze ─▶ FinishLeave         (or AbortLeave)
//! ```
//! Every step carries the epoch that the account will have, and a shard remembers up to which epoch moves of the account
//! are over: a step that is repeated or late changes nothing.

use buzon_types::address::Address;
use buzon_types::id::{AccountId, Epoch, GroupId, MailboxId, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use bytes::Bytes;

use crate::reply::Outcome;
use crate::row::{AccountRow, MailboxRow, MessageRow, Tombstone};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relocation {
    /// The destination makes room. A repetition tells how far the arrival has got; rows of an earlier stay must be purged
    /// first. → [`crate::reply::Reply::Arriving`] or [`crate::reply::Reply::Purged`]
    BeginArrive(BeginArrive),
    /// More rows for the destination. → [`crate::reply::Reply::Arriving`], also where the page is not the next one.
    ArrivePage(Box<ArrivePage>),
    /// The source takes no more changes: what is proposed is refused and may be tried again.
    Freeze(Leaving),
    /// The destination serves the account. Only when all of it is there.
    Activate(Step),
    /// The source only tells from now on where the account is; its rows go by
    /// [`crate::command::ShardCommand::PurgeAccount`].
    FinishLeave(Step),
    /// The move is over and the account stays: the source takes changes again.
    AbortLeave(Step),
    /// The move is over: what has arrived is hidden for good, and goes by
    /// [`crate::command::ShardCommand::PurgeAccount`].
    DropArriving(Step),
}

/// Which account and which of its moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// Whose.
    pub account: AccountId,
    /// The epoch that the account has after the move.
    pub epoch: Epoch,
}

/// See [`Relocation::Freeze`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Leaving {
    /// Whose, and which move.
    pub step: Step,
    /// Where it goes.
    pub to: GroupId,
}

/// See [`Relocation::BeginArrive`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginArrive {
    /// Whose, and which move.
    pub step: Step,
    /// Where it comes from.
    pub from: GroupId,
    /// From the directory.
    pub tenant: TenantId,
    /// From the directory.
    pub address: Address,
}

/// Rows of an account on their way. At most [`crate::limits::ENTRY_MESSAGES_MAX`] of messages and tombstones together, and
/// of each other kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivePage {
    /// Whose, and which move.
    pub step: Step,
    /// Pages are counted from 1; only the one after the last that was taken is taken.
    pub number: u64,
    /// Where the next page begins at the source; opaque here.
    pub cursor: Bytes,
    /// What comes.
    pub rows: ArrivingRows,
}

/// What one page holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArrivingRows {
    /// Before their messages `Deleting`, so that no names clash while others are renamed at the source; at last as they are.
    pub mailboxes: Vec<MailboxRow>,
    /// Live messages: new ones, or in the place of those that came before.
    pub messages: Vec<ArrivingMessage>,
    /// Tombstones: in the place of the message, if it came before.
    pub tombstones: Vec<ArrivingTombstone>,
    /// Names that the account subscribes to.
    pub subscriptions: Vec<MailboxName>,
    /// Answered requests.
    pub records: Vec<ArrivingRecord>,
    /// Comes last: after it the account is whole.
    pub account: Option<AccountRow>,
}

/// A live message with its summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivingMessage {
    /// Where.
    pub mailbox: MailboxId,
    /// Its row.
    pub row: MessageRow,
    /// Its summary.
    pub summary: Bytes,
}

/// An expunged message with its summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivingTombstone {
    /// Where.
    pub mailbox: MailboxId,
    /// Its row.
    pub row: Tombstone,
    /// Its summary.
    pub summary: Bytes,
}

/// What a request to the source came to, with what is known of who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrivingRecord {
    /// Who asked.
    pub instance: InstanceId,
    /// When that one was opened at the source.
    pub opened_at: Timestamp,
    /// Its requests below are forgotten at the source.
    pub forgotten_below: u64,
    /// Which of its requests.
    pub sequence: u64,
    /// Whom it concerned.
    pub accounts: Vec<AccountId>,
    /// What it came to.
    pub outcome: Outcome,
}

impl Relocation {
    /// Whose, and which move.
    pub fn step(&self) -> Step {
        match self {
            Self::BeginArrive(it) => it.step,
            Self::ArrivePage(it) => it.step,
            Self::Freeze(it) => it.step,
            Self::Activate(step)
            | Self::FinishLeave(step)
            | Self::AbortLeave(step)
            | Self::DropArriving(step) => *step,
        }
    }
}

impl ArrivingRows {
    /// Whether the page is within its bounds.
    pub fn is_bounded(&self) -> bool {
        let max = crate::limits::ENTRY_MESSAGES_MAX as usize;
        self.messages.len() + self.tombstones.len() <= max
            && [self.mailboxes.len(), self.subscriptions.len(), self.records.len()]
                .iter()
                .all(|it| *it <= max)
    }
}
