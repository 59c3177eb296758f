//! Watch: events of the accounts that a front end has sessions for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use buzon_model::read::{AccountEvent, EventKind};
use buzon_proto::pb::mail::v1 as pb;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::{AccountId, GroupId, LogIndex, NodeId};
use futures::StreamExt;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Answers, Mail, replica};
use crate::groups::Replica;

/// Answers that wait for the caller; after that the feed's own ring takes over, and then there is a gap.
const ANSWERS_MAX: usize = 16;
/// Events in one answer, merged from what has happened meanwhile.
const EVENTS_MAX: usize = 256;
/// Accounts of one stream: more sessions than a front end can hold.
const ACCOUNTS_MAX: usize = 1_000_000;
/// How soon a stream ends after this node lost the lead.
const LEADER_CHECK: Duration = Duration::from_millis(500);

struct Feed {
    replica: Arc<dyn Replica>,
    node: NodeId,
    accounts: HashSet<AccountId>,
    sender: mpsc::Sender<Result<pb::WatchResponse, Status>>,
}

pub(super) async fn watch(
    mail: &Mail,
    mut requests: Streaming<pb::WatchRequest>,
) -> Result<Answers<pb::WatchResponse>, CallError> {
    let none = || CallError::new(ErrorCode::Invalid, "the first message of the stream is missing");
    let first = requests.message().await.map_err(|status| CallError::from(&status))?.ok_or_else(none)?;
    let replica = replica(&*mail.groups, GroupId(first.group))?;
    let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
    let mut feed = Feed { replica, node: mail.groups.node(), accounts: HashSet::new(), sender };
    feed.check_leader()?;
    // Subscribed before the first gap is told, so that nothing falls in between.
    let events = feed.replica.subscribe();
    tokio::spawn(async move {
        let end = match feed.change(&first).await {
            Ok(()) => feed.run(requests, events).await,
            Err(error) => error,
        };
        let _ = feed.sender.send(Err(end.into())).await;
    });
    Ok(ReceiverStream::new(receiver).boxed())
}

impl Feed {
    async fn run(
        &mut self,
        mut requests: Streaming<pb::WatchRequest>,
        mut events: Receiver<AccountEvent>,
    ) -> CallError {
        let mut ticks = tokio::time::interval(LEADER_CHECK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => self.change(&request).await,
                    Ok(None) => Err(CallError::new(ErrorCode::Unavailable, "watcher is gone")),
                    Err(status) => Err(CallError::from(&status)),
                },
                event = events.recv() => self.forward(event, &mut events).await,
                _ = ticks.tick() => self.check_leader(),
            };
            if let Err(error) = step {
                return error;
            }
        }
    }

    fn check_leader(&self) -> Result<(), CallError> {
        if self.replica.status().leader == Some(self.node) {
            return Ok(());
        }
        Err(CallError::new(ErrorCode::NotLeader, "this node does not lead the group"))
    }

    /// Each added account begins with a gap.
    async fn change(&mut self, request: &pb::WatchRequest) -> Result<(), CallError> {
        for account in &request.remove {
            self.accounts.remove(&AccountId(*account));
        }
        if self.accounts.len() + request.add.len() > ACCOUNTS_MAX {
            return Err(CallError::new(ErrorCode::Limit, "too many accounts in one stream"));
        }
        self.accounts.extend(request.add.iter().copied().map(AccountId));
        let index = self.replica.status().applied;
        for accounts in request.add.chunks(EVENTS_MAX) {
            let gaps = accounts.iter().map(|account| self.gap(AccountId(*account), index)).collect();
            self.send(gaps).await?;
        }
        Ok(())
    }

    fn gap(&self, account: AccountId, index: LogIndex) -> AccountEvent {
        AccountEvent { group: self.replica.id(), index, account, kind: EventKind::Gap }
    }

    /// Sends an event and what else waits already.
    async fn forward(
        &self,
        event: Result<AccountEvent, RecvError>,
        events: &mut Receiver<AccountEvent>,
    ) -> Result<(), CallError> {
        let closed = || CallError::new(ErrorCode::Unavailable, "group is closed");
        let mut batch = Vec::new();
        let mut next = match event {
            Ok(event) => Ok(event),
            Err(RecvError::Lagged(count)) => Err(TryRecvError::Lagged(count)),
            Err(RecvError::Closed) => return Err(closed()),
        };
        loop {
            match next {
                Ok(event) if self.accounts.contains(&event.account) => batch.push(event),
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => {
                    batch.push(self.gap(AccountId(0), self.replica.status().applied));
                }
                // A closed feed says so at the next turn.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
            if batch.len() == EVENTS_MAX {
                break;
            }
            next = events.try_recv();
        }
        if batch.is_empty() { Ok(()) } else { self.send(batch).await }
    }

    async fn send(&self, events: Vec<AccountEvent>) -> Result<(), CallError> {
        let answer = pb::WatchResponse { events: events.into_iter().map(Into::into).collect() };
        let gone = |_| CallError::new(ErrorCode::Unavailable, "watcher is gone");
        self.sender.send(Ok(answer)).await.map_err(gone)
    }
}
