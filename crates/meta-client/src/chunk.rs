//! STORE, EXPUNGE, MOVE and COPY of any number of messages. No log entry touches more than
//! [`ENTRY_MESSAGES_MAX`]: the first three go in chunks, each on its own; COPY is all or nothing, so a large one is
//! staged out of sight and published in one entry (DESIGN D3).

use buzon_model::command::{Command, ShardCommand, StoreFlags, Transfer};
use buzon_model::limits::{ENTRY_MESSAGES_MAX, STAGED_MESSAGES_MAX};
use buzon_model::reply::{Advance, FlagState, Rejection, Reply};
use buzon_proto::status::WriteOutcome;
use buzon_types::flag::Keyword;
use buzon_types::id::{GroupId, LogIndex, MailboxKey};
use buzon_types::staging::StagingId;
use buzon_types::uid::UidValidity;
use buzon_types::uid_set::UidSet;

use crate::account::AccountHandle;
use crate::error::MetaError;
use crate::meta::{Meta, Single};

/// What STORE did, over all chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Reads at this index see it.
    pub index: LogIndex,
    /// Messages that were asked for, exist and were not left alone: their flags now, ascending by UID.
    pub messages: Vec<FlagState>,
    /// Messages left alone by UNCHANGEDSINCE.
    pub modified: UidSet,
    /// The mailbox's keywords now.
    pub keywords: Vec<Keyword>,
    /// How the mailbox moved; see [`join`].
    pub advance: Advance,
}

/// What EXPUNGE removed, over all chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expunged {
    /// Reads at this index see it.
    pub index: LogIndex,
    /// What went.
    pub uids: UidSet,
    /// How the mailbox moved; see [`join`].
    pub advance: Advance,
}

/// What COPY made. Both sets go pairwise in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Reads at this index see it.
    pub index: LogIndex,
    /// The target's.
    pub uid_validity: UidValidity,
    /// What was copied.
    pub source: UidSet,
    /// What it became.
    pub target: UidSet,
}

/// What MOVE did, over all chunks. Both sets go pairwise in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Reads at this index see it.
    pub index: LogIndex,
    /// The target's.
    pub uid_validity: UidValidity,
    /// What was moved.
    pub source: UidSet,
    /// What it became.
    pub target: UidSet,
    /// How the source moved; see [`join`].
    pub advance: Advance,
}

impl Meta {
    /// Changes flags, chunk by chunk.
    ///
    /// # Errors
    /// As [`Meta::propose`]. After a failure some chunks may have been applied: the error then says `Unknown`, or
    /// the mailbox is gone.
    pub async fn store_flags(&self, of: &AccountHandle, store: StoreFlags) -> Result<Stored, MetaError> {
        let mut all: Option<Stored> = None;
        for uids in chunks(&store.uids)? {
            let command = ShardCommand::StoreFlags(StoreFlags { uids, ..store.clone() });
            let answer = self.propose_ok(of.shard, Command::Shard(command)).await;
            let (index, Reply::Stored { messages, modified, keywords, advance }) =
                after(answer, all.is_some())?
            else {
                return Err(MetaError::unexpected_reply());
            };
            all = Some(match all {
                None => Stored { index, messages, modified, keywords, advance },
                Some(mut sum) => {
                    sum.messages.extend(messages);
                    let modified = sum.modified.union(&modified);
                    let advance = join(sum.advance, advance);
                    Stored { index, modified, keywords, advance, ..sum }
                }
            });
        }
        all.ok_or_else(MetaError::unexpected_reply)
    }

    /// Expunges those of `uids` that have `\Deleted`, chunk by chunk.
    ///
    /// # Errors
    /// As [`Meta::store_flags`].
    pub async fn expunge(
        &self,
        of: &AccountHandle,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Expunged, MetaError> {
        let mut all: Option<Expunged> = None;
        for uids in chunks(uids)? {
            let command = ShardCommand::Expunge { mailbox, uids };
            let answer = self.propose_ok(of.shard, Command::Shard(command)).await;
            let (index, Reply::Expunged { uids, advance }) = after(answer, all.is_some())? else {
                return Err(MetaError::unexpected_reply());
            };
            all = Some(match all {
                None => Expunged { index, uids, advance },
                Some(sum) => {
                    Expunged { index, uids: sum.uids.union(&uids), advance: join(sum.advance, advance) }
                }
            });
        }
        all.ok_or_else(MetaError::unexpected_reply)
    }

    /// Moves messages, chunk by chunk: each message is in one of the two mailboxes at any time.
    ///
    /// # Errors
    /// As [`Meta::store_flags`].
    pub async fn move_messages(&self, of: &AccountHandle, transfer: Transfer) -> Result<Moved, MetaError> {
        let mut all: Option<Moved> = None;
        for uids in chunks(&transfer.uids)? {
            let command = ShardCommand::Move(Transfer { uids, ..transfer.clone() });
            let answer = self.propose_ok(of.shard, Command::Shard(command)).await;
            let (index, Reply::Moved { uid_validity, source, target, advance }) =
                after(answer, all.is_some())?
            else {
                return Err(MetaError::unexpected_reply());
            };
            all = Some(match all {
                None => Moved { index, uid_validity, source, target, advance },
                Some(sum) => Moved {
                    index,
                    uid_validity,
                    source: sum.source.union(&source),
                    target: sum.target.union(&target),
                    advance: join(sum.advance, advance),
                },
            });
        }
        all.ok_or_else(MetaError::unexpected_reply)
    }

    /// Copies all messages or none. A large copy goes on to its end even if the caller stops waiting, so that
    /// nothing stays staged.
    ///
    /// # Errors
    /// As [`Meta::propose`].
    pub async fn copy(&self, of: &AccountHandle, transfer: Transfer) -> Result<Copied, MetaError> {
        let mut parts = chunks(&transfer.uids)?;
        if parts.len() == 1 {
            let uids = parts.remove(0);
            let command = ShardCommand::Copy(Transfer { uids, ..transfer });
            return copied(self.propose_ok(of.shard, Command::Shard(command)).await?);
        }
        let (meta, shard) = (self.clone(), self.home(of.account, of.shard));
        let task = tokio::spawn(async move { meta.copy_staged(shard, &transfer, parts).await });
        task.await.unwrap_or_else(|_| Err(MetaError::unexpected_reply()))
    }

    /// All steps go under one instance. Once the group has closed it none of them can apply any more, so that whoever finds
    /// what is left of them may remove it.
    async fn copy_staged(
        &self,
        shard: GroupId,
        transfer: &Transfer,
        parts: Vec<UidSet>,
    ) -> Result<Copied, MetaError> {
        let account = transfer.source.account;
        let single = self.single(shard);
        let random = uuid::Uuid::new_v4().as_u128() as u64;
        let staging = StagingId::of(single.instance(), random).0;
        let result = stage_and_publish(&single, transfer, parts, staging).await;
        // Also where the outcome is not known: after a publication nothing is staged any more and this does nothing; before
        // one that is late, it makes that one refuse.
        if result.is_err() {
            let drop = Command::Shard(ShardCommand::DropCopy { account, staging });
            if let Err(error) = self.propose_repeatable(shard, drop).await {
                tracing::warn!(%account, error = &error as &dyn std::error::Error, "staged copy is left behind");
            }
        }
        result
    }
}

async fn stage_and_publish(
    single: &Single,
    transfer: &Transfer,
    parts: Vec<UidSet>,
    staging: u128,
) -> Result<Copied, MetaError> {
    let mut staged = 0;
    for uids in parts {
        let transfer = Transfer { uids, ..transfer.clone() };
        let stage = ShardCommand::StageCopy { staging, transfer };
        let (_, Reply::Staged { messages }) = single.propose_ok(Command::Shard(stage)).await? else {
            return Err(MetaError::unexpected_reply());
        };
        staged = messages;
    }
    let account = transfer.source.account;
    let publish = match staged {
        // None of them exists: the empty copy says so, with the target's UIDVALIDITY.
        0 => ShardCommand::Copy(Transfer { uids: UidSet::new(), ..transfer.clone() }),
        messages => ShardCommand::PublishCopy { account, staging, messages },
    };
    copied(single.propose_ok(Command::Shard(publish)).await?)
}

fn copied((index, reply): (LogIndex, Reply)) -> Result<Copied, MetaError> {
    let Reply::Copied { uid_validity, source, target } = reply else {
        return Err(MetaError::unexpected_reply());
    };
    Ok(Copied { index, uid_validity, source, target })
}

/// At least one, so that a command over nothing is refused or answered by the state machine too.
fn chunks(uids: &UidSet) -> Result<Vec<UidSet>, MetaError> {
    // UIDs that do not exist count too: callers name what their view holds, not `1:*`.
    if uids.len() > u64::from(STAGED_MESSAGES_MAX) {
        return Err(MetaError::Rejected(Rejection::TooManyMessages));
    }
    let chunks = uids.chunks(ENTRY_MESSAGES_MAX);
    Ok(if chunks.is_empty() { vec![UidSet::new()] } else { chunks })
}

/// A chunk's answer; after earlier chunks a failure is no longer "not applied".
fn after<T>(answer: Result<T, MetaError>, earlier: bool) -> Result<T, MetaError> {
    answer.map_err(|error| match error {
        MetaError::Unavailable { source, .. } if earlier => {
            MetaError::Unavailable { outcome: WriteOutcome::Unknown, source }
        }
        MetaError::DeadlineExceeded { .. } if earlier => {
            MetaError::DeadlineExceeded { outcome: WriteOutcome::Unknown }
        }
        error => error,
    })
}

/// Two advances as one. If somebody else's change lies between, a session that stands at the first's `before` has
/// not seen all after the second: the sum is then empty at the end, which no session before it mistakes for its own.
pub fn join(first: Advance, second: Advance) -> Advance {
    let before = if first.after == second.before { first.before } else { second.after };
    Advance { before, after: second.after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buzon_types::uid::ModSeq;

    fn advance(before: u64, after: u64) -> Advance {
        Advance { before: ModSeq::new(before).unwrap(), after: ModSeq::new(after).unwrap() }
    }

    #[test]
    fn advances_join_only_without_a_gap() {
        assert_eq!(join(advance(3, 5), advance(5, 6)), advance(3, 6));
        assert_eq!(join(advance(3, 5), advance(7, 8)), advance(8, 8));
        assert_eq!(join(join(advance(3, 5), advance(7, 8)), advance(8, 9)), advance(8, 9));
    }
}
