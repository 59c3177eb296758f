//! Removes the rows of deleted mailboxes, in steps, beside the normal work.
//!
//! An account is looked at when one of its mailboxes was deleted through this node, and when a list of its
//! mailboxes shows that an earlier removal was cut off. What is forgotten here is found by the next list: nobody
//! but the disk notices in between.

use std::sync::Arc;

use buzon_model::command::{Command, ShardCommand};
use buzon_model::read::ReadAt;
use buzon_model::reply::Reply;
use buzon_model::row::MailboxState;
use buzon_model::scope::Need;
use buzon_proto::status::CallError;
use buzon_types::id::{AccountId, GroupId, LogIndex, MailboxKey};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::groups::{Groups, Replica};

/// Accounts that wait to be looked at; more are left for their next list.
const WAITING_MAX: usize = 1024;
/// Steps for one mailbox in a row: of 2,000 messages each, more than the largest mailbox needs.
const STEPS_MAX: u32 = 10_000;

/// Takes orders. The work ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Janitor {
    waiting: mpsc::Sender<(GroupId, AccountId, LogIndex)>,
}

impl Janitor {
    pub(crate) fn start(groups: Arc<dyn Groups>) -> (Self, JoinHandle<()>) {
        let (waiting, mut orders) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            while let Some((group, account, index)) = orders.recv().await {
                let Some(replica) = groups.group(group) else { continue };
                if let Err(error) = sweep(&*replica, account, index).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(%group, %account, error, "deleted mailboxes are left for later");
                }
            }
        });
        (Self { waiting }, task)
    }

    /// Looks at an account, in a state that has applied `index`, when there is time.
    pub(crate) fn look_at(&self, group: GroupId, account: AccountId, index: LogIndex) {
        // Full: the account's next list brings it here again.
        let _ = self.waiting.try_send((group, account, index));
    }
}

/// Removes what is left of an account's deleted mailboxes.
async fn sweep(replica: &dyn Replica, account: AccountId, index: LogIndex) -> Result<(), CallError> {
    let found = replica.read(ReadAt::Index(index), [Need::Account(account)], |state| {
        let account = state.account(account);
        let mailboxes = account.into_iter().flat_map(|account| account.mailboxes_in_any_state());
        let deleted = mailboxes.filter(|mailbox| mailbox.row.state == MailboxState::Deleting);
        deleted.map(|mailbox| mailbox.row.key).collect::<Vec<_>>()
    });
    for key in found.await?.value {
        purge(replica, key).await?;
    }
    Ok(())
}

/// A step may be repeated, so it needs no request id.
async fn purge(replica: &dyn Replica, key: MailboxKey) -> Result<(), CallError> {
    for _ in 0..STEPS_MAX {
        let step = Command::Shard(ShardCommand::PurgeMailbox(key));
        match replica.propose(None, step).await? {
            (_, Ok(Reply::Purged { more: true })) => {}
            // Done, or somebody else did it.
            _ => break,
        }
    }
    Ok(())
}
