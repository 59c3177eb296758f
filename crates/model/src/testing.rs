//! A group's rows in plain maps, for tests: takes changes, answers needs. It is as strict as a database with all
//! its constraints, and may serve as the inside of an in-memory `MetaStore`.

use std::collections::{BTreeMap, BTreeSet};

use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, FeatureLevel, GroupId, MailboxId, MailboxKey, NodeId, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::change::{Change, SummarySource};
use crate::command::{ArrivingMessage, ArrivingTombstone, Command, Entry};
use crate::decide::{Decision, decide};
use crate::digest::StateDigest;
use crate::limits::ENTRY_MESSAGES_MAX;
use crate::reply::Outcome;
use crate::row::{
    AccountRow, AddressRow, DirectoryCounters, DomainRow, MailboxRow, MailboxState, MessageRow, MoveRow,
    NodeRow, PlacementRow, ShardRow, StagedRow, TenantRow, Tombstone,
};
use crate::scope::{AccountLoaded, Loaded, Need, Seed};
use crate::state::State;

/// A staged copy: its target, and its messages with their summaries.
pub type StagedCopy = (MailboxId, Vec<(StagedRow, Bytes)>);

/// All rows of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The group's time.
    pub time: Timestamp,
    /// What `decide` does.
    pub feature_level: FeatureLevel,
    /// The state digest, as whoever applies entries keeps it.
    pub digest: Option<StateDigest>,
    /// What the directory counts from.
    pub counters: DirectoryCounters,
    /// Open instances with their marks.
    pub instances: BTreeMap<InstanceId, (Timestamp, u64)>,
    /// Answered requests.
    pub records: BTreeMap<(InstanceId, u64), (Vec<AccountId>, Outcome)>,
    /// Accounts.
    pub accounts: BTreeMap<AccountId, AccountRow>,
    /// Mailboxes in any state.
    pub mailboxes: BTreeMap<MailboxKey, MailboxRow>,
    /// Subscribed names.
    pub subscriptions: BTreeSet<(AccountId, MailboxName)>,
    /// Live messages.
    pub messages: BTreeMap<(MailboxKey, Uid), MessageRow>,
    /// Expunged messages.
    pub tombstones: BTreeMap<(MailboxKey, Uid), Tombstone>,
    /// Summaries of live messages and tombstones.
    pub summaries: BTreeMap<(MailboxKey, Uid), Bytes>,
    /// Staged copies.
    pub staged: BTreeMap<(AccountId, u128), StagedCopy>,
    /// Tenants.
    pub tenants: BTreeMap<TenantId, TenantRow>,
    /// Domains.
    pub domains: BTreeMap<Domain, DomainRow>,
    /// Addresses.
    pub addresses: BTreeMap<Address, AddressRow>,
    /// Placements.
    pub placements: BTreeMap<AccountId, PlacementRow>,
    /// Nodes of the cluster.
    pub nodes: BTreeMap<NodeId, NodeRow>,
    /// Shards of the cluster.
    pub shards: BTreeMap<GroupId, ShardRow>,
    /// Pending moves.
    pub moves: BTreeMap<AccountId, MoveRow>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            time: Timestamp(0),
            feature_level: FeatureLevel(1),
            digest: None,
            counters: DirectoryCounters::default(),
            instances: BTreeMap::new(),
            records: BTreeMap::new(),
            accounts: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            messages: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            summaries: BTreeMap::new(),
            staged: BTreeMap::new(),
            tenants: BTreeMap::new(),
            domains: BTreeMap::new(),
            addresses: BTreeMap::new(),
            placements: BTreeMap::new(),
            nodes: BTreeMap::new(),
            shards: BTreeMap::new(),
            moves: BTreeMap::new(),
        }
    }
}

impl Rows {
    /// What a state starts from.
    pub fn seed(&self) -> Seed {
        Seed {
            time: self.time,
            feature_level: self.feature_level,
            counters: self.counters,
            digest: self.digest,
            nodes: self.nodes.values().cloned().collect(),
            shards: self.shards.values().cloned().collect(),
            moves: self.moves.values().cloned().collect(),
            instances: self.instances.iter().map(|(&id, &(at, mark))| (id, at, mark)).collect(),
            records: self
                .records
                .iter()
                .map(|((id, sequence), (accounts, outcome))| {
                    (*id, *sequence, accounts.clone(), outcome.clone())
                })
                .collect(),
        }
    }

    /// Loads all that a command needs.
    ///
    /// # Panics
    /// If the state does not stop asking.
    pub fn fill(&self, state: &mut State, command: &Command) {
        for _ in 0..8 {
            let missing = state.missing(command);
            if missing.is_empty() {
                return;
            }
            missing.iter().for_each(|need| state.insert(self.load(need)));
        }
        panic!("still missing {:?}", state.missing(command));
    }

    /// Loads, decides, absorbs and writes one entry.
    pub fn step(&mut self, state: &mut State, entry: &Entry) -> Decision {
        self.fill(state, &entry.command);
        let decision = decide(state, entry);
        state.absorb(&decision.changes);
        self.apply(&decision.changes);
        decision
    }

    /// What was found for a need.
    pub fn load(&self, need: &Need) -> Loaded {
        match need {
            Need::Account(id) => Loaded::Account(*id, self.account(*id).map(Box::new)),
            Need::Index(key) => Loaded::Index(*key, self.live(*key).collect()),
            Need::Staging(account, staging) => {
                let found = self.staged.get(&(*account, *staging));
                let rows = |(row, _): &(StagedRow, Bytes)| *row;
                let found = found.map(|(target, staged)| (*target, staged.iter().map(rows).collect()));
                Loaded::Staging(*account, *staging, found)
            }
            Need::Residue(key) => Loaded::Residue(*key, self.residue(*key)),
            Need::Tenant(id) => Loaded::Tenant(*id, self.tenants.get(id).cloned()),
            Need::TenantName(name) => {
                let row = self.tenants.values().find(|row| row.name == *name);
                Loaded::TenantName(name.clone(), row.cloned())
            }
            Need::Domain(domain) => Loaded::Domain(domain.clone(), self.domains.get(domain).cloned()),
            Need::Address(address) => Loaded::Address(address.clone(), self.addresses.get(address).cloned()),
            Need::Placement(id) => Loaded::Placement(*id, self.placements.get(id).cloned()),
            Need::AddressesOf(id) => {
                let rows = self.addresses.values().filter(|row| row.account == *id);
                Loaded::AddressesOf(*id, rows.cloned().collect())
            }
            Need::PlacementCounts => {
                let mut counts: BTreeMap<GroupId, u64> = BTreeMap::new();
                self.placements.values().for_each(|row| *counts.entry(row.shard).or_default() += 1);
                Loaded::PlacementCounts(counts)
            }
        }
    }

    /// Live messages of a mailbox, ascending.
    pub fn live(&self, key: MailboxKey) -> impl Iterator<Item = MessageRow> + '_ {
        self.messages.range((key, Uid::MIN)..=(key, Uid::MAX)).map(|(_, row)| *row)
    }

    /// UIDs expunged after a modseq.
    pub fn expunged_since(&self, key: MailboxKey, since: ModSeq) -> UidSet {
        let tombstones = self.tombstones.range((key, Uid::MIN)..=(key, Uid::MAX));
        tombstones.filter(|(_, it)| it.message.modseq > since).map(|((_, uid), _)| *uid).collect()
    }

    /// Writes changes, in order.
    ///
    /// # Panics
    /// Where a database's constraints would refuse.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            self.apply_to_group(change);
            self.apply_to_accounts(change);
            self.apply_to_messages(change);
            self.apply_to_staged(change);
            self.apply_to_directory(change);
        }
    }

    fn account(&self, id: AccountId) -> Option<AccountLoaded> {
        let row = self.accounts.get(&id)?.clone();
        let mailboxes = self.mailboxes.values().filter(|row| row.key.account == id).cloned().collect();
        let names = self.subscriptions.iter().filter(|(account, _)| *account == id);
        Some(AccountLoaded { row, mailboxes, subscriptions: names.map(|(_, name)| name.clone()).collect() })
    }

    fn residue(&self, key: MailboxKey) -> UidSet {
        let live = self.live(key).map(|row| row.uid);
        let dead = self.tombstones.range((key, Uid::MIN)..=(key, Uid::MAX)).map(|((_, uid), _)| *uid);
        let uids: BTreeSet<Uid> = live.chain(dead).collect();
        uids.into_iter().take(ENTRY_MESSAGES_MAX as usize).collect()
    }

    fn apply_to_group(&mut self, change: &Change) {
        match change {
            Change::SetTime(time) => {
                assert!(*time > self.time, "time goes on");
                self.time = *time;
            }
            Change::SetFeatureLevel(level) => self.feature_level = *level,
            Change::OpenInstance(id, at) => assert!(self.instances.insert(*id, (*at, 0)).is_none()),
            Change::CloseInstance(id) => {
                assert!(self.instances.remove(id).is_some());
                self.records.retain(|(instance, _), _| instance != id);
            }
            Change::Record { instance, sequence, accounts, outcome } => {
                assert!(self.instances.contains_key(instance), "records hang on open instances");
                let record = (accounts.clone(), outcome.clone());
                assert!(self.records.insert((*instance, *sequence), record).is_none(), "recorded once");
            }
            Change::ForgetBelow { instance, sequence } => {
                self.records.retain(|(id, at), _| id != instance || at >= sequence);
                let (_, mark) = self.instances.get_mut(instance).expect("marks hang on open instances");
                assert!(sequence > mark, "marks rise");
                *mark = *sequence;
            }
            _ => {}
        }
    }

    fn apply_to_accounts(&mut self, change: &Change) {
        match change {
            Change::PutAccount(row) => drop(self.accounts.insert(row.id, row.clone())),
            Change::SetAccountCounters(id, counters) => {
                self.accounts.get_mut(id).expect("the account exists").counters = *counters;
            }
            Change::RemoveAccount(id) => {
                assert!(self.accounts.remove(id).is_some());
                assert!(!self.mailboxes.keys().any(|key| key.account == *id), "mailboxes go first");
                self.subscriptions.retain(|(account, _)| account != id);
                self.staged.retain(|(account, _), _| account != id);
            }
            Change::PutMailbox(row) => self.put_mailbox(row),
            Change::SetMailboxCounters(key, counters) => {
                self.mailboxes.get_mut(key).expect("the mailbox exists").counters = *counters;
            }
            Change::RemoveMailbox(key) => {
                assert!(self.mailboxes.remove(key).is_some());
                assert!(self.residue(*key).is_empty(), "messages go first");
            }
            Change::Subscribe(id, name) => assert!(self.subscriptions.insert((*id, name.clone()))),
            Change::Unsubscribe(id, name) => assert!(self.subscriptions.remove(&(*id, name.clone()))),
            _ => {}
        }
    }

    fn put_mailbox(&mut self, row: &MailboxRow) {
        assert!(self.accounts.contains_key(&row.key.account), "mailboxes hang on accounts");
        if row.state == MailboxState::Live {
            let rival = self.mailboxes.values().find(|it| {
                it.state == MailboxState::Live
                    && it.key.account == row.key.account
                    && it.key != row.key
                    && (it.name == row.name
                        || (it.special_use.is_some() && it.special_use == row.special_use))
            });
            assert!(rival.is_none(), "two mailboxes with one name or use: {row:?} {rival:?}");
        }
        self.mailboxes.insert(row.key, row.clone());
    }

    fn apply_to_messages(&mut self, change: &Change) {
        match change {
            Change::AddMessage { mailbox, row, summary } => {
                let summary = match summary {
                    SummarySource::Given(bytes) => bytes.clone(),
                    SummarySource::SameAs(id, uid) => self.summary(mailbox.account, (*id, *uid)),
                };
                self.add(*mailbox, *row, summary);
            }
            Change::SetFlags { mailbox, uid, flags, keywords, modseq } => {
                let row = self.messages.get_mut(&(*mailbox, *uid)).expect("the message is live");
                assert!(*modseq > row.modseq, "modseqs rise");
                (row.flags, row.keywords, row.modseq) = (*flags, *keywords, *modseq);
            }
            Change::Expunge { mailbox, uids, modseq, at } => {
                for uid in uids.iter() {
                    let mut message = self.messages.remove(&(*mailbox, uid)).expect("the message is live");
                    message.modseq = *modseq;
                    self.tombstones.insert((*mailbox, uid), Tombstone { message, expunged_at: *at });
                }
            }
            Change::Arrive { mailbox, messages, tombstones } => {
                for ArrivingMessage { row, summary, .. } in messages {
                    let key = (*mailbox, row.uid);
                    assert!(!self.tombstones.contains_key(&key), "what is expunged never comes back");
                    self.messages.insert(key, *row);
                    self.summaries.insert(key, summary.clone());
                }
                for ArrivingTombstone { row, summary, .. } in tombstones {
                    let key = (*mailbox, row.message.uid);
                    self.messages.remove(&key);
                    self.tombstones.insert(key, *row);
                    self.summaries.insert(key, summary.clone());
                }
            }
            Change::RemoveMessages { mailbox, uids } => {
                for uid in uids.iter() {
                    let live = self.messages.remove(&(*mailbox, uid)).is_some();
                    let dead = self.tombstones.remove(&(*mailbox, uid)).is_some();
                    assert!(live || dead, "only what is there is removed");
                    self.summaries.remove(&(*mailbox, uid));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, mailbox: MailboxKey, row: MessageRow, summary: Bytes) {
        let last = self.summaries.range((mailbox, Uid::MIN)..=(mailbox, Uid::MAX)).next_back();
        assert!(last.is_none_or(|((_, last), _)| *last < row.uid), "UIDs are never used again");
        self.messages.insert((mailbox, row.uid), row);
        self.summaries.insert((mailbox, row.uid), summary);
    }

    fn summary(&self, account: AccountId, (mailbox, uid): (MailboxId, Uid)) -> Bytes {
        self.summaries[&(MailboxKey { account, mailbox }, uid)].clone()
    }

    fn apply_to_staged(&mut self, change: &Change) {
        match change {
            Change::Stage { account, staging, target, rows } => {
                let with_summary = |row: &StagedRow| (*row, self.summary(*account, row.source));
                let rows: Vec<_> = rows.iter().map(with_summary).collect();
                let staged = self.staged.entry((*account, *staging)).or_insert((*target, Vec::new()));
                assert_eq!(staged.0, *target, "one target");
                assert_eq!(staged.1.len(), rows[0].0.ordinal as usize, "ordinals go on");
                staged.1.extend(rows);
            }
            Change::Publish { account, staging, target, first, messages, modseq, saved_at } => {
                let (_, rows) = self.staged.remove(&(*account, *staging)).expect("it is staged");
                assert_eq!(rows.len(), *messages as usize);
                for (row, summary) in rows {
                    let uid = Uid::new(first.get() + row.ordinal).expect("UIDs suffice");
                    let row = MessageRow { uid, modseq: *modseq, saved_at: *saved_at, ..row.message };
                    self.add(*target, row, summary);
                }
            }
            Change::DropStaged { account, staging } => {
                assert!(self.staged.remove(&(*account, *staging)).is_some());
            }
            _ => {}
        }
    }

    fn apply_to_directory(&mut self, change: &Change) {
        match change {
            Change::PutTenant(row) => drop(self.tenants.insert(row.id, row.clone())),
            Change::RemoveTenant(id) => assert!(self.tenants.remove(id).is_some()),
            Change::PutDomain(row) => drop(self.domains.insert(row.domain.clone(), row.clone())),
            Change::RemoveDomain(domain) => assert!(self.domains.remove(domain).is_some()),
            Change::PutPlacement(row) => drop(self.placements.insert(row.account, row.clone())),
            Change::RemovePlacement(id) => assert!(self.placements.remove(id).is_some()),
            Change::PutAddress(row) => drop(self.addresses.insert(row.address.clone(), row.clone())),
            Change::RemoveAddress(address) => assert!(self.addresses.remove(address).is_some()),
            Change::PutNode(row) => drop(self.nodes.insert(row.id, row.clone())),
            Change::PutShard(row) => drop(self.shards.insert(row.group, row.clone())),
            Change::PutMove(row) => drop(self.moves.insert(row.account, row.clone())),
            Change::RemoveMove(account) => assert!(self.moves.remove(account).is_some()),
            Change::SetDirectoryCounters(counters) => self.counters = *counters,
            _ => {}
        }
    }
}
