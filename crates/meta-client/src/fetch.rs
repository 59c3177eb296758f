//! FETCH: messages in chunks, as fast as the reader takes them.

use std::time::Duration;

use buzon_model::read::{Columns, MessageRead, ReadAt};
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode, WriteOutcome};
use buzon_types::id::MailboxId;
use buzon_types::uid_set::UidSet;
use futures::stream::{self, BoxStream, StreamExt};
use tonic::Streaming;

use crate::account::AccountHandle;
use crate::error::MetaError;
use crate::meta::Meta;
use crate::read::client;

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
        let request = pb::FetchRequest {
            group: of.shard.0,
            mailbox: Some(of.mailbox(mailbox).into()),
            uids: Some(uids.into()),
            summary: columns.summary,
            read: Some(at.into()),
        };
        let answer = self.ask(of.shard, |transport| {
            let request = request.clone();
            async move { Ok(client(transport).fetch(request).await?.into_inner()) }
        });
        let chunk_deadline = self.inner.options.deadlines.total;
        Ok(stream::unfold(Some(answer.await?), move |stream| next(stream, chunk_deadline)).boxed())
    }
}

type State = Option<Streaming<pb::FetchResponse>>;

async fn next(state: State, deadline: Duration) -> Option<(Result<Vec<MessageRead>, MetaError>, State)> {
    let mut stream = state?;
    let error = match tokio::time::timeout(deadline, stream.message()).await {
        Ok(Ok(None)) => return None,
        Ok(Ok(Some(chunk))) => {
            let messages = chunk.messages.into_iter().map(MessageRead::try_from).collect::<Result<_, _>>();
            return match messages {
                Ok(messages) => Some((Ok(messages), Some(stream))),
                Err(error) => Some((Err(error.into()), None)),
            };
        }
        Ok(Err(status)) => CallError::from(&status),
        Err(_) => CallError::new(ErrorCode::DeadlineExceeded, "no chunk in time"),
    };
    Some((Err(MetaError::of_call(error, WriteOutcome::NotApplied)), None))
}
