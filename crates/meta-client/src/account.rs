//! What the directory says of an account: who asks for its mail carries this along.

use buzon_model::row::{PlacementRow, PlacementState};
use buzon_types::address::Address;
use buzon_types::id::{AccountId, Epoch, GroupId, MailboxId, MailboxKey, TenantId};

/// An account and the shard that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountHandle {
    /// The account.
    pub account: AccountId,
    /// The group that holds it.
    pub shard: GroupId,
    /// Counts its moves: an old one is refused by the old shard.
    pub epoch: Epoch,
    /// Who owns it.
    pub tenant: TenantId,
    /// Its primary address.
    pub address: Address,
    /// How far its life has got: only active ones have mail.
    pub state: PlacementState,
}

impl AccountHandle {
    /// One of its mailboxes.
    pub const fn mailbox(&self, mailbox: MailboxId) -> MailboxKey {
        MailboxKey { account: self.account, mailbox }
    }
}

impl From<PlacementRow> for AccountHandle {
    fn from(row: PlacementRow) -> Self {
        Self {
            account: row.account,
            shard: row.shard,
            epoch: row.epoch,
            tenant: row.tenant,
            address: row.address,
            state: row.state,
        }
    }
}
