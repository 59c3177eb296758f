//! Reads of one account. Each is repeated until a node answers or time runs out: reads change nothing.

use std::time::Duration;

use buzon_model::read::{At, CredentialRead, MailboxDelta, MailboxList, OpenedMailbox, ReadAt, UsageRead};
use buzon_model::reply::FlagState;
use buzon_model::row::{MailboxRow, PlacementRow};
use buzon_proto::pb::directory::v1::ResolveRequest;
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::pb::mail::v1::open_mailbox_request::Mailbox as Which;
use buzon_proto::wire::WireError;
use buzon_types::address::Address;
use buzon_types::id::{DIRECTORY, LogIndex, MailboxId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid_set::UidSet;
use futures::TryStreamExt;
use tonic::Status;

use crate::account::AccountHandle;
use crate::calls::{Directory, Mail};
use crate::error::MetaError;
use crate::meta::{Deadlines, Meta};

/// A directory that does not answer by then has no leader, most likely.
const DIRECTORY_TIME_MAX: Duration = Duration::from_millis(700);
/// Mailboxes or subscriptions one answer may hold: what the model allows, with room.
const LIST_ROWS_MAX: usize = 100_000;
/// Changed messages one answer may hold: a mailbox of the largest size, all changed.
const CHANGED_MESSAGES_MAX: usize = 2_000_000;

impl Meta {
    /// The account that an address leads to, aliases resolved. A detail (`user+detail`) is the caller's to strip.
    ///
    /// While the directory has no leader, an account that some node knows is found all the same: what is done with it is
    /// checked by its shard. That there is none, only the leader can say.
    ///
    /// # Errors
    /// After all retries.
    pub async fn resolve(&self, address: &Address) -> Result<Option<AccountHandle>, MetaError> {
        let soon = Deadlines { total: DIRECTORY_TIME_MAX, attempt: DIRECTORY_TIME_MAX };
        match self.resolve_at(address, soon).await {
            Err(MetaError::Unavailable { .. } | MetaError::DeadlineExceeded { .. }) => {
                if let Some(found) = self.resolve_anywhere(address).await {
                    return Ok(Some(found));
                }
                self.resolve_at(address, self.inner.options.deadlines).await
            }
            answer => answer,
        }
    }

    async fn resolve_at(
        &self,
        address: &Address,
        deadlines: Deadlines,
    ) -> Result<Option<AccountHandle>, MetaError> {
        let request =
            ResolveRequest { address: address.to_string(), read: Some(ReadAt::Linearizable.into()) };
        let answer = self.ask_within(deadlines, DIRECTORY, |transport| {
            let request = request.clone();
            async move { Directory::of(transport).resolve(request).await }
        });
        let placement = answer.await?.placement.map(PlacementRow::try_from).transpose()?;
        Ok(placement.map(Into::into))
    }

    /// Asks node after node for what its own replica of the directory holds.
    async fn resolve_anywhere(&self, address: &Address) -> Option<AccountHandle> {
        let request = ResolveRequest { address: address.to_string(), read: Some(ReadAt::Local.into()) };
        for node in self.inner.router.nodes() {
            let asked = Directory::of(node.transport).resolve(request.clone());
            if let Ok(Ok(answer)) = tokio::time::timeout(DIRECTORY_TIME_MAX, asked).await
                && let Some(placement) = answer.placement
                && let Ok(placement) = PlacementRow::try_from(placement)
            {
                return Some(placement.into());
            }
        }
        None
    }

    /// What logging in needs.
    ///
    /// # Errors
    /// After all retries; `Rejected(NoSuchAccount)` if the shard does not hold it.
    pub async fn credential(&self, of: &AccountHandle, at: ReadAt) -> Result<At<CredentialRead>, MetaError> {
        self.following(of, at, |of, at| async move { self.credential_here(&of, at).await }).await
    }

    async fn credential_here(&self, of: &AccountHandle, at: ReadAt) -> Result<At<CredentialRead>, MetaError> {
        let request = account_request(of, at);
        let answer = self.ask(of.shard, |transport| Mail::of(transport).credential(request));
        let answer = answer.await?;
        Ok(At { index: LogIndex(answer.index), value: answer.try_into()? })
    }

    /// What an account holds and may hold.
    ///
    /// # Errors
    /// As [`Meta::credential`].
    pub async fn usage(&self, of: &AccountHandle, at: ReadAt) -> Result<At<UsageRead>, MetaError> {
        self.following(of, at, |of, at| async move { self.usage_here(&of, at).await }).await
    }

    async fn usage_here(&self, of: &AccountHandle, at: ReadAt) -> Result<At<UsageRead>, MetaError> {
        let request = account_request(of, at);
        let answer = self.ask(of.shard, |transport| Mail::of(transport).usage(request));
        let answer = answer.await?;
        Ok(At { index: LogIndex(answer.index), value: answer.try_into()? })
    }

    /// All mailboxes by name, and the subscriptions.
    ///
    /// # Errors
    /// As [`Meta::credential`].
    pub async fn list_mailboxes(&self, of: &AccountHandle, at: ReadAt) -> Result<At<MailboxList>, MetaError> {
        self.following(of, at, |of, at| async move { self.list_mailboxes_here(&of, at).await }).await
    }

    async fn list_mailboxes_here(
        &self,
        of: &AccountHandle,
        at: ReadAt,
    ) -> Result<At<MailboxList>, MetaError> {
        let request = account_request(of, at);
        let pages = self.ask(of.shard, |transport| async move {
            let mut stream = Mail::of(transport).list_mailboxes(request).await?;
            let mut all = pb::ListMailboxesResponse::default();
            while let Some(page) = stream.try_next().await? {
                all.index = page.index;
                all.mailboxes.extend(page.mailboxes);
                all.subscriptions.extend(page.subscriptions);
                bounded(all.mailboxes.len() + all.subscriptions.len(), LIST_ROWS_MAX)?;
            }
            Ok(all)
        });
        let all = pages.await?;
        let name = |text: &String| {
            MailboxName::new(text).map_err(|_| WireError::new("list_mailboxes_response.subscriptions"))
        };
        let list = MailboxList {
            mailboxes: all.mailboxes.into_iter().map(MailboxRow::try_from).collect::<Result<_, _>>()?,
            subscriptions: all.subscriptions.iter().map(name).collect::<Result<_, _>>()?,
        };
        Ok(At { index: LogIndex(all.index), value: list })
    }

    /// A mailbox as SELECT shows it; `None` if there is none of that name.
    ///
    /// # Errors
    /// As [`Meta::credential`].
    pub async fn open_mailbox(
        &self,
        of: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<OpenedMailbox>>, MetaError> {
        self.open_which(of, Which::Name(name.to_string()), at).await
    }

    /// As [`Meta::open_mailbox`], by id.
    ///
    /// # Errors
    /// As [`Meta::credential`].
    pub async fn open_mailbox_id(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        at: ReadAt,
    ) -> Result<At<Option<OpenedMailbox>>, MetaError> {
        self.open_which(of, Which::Id(mailbox.0), at).await
    }

    async fn open_which(
        &self,
        of: &AccountHandle,
        which: Which,
        at: ReadAt,
    ) -> Result<At<Option<OpenedMailbox>>, MetaError> {
        let which = &which;
        self.following(of, at, |of, at| async move { self.open_here(&of, which.clone(), at).await }).await
    }

    async fn open_here(
        &self,
        of: &AccountHandle,
        which: Which,
        at: ReadAt,
    ) -> Result<At<Option<OpenedMailbox>>, MetaError> {
        let request = pb::OpenMailboxRequest {
            group: of.shard.0,
            account: of.account.0,
            read: Some(at.into()),
            mailbox: Some(which),
        };
        let answer = self.ask(of.shard, |transport| Mail::of(transport).open_mailbox(request.clone()));
        let answer = answer.await?;
        let value = answer.mailbox.map(OpenedMailbox::try_from).transpose()?;
        Ok(At { index: LogIndex(answer.index), value })
    }

    /// One mailbox's row; `None` if there is none of that name.
    ///
    /// # Errors
    /// As [`Meta::credential`].
    pub async fn mailbox(
        &self,
        of: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<MailboxRow>>, MetaError> {
        self.following(of, at, |of, at| async move { self.mailbox_here(&of, name, at).await }).await
    }

    async fn mailbox_here(
        &self,
        of: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<MailboxRow>>, MetaError> {
        let request = pb::GetMailboxRequest {
            group: of.shard.0,
            account: of.account.0,
            read: Some(at.into()),
            name: name.to_string(),
        };
        let answer = self.ask(of.shard, |transport| Mail::of(transport).get_mailbox(request.clone()));
        let answer = answer.await?;
        let value = answer.mailbox.map(MailboxRow::try_from).transpose()?;
        Ok(At { index: LogIndex(answer.index), value })
    }

    /// The messages of a mailbox that have `\Deleted`; none if there is no such mailbox.
    ///
    /// # Errors
    /// As [`Meta::credential`].
    pub async fn deleted_uids(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        at: ReadAt,
    ) -> Result<At<UidSet>, MetaError> {
        self.following(of, at, |of, at| async move { self.deleted_uids_here(&of, mailbox, at).await }).await
    }

    async fn deleted_uids_here(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        at: ReadAt,
    ) -> Result<At<UidSet>, MetaError> {
        let request = pb::DeletedUidsRequest {
            group: of.shard.0,
            mailbox: Some(of.mailbox(mailbox).into()),
            read: Some(at.into()),
        };
        let answer = self.ask(of.shard, |transport| Mail::of(transport).deleted_uids(request));
        let answer = answer.await?;
        let uids = answer.uids.ok_or(WireError::new("deleted_uids_response.uids"))?;
        Ok(At { index: LogIndex(answer.index), value: uids.try_into()? })
    }

    /// What happened in a mailbox since a modseq.
    ///
    /// # Errors
    /// As [`Meta::credential`]; a deleted mailbox is no error.
    pub async fn changes(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        since: buzon_types::uid::ModSeq,
        at: ReadAt,
    ) -> Result<At<MailboxDelta>, MetaError> {
        self.following(of, at, |of, at| async move { self.changes_here(&of, mailbox, since, at).await }).await
    }

    async fn changes_here(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        since: buzon_types::uid::ModSeq,
        at: ReadAt,
    ) -> Result<At<MailboxDelta>, MetaError> {
        let request = pb::ChangesRequest {
            group: of.shard.0,
            mailbox: Some(of.mailbox(mailbox).into()),
            since: since.get(),
            read: Some(at.into()),
        };
        let answer = self.ask(of.shard, |transport| async move {
            let mut stream = Mail::of(transport).changes(request).await?;
            let ended = || Status::unavailable("stream of changes ended early");
            let first = stream.try_next().await?.ok_or_else(ended)?;
            let (index, mut delta) = (first.index, MailboxDelta::try_from(first)?);
            while let Some(page) = stream.try_next().await? {
                bounded(delta.messages.len() + page.messages.len(), CHANGED_MESSAGES_MAX)?;
                for message in page.messages {
                    delta.messages.push(FlagState::try_from(message)?);
                }
            }
            Ok(At { index: LogIndex(index), value: delta })
        });
        answer.await
    }
}

fn account_request(of: &AccountHandle, at: ReadAt) -> pb::AccountRequest {
    pb::AccountRequest { group: of.shard.0, account: of.account.0, read: Some(at.into()) }
}

fn bounded(items: usize, items_max: usize) -> Result<(), Status> {
    if items > items_max { Err(Status::internal("answer is larger than any account")) } else { Ok(()) }
}
