//! Sees everything that happens in a simulation, knows what should have happened, and asks every invariant.

use std::any::Any;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use buzon_model::read::ReadAt;
use buzon_model::reply::Outcome;
use buzon_model::testing::Rows;
use buzon_types::id::{GroupId, LogIndex, MailboxKey, NodeId};
use buzon_types::request::RequestId;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::digest;
use super::disk::Disk;
use super::history::{Decided, History};
use super::invariants::{self, Invariant};
use crate::log::backend::Operation;

/// What an invariant is told.
pub(crate) enum Event<'a> {
    /// An entry is known to be committed, for the first time.
    Decided { entry: &'a Decided },
    /// A replica's state moved to a position, before its rows do: from now on it is served.
    Served { node: NodeId, to: LogIndex, log_end: LogIndex },
    /// A replica's rows moved to a position.
    Applied { node: NodeId, to: LogIndex, rows: u64 },
    /// A replica's rows are those of a snapshot.
    Installed { node: NodeId, at: LogIndex, rows: u64 },
    /// A step of a group's log is on the disk; how far the rows are on theirs.
    Synced { node: NodeId, operation: &'a Operation, durable: LogIndex },
    /// A node's database lost rows that were on its disk: somebody lost the disk.
    DatabaseLost { node: NodeId },
    /// What a node says of itself.
    Status { node: NodeId, stopped: Option<String> },
    /// A client was answered.
    Answered { client: u64, request: Option<RequestId>, index: LogIndex, outcome: &'a Outcome },
    /// A client asks for a mailbox.
    ReadBegan { ticket: u64 },
    /// And got it.
    Read { ticket: u64, client: u64, at: ReadAt, key: MailboxKey, index: LogIndex, seen: &'a Seen },
    /// All faults are over, clients have stopped, and every replica stands where the log ends.
    Over { replicas: &'a [(NodeId, LogIndex, u64)] },
}

/// What a client saw of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) digest: u64,
    /// HIGHESTMODSEQ and UIDNEXT; none if there is no mailbox.
    pub(crate) marks: Option<(u64, u32)>,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// See the module.
pub(crate) struct Oracle {
    began: Instant,
    state: Mutex<State>,
}

struct State {
    trace: DefaultHasher,
    events: u64,
    /// Kept only when a seed is looked at.
    lines: Option<Vec<String>>,
    violation: Option<Violation>,
    histories: BTreeMap<GroupId, History>,
    invariants: BTreeMap<GroupId, Vec<Box<dyn Invariant>>>,
    disks: BTreeMap<NodeId, Arc<Disk>>,
    /// How far the rows are on the database's disk.
    durable: BTreeMap<(NodeId, GroupId), LogIndex>,
    tickets: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Oracle {
    pub(crate) fn new(groups: &[GroupId], with_lines: bool) -> Arc<Self> {
        let state = State {
            trace: DefaultHasher::new(),
            events: 0,
            lines: with_lines.then(Vec::new),
            violation: None,
            histories: groups.iter().map(|group| (*group, History::new(*group))).collect(),
            invariants: groups.iter().map(|group| (*group, invariants::all())).collect(),
            disks: BTreeMap::new(),
            durable: BTreeMap::new(),
            tickets: 0,
            counts: BTreeMap::new(),
        };
        Arc::new(Self { began: Instant::now(), state: Mutex::new(state) })
    }

    pub(crate) fn add_disk(&self, node: NodeId, disk: &Arc<Disk>) {
        self.state.lock().disks.insert(node, Arc::clone(disk));
    }

    pub(crate) fn forget_disks(&self) {
        self.state.lock().disks.clear();
    }

    pub(crate) fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// What happened, for the trace: the same in every run of a seed.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        let mut state = self.state.lock();
        let line = format!("{:>9.3} {}", self.began.elapsed().as_secs_f64(), line());
        line.hash(&mut state.trace);
        state.events += 1;
        if let Some(lines) = &mut state.lines {
            lines.push(line);
        }
    }

    /// The same, of what is worth a look when a seed fails.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        self.trace(line);
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.state.lock().counts.entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.state.lock().counts.clone()
    }

    pub(crate) fn trace_hash(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.trace.finish(), state.events)
    }

    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.state.lock().lines.take().unwrap_or_default()
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        self.state.lock().violation.clone()
    }

    pub(crate) fn violated(&self, invariant: &'static str, what: String) {
        self.trace(|| format!("VIOLATED {invariant}: {what}"));
        self.state.lock().violated(invariant, what);
    }

    /// A task of a node panicked; ours never do.
    pub(crate) fn panicked(&self, node: NodeId, panic: &(dyn Any + Send)) {
        self.violated("tasks_do_not_panic", format!("node {node}: {}", text(panic)));
    }

    pub(crate) fn observe(&self, group: GroupId, event: &Event<'_>) {
        self.state.lock().observe(group, event);
    }

    pub(crate) fn read_begins(&self, group: GroupId) -> u64 {
        let mut state = self.state.lock();
        state.tickets += 1;
        let ticket = state.tickets;
        state.observe(group, &Event::ReadBegan { ticket });
        ticket
    }

    pub(crate) fn synced(&self, node: NodeId, group: GroupId, operation: &Operation) {
        let mut state = self.state.lock();
        let durable = state.durable.get(&(node, group)).copied().unwrap_or_default();
        state.observe(group, &Event::Synced { node, operation, durable });
    }

    pub(crate) fn durable(&self, node: NodeId, group: GroupId, index: LogIndex) {
        self.state.lock().durable.insert((node, group), index);
    }

    /// A replica has decided the entries after `from`; they are committed.
    pub(crate) fn decided(&self, node: NodeId, group: GroupId, (from, to): (LogIndex, LogIndex)) {
        let mut state = self.state.lock();
        let Some(disk) = state.disks.get(&node).cloned() else { return };
        let (log_end, entries) = disk.synced(group, |log| {
            let entries = (from.0..to.0).map(|index| log.entry(index).map(|record| record.bytes.clone()));
            (LogIndex(log.held().end), entries.collect::<Vec<_>>())
        });
        for (index, bytes) in (from.0 + 1..).zip(entries) {
            // A log that ends before is told of below.
            let Some(bytes) = bytes else { continue };
            state.committed(node, group, LogIndex(index), bytes);
        }
        state.observe(group, &Event::Served { node, to, log_end });
    }

    /// A replica has written its rows up to a position.
    pub(crate) fn applied(
        &self,
        node: NodeId,
        group: GroupId,
        (from, to): (LogIndex, LogIndex),
        rows: &Rows,
    ) {
        let rows = digest::of_rows(rows);
        self.trace(|| format!("node {node} group {group}: applied {from}..{to} {rows:x}"));
        self.state.lock().observe(group, &Event::Applied { node, to, rows });
    }

    pub(crate) fn installed(&self, node: NodeId, group: GroupId, at: LogIndex, rows: &Rows) {
        let rows = digest::of_rows(rows);
        self.trace(|| format!("node {node} group {group}: installed {at} {rows:x}"));
        self.count("snapshots installed");
        self.state.lock().observe(group, &Event::Installed { node, at, rows });
    }
}

impl State {
    fn violated(&mut self, invariant: &'static str, what: String) {
        self.violation.get_or_insert(Violation { invariant, what });
    }

    fn observe(&mut self, group: GroupId, event: &Event<'_>) {
        let (histories, invariants) = (&self.histories, &mut self.invariants);
        let Some((history, invariants)) = histories.get(&group).zip(invariants.get_mut(&group)) else {
            return;
        };
        if let Some((name, what)) = ask(invariants, event, history) {
            self.violated(name, format!("group {group}: {what}"));
        }
    }

    fn committed(&mut self, node: NodeId, group: GroupId, index: LogIndex, bytes: bytes::Bytes) {
        let Some(history) = self.histories.get_mut(&group) else { return };
        if let Some(known) = history.at(index) {
            if known.bytes != bytes {
                let what = format!("group {group}: node {node} applied another entry at {index}");
                self.violated("replicas_agree", what);
            }
            return;
        }
        if index.0 != history.last().0 + 1 {
            let what = format!("group {group}: node {node} applied {index} before what comes before it");
            return self.violated("replicas_agree", what);
        }
        let decided = catch_unwind(AssertUnwindSafe(|| history.decide(bytes).map(drop)));
        let decided = decided.unwrap_or_else(|panic| Err(text(panic.as_ref())));
        let decided = decided.and_then(|()| if index.0.is_multiple_of(8) { history.check() } else { Ok(()) });
        if let Err(what) = decided {
            return self.violated("the_model_holds", format!("group {group}, entry {index}: {what}"));
        }
        let (Some(history), Some(invariants)) = (self.histories.get(&group), self.invariants.get_mut(&group))
        else {
            return;
        };
        let Some(entry) = history.at(index) else { return };
        if let Some((name, what)) = ask(invariants, &Event::Decided { entry }, history) {
            self.violated(name, format!("group {group}: {what}"));
        }
    }
}

/// The first that does not hold.
fn ask(
    invariants: &mut [Box<dyn Invariant>],
    event: &Event<'_>,
    history: &History,
) -> Option<(&'static str, String)> {
    invariants.iter_mut().find_map(|invariant| {
        let broken = invariant.observe(event, history).err()?;
        Some((invariant.name(), broken))
    })
}

/// What a panic says.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic".to_owned())
}
