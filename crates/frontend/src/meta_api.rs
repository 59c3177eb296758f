//! What sessions ask of metadata. One implementation talks to metadata nodes ([`buzon_meta_client`]); tests bring one
//! that holds a group's state in memory. Behind a pointer, so that nothing in this crate is generic over it: beside a
//! call over gRPC the allocation of a future is nothing.

use async_trait::async_trait;
use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::chunk::{Copied, Expunged, Moved, Stored};
use buzon_meta_client::error::MetaError;
use buzon_meta_client::meta::Meta;
use buzon_meta_client::watch::Watch;
use buzon_model::command::{Command, StoreFlags, Transfer};
use buzon_model::read::{
    At, Columns, CredentialRead, EventKind, MailboxDelta, MailboxList, MessageRead, OpenedMailbox, ReadAt,
};
use buzon_model::reply::Outcome;
use buzon_model::row::MailboxRow;
use buzon_types::address::Address;
use buzon_types::id::{GroupId, LogIndex, MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use futures::stream::BoxStream;

/// Messages in chunks, ascending by UID.
pub type Messages = BoxStream<'static, Result<Vec<MessageRead>, MetaError>>;

/// Metadata, as [`buzon_meta_client::meta::Meta`] serves it; its documentation holds.
#[async_trait]
pub trait MetaApi: Send + Sync + 'static {
    /// Who has this address.
    async fn resolve(&self, address: &Address) -> Result<Option<AccountHandle>, MetaError>;
    /// What logging in needs.
    async fn credential(&self, account: &AccountHandle, at: ReadAt) -> Result<At<CredentialRead>, MetaError>;
    /// All mailboxes and subscriptions.
    async fn list_mailboxes(&self, account: &AccountHandle, at: ReadAt)
    -> Result<At<MailboxList>, MetaError>;
    /// One mailbox's row.
    async fn mailbox(
        &self,
        account: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<MailboxRow>>, MetaError>;
    /// What has `\Deleted` in a mailbox.
    async fn deleted_uids(
        &self,
        account: &AccountHandle,
        mailbox: MailboxId,
        at: ReadAt,
    ) -> Result<At<UidSet>, MetaError>;
    /// A mailbox and its UIDs.
    async fn open_mailbox(
        &self,
        account: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<OpenedMailbox>>, MetaError>;
    /// What happened in a mailbox since.
    async fn changes(
        &self,
        account: &AccountHandle,
        mailbox: MailboxId,
        since: ModSeq,
        at: ReadAt,
    ) -> Result<At<MailboxDelta>, MetaError>;
    /// Messages, live or expunged a while ago.
    async fn fetch(
        &self,
        account: &AccountHandle,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: Columns,
        at: ReadAt,
    ) -> Result<Messages, MetaError>;
    /// Puts a command into a group's log.
    async fn propose(&self, group: GroupId, command: Command) -> Result<(LogIndex, Outcome), MetaError>;
    /// STORE of any number of messages.
    async fn store_flags(&self, account: &AccountHandle, change: StoreFlags) -> Result<Stored, MetaError>;
    /// EXPUNGE of any number of messages.
    async fn expunge(
        &self,
        account: &AccountHandle,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Expunged, MetaError>;
    /// COPY of any number of messages.
    async fn copy(&self, account: &AccountHandle, transfer: Transfer) -> Result<Copied, MetaError>;
    /// MOVE of any number of messages.
    async fn move_messages(&self, account: &AccountHandle, transfer: Transfer) -> Result<Moved, MetaError>;
    /// The account's events from now on.
    fn watch(&self, account: &AccountHandle) -> Box<dyn Watching>;
}

/// The events of one account.
#[async_trait]
pub trait Watching: Send + Sync {
    /// The next event. Safe to cancel.
    async fn changed(&mut self) -> EventKind;
    /// Reads at this index see what the events so far tell of.
    fn index(&self) -> LogIndex;
}

#[async_trait]
impl MetaApi for Meta {
    async fn resolve(&self, address: &Address) -> Result<Option<AccountHandle>, MetaError> {
        Self::resolve(self, address).await
    }

    async fn credential(&self, account: &AccountHandle, at: ReadAt) -> Result<At<CredentialRead>, MetaError> {
        Self::credential(self, account, at).await
    }

    async fn list_mailboxes(
        &self,
        account: &AccountHandle,
        at: ReadAt,
    ) -> Result<At<MailboxList>, MetaError> {
        Self::list_mailboxes(self, account, at).await
    }

    async fn mailbox(
        &self,
        account: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<MailboxRow>>, MetaError> {
        Self::mailbox(self, account, name, at).await
    }

    async fn deleted_uids(
        &self,
        account: &AccountHandle,
        mailbox: MailboxId,
        at: ReadAt,
    ) -> Result<At<UidSet>, MetaError> {
        Self::deleted_uids(self, account, mailbox, at).await
    }

    async fn open_mailbox(
        &self,
        account: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<OpenedMailbox>>, MetaError> {
        Self::open_mailbox(self, account, name, at).await
    }

    async fn changes(
        &self,
        account: &AccountHandle,
        mailbox: MailboxId,
        since: ModSeq,
        at: ReadAt,
    ) -> Result<At<MailboxDelta>, MetaError> {
        Self::changes(self, account, mailbox, since, at).await
    }

    async fn fetch(
        &self,
        account: &AccountHandle,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: Columns,
        at: ReadAt,
    ) -> Result<Messages, MetaError> {
        Self::fetch(self, account, mailbox, uids, columns, at).await
    }

    async fn propose(&self, group: GroupId, command: Command) -> Result<(LogIndex, Outcome), MetaError> {
        Self::propose(self, group, command).await
    }

    async fn store_flags(&self, account: &AccountHandle, change: StoreFlags) -> Result<Stored, MetaError> {
        Self::store_flags(self, account, change).await
    }

    async fn expunge(
        &self,
        account: &AccountHandle,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Expunged, MetaError> {
        Self::expunge(self, account, mailbox, uids).await
    }

    async fn copy(&self, account: &AccountHandle, transfer: Transfer) -> Result<Copied, MetaError> {
        Self::copy(self, account, transfer).await
    }

    async fn move_messages(&self, account: &AccountHandle, transfer: Transfer) -> Result<Moved, MetaError> {
        Self::move_messages(self, account, transfer).await
    }

    fn watch(&self, account: &AccountHandle) -> Box<dyn Watching> {
        Box::new(Self::watch(self, account))
    }
}

#[async_trait]
impl Watching for Watch {
    async fn changed(&mut self) -> EventKind {
        Self::changed(self).await
    }

    fn index(&self) -> LogIndex {
        Self::index(self)
    }
}
