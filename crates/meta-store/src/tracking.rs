//! Exports that are under way, and what commits write behind their backs.
//!
//! ```text
//!                    keys: ─── sent ───▶│ not yet
//! commit of a group ─▶ what it writes here is noted; there it will be read anyway
//! ```
//! What a commit writes is *pending* from before it can be seen until it is known to be, and noted from then on. An
//! export takes what is noted, then its view of the database, which shows all of that; then it looks what has been noted
//! since or is pending, which its view may show: it reads both again, and what it only looked at stays noted. One that
//! begins while a commit is going on waits until that is over. A commit that fails ends the exports of its group: nobody
//! knows whether, and when, it will be seen.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buzon_types::id::GroupId;
use tokio::sync::Notify;

use crate::cell::Value;
use crate::plan::Plan;
use crate::span::{Span, spans};

/// Noted keys of one export, in memory: some hundred thousand. Whoever takes pages so slowly that more is written
/// meanwhile would never be done; the export gives up.
pub(crate) const NOTED_BYTES_MAX: usize = 32 << 20;

/// All exports and commits of a database. Costs a commit two short locks while there is no export.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Numbers exports and commits in the order in which they began.
    began: u64,
    trackers: Vec<Arc<Tracker>>,
    /// Commits that go on.
    commits: Vec<(GroupId, u64)>,
}

/// What is noted for one export.
#[derive(Debug)]
struct Tracker {
    group: GroupId,
    number: u64,
    noted: Mutex<Noted>,
    /// A commit that began before has ended.
    settled: Notify,
}

#[derive(Debug)]
struct Noted {
    spans: BTreeSet<Span>,
    bytes: usize,
    /// By commit.
    pending: Vec<(u64, Arc<Vec<Span>>)>,
    sent: Sent,
    /// Rows after those are being read: how far is not known yet.
    reads_on: bool,
    /// Commits that began before the export and go on.
    older: usize,
    broken: Option<&'static str>,
}

/// Up to where rows were sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Of the tables before this place, all.
    pub(crate) table: usize,
    /// Of this table, those up to this key; none yet.
    pub(crate) key: Option<Vec<Value>>,
}

impl Sent {
    fn may_hold(&self, span: &Span) -> bool {
        match &self.key {
            _ if span.table != self.table => span.table < self.table,
            Some(key) => !span.is_after(key),
            None => false,
        }
    }
}

/// Nothing panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exports {
    /// Notes are taken for an export from now on.
    pub(crate) fn begin(self: &Arc<Self>, group: GroupId) -> Tracked {
        let mut inner = lock(&self.inner);
        inner.began += 1;
        let older = inner.commits.iter().filter(|commit| commit.0 == group).count();
        let noted = Noted {
            spans: BTreeSet::new(),
            bytes: 0,
            pending: Vec::new(),
            sent: Sent { table: 0, key: None },
            reads_on: false,
            older,
            broken: None,
        };
        let (number, settled) = (inner.began, Notify::new());
        let tracker = Arc::new(Tracker { group, number, noted: Mutex::new(noted), settled });
        inner.trackers.push(Arc::clone(&tracker));
        Tracked { exports: Arc::clone(self), tracker }
    }

    /// A commit begins.
    pub(crate) fn commit(&self, group: GroupId, plan: &Plan) -> Commit<'_> {
        let mut inner = lock(&self.inner);
        inner.began += 1;
        let number = inner.began;
        inner.commits.push((group, number));
        let trackers: Vec<_> = inner.of(group).cloned().collect();
        drop(inner);
        if !trackers.is_empty() {
            let spans = Arc::new(spans(plan));
            for tracker in &trackers {
                lock(&tracker.noted).pending.push((number, Arc::clone(&spans)));
            }
        }
        Commit { exports: self, group, number, succeeded: false }
    }
}

impl Inner {
    fn of(&self, group: GroupId) -> impl Iterator<Item = &Arc<Tracker>> {
        self.trackers.iter().filter(move |tracker| tracker.group == group)
    }
}

/// A commit that goes on. Dropped before it has succeeded, it ends the exports of its group.
pub(crate) struct Commit<'a> {
    exports: &'a Exports,
    group: GroupId,
    number: u64,
    succeeded: bool,
}

impl Commit<'_> {
    /// It can be seen.
    pub(crate) fn succeeded(mut self) {
        self.succeeded = true;
    }
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        let mut inner = lock(&self.exports.inner);
        inner.commits.retain(|commit| commit.1 != self.number);
        let trackers: Vec<_> = inner.of(self.group).cloned().collect();
        drop(inner);
        for tracker in trackers {
            let mut noted = lock(&tracker.noted);
            if !self.succeeded {
                noted.break_off("a commit of the group failed");
            }
            noted.end(self.number);
            if tracker.number > self.number {
                noted.older -= 1;
            }
            drop(noted);
            tracker.settled.notify_one();
        }
    }
}

impl Noted {
    fn break_off(&mut self, why: &'static str) {
        self.broken = self.broken.or(Some(why));
        self.spans.clear();
        self.bytes = 0;
    }

    /// A commit is over.
    fn end(&mut self, number: u64) {
        let Some(at) = self.pending.iter().position(|pending| pending.0 == number) else { return };
        let (_, spans) = self.pending.swap_remove(at);
        if self.broken.is_some() {
            return;
        }
        for span in spans.iter().filter(|span| self.reads_on || self.sent.may_hold(span)) {
            if !self.spans.contains(span) {
                self.bytes += span.bytes();
                self.spans.insert(span.clone());
            }
        }
        if self.bytes > NOTED_BYTES_MAX {
            self.break_off("more was written than could be read again");
        }
    }
}

/// An export's own handle; notes end with it.
#[derive(Debug)]
pub(crate) struct Tracked {
    exports: Arc<Exports>,
    tracker: Arc<Tracker>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        lock(&self.exports.inner).trackers.retain(|tracker| tracker.number != self.tracker.number);
    }
}

impl Tracked {
    /// Waits for the commits that began before.
    pub(crate) async fn settled(&self) {
        while lock(&self.tracker.noted).older > 0 {
            self.tracker.settled.notified().await;
        }
    }

    /// Why the export cannot come to a good end any more.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        lock(&self.tracker.noted).broken
    }

    /// Rows after those that were sent are about to be read: said before the view is taken in which they are.
    pub(crate) fn reads_on(&self) {
        lock(&self.tracker.noted).reads_on = true;
    }

    /// Rows were sent up to here; what lies beyond will be read with a later view.
    pub(crate) fn has_sent(&self, sent: Sent) {
        let mut noted = lock(&self.tracker.noted);
        let spans = std::mem::take(&mut noted.spans);
        noted.spans = spans.into_iter().filter(|span| sent.may_hold(span)).collect();
        noted.bytes = noted.spans.iter().map(Span::bytes).sum();
        noted.sent = sent;
        noted.reads_on = false;
    }

    /// How much is noted.
    pub(crate) fn noted(&self) -> usize {
        lock(&self.tracker.noted).spans.len()
    }

    /// Whether nothing that was sent is known, or may turn out, to be out of date. Asked after the view was taken.
    pub(crate) fn is_clean(&self) -> bool {
        let noted = lock(&self.tracker.noted);
        noted.spans.is_empty() && noted.pending.is_empty()
    }

    /// Takes what must be read again, in the order of the keys. Before the view is taken, which shows it then.
    pub(crate) fn take(&self) -> BTreeSet<Span> {
        let mut noted = lock(&self.tracker.noted);
        noted.bytes = 0;
        std::mem::take(&mut noted.spans)
    }

    /// What a view that was taken before this may show, or not: it stays noted, or pending.
    pub(crate) fn in_doubt(&self) -> BTreeSet<Span> {
        let noted = lock(&self.tracker.noted);
        let pending = noted.pending.iter().flat_map(|(_, spans)| spans.iter());
        let pending = pending.filter(|span| noted.sent.may_hold(span));
        noted.spans.iter().chain(pending).cloned().collect()
    }

    /// Puts back what could not be read yet.
    pub(crate) fn put_back(&self, spans: impl IntoIterator<Item = Span>) {
        // They may be many, and what was noted meanwhile is little: a commit may wait for the lock.
        let mut spans: BTreeSet<Span> = spans.into_iter().collect();
        let mut bytes: usize = spans.iter().map(Span::bytes).sum();
        let mut noted = lock(&self.tracker.noted);
        for span in std::mem::take(&mut noted.spans) {
            let span_bytes = span.bytes();
            if spans.insert(span) {
                bytes += span_bytes;
            }
        }
        (noted.spans, noted.bytes) = (spans, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::MESSAGE;

    const GROUP: GroupId = GroupId(3);

    fn key(uid: i64) -> Vec<Value> {
        [1, 1, uid].map(Value::from).to_vec()
    }

    /// A plan that writes one message.
    fn plan(uid: i64) -> Plan {
        let touches = vec![Span::of(&MESSAGE, key(uid))];
        Plan {
            steps: vec![crate::plan::Step::One { sql: "", values: Vec::new(), touches }],
            ..Plan::default()
        }
    }

    /// An export that has sent the messages up to this one.
    fn sent(exports: &Arc<Exports>, uid: i64) -> Tracked {
        let tracked = exports.begin(GROUP);
        let table = Span::of(&MESSAGE, Vec::new()).table;
        tracked.has_sent(Sent { table, key: Some(key(uid)) });
        tracked
    }

    #[test]
    fn what_was_sent_is_noted_and_what_will_be_read_is_not() {
        let exports = Arc::new(Exports::default());
        let tracked = sent(&exports, 5);
        exports.commit(GROUP, &plan(5)).succeeded();
        exports.commit(GROUP, &plan(6)).succeeded();
        exports.commit(GroupId(4), &plan(5)).succeeded();
        assert_eq!(tracked.take().into_iter().collect::<Vec<_>>(), [Span::of(&MESSAGE, key(5))]);
        assert!(tracked.is_clean());
    }

    #[test]
    fn a_commit_that_goes_on_is_read_again_each_time_and_once_after_it() {
        let exports = Arc::new(Exports::default());
        let tracked = sent(&exports, 5);
        let commit = exports.commit(GROUP, &plan(5));
        for _ in 0..2 {
            assert!(tracked.take().is_empty());
            assert_eq!(tracked.in_doubt().len(), 1);
            assert!(!tracked.is_clean());
        }
        commit.succeeded();
        assert_eq!(tracked.take().len(), 1);
        assert!(tracked.take().is_empty() && tracked.in_doubt().is_empty());
    }

    #[test]
    fn a_commit_between_a_view_and_the_look_after_it_stays_noted() {
        let exports = Arc::new(Exports::default());
        let tracked = sent(&exports, 5);
        assert!(tracked.take().is_empty());
        // The view is taken here, and does not show it.
        exports.commit(GROUP, &plan(5)).succeeded();
        assert_eq!(tracked.in_doubt().len(), 1);
        assert_eq!(tracked.take().len(), 1, "the next view shows it");
    }

    #[test]
    fn what_is_written_while_it_may_be_being_read_is_noted_until_it_is_known_how_far() {
        let exports = Arc::new(Exports::default());
        let tracked = sent(&exports, 5);
        tracked.reads_on();
        exports.commit(GROUP, &plan(7)).succeeded();
        exports.commit(GROUP, &plan(9)).succeeded();
        let table = Span::of(&MESSAGE, Vec::new()).table;
        tracked.has_sent(Sent { table, key: Some(key(8)) });
        assert_eq!(tracked.take().into_iter().collect::<Vec<_>>(), [Span::of(&MESSAGE, key(7))]);
    }

    #[test]
    fn a_commit_that_fails_ends_the_exports_of_its_group() {
        let exports = Arc::new(Exports::default());
        let (tracked, other) = (sent(&exports, 5), exports.begin(GroupId(4)));
        drop(exports.commit(GROUP, &plan(9)));
        assert!(tracked.broken().is_some() && other.broken().is_none());
    }

    #[tokio::test]
    async fn an_export_waits_for_commits_that_began_before_it() {
        let exports = Arc::new(Exports::default());
        let before = exports.commit(GROUP, &plan(1));
        let tracked = exports.begin(GROUP);
        let after = exports.commit(GROUP, &plan(2));
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), tracked.settled()).await;
        assert!(early.is_err());
        before.succeeded();
        tracked.settled().await;
        after.succeeded();
    }

    #[test]
    fn too_much_to_read_again_ends_it() {
        let exports = Arc::new(Exports::default());
        let tracked = sent(&exports, i64::MAX);
        let mut uid = 0;
        while tracked.broken().is_none() {
            let touches = (uid..uid + 10_000).map(|uid| Span::of(&MESSAGE, key(uid))).collect();
            uid += 10_000;
            let step = crate::plan::Step::One { sql: "", values: Vec::new(), touches };
            exports.commit(GROUP, &Plan { steps: vec![step], ..Plan::default() }).succeeded();
        }
        assert!((50_000..500_000).contains(&uid), "{uid} keys");
        assert_eq!(tracked.noted(), 0);
    }
}
