//! Heartbeats of all groups to one peer, sent together: one call carries those that come within a short while.
//!
//! ```text
//! group 1 ─▶ ┐
//! group 7 ─▶ ┼─▶ wait a little ─▶ one call ─▶ answers as they come ─▶ each to its group
//! group 9 ─▶ ┘
//! ```
//! A heartbeat for which a linearizable read waits takes the others along at once. Entries never pass here. The lists of
//! groups at rest, which stand for heartbeats (`rest`), do.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tonic::{Code, Status};

use super::peers::Peers;
use crate::node::HeartbeatCounts;
use crate::pb;
use crate::pb::heartbeat_answer::Result as Answer;
use crate::task;

/// How long a heartbeat waits for those of other groups. A fifth of the heartbeats' interval at most, so that it does
/// not make them late; long enough to gather a dozen of the 67 groups that one of three nodes leads of 200.
pub(crate) const LINGER: Duration = Duration::from_millis(30);
/// Who sent a heartbeat gives up sooner. Bounds the calls that are open to a peer that does not answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(1);

type Answered = Result<pb::AppendEntriesResponse, Status>;

/// The ways to all peers. See the module.
pub(crate) struct Heartbeats {
    peers: Arc<Peers>,
    /// By node; a node that moved gets a new one.
    lanes: Mutex<HashMap<u64, Arc<Lane>>>,
    heartbeats: AtomicU64,
    calls: AtomicU64,
    lists: AtomicU64,
}

/// The way to one peer.
struct Lane {
    node: u64,
    address: String,
    gathered: Mutex<Gathered>,
    /// Somebody hurries, or a call was answered: worth a look.
    changed: Notify,
    open_calls: AtomicUsize,
}

#[derive(Default)]
struct Gathered {
    waiting: Vec<Waiting>,
    hurried: bool,
}

struct Waiting {
    heartbeat: pb::Heartbeat,
    answer: oneshot::Sender<Answered>,
}

impl Heartbeats {
    pub(crate) fn new(peers: Arc<Peers>) -> Self {
        let (heartbeats, calls, lists) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { peers, lanes: Mutex::default(), heartbeats, calls, lists }
    }

    pub(crate) fn counts(&self) -> HeartbeatCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HeartbeatCounts {
            heartbeats: count(&self.heartbeats),
            calls: count(&self.calls),
            lists: count(&self.lists),
        }
    }

    /// Tells a node which groups this one leads at rest.
    pub(crate) async fn rest(
        &self,
        (node, address): (u64, &str),
        groups: Vec<pb::RestingGroup>,
    ) -> Result<pb::RestResponse, Status> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let client = self.peers.client(node, address);
        let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
        let request = pb::RestRequest { header: Some(self.peers.header(0, node)), groups };
        client.rest(request).await.map(tonic::Response::into_inner)
    }

    /// Sends a heartbeat with the next call to that node; the group's own answer. With `hurried` the call goes out as
    /// soon as the one before it is answered.
    pub(super) async fn send(
        self: &Arc<Self>,
        (node, address): (u64, &str),
        heartbeat: pb::Heartbeat,
        hurried: bool,
    ) -> Answered {
        let lane = self.lane(node, address);
        let (answer, answered) = oneshot::channel();
        let is_first = {
            let mut gathered = lane.gathered.lock();
            gathered.waiting.push(Waiting { heartbeat, answer });
            gathered.hurried |= hurried;
            gathered.waiting.len() == 1
        };
        if hurried {
            lane.changed.notify_one();
        }
        if is_first {
            task::spawn(Arc::clone(self).carry(lane));
        }
        answered.await.unwrap_or_else(|_| Err(Status::unavailable("the heartbeat is not answered")))
    }

    fn lane(&self, node: u64, address: &str) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        match lanes.get(&node) {
            Some(lane) if lane.address == address => Arc::clone(lane),
            _ => {
                let address = address.to_owned();
                let (gathered, changed, open_calls) = (Mutex::default(), Notify::new(), AtomicUsize::new(0));
                let lane = Arc::new(Lane { node, address, gathered, changed, open_calls });
                lanes.insert(node, Arc::clone(&lane));
                lane
            }
        }
    }

    /// Waits for company, then sends what has gathered and hands out the answers.
    async fn carry(self: Arc<Self>, lane: Arc<Lane>) {
        lane.gather().await;
        let Gathered { waiting, .. } = std::mem::take(&mut *lane.gathered.lock());
        self.heartbeats.fetch_add(waiting.len() as u64, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        let (heartbeats, answers) = waiting.into_iter().map(|one| (one.heartbeat, Some(one.answer))).unzip();
        let mut answers: Vec<Option<oneshot::Sender<Answered>>> = answers;
        lane.open_calls.fetch_add(1, Ordering::SeqCst);
        let called = tokio::time::timeout(CALL_TIME_MAX, self.call(&lane, heartbeats, &mut answers)).await;
        lane.open_calls.fetch_sub(1, Ordering::SeqCst);
        lane.changed.notify_one();
        let failed = match called {
            Ok(Ok(())) => Status::unavailable("the heartbeat is not answered"),
            Ok(Err(status)) => status,
            Err(late) => Status::deadline_exceeded(late.to_string()),
        };
        for answer in answers.into_iter().flatten() {
            // Who asked may have given up.
            let _ = answer.send(Err(failed.clone()));
        }
    }

    async fn call(
        &self,
        lane: &Lane,
        heartbeats: Vec<pb::Heartbeat>,
        answers: &mut [Option<oneshot::Sender<Answered>>],
    ) -> Result<(), Status> {
        let client = self.peers.client(lane.node, &lane.address);
        let mut client = client.map_err(|error| Status::unavailable(error.to_string()))?;
        let header = Some(self.peers.header(0, lane.node));
        let mut parts = client.heartbeats(pb::HeartbeatsRequest { header, heartbeats }).await?.into_inner();
        while let Some(part) = parts.message().await? {
            for one in part.answers {
                let asked = answers.get_mut(one.position as usize).and_then(Option::take);
                let (Some(asked), Some(result)) = (asked, one.result) else { continue };
                let _ = asked.send(match result {
                    Answer::Answer(answer) => Ok(answer),
                    Answer::Refused(why) => Err(Status::new(Code::NotFound, why)),
                });
            }
        }
        Ok(())
    }
}

impl Lane {
    /// Until the time is over, or somebody hurries and no call is open: with one open, the next gathers meanwhile.
    async fn gather(&self) {
        let may_go = || self.gathered.lock().hurried && self.open_calls.load(Ordering::SeqCst) == 0;
        let hurried = async {
            while !may_go() {
                self.changed.notified().await;
            }
        };
        // When nobody hurries, that is the usual end.
        let _ = tokio::time::timeout(LINGER, hurried).await;
    }
}
