//! Answers to the heartbeats of many groups: those that come together go together, and none waits for a slow group.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt as _, stream};
use openraft::raft::AppendEntriesRequest;
use tokio::time::Instant;
use tonic::Status;

use super::{append, group, vote};
use crate::group::Group;
use crate::node::NodeInner;
use crate::pb;
use crate::pb::heartbeat_answer::Result as Answer;
use crate::record;

/// How long an answer waits for those of other groups: many times what an idle group takes, and little for a read that
/// waits for one of them.
const LINGER: Duration = Duration::from_millis(2);

/// Answers in pieces.
pub(super) type BeatStream = Pin<Box<dyn Stream<Item = Result<pb::HeartbeatsResponse, Status>> + Send>>;

type Answers = FuturesUnordered<Pin<Box<dyn Future<Output = pb::HeartbeatAnswer> + Send>>>;

/// Hands each heartbeat to its group. The trouble of one is its own.
pub(super) fn answer_all(node: &NodeInner, heartbeats: Vec<pb::Heartbeat>) -> BeatStream {
    let answers = Answers::new();
    for (position, heartbeat) in (0..).zip(heartbeats) {
        let group = group(node, heartbeat.group);
        answers.push(Box::pin(async move {
            let result = match answer(group, heartbeat).await {
                Ok(answer) => Answer::Answer(answer),
                Err(status) => Answer::Refused(status.message().to_owned()),
            };
            pb::HeartbeatAnswer { position, result: Some(result) }
        }));
    }
    Box::pin(stream::unfold(answers, |mut answers| async {
        let ready = gather(&mut answers).await;
        (!ready.is_empty()).then_some((Ok(pb::HeartbeatsResponse { answers: ready }), answers))
    }))
}

async fn answer(
    group: Result<Group, Status>,
    heartbeat: pb::Heartbeat,
) -> Result<pb::AppendEntriesResponse, Status> {
    let request = AppendEntriesRequest {
        vote: vote(heartbeat.vote)?,
        prev_log_id: heartbeat.previous.map(record::read_log_id),
        entries: Vec::new(),
        leader_commit: heartbeat.committed.map(record::read_log_id),
    };
    append(&group?, request).await
}

/// The next answer and those that follow it closely; none at the end.
async fn gather(answers: &mut Answers) -> Vec<pb::HeartbeatAnswer> {
    let Some(first) = answers.next().await else { return Vec::new() };
    let mut ready = vec![first];
    let until = Instant::now() + LINGER;
    while let Ok(Some(next)) = tokio::time::timeout_at(until, answers.next()).await {
        ready.push(next);
    }
    ready
}
