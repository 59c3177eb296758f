//! One replica of a group: the model's state, rows in SQLite, and a log that is only a counter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use buzon_meta_store::store::{Applied, Batch, MetaStore, OutcomeCodec};
use buzon_metad::groups::{Groups, Replica, ReplicaStatus};
use buzon_model::command::{Command, Entry};
use buzon_model::decide::decide;
use buzon_model::event::events;
use buzon_model::read::{AccountEvent, ReadAt};
use buzon_model::reply::Outcome;
use buzon_model::row::Tombstone;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::status::{CallError, ErrorCode, LeaderHint};
use buzon_types::id::{GroupId, LogIndex, MailboxKey, NodeId};
use buzon_types::request::RequestId;
use buzon_types::time::Timestamp;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use tokio::sync::{Mutex, Notify, broadcast, watch};

const NODE: NodeId = NodeId(1);

/// Records' outcomes as the wire has them.
pub(crate) struct Codec;

impl OutcomeCodec for Codec {
    fn encode(&self, outcome: &Outcome) -> Vec<u8> {
        buzon_proto::log::encode_outcome(outcome).to_vec()
    }

    fn decode(&self, bytes: &[u8]) -> Option<Outcome> {
        buzon_proto::log::decode_outcome(bytes::Bytes::copy_from_slice(bytes)).ok()
    }
}

pub(crate) struct TestGroup {
    id: GroupId,
    state: Mutex<State>,
    store: Arc<dyn MetaStore>,
    feed: broadcast::Sender<AccountEvent>,
    pub(crate) applied: watch::Sender<u64>,
    pub(crate) leads: AtomicBool,
    /// Somebody asked for the status and was told that this is no leader.
    pub(crate) noticed: Notify,
    /// What a follower says of the leader.
    pub(crate) hint: parking_lot::Mutex<Option<LeaderHint>>,
}

impl TestGroup {
    pub(crate) async fn open(id: GroupId, store: Arc<dyn MetaStore>) -> Arc<Self> {
        store.create_group(id).await.unwrap();
        let state = Mutex::new(State::new(id, store.seed(id).await.unwrap()));
        let applied = store.head(id).await.unwrap().map_or(0, |head| head.applied.index);
        let (feed, applied) = (broadcast::channel(4096).0, watch::Sender::new(applied));
        Arc::new(Self {
            id,
            state,
            store,
            feed,
            applied,
            leads: AtomicBool::new(true),
            noticed: Notify::new(),
            hint: parking_lot::Mutex::default(),
        })
    }

    async fn load(&self, state: &mut State, missing: impl Fn(&State) -> Vec<Need>) {
        loop {
            let needs = missing(state);
            if needs.is_empty() {
                return;
            }
            for need in needs {
                state.insert(self.store.load(self.id, &need).await.unwrap());
            }
        }
    }

    fn check(&self) -> Result<(), CallError> {
        if self.leads.load(Ordering::SeqCst) {
            return Ok(());
        }
        let leader = self.hint.lock().clone();
        Err(CallError { leader, ..CallError::new(ErrorCode::NotLeader, "not the leader") })
    }
}

#[async_trait]
impl Replica for TestGroup {
    fn id(&self) -> GroupId {
        self.id
    }

    async fn propose(
        &self,
        request: Option<RequestId>,
        command: Command,
    ) -> Result<(LogIndex, Outcome), CallError> {
        self.check()?;
        let mut state = self.state.lock().await;
        let index = *self.applied.borrow();
        let entry = Entry { at: Timestamp(1_700_000_000_000 + index as i64), request, command };
        // As it would stand in the log.
        let entry = buzon_proto::log::decode_entry(buzon_proto::log::encode_entry(&entry)).unwrap();
        self.load(&mut state, |state| state.missing(&entry.command)).await;
        let decision = decide(&state, &entry);
        let applied = Applied { index: index + 1, log_id: bytes::Bytes::new() };
        let changes = &decision.changes;
        let batch =
            Batch { group: self.id, expected_index: index, applied, membership: None, changes, digest: None };
        self.store.commit(batch).await.unwrap();
        state.absorb(changes);
        self.applied.send_replace(index + 1);
        let index = LogIndex(index + 1);
        for (account, kind) in events(changes) {
            let _ = self.feed.send(AccountEvent { group: self.id, index, account, kind });
        }
        Ok((index, decision.outcome))
    }

    async fn look(
        &self,
        at: ReadAt,
        needs: &[Need],
        look: &mut (dyn for<'state> FnMut(&'state State) + Send),
    ) -> Result<LogIndex, CallError> {
        if at != ReadAt::Local {
            self.check()?;
        }
        let mut state = self.state.lock().await;
        let index = LogIndex(*self.applied.borrow());
        assert!(!matches!(at, ReadAt::Index(at) if at > index), "asked for the future");
        self.load(&mut state, |state| state.missing_of(needs)).await;
        look(&state);
        Ok(index)
    }

    async fn expunged_since(
        &self,
        _: LogIndex,
        mailbox: MailboxKey,
        since: ModSeq,
    ) -> Result<UidSet, CallError> {
        Ok(self.store.expunged_since(self.id, mailbox, since).await.unwrap())
    }

    async fn tombstones(
        &self,
        _: LogIndex,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Vec<Tombstone>, CallError> {
        Ok(self.store.tombstones(self.id, mailbox, uids).await.unwrap())
    }

    async fn rows(&self) -> Result<&Arc<dyn MetaStore>, CallError> {
        Ok(&self.store)
    }

    fn subscribe(&self) -> broadcast::Receiver<AccountEvent> {
        self.feed.subscribe()
    }

    fn status(&self) -> ReplicaStatus {
        let applied = LogIndex(*self.applied.borrow());
        let leader = self.leads.load(Ordering::SeqCst).then_some(NODE);
        if leader.is_none() {
            self.noticed.notify_one();
        }
        ReplicaStatus {
            leader,
            majority_heard: leader.map(|_| Duration::ZERO),
            applied,
            rows: applied,
            last_log: applied,
            voters: vec![NODE],
            ..Default::default()
        }
    }
}

pub(crate) struct TestGroups(pub(crate) BTreeMap<GroupId, Arc<TestGroup>>);

impl Groups for TestGroups {
    fn node(&self) -> NodeId {
        NODE
    }

    fn group(&self, id: GroupId) -> Option<Arc<dyn Replica>> {
        self.0.get(&id).map(|group| Arc::clone(group) as Arc<dyn Replica>)
    }

    fn groups(&self) -> Vec<Arc<dyn Replica>> {
        self.0.values().map(|group| Arc::clone(group) as Arc<dyn Replica>).collect()
    }
}
