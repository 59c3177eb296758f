//! The change feed: one stream for each shard, shared by all watchers, filtered to the accounts they watch
//! (DESIGN D9).
//!
//! ```text
//! node ──Watch stream──▶ feed task ──▶ slot of each watcher (a small merged set) ──▶ Watch::changed
//! ```
//! A slot never grows: events of one mailbox merge, too many mailboxes become a gap. A watcher that does not look
//! holds back nobody.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use buzon_model::read::{AccountEvent, EventKind};
use buzon_proto::pb::mail::v1::{WatchRequest, WatchResponse};
use buzon_proto::status::CallError;
use buzon_types::id::{AccountId, CredentialVersion, GroupId, LogIndex, MailboxId};
use buzon_types::uid::ModSeq;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::account::AccountHandle;
use crate::calls::client;
use crate::meta::Meta;
use crate::retry::backoff;
use crate::router::Router;

/// Mailboxes a slot remembers one by one; a watcher that is behind by more looks at everything.
const MAILBOXES_MAX: usize = 64;
/// Accounts named by one request, so that requests stay far below the transport's message limit.
const ACCOUNTS_PER_REQUEST_MAX: usize = 10_000;

impl Meta {
    /// Watches an account from now on. The first event is a gap: read after it, and nothing is missed.
    /// Must be called within a tokio runtime.
    pub fn watch(&self, of: &AccountHandle) -> Watch {
        self.inner.feeds.watch(self.home(of.account, of.shard), of.account)
    }
}

/// Events of one account. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Watch {
    feeds: Arc<Feeds>,
    account: AccountId,
    slot: Arc<Slot>,
}

impl Watch {
    /// The next event; events that were not looked at in time are merged. May be dropped and called again.
    pub async fn changed(&self) -> EventKind {
        loop {
            if let Some(kind) = self.slot.pending.lock().take() {
                return kind;
            }
            self.slot.woken.notified().await;
        }
    }

    /// The next event, if there is one now.
    pub fn take(&self) -> Option<EventKind> {
        self.slot.pending.lock().take()
    }

    /// The greatest log index of an event so far: reads at it see what the events tell of.
    pub fn index(&self) -> LogIndex {
        self.slot.pending.lock().index
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feeds.forget(self.account, &self.slot);
    }
}

/// The feeds of all groups; a feed runs while a watcher or the client is there.
#[derive(Debug)]
pub(crate) struct Feeds {
    router: Router,
    feeds: Mutex<HashMap<GroupId, Arc<Feed>>>,
}

impl Feeds {
    pub(crate) fn new(router: Router) -> Self {
        Self { router, feeds: Mutex::default() }
    }

    fn watch(self: &Arc<Self>, group: GroupId, account: AccountId) -> Watch {
        let mut feeds = self.feeds.lock();
        let slot = Arc::<Slot>::default();
        self.feed(&mut feeds, group).shared.add(account, &slot);
        slot.groups.lock().push(group);
        Watch { feeds: Arc::clone(self), account, slot }
    }

    fn feed<'a>(&self, feeds: &'a mut HashMap<GroupId, Arc<Feed>>, group: GroupId) -> &'a Arc<Feed> {
        feeds.entry(group).or_insert_with(|| Feed::start(group, self.router.clone()))
    }

    /// Whoever watches an account hears of it from this group from now on, beginning with a gap.
    pub(crate) fn moved(&self, account: AccountId, to: GroupId) {
        let mut feeds = self.feeds.lock();
        let slots: Vec<Arc<Slot>> = feeds.values().flat_map(|feed| feed.shared.slots_of(account)).collect();
        for slot in slots {
            let before = std::mem::replace(&mut *slot.groups.lock(), vec![to]);
            for group in before.iter().filter(|group| **group != to) {
                if let Some(feed) = feeds.get(group) {
                    feed.shared.remove(account, &slot);
                }
            }
            if !before.contains(&to) {
                self.feed(&mut feeds, to).shared.add(account, &slot);
            }
        }
    }

    fn forget(&self, account: AccountId, slot: &Arc<Slot>) {
        let feeds = self.feeds.lock();
        for group in slot.groups.lock().drain(..) {
            if let Some(feed) = feeds.get(&group) {
                feed.shared.remove(account, slot);
            }
        }
    }
}

#[derive(Debug)]
struct Feed {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Feed {
    fn start(group: GroupId, router: Router) -> Arc<Self> {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(run(group, router, Arc::clone(&shared)));
        Arc::new(Self { shared, task })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Who watches what.
#[derive(Debug, Default)]
struct Shared {
    slots: Mutex<HashMap<AccountId, Vec<Arc<Slot>>>>,
    /// The watched accounts changed.
    changed: Notify,
}

impl Shared {
    fn slots_of(&self, account: AccountId) -> Vec<Arc<Slot>> {
        self.slots.lock().get(&account).cloned().unwrap_or_default()
    }

    fn add(&self, account: AccountId, slot: &Arc<Slot>) {
        // The stream may have this account already and then says nothing more of it.
        slot.put(LogIndex(0), EventKind::Gap);
        self.slots.lock().entry(account).or_default().push(Arc::clone(slot));
        self.changed.notify_one();
    }

    fn remove(&self, account: AccountId, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock();
        if let Some(of_account) = slots.get_mut(&account) {
            of_account.retain(|other| !Arc::ptr_eq(other, slot));
            if of_account.is_empty() {
                slots.remove(&account);
                self.changed.notify_one();
            }
        }
    }

    /// What a stream that knows `sent` must be told; `sent` is updated.
    fn difference(&self, sent: &mut HashSet<AccountId>) -> (Vec<u64>, Vec<u64>) {
        let slots = self.slots.lock();
        let new = |account: &&AccountId| !sent.contains(account);
        let add: Vec<_> = slots.keys().filter(new).take(ACCOUNTS_PER_REQUEST_MAX).copied().collect();
        let gone = |account: &&AccountId| !slots.contains_key(account);
        let remove: Vec<_> = sent.iter().filter(gone).take(ACCOUNTS_PER_REQUEST_MAX).copied().collect();
        sent.extend(&add);
        remove.iter().for_each(|account| {
            sent.remove(account);
        });
        let numbers = |accounts: Vec<AccountId>| accounts.into_iter().map(|account| account.0).collect();
        (numbers(add), numbers(remove))
    }

    fn dispatch(&self, event: AccountEvent) {
        let slots = self.slots.lock();
        // A gap of account 0 is one for all.
        if event.kind == EventKind::Gap && event.account == AccountId(0) {
            slots.values().flatten().for_each(|slot| slot.put(event.index, EventKind::Gap));
            return;
        }
        for slot in slots.get(&event.account).into_iter().flatten() {
            slot.put(event.index, event.kind);
        }
    }
}

/// What one watcher has not looked at yet.
#[derive(Debug, Default)]
struct Slot {
    /// Whose feeds it hangs on: one, unless the account has just moved.
    groups: Mutex<Vec<GroupId>>,
    pending: Mutex<Pending>,
    woken: Notify,
}

impl Slot {
    fn put(&self, index: LogIndex, kind: EventKind) {
        self.pending.lock().put(index, kind);
        self.woken.notify_one();
    }
}

#[derive(Debug, Default)]
struct Pending {
    index: LogIndex,
    gap: bool,
    tree: bool,
    credential: Option<CredentialVersion>,
    mailboxes: BTreeMap<MailboxId, ModSeq>,
}

impl Pending {
    fn put(&mut self, index: LogIndex, kind: EventKind) {
        self.index = self.index.max(index);
        match kind {
            EventKind::Gap => self.gap = true,
            EventKind::Tree => self.tree = true,
            EventKind::Credential(version) => self.credential = self.credential.max(Some(version)),
            EventKind::Mailbox(mailbox, modseq) => {
                let known = self.mailboxes.entry(mailbox).or_default();
                *known = modseq.max(*known);
                self.gap |= self.mailboxes.len() > MAILBOXES_MAX;
            }
        }
        if self.gap {
            *self = Self { index: self.index, gap: true, ..Self::default() };
        }
    }

    fn take(&mut self) -> Option<EventKind> {
        if std::mem::take(&mut self.gap) {
            return Some(EventKind::Gap);
        }
        if let Some(version) = self.credential.take() {
            return Some(EventKind::Credential(version));
        }
        if std::mem::take(&mut self.tree) {
            return Some(EventKind::Tree);
        }
        let (mailbox, modseq) = self.mailboxes.pop_first()?;
        Some(EventKind::Mailbox(mailbox, modseq))
    }
}

/// Keeps a stream open; every new one begins with a gap for each account.
async fn run(group: GroupId, router: Router, shared: Arc<Shared>) {
    let mut pauses = 0;
    loop {
        let (at, transport) = router.node(group);
        let mut sent = HashSet::new();
        let (requests, receiver) = mpsc::channel(1);
        let (add, _) = shared.difference(&mut sent);
        let first = WatchRequest { group: group.0, add, remove: Vec::new() };
        let opened = match requests.try_send(first) {
            Ok(()) => client(transport).watch(ReceiverStream::new(receiver)).await,
            Err(_) => Err(Status::internal("queue of one is empty at first")),
        };
        let status = match opened {
            Ok(stream) => {
                pauses = 0;
                follow(stream.into_inner(), &requests, &shared, &mut sent).await
            }
            Err(status) => status,
        };
        let error = CallError::from(&status);
        tracing::debug!(%group, error = &error as &dyn std::error::Error, "change stream ended");
        router.failed(group, at, &error);
        tokio::time::sleep(backoff(pauses)).await;
        pauses += 1;
    }
}

/// Reads a stream until it ends, and tells it of new and gone accounts.
async fn follow(
    mut stream: Streaming<WatchResponse>,
    requests: &mpsc::Sender<WatchRequest>,
    shared: &Shared,
    sent: &mut HashSet<AccountId>,
) -> Status {
    // Accounts may have come while the stream was opened.
    let mut dirty = true;
    loop {
        tokio::select! {
            answer = stream.message() => match answer {
                Ok(Some(answer)) => for event in answer.events {
                    match AccountEvent::try_from(event) {
                        Ok(event) => shared.dispatch(event),
                        Err(error) => return error.into(),
                    }
                },
                Ok(None) => return Status::unavailable("change stream ended"),
                Err(status) => return status,
            },
            () = shared.changed.notified() => dirty = true,
            room = requests.reserve(), if dirty => {
                let Ok(room) = room else { return Status::unavailable("change stream is not read") };
                let (add, remove) = shared.difference(sent);
                dirty = add.len() == ACCOUNTS_PER_REQUEST_MAX || remove.len() == ACCOUNTS_PER_REQUEST_MAX;
                if !add.is_empty() || !remove.is_empty() {
                    room.send(WatchRequest { group: 0, add, remove });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modseq(value: u64) -> ModSeq {
        ModSeq::new(value).unwrap()
    }

    #[test]
    fn events_of_a_mailbox_merge() {
        let mut pending = Pending::default();
        pending.put(LogIndex(5), EventKind::Mailbox(MailboxId(1), modseq(7)));
        pending.put(LogIndex(6), EventKind::Mailbox(MailboxId(1), modseq(9)));
        pending.put(LogIndex(6), EventKind::Tree);
        assert_eq!(pending.take(), Some(EventKind::Tree));
        assert_eq!(pending.take(), Some(EventKind::Mailbox(MailboxId(1), modseq(9))));
        assert_eq!((pending.take(), pending.index), (None, LogIndex(6)));
    }

    #[test]
    fn too_many_mailboxes_are_one_gap() {
        let mut pending = Pending::default();
        for mailbox in 0..=MAILBOXES_MAX {
            pending.put(LogIndex(1), EventKind::Mailbox(MailboxId(mailbox as u32), modseq(1)));
        }
        assert_eq!(pending.take(), Some(EventKind::Gap));
        assert_eq!(pending.take(), None);
    }

    #[test]
    fn the_stream_is_told_only_of_differences() {
        let shared = Shared::default();
        let (slot, second) = (Arc::<Slot>::default(), Arc::<Slot>::default());
        shared.add(AccountId(1), &slot);
        shared.add(AccountId(1), &second);
        let mut sent = HashSet::new();
        assert_eq!(shared.difference(&mut sent), (vec![1], vec![]));
        shared.remove(AccountId(1), &slot);
        assert_eq!(shared.difference(&mut sent), (vec![], vec![]));
        shared.remove(AccountId(1), &second);
        assert_eq!(shared.difference(&mut sent), (vec![], vec![1]));
    }
}
