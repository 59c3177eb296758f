//! Whom a command concerns: their rows are loaded, and the record of the request moves with them.

use std::collections::BTreeSet;

use buzon_types::id::AccountId;

use crate::command::{Command, ShardCommand};

impl Command {
    /// The accounts it concerns, ascending, each once; none in the directory, whose records do not move.
    pub fn accounts(&self) -> Vec<AccountId> {
        match self {
            Self::Shard(command) => command.accounts(),
            _ => Vec::new(),
        }
    }
}

impl ShardCommand {
    /// The accounts it concerns, ascending, each once.
    pub fn accounts(&self) -> Vec<AccountId> {
        let account = match self {
            Self::Deliver { recipients, .. } => {
                let accounts: BTreeSet<AccountId> = recipients.iter().map(|it| it.account).collect();
                return accounts.into_iter().collect();
            }
            Self::CreateAccount(create) => create.account,
            Self::DeleteAccount(account)
            | Self::PurgeAccount(account)
            | Self::SetCredential { account, .. }
            | Self::SetAccountState { account, .. }
            | Self::SetQuota { account, .. }
            | Self::CreateMailbox { account, .. }
            | Self::DeleteMailbox { account, .. }
            | Self::RenameMailbox { account, .. }
            | Self::Subscribe { account, .. }
            | Self::Unsubscribe { account, .. }
            | Self::PublishCopy { account, .. }
            | Self::DropCopy { account, .. } => *account,
            Self::Relocate(step) => step.step().account,
            Self::PurgeMailbox(key) | Self::ClaimRecent(key) => key.account,
            Self::Append { mailbox, .. } | Self::Expunge { mailbox, .. } => mailbox.account,
            Self::StoreFlags(store) => store.mailbox.account,
            Self::Copy(transfer) | Self::Move(transfer) | Self::StageCopy { transfer, .. } => {
                transfer.source.account
            }
        };
        vec![account]
    }
}
