//! A front-end as the log sees it: requests under an instance, several at a time, each repeated under its id until it is
//! answered or given up (as `meta-client` does); and reads.

mod commands;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use buzon_model::command::{Command, Entry};
use buzon_model::read::ReadAt;
use buzon_model::reply::{Outcome, Rejection};
use buzon_model::scope::Need;
use buzon_proto::status::WriteOutcome;
use buzon_types::id::{AccountId, GroupId, LogIndex, MailboxId, MailboxKey};
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::Status;

use super::cluster::World;
use super::digest;
use super::oracle::{Event, Seen};
use super::random::Random;
use crate::error::{ProposeError, ReadError};
use crate::group::Proposed;
use crate::node::Node;

/// An attempt that is not answered by then is given up for another.
const ATTEMPT_TIME_MAX: Duration = Duration::from_millis(1_500);
const BACKOFF_FIRST: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// Who proves in the end that a group serves.
const PROVER: u64 = 999;

/// See the module.
pub(crate) struct Client {
    stop: Arc<AtomicBool>,
    lanes: Vec<JoinHandle<()>>,
}

/// What its requests have in common.
struct Shared {
    world: Arc<World>,
    id: u64,
    group: GroupId,
    random: Random,
    stop: Arc<AtomicBool>,
    session: Mutex<Arc<Session>>,
    /// Whom to ask first.
    leader: AtomicU64,
    /// The greatest index that it has heard of.
    seen: AtomicU64,
}

/// One instance.
struct Session {
    instance: InstanceId,
    opened: tokio::sync::OnceCell<()>,
    sequences: Mutex<Sequences>,
}

#[derive(Default)]
struct Sequences {
    last: u64,
    outstanding: BTreeSet<u64>,
}

/// An attempt that did not succeed.
enum Failed {
    /// Nothing was written; who leads, if that is known.
    NotApplied(Option<u64>),
    Unknown,
}

impl Client {
    pub(crate) fn start(world: &Arc<World>, id: u64) -> Self {
        let groups = &world.plan.groups;
        let group = groups[(id as usize) % groups.len()];
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared::new(world, (id, group), &stop));
        let lanes = (0..world.plan.lanes).map(|_| tokio::spawn(Arc::clone(&shared).work()));
        Self { stop, lanes: lanes.collect() }
    }

    /// Ends once what is in flight is answered or given up.
    pub(crate) async fn finish(self) {
        self.stop.store(true, Ordering::SeqCst);
        for lane in self.lanes {
            let _ = lane.await;
        }
    }

    /// Writes and reads until both have succeeded. Where the write stands.
    pub(crate) async fn prove(world: &Arc<World>, group: GroupId) -> LogIndex {
        let prover = Shared::new(world, (PROVER, group), &Arc::default());
        loop {
            let open = Command::OpenInstance(InstanceId::owned(PROVER, prover.random.next()));
            let until = Instant::now() + Duration::from_secs(5);
            let Some((index, _)) = prover.propose(&open, None, until).await else { continue };
            if prover.read(ReadAt::Linearizable).await.is_some_and(|seen| seen >= index) {
                return index;
            }
        }
    }
}

impl Session {
    fn new(owner: u64, random: &Random) -> Arc<Self> {
        let instance = InstanceId::owned(owner, random.next());
        let (opened, sequences) = (tokio::sync::OnceCell::new(), Mutex::default());
        Arc::new(Self { instance, opened, sequences })
    }

    fn ticket(&self) -> u64 {
        let mut sequences = self.sequences.lock();
        sequences.last += 1;
        let sequence = sequences.last;
        sequences.outstanding.insert(sequence);
        sequence
    }

    /// The mark may rise from one attempt to the next.
    fn request(&self, sequence: u64) -> RequestId {
        let sequences = self.sequences.lock();
        let oldest = sequences.outstanding.first().copied().unwrap_or(sequences.last + 1);
        RequestId { instance: self.instance, sequence, acknowledged_below: oldest }
    }

    fn done(&self, sequence: u64) {
        self.sequences.lock().outstanding.remove(&sequence);
    }
}

impl Shared {
    fn new(world: &Arc<World>, (id, group): (u64, GroupId), stop: &Arc<AtomicBool>) -> Self {
        let random = world.random.branch();
        let session = Mutex::new(Session::new(id, &random));
        let (leader, seen) = (AtomicU64::new(1), AtomicU64::new(0));
        Self { world: Arc::clone(world), id, group, random, stop: Arc::clone(stop), session, leader, seen }
    }

    async fn work(self: Arc<Self>) {
        while !self.stop.load(Ordering::SeqCst) {
            match self.random.below(100) {
                0..70 => self.write().await,
                70..85 => {
                    self.read(ReadAt::Linearizable).await;
                }
                85..97 => {
                    let seen = LogIndex(self.seen.load(Ordering::SeqCst));
                    self.read(ReadAt::Index(seen)).await;
                }
                // Killed and started again: what was in flight is forgotten.
                97 => *self.session.lock() = Session::new(self.id, &self.random),
                // So that groups go to rest.
                _ => tokio::time::sleep(self.random.millis(200..2_500)).await,
            }
            tokio::time::sleep(self.random.millis(1..60)).await;
        }
    }

    async fn write(&self) {
        let session = Arc::clone(&self.session.lock());
        let until = Instant::now() + self.random.millis(1_000..5_000);
        let opened = session.opened.get_or_try_init(|| async {
            let open = Command::OpenInstance(session.instance);
            self.propose(&open, None, until).await.map(drop).ok_or(())
        });
        if opened.await.is_err() {
            return;
        }
        let sequence = session.ticket();
        let command = commands::random(&self.random, self.group);
        let answered = self.propose(&command, Some((&session, sequence)), until).await;
        session.done(sequence);
        match answered {
            None => self.world.oracle.count("writes given up"),
            Some((_, outcome)) => {
                self.world.oracle.count(if outcome.is_ok() { "writes" } else { "refusals" });
                if outcome == Err(Rejection::InstanceUnknown) {
                    let mut current = self.session.lock();
                    if Arc::ptr_eq(&current, &session) {
                        *current = Session::new(self.id, &self.random);
                    }
                }
            }
        }
    }

    /// Attempts until one is answered; none when time is over.
    async fn propose(
        &self,
        command: &Command,
        request: Option<(&Session, u64)>,
        until: Instant,
    ) -> Option<(LogIndex, Outcome)> {
        let mut attempts = 0;
        while Instant::now() < until {
            let request = request.map(|(session, sequence)| session.request(sequence));
            let entry = Entry { at: Timestamp(0), request, command: command.clone() };
            let (node, group) = (self.leader.load(Ordering::SeqCst), self.group);
            let clock = self.world.clock(node);
            let attempt = self.world.network.ask((self.id, node), |node| {
                let entry = Entry { at: clock, ..entry.clone() };
                async move { propose(&node, group, &entry).await }
            });
            match tokio::time::timeout(ATTEMPT_TIME_MAX, attempt).await {
                Ok(Ok(Ok(Proposed { index, outcome }))) => {
                    self.answered(request, index, &outcome);
                    return Some((index, outcome));
                }
                failed => self.go_on(node, flatten(failed), &mut attempts).await,
            }
        }
        None
    }

    fn answered(&self, request: Option<RequestId>, index: LogIndex, outcome: &Outcome) {
        self.seen.fetch_max(index.0, Ordering::SeqCst);
        let Self { world, id, group, .. } = self;
        world.oracle.trace(|| {
            let request = request.map(|request| request.sequence);
            format!("client {id} group {group}: {request:?} is answered at {index}: {}", outcome.is_ok())
        });
        world.oracle.observe(*group, &Event::Answered { client: *id, request, index, outcome });
    }

    /// Follows a hint, else goes round, after a pause. Not every hint: a member that was let go and forgotten names for
    /// ever who led then.
    async fn go_on(&self, at: u64, failed: Failed, attempts: &mut u32) {
        *attempts += 1;
        let goes_round = attempts.is_multiple_of(4);
        let hint = match failed {
            Failed::NotApplied(hint) => hint.filter(|hint| *hint != at && !goes_round),
            Failed::Unknown => None,
        };
        let next = hint.unwrap_or(at % self.world.plan.nodes() + 1);
        self.leader.store(next, Ordering::SeqCst);
        if hint.is_none() {
            let whole = BACKOFF_MAX.min(BACKOFF_FIRST * 2_u32.saturating_pow((*attempts).min(16)));
            tokio::time::sleep(whole / 2 + self.random.millis(0..whole.as_millis() as u64 / 2 + 1)).await;
        }
    }

    /// One attempt. The index of what was seen.
    async fn read(&self, at: ReadAt) -> Option<LogIndex> {
        let account = AccountId(1 + self.random.below(commands::ACCOUNTS));
        let key = MailboxKey { account, mailbox: MailboxId(1 + self.random.below(4) as u32) };
        let (node, group, oracle) = (self.leader.load(Ordering::SeqCst), self.group, &self.world.oracle);
        let ticket = oracle.read_begins(group);
        let attempt =
            self.world.network.ask((self.id, node), |node| async move { read(&node, group, at, key).await });
        match tokio::time::timeout(ATTEMPT_TIME_MAX, attempt).await {
            Ok(Ok(Ok((index, seen)))) => {
                self.seen.fetch_max(index.0, Ordering::SeqCst);
                oracle.trace(|| format!("client {}: read {key} at {index}: {seen:?}", self.id));
                oracle.count("reads");
                let (client, seen) = (self.id, &seen);
                oracle.observe(group, &Event::Read { ticket, client, at, key, index, seen });
                Some(index)
            }
            failed => {
                self.go_on(node, flatten(failed), &mut 0).await;
                None
            }
        }
    }
}

/// On the node.
async fn propose(node: &Node, group: GroupId, entry: &Entry) -> Result<Proposed, Failed> {
    let group = node.group(group).ok_or(Failed::NotApplied(None))?;
    group.propose(entry).await.map_err(|error: ProposeError| match error.outcome() {
        WriteOutcome::NotApplied => Failed::NotApplied(error.leader().map(|leader| leader.node.0)),
        WriteOutcome::Unknown => Failed::Unknown,
    })
}

/// On the node.
async fn read(node: &Node, group: GroupId, at: ReadAt, key: MailboxKey) -> Result<(LogIndex, Seen), Failed> {
    let group = node.group(group).ok_or(Failed::NotApplied(None))?;
    let view = group.read(at, |state| state.missing_of(&[Need::Index(key)])).await;
    let view = view.map_err(|error| match error {
        ReadError::NotLeader { leader } => Failed::NotApplied(leader.map(|leader| leader.node.0)),
        _ => Failed::NotApplied(None),
    })?;
    let marks = view.mailbox(key).map(|mailbox| {
        let counters = mailbox.row.counters;
        (counters.modseq.get(), counters.uid_next.map_or(u32::MAX, |uid| uid.get()))
    });
    Ok((view.index(), Seen { digest: digest::of_view(&view, key), marks }))
}

fn flatten<T>(failed: Result<Result<Result<T, Failed>, Status>, tokio::time::error::Elapsed>) -> Failed {
    match failed {
        Ok(Ok(Err(failed))) => failed,
        _ => Failed::Unknown,
    }
}
