//! FETCH: messages in chunks, as fast as the reader takes them.

use buzon_model::read::{Columns, MessageRead, ReadAt, Summaries};
use buzon_model::reply::Rejection;
use buzon_proto::columns;
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode, WriteOutcome};
use buzon_proto::wire::WireError;
use buzon_types::id::MailboxId;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use crate::account::AccountHandle;
use crate::calls::Mail;
use crate::error::MetaError;
use crate::meta::Meta;
use crate::transport::Answers;

/// Moves during one reading that are followed: each takes longer than most readings.
const RESUMED_MAX: u32 = 3;

/// Chunks of messages, ascending by UID; ends after an error.
pub type Messages = BoxStream<'static, Result<Vec<MessageRead>, MetaError>>;

impl Meta {
    /// Messages of a mailbox, live ones and those expunged ones whose tombstones are kept; unknown UIDs are left
    /// out. A reader that waits holds back the node, not memory. Each chunk has its own deadline; dropping the
    /// stream ends the reading.
    ///
    /// # Errors
    /// After all retries of its beginning; what breaks later is an item, and may be asked for again from the next
    /// UID on.
    pub async fn fetch(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: Columns,
        at: ReadAt,
    ) -> Result<Messages, MetaError> {
        let stream = self.fetch_following(of, mailbox, uids, &columns, at).await?;
        let reading = Reading {
            meta: self.clone(),
            of: of.clone(),
            mailbox,
            left: uids.clone(),
            columns,
            stream,
            resumed: 0,
        };
        Ok(stream::unfold(Some(reading), next).boxed())
    }

    async fn fetch_following(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: &Columns,
        at: ReadAt,
    ) -> Result<Answers<pb::FetchResponse>, MetaError> {
        self.following(of, at, |of, at| async move { self.fetch_here(&of, mailbox, uids, columns, at).await })
            .await
    }

    async fn fetch_here(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: &Columns,
        at: ReadAt,
    ) -> Result<Answers<pb::FetchResponse>, MetaError> {
        let request = pb::FetchRequest {
            group: of.shard.0,
            mailbox: Some(of.mailbox(mailbox).into()),
            uids: Some(uids.into()),
            summary: columns.summaries.any(),
            read: Some(at.into()),
            summaries: match &columns.summaries {
                Summaries::Of(uids) => Some(uids.into()),
                Summaries::None | Summaries::All => None,
            },
            columns: false,
        };
        self.ask(of.shard, |transport| {
            // Where nothing is encoded, columns would have to be made, and taken apart again.
            let columns = transport.local.is_none();
            Mail::of(transport).fetch(pb::FetchRequest { columns, ..request.clone() })
        })
        .await
    }
}

/// A reading that goes on where the account went, if it moves meanwhile.
struct Reading {
    meta: Meta,
    of: AccountHandle,
    mailbox: MailboxId,
    /// Of these the messages have not come yet.
    left: UidSet,
    columns: Columns,
    stream: Answers<pb::FetchResponse>,
    resumed: u32,
}

type Chunk = Result<Vec<MessageRead>, MetaError>;

async fn next(reading: Option<Reading>) -> Option<(Chunk, Option<Reading>)> {
    let mut reading = reading?;
    loop {
        let error = match reading.chunk().await {
            Ok(None) => return None,
            Ok(Some(messages)) => return Some((Ok(messages), Some(reading))),
            Err(error) => error,
        };
        let moved = matches!(error, MetaError::Rejected(Rejection::Moved { .. }));
        if !moved || reading.resumed == RESUMED_MAX {
            return Some((Err(error), None));
        }
        if let Err(error) = reading.resume().await {
            return Some((Err(error), None));
        }
    }
}

/// However the node sends them.
fn messages(chunk: pb::FetchResponse) -> Result<Vec<MessageRead>, WireError> {
    match chunk.columns {
        Some(columns) => columns::messages(columns),
        None => chunk.messages.into_iter().map(MessageRead::try_from).collect(),
    }
}

impl Reading {
    async fn chunk(&mut self) -> Result<Option<Vec<MessageRead>>, MetaError> {
        let deadline = self.meta.inner.options.deadlines.total;
        let error = match tokio::time::timeout(deadline, self.stream.try_next()).await {
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(chunk))) => {
                let messages = messages(chunk)?;
                if let Some(last) = messages.last() {
                    self.left = self.left.difference(&UidSet::from(Uid::MIN..=last.row.uid));
                }
                return Ok(Some(messages));
            }
            Ok(Err(status)) => CallError::from(&status),
            Err(_) => CallError::new(ErrorCode::DeadlineExceeded, "no chunk in time"),
        };
        Err(MetaError::of_call(error, WriteOutcome::NotApplied))
    }

    async fn resume(&mut self) -> Result<(), MetaError> {
        self.resumed += 1;
        let (at, meta) = (ReadAt::Linearizable, self.meta.clone());
        self.stream = meta.fetch_following(&self.of, self.mailbox, &self.left, &self.columns, at).await?;
        Ok(())
    }
}
