//! Metadata in memory: the real state machine over the model's own rows, without a log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use buzon_meta_client::account::AccountHandle;
use buzon_meta_client::chunk::{Copied, Expunged, Moved, Stored, join};
use buzon_meta_client::error::{MetaError, WriteOutcome};
use buzon_model::command::{Command, CreateAccount, Entry, ShardCommand, StoreFlags, Transfer};
use buzon_model::event::events;
use buzon_model::limits::ENTRY_MESSAGES_MAX;
use buzon_model::read::{
    At, Columns, CredentialRead, EventKind, MailboxDelta, MailboxList, MessageRead, OpenedMailbox, ReadAt,
};
use buzon_model::reply::{FlagState, Outcome, Reply};
use buzon_model::row::{AccountRow, MailboxRow, MailboxState, PlacementState, Quota};
use buzon_model::state::State;
use buzon_model::testing::Rows;
use buzon_types::address::Address;
use buzon_types::id::{AccountId, Epoch, GroupId, LogIndex, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::secret::Secret;
use buzon_types::time::Timestamp;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};

use crate::meta_api::{Messages, MetaApi, Watching};

const SHARD: GroupId = GroupId(1);
/// A claim that does not begin for so long never does.
const CLAIM_MAX: Duration = Duration::from_secs(20);
/// As the real one sends.
const CHUNK_MESSAGES: usize = 500;

/// One shard and a directory of addresses.
pub(super) struct MemoryMeta {
    inner: Mutex<Inner>,
    events: broadcast::Sender<(AccountId, EventKind)>,
    down: AtomicBool,
    lists: AtomicU64,
    fetches: AtomicU64,
    rows: AtomicU64,
    summaries: AtomicU64,
    claims: watch::Sender<Claims>,
}

/// What becomes of claims of `\Recent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Claims {
    /// They wait for this to end.
    pub(super) held: bool,
    /// They are not applied.
    pub(super) refused: bool,
    /// They are applied, and nobody hears of it.
    pub(super) unanswered: bool,
    /// How many were begun.
    pub(super) begun: u32,
}

struct Inner {
    rows: Rows,
    state: State,
    index: u64,
    addresses: BTreeMap<Address, AccountId>,
}

impl MemoryMeta {
    pub(super) fn new() -> Arc<Self> {
        let rows = Rows::default();
        let state = State::new(SHARD, rows.seed());
        let inner = Inner { rows, state, index: 0, addresses: BTreeMap::new() };
        Arc::new(Self {
            inner: Mutex::new(inner),
            events: broadcast::channel(1024).0,
            down: AtomicBool::new(false),
            lists: AtomicU64::new(0),
            fetches: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            summaries: AtomicU64::new(0),
            claims: watch::Sender::default(),
        })
    }

    /// An account; `credential` in PHC form.
    pub(super) fn create_account(&self, address: &str, credential: &str, quota: Quota) -> AccountId {
        let address = Address::new(address).unwrap();
        let account = {
            let mut inner = self.inner.lock();
            let account = AccountId(inner.addresses.len() as u64 + 1);
            inner.addresses.insert(address.clone(), account);
            account
        };
        let command = ShardCommand::CreateAccount(CreateAccount {
            account,
            tenant: TenantId(1),
            epoch: Epoch(1),
            address,
            credential: Some(Secret::new(credential.to_owned())),
            quota,
            uid_validity_seed: 1000,
        });
        self.apply(command).1.unwrap();
        account
    }

    pub(super) fn apply(&self, command: ShardCommand) -> (LogIndex, Outcome) {
        let (index, outcome, events) = self.apply_in_silence(command);
        for event in events {
            let _ = self.events.send(event);
        }
        (index, outcome)
    }

    /// As [`Self::apply`], but sessions hear of nothing but that they may have missed something.
    pub(super) fn apply_in_a_gap(&self, account: AccountId, command: ShardCommand) {
        self.apply_in_silence(command).1.unwrap();
        let _ = self.events.send((account, EventKind::Gap));
    }

    fn apply_in_silence(&self, command: ShardCommand) -> (LogIndex, Outcome, Vec<(AccountId, EventKind)>) {
        let (index, decision) = {
            let mut inner = self.inner.lock();
            inner.index += 1;
            let at = Timestamp(inner.index as i64 * 1000);
            let entry = Entry { at, request: None, command: Command::Shard(command) };
            let Inner { rows, state, .. } = &mut *inner;
            let decision = rows.step(state, &entry);
            (LogIndex(inner.index), decision)
        };
        let events = events(&decision.changes).into_iter().collect();
        (index, decision.outcome, events)
    }

    /// How many log entries there would be.
    pub(super) fn entries(&self) -> u64 {
        self.inner.lock().index
    }

    /// Summaries that were asked for and there.
    pub(super) fn summaries(&self) -> u64 {
        self.summaries.load(Ordering::SeqCst)
    }

    /// How often messages were asked for.
    pub(super) fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::SeqCst)
    }

    /// Messages that were asked for and there.
    pub(super) fn rows(&self) -> u64 {
        self.rows.load(Ordering::SeqCst)
    }

    /// How often all mailboxes were listed.
    pub(super) fn lists(&self) -> u64 {
        self.lists.load(Ordering::SeqCst)
    }

    /// What becomes of claims from now on; those that are held too.
    pub(super) fn claims<T>(&self, change: impl FnOnce(&mut Claims) -> T) -> T {
        let mut result = None;
        self.claims.send_modify(|claims| result = Some(change(claims)));
        result.unwrap()
    }

    /// Waits until so many claims were begun.
    pub(super) async fn claims_begun(&self, count: u32) {
        let mut claims = self.claims.subscribe();
        let begun = claims.wait_for(|claims| claims.begun >= count);
        tokio::time::timeout(CLAIM_MAX, begun).await.expect("claims begin").unwrap();
    }

    async fn claim(&self, command: ShardCommand) -> Result<(LogIndex, Outcome), MetaError> {
        self.claims.send_modify(|claims| claims.begun += 1);
        let claims = *self.claims.subscribe().wait_for(|claims| !claims.held).await.unwrap();
        if claims.refused {
            return Err(MetaError::DeadlineExceeded { outcome: WriteOutcome::NotApplied });
        }
        let applied = self.apply(command);
        if claims.unanswered {
            return Err(MetaError::DeadlineExceeded { outcome: WriteOutcome::Unknown });
        }
        Ok(applied)
    }

    /// From now on nothing can be read, or can again.
    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// What a mailbox really holds: flags by UID.
    pub(super) fn truth(&self, account: AccountId, name: &str) -> Vec<FlagState> {
        let inner = self.inner.lock();
        let name = MailboxName::new(name).unwrap();
        let found = |row: &&MailboxRow| {
            row.key.account == account && row.name == name && row.state == MailboxState::Live
        };
        let key = inner.rows.mailboxes.values().find(found).unwrap().key;
        inner.rows.live(key).map(|row| FlagState::from(&row)).collect()
    }

    fn read<T>(
        &self,
        of: &AccountHandle,
        f: impl FnOnce(&Rows, &AccountRow) -> T,
    ) -> Result<At<T>, MetaError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(MetaError::DeadlineExceeded { outcome: WriteOutcome::NotApplied });
        }
        let inner = self.inner.lock();
        let row = inner.rows.accounts.get(&of.account);
        let row = row.ok_or(MetaError::Rejected(buzon_model::reply::Rejection::NoSuchAccount))?;
        Ok(At { index: LogIndex(inner.index), value: f(&inner.rows, row) })
    }

    fn reply(&self, command: ShardCommand) -> Result<(LogIndex, Reply), MetaError> {
        let (index, outcome) = self.apply(command);
        Ok((index, outcome?))
    }
}

fn chunks(uids: &UidSet) -> Vec<UidSet> {
    let chunks = uids.chunks(ENTRY_MESSAGES_MAX);
    if chunks.is_empty() { vec![UidSet::new()] } else { chunks }
}

#[async_trait]
impl MetaApi for MemoryMeta {
    async fn resolve(&self, address: &Address) -> Result<Option<AccountHandle>, MetaError> {
        let inner = self.inner.lock();
        Ok(inner.addresses.get(address).map(|account| AccountHandle {
            account: *account,
            shard: SHARD,
            epoch: Epoch(1),
            tenant: TenantId(1),
            address: address.clone(),
            state: PlacementState::Active,
        }))
    }

    async fn credential(&self, of: &AccountHandle, _: ReadAt) -> Result<At<CredentialRead>, MetaError> {
        self.read(of, |_, row| CredentialRead {
            credential: row.credential.clone(),
            version: row.credential_version,
            state: row.state,
        })
    }

    async fn list_mailboxes(&self, of: &AccountHandle, _: ReadAt) -> Result<At<MailboxList>, MetaError> {
        self.lists.fetch_add(1, Ordering::SeqCst);
        self.read(of, |rows, _| {
            let live = rows.mailboxes.values().filter(|row| row.key.account == of.account);
            let mut mailboxes: Vec<_> = live.filter(|row| row.state == MailboxState::Live).cloned().collect();
            mailboxes.sort_by(|a, b| a.name.cmp(&b.name));
            let names = rows.subscriptions.iter().filter(|(account, _)| *account == of.account);
            MailboxList { mailboxes, subscriptions: names.map(|(_, name)| name.clone()).collect() }
        })
    }

    async fn mailbox(
        &self,
        of: &AccountHandle,
        name: &MailboxName,
        _: ReadAt,
    ) -> Result<At<Option<MailboxRow>>, MetaError> {
        self.read(of, |rows, _| {
            let live = |row: &&MailboxRow| row.key.account == of.account && row.state == MailboxState::Live;
            rows.mailboxes.values().filter(live).find(|row| row.name == *name).cloned()
        })
    }

    async fn deleted_uids(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        _: ReadAt,
    ) -> Result<At<UidSet>, MetaError> {
        let deleted = buzon_types::flag::SystemFlags::DELETED;
        let key = of.mailbox(mailbox);
        self.read(of, |rows, _| {
            rows.live(key).filter(|it| it.flags.contains(deleted)).map(|it| it.uid).collect()
        })
    }

    async fn open_mailbox(
        &self,
        of: &AccountHandle,
        name: &MailboxName,
        at: ReadAt,
    ) -> Result<At<Option<OpenedMailbox>>, MetaError> {
        let list = self.list_mailboxes(of, at).await?.value;
        self.read(of, |rows, _| {
            let row = list.mailboxes.into_iter().find(|row| row.name == *name)?;
            let uids = rows.live(row.key).map(|message| message.uid).collect();
            let seen = buzon_types::flag::SystemFlags::SEEN;
            let first_unseen = rows.live(row.key).find(|it| !it.flags.contains(seen)).map(|it| it.uid);
            Some(OpenedMailbox { row, uids, first_unseen })
        })
    }

    async fn changes(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        since: ModSeq,
        _: ReadAt,
    ) -> Result<At<MailboxDelta>, MetaError> {
        let key = of.mailbox(mailbox);
        self.read(of, |rows, _| {
            let row = rows.mailboxes.get(&key).filter(|row| row.state == MailboxState::Live);
            let changed = rows.live(key).filter(|it| it.modseq > since);
            MailboxDelta {
                modseq: row.map_or(since, |row| row.counters.modseq),
                uid_next: row.and_then(|row| row.counters.uid_next),
                recent_from: row.and_then(|row| row.counters.recent_from),
                keywords: row.map_or_else(Vec::new, |row| row.keywords.clone()),
                messages: changed.map(|it| FlagState::from(&it)).collect(),
                expunged: rows.expunged_since(key, since),
                live: None,
                name: row.map(|row| row.name.clone()),
            }
        })
    }

    async fn fetch(
        &self,
        of: &AccountHandle,
        mailbox: MailboxId,
        uids: &UidSet,
        columns: Columns,
        _: ReadAt,
    ) -> Result<Messages, MetaError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let key = of.mailbox(mailbox);
        let found = self.read(of, |rows, _| {
            let summary = |uid| columns.summaries.contains(uid).then(|| rows.summaries[&(key, uid)].clone());
            let live = rows.live(key).filter(|row| uids.contains(row.uid));
            let live = live.map(|row| MessageRead { row, expunged: false, summary: summary(row.uid) });
            let dead = rows.tombstones.iter().filter(|((of, uid), _)| *of == key && uids.contains(*uid));
            let dead = dead.map(|((_, uid), it)| MessageRead {
                row: it.message,
                expunged: true,
                summary: summary(*uid),
            });
            let mut all: Vec<_> = live.chain(dead).collect();
            all.sort_by_key(|message| message.row.uid);
            all
        });
        let all = found?.value;
        self.rows.fetch_add(all.len() as u64, Ordering::SeqCst);
        let asked = all.iter().filter(|message| message.summary.is_some()).count();
        self.summaries.fetch_add(asked as u64, Ordering::SeqCst);
        let chunks: Vec<_> = all.chunks(CHUNK_MESSAGES).map(|chunk| Ok(chunk.to_vec())).collect();
        Ok(futures::stream::iter(chunks).boxed())
    }

    async fn propose(&self, group: GroupId, command: Command) -> Result<(LogIndex, Outcome), MetaError> {
        assert_eq!(group, SHARD);
        let Command::Shard(command) = command else { panic!("a session asks its shard alone") };
        // As a log does, it lets others run.
        tokio::task::yield_now().await;
        if matches!(command, ShardCommand::ClaimRecent(_)) {
            return self.claim(command).await;
        }
        Ok(self.apply(command))
    }

    async fn store_flags(&self, _: &AccountHandle, change: StoreFlags) -> Result<Stored, MetaError> {
        tokio::task::yield_now().await;
        let mut all: Option<Stored> = None;
        for uids in chunks(&change.uids) {
            let reply = self.reply(ShardCommand::StoreFlags(StoreFlags { uids, ..change.clone() }))?;
            let (index, Reply::Stored { messages, modified, keywords, advance }) = reply else { panic!() };
            all = Some(match all {
                None => Stored { index, messages, modified, keywords, advance },
                Some(sum) => Stored {
                    index,
                    messages: [sum.messages, messages].concat(),
                    modified: sum.modified.union(&modified),
                    keywords,
                    advance: join(sum.advance, advance),
                },
            });
        }
        Ok(all.unwrap())
    }

    async fn expunge(
        &self,
        _: &AccountHandle,
        mailbox: MailboxKey,
        uids: &UidSet,
    ) -> Result<Expunged, MetaError> {
        tokio::task::yield_now().await;
        let (index, reply) = self.reply(ShardCommand::Expunge { mailbox, uids: uids.clone() })?;
        let Reply::Expunged { uids, advance } = reply else { panic!() };
        Ok(Expunged { index, uids, advance })
    }

    async fn copy(&self, _: &AccountHandle, transfer: Transfer) -> Result<Copied, MetaError> {
        tokio::task::yield_now().await;
        let (index, reply) = self.reply(ShardCommand::Copy(transfer))?;
        let Reply::Copied { uid_validity, source, target } = reply else { panic!() };
        Ok(Copied { index, uid_validity, source, target })
    }

    async fn move_messages(&self, _: &AccountHandle, transfer: Transfer) -> Result<Moved, MetaError> {
        tokio::task::yield_now().await;
        let (index, reply) = self.reply(ShardCommand::Move(transfer))?;
        let Reply::Moved { uid_validity, source, target, advance } = reply else { panic!() };
        Ok(Moved { index, uid_validity, source, target, advance })
    }

    fn watch(&self, account: &AccountHandle) -> Box<dyn Watching> {
        let events = self.events.subscribe();
        Box::new(MemoryWatch { account: account.account, events, begun: false })
    }
}

/// Begins with a gap, as the real one.
struct MemoryWatch {
    account: AccountId,
    events: broadcast::Receiver<(AccountId, EventKind)>,
    begun: bool,
}

#[async_trait]
impl Watching for MemoryWatch {
    async fn changed(&mut self) -> EventKind {
        if !std::mem::replace(&mut self.begun, true) {
            return EventKind::Gap;
        }
        loop {
            match self.events.recv().await {
                Ok((account, kind)) if account == self.account => return kind,
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => return EventKind::Gap,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn index(&self) -> LogIndex {
        LogIndex(0)
    }
}
