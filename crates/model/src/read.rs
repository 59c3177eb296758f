//! What can be read of an account, as values that travel between metadata nodes and front-ends.

use buzon_types::flag::{Keyword, KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, CredentialVersion, GroupId, LogIndex, MailboxId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::secret::Secret;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::reply::FlagState;
use crate::row::{AccountCounters, AccountState, MailboxRow, MessageRow, NodeRow, Quota, ShardRow};

/// How fresh a read must be (DESIGN D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadAt {
    /// Sees every change acknowledged to anybody before: one ReadIndex round.
    Linearizable,
    /// Sees everything up to this index: no round.
    Index(LogIndex),
    /// Sees what the replica that is asked has applied, which may be behind by any time: needs no leader. For what is
    /// checked again where it is used, such as where an account lives.
    Local,
}

/// The cluster as the directory wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// All nodes, by id; those that were removed too.
    pub nodes: Vec<NodeRow>,
    /// All shards, by group.
    pub shards: Vec<ShardRow>,
    /// How many voters a shard shall have; 0 until the cluster is founded.
    pub voters_per_shard: u8,
    /// The group that the next new shard gets.
    pub next_group: GroupId,
}

/// A value and the log index of the state it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// Later reads that carry this see at least as much.
    pub index: LogIndex,
    /// What was read.
    pub value: T,
}

/// What logging in needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRead {
    /// Argon2id in PHC string form; `None` lets nobody in.
    pub credential: Option<Secret<String>>,
    /// Checks cached under another version are void.
    pub version: CredentialVersion,
    /// Whether it may log in.
    pub state: AccountState,
}

/// What an account holds and may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRead {
    /// What it holds.
    pub counters: AccountCounters,
    /// What it may hold.
    pub quota: Quota,
    /// Whether it may log in.
    pub state: AccountState,
}

/// All mailboxes of an account, by name ascending, and its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxList {
    /// Live mailboxes.
    pub mailboxes: Vec<MailboxRow>,
    /// Names, existing or not.
    pub subscriptions: Vec<MailboxName>,
}

/// A mailbox as SELECT shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedMailbox {
    /// Its row.
    pub row: MailboxRow,
    /// The live messages.
    pub uids: UidSet,
    /// The first message without `\Seen`.
    pub first_unseen: Option<Uid>,
}

/// What happened in a mailbox since a modseq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxDelta {
    /// HIGHESTMODSEQ now: the next `since`.
    pub modseq: ModSeq,
    /// UIDNEXT now.
    pub uid_next: Option<Uid>,
    /// Messages from here on are `\Recent` for whoever claims them; `None`: nothing is left to claim.
    pub recent_from: Option<Uid>,
    /// The mailbox's keywords now.
    pub keywords: Vec<Keyword>,
    /// Live messages that came or whose flags changed, ascending by UID.
    pub messages: Vec<FlagState>,
    /// Expunged messages, those that came and went since left out or not.
    pub expunged: UidSet,
    /// Tombstones do not reach back that far: `expunged` is empty, and `live` lists all that exist.
    pub live: Option<UidSet>,
    /// The mailbox's name now; `None` once it is deleted.
    pub name: Option<MailboxName>,
}

/// Which columns of messages to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Columns {
    /// Encoded summaries: they come from SQL.
    pub summaries: Summaries,
}

/// Of which messages the summary is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Summaries {
    /// Of none.
    #[default]
    None,
    /// Of all.
    All,
    /// Of these, of those that are read: the reader has the others.
    Of(UidSet),
}

impl Summaries {
    /// Whether that of a message is wanted.
    pub fn contains(&self, uid: Uid) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Of(uids) => uids.contains(uid),
        }
    }

    /// Whether any is wanted at all.
    pub fn any(&self) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Of(uids) => !uids.is_empty(),
        }
    }
}

/// A message that was read: live, or a tombstone that some session still sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRead {
    /// Its row.
    pub row: MessageRow,
    /// Whether it is expunged.
    pub expunged: bool,
    /// Its summary, if asked for.
    pub summary: Option<Bytes>,
}

/// What the change feed says: something happened, here is how far it got. Deltas are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountEvent {
    /// The shard.
    pub group: GroupId,
    /// The log index of the change.
    pub index: LogIndex,
    /// Whose.
    pub account: AccountId,
    /// What.
    pub kind: EventKind,
}

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Messages of a mailbox came, changed or went.
    Mailbox(MailboxId, ModSeq),
    /// Mailboxes were made, deleted or renamed, or subscriptions changed.
    Tree,
    /// Password or state changed: open sessions must be checked against this version.
    Credential(CredentialVersion),
    /// The stream has a gap: treat everything as changed.
    Gap,
}

/// Flags of a message, for those who only need these.
impl From<&MessageRow> for FlagState {
    fn from(row: &MessageRow) -> Self {
        let (uid, flags, keywords, modseq): (Uid, SystemFlags, KeywordBits, ModSeq) =
            (row.uid, row.flags, row.keywords, row.modseq);
        Self { uid, flags, keywords, modseq }
    }
}
