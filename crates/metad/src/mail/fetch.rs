//! Fetch: messages in chunks, read as fast as they are taken.
//!
//! ```text
//! index (memory) ─┐
//! tombstones (SQL)├─▶ chunk of 500 ─▶ queue of two ─▶ the caller's window
//! summaries (SQL) ┘
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use buzon_model::read::{At, MessageRead, ReadAt, Summaries};
use buzon_model::row::MessageRow;
use buzon_model::scope::Need;
use buzon_proto::columns::columns;
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_proto::wire::WireError;
use buzon_types::id::{GroupId, LogIndex, MailboxKey};
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::Instrument;

use super::read::read_at;
use super::{Answers, Mail, no_such_account, replica};
use crate::groups::{Replica, cold};

/// Messages in one answer.
const CHUNK_MESSAGES: u32 = 500;
/// Chunks read ahead: one is sent while the next is read.
const CHUNKS_AHEAD: usize = 2;
/// A chunk with summaries goes out in answers of about this size, well below the transport's 4 MiB.
const ANSWER_BYTES: usize = 1 << 20;

struct Reading {
    replica: Arc<dyn Replica>,
    key: MailboxKey,
    index: LogIndex,
    summaries: Summaries,
    /// How the caller wants them.
    columns: bool,
}

pub(super) async fn fetch(
    mail: &Mail,
    request: pb::FetchRequest,
) -> Result<Answers<pb::FetchResponse>, CallError> {
    let replica = replica(&*mail.groups, GroupId(request.group))?;
    let key = MailboxKey::try_from(request.mailbox.ok_or(WireError::new("fetch_request.mailbox"))?)?;
    let uids = UidSet::try_from(request.uids.ok_or(WireError::new("fetch_request.uids"))?)?;
    let summaries = match request.summaries {
        _ if !request.summary => Summaries::None,
        None => Summaries::All,
        Some(uids) => Summaries::Of(uids.try_into()?),
    };
    let needs = [Need::Account(key.account), Need::Index(key)];
    let found = replica.read(read_at(request.read)?, &needs, |state| {
        state.account(key.account)?;
        let Some(mailbox) = state.mailbox(key) else { return Some(UidSet::new()) };
        let below = mailbox.row.counters.uid_next;
        Some(uids.intersection(&existed(below)))
    });
    let At { index, value } = found.await?;
    let wanted = value.ok_or_else(no_such_account)?;
    let reading = Reading { replica, key, index, summaries, columns: request.columns };
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(send_all(reading, wanted, sender).in_current_span());
    Ok(ReceiverStream::new(receiver).boxed())
}

/// Every UID that was ever given out.
pub(super) fn existed(uid_next: Option<Uid>) -> UidSet {
    let last = match uid_next {
        Some(next) => Uid::new(next.get() - 1),
        None => Some(Uid::MAX),
    };
    last.map_or_else(UidSet::new, |last| UidSet::from(Uid::MIN..=last))
}

/// Ends early when nobody listens any more.
async fn send_all(reading: Reading, wanted: UidSet, sender: mpsc::Sender<Result<pb::FetchResponse, Status>>) {
    for uids in wanted.chunks(CHUNK_MESSAGES) {
        let messages = match reading.chunk(&uids).await {
            Ok(messages) => messages,
            Err(error) => {
                let _ = sender.send(Err(error.into())).await;
                return;
            }
        };
        for answer in reading.answers(messages) {
            if sender.send(Ok(answer)).await.is_err() {
                return;
            }
        }
    }
}

impl Reading {
    /// Splits a chunk by bytes. Each answer is made when the one before was taken.
    fn answers(&self, messages: Vec<MessageRead>) -> impl Iterator<Item = pb::FetchResponse> {
        let mut messages = messages.into_iter().peekable();
        std::iter::from_fn(move || {
            let (mut some, mut bytes) = (Vec::new(), 0);
            while let Some(message) = messages.next_if(|_| bytes < ANSWER_BYTES) {
                bytes += message.summary.as_ref().map_or(0, Bytes::len);
                some.push(message);
            }
            (!some.is_empty()).then(|| self.answer(some))
        })
    }

    fn answer(&self, messages: Vec<MessageRead>) -> pb::FetchResponse {
        let mut answer = pb::FetchResponse { index: self.index.0, ..Default::default() };
        if self.columns {
            answer.columns = Some(columns(&messages));
        } else {
            answer.messages = messages.into_iter().map(Into::into).collect();
        }
        answer
    }

    /// Live messages from the index, the others from their tombstones: one expunged since the reading began too.
    async fn chunk(&self, uids: &UidSet) -> Result<Vec<MessageRead>, CallError> {
        let key = self.key;
        let needs = [Need::Account(key.account), Need::Index(key)];
        let found = self.replica.read(ReadAt::Index(self.index), &needs, |state| {
            let Some(mailbox) = state.mailbox(key) else { return Ok::<_, CallError>(Vec::new()) };
            let cold = || CallError::new(ErrorCode::Internal, "messages of the mailbox are not loaded");
            let index = mailbox.index.as_ref().ok_or_else(cold)?;
            state.touch(key);
            Ok(index.rows(uids).collect::<Vec<MessageRow>>())
        });
        let live = found.await?.value?;
        let gone = uids.difference(&live.iter().map(|row| row.uid).collect());
        let read = |row, expunged| MessageRead { row, expunged, summary: None };
        let mut messages: Vec<_> = live.into_iter().map(|row| read(row, false)).collect();
        if !gone.is_empty() {
            let tombstones = self.replica.tombstones(self.index, key, &gone).await?;
            messages.extend(tombstones.into_iter().map(|tombstone| read(tombstone.message, true)));
            messages.sort_unstable_by_key(|message| message.row.uid);
        }
        self.add_summaries(&mut messages).await?;
        Ok(messages)
    }

    async fn add_summaries(&self, messages: &mut [MessageRead]) -> Result<(), CallError> {
        let uids = messages.iter().map(|message| message.row.uid);
        let uids: UidSet = uids.filter(|uid| self.summaries.contains(*uid)).collect();
        if uids.is_empty() {
            return Ok(());
        }
        let summaries = self.replica.rows().await?.summaries(self.replica.id(), self.key, &uids).await;
        let mut summaries: HashMap<Uid, Bytes> = summaries.map_err(cold)?.into_iter().collect();
        for message in messages.iter_mut().filter(|message| self.summaries.contains(message.row.uid)) {
            message.summary = summaries.remove(&message.row.uid);
            // Every message came with one, so these rows are older than the state: the database lost its last
            // transactions, and the node is about to replay them.
            if message.summary.is_none() {
                return Err(CallError::new(ErrorCode::Unavailable, "database is behind its state"));
            }
        }
        Ok(())
    }
}
