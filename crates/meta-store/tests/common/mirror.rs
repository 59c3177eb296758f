//! What the rows must be, kept in plain maps by applying each change on its own, in order.

use std::collections::BTreeMap;

use buzon_model::change::{Change, SummarySource};
use buzon_model::reply::Outcome;
use buzon_model::row::*;
use buzon_types::address::{Address, Domain};
use buzon_types::id::*;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use buzon_types::uid::Uid;
use bytes::Bytes;

type MessageKey = (MailboxKey, Uid);

/// Where it goes, the row, and the summary as it was when staged.
pub type Staged = (MailboxId, StagedRow, Option<Bytes>);

#[derive(Debug, Clone)]
pub struct Mirror {
    pub accounts: BTreeMap<AccountId, AccountRow>,
    pub mailboxes: BTreeMap<MailboxKey, MailboxRow>,
    pub subscriptions: BTreeMap<(AccountId, MailboxName), ()>,
    pub messages: BTreeMap<MessageKey, MessageRow>,
    pub tombstones: BTreeMap<MessageKey, Tombstone>,
    pub summaries: BTreeMap<MessageKey, Bytes>,
    pub staged: BTreeMap<(AccountId, u128, u32), Staged>,
    pub instances: BTreeMap<InstanceId, (Timestamp, u64)>,
    pub records: BTreeMap<(InstanceId, u64), (Vec<AccountId>, Outcome)>,
    pub tenants: BTreeMap<TenantId, TenantRow>,
    pub domains: BTreeMap<Domain, DomainRow>,
    pub placements: BTreeMap<AccountId, PlacementRow>,
    pub addresses: BTreeMap<Address, AddressRow>,
    pub nodes: BTreeMap<NodeId, NodeRow>,
    pub shards: BTreeMap<GroupId, ShardRow>,
    pub moves: BTreeMap<AccountId, MoveRow>,
    pub counters: DirectoryCounters,
    pub feature_level: FeatureLevel,
    pub time: Timestamp,
}

impl Default for Mirror {
    fn default() -> Self {
        Self {
            accounts: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            messages: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            summaries: BTreeMap::new(),
            staged: BTreeMap::new(),
            instances: BTreeMap::new(),
            records: BTreeMap::new(),
            tenants: BTreeMap::new(),
            domains: BTreeMap::new(),
            placements: BTreeMap::new(),
            addresses: BTreeMap::new(),
            nodes: BTreeMap::new(),
            shards: BTreeMap::new(),
            moves: BTreeMap::new(),
            counters: DirectoryCounters::default(),
            feature_level: FeatureLevel(1),
            time: Timestamp(0),
        }
    }
}

impl Mirror {
    pub fn apply(&mut self, change: &Change) {
        match change.clone() {
            Change::PutAccount(row) => drop(self.accounts.insert(row.id, row)),
            Change::SetAccountCounters(id, counters) => {
                self.accounts.get_mut(&id).expect("account is there").counters = counters;
            }
            Change::RemoveAccount(id) => {
                self.accounts.remove(&id);
                self.mailboxes.retain(|key, _| key.account != id);
                self.subscriptions.retain(|key, _| key.0 != id);
                self.staged.retain(|key, _| key.0 != id);
            }
            Change::PutMailbox(row) => drop(self.mailboxes.insert(row.key, row)),
            Change::SetMailboxCounters(key, counters) => {
                self.mailboxes.get_mut(&key).expect("mailbox is there").counters = counters;
            }
            Change::RemoveMailbox(key) => drop(self.mailboxes.remove(&key)),
            Change::Subscribe(account, name) => drop(self.subscriptions.insert((account, name), ())),
            Change::Unsubscribe(account, name) => drop(self.subscriptions.remove(&(account, name))),
            Change::AddMessage { mailbox, row, summary } => self.add(mailbox, row, summary),
            Change::SetFlags { mailbox, uid, flags, keywords, modseq } => {
                let row = self.messages.get_mut(&(mailbox, uid)).expect("message is there");
                (row.flags, row.keywords, row.modseq) = (flags, keywords, modseq);
            }
            Change::Expunge { mailbox, uids, modseq, at } => {
                for uid in uids.iter() {
                    let Some(message) = self.messages.remove(&(mailbox, uid)) else { continue };
                    let message = MessageRow { modseq, ..message };
                    self.tombstones.insert((mailbox, uid), Tombstone { message, expunged_at: at });
                }
            }
            Change::Arrive { mailbox, messages, tombstones } => {
                for it in messages {
                    self.messages.insert((mailbox, it.row.uid), it.row);
                    self.summaries.insert((mailbox, it.row.uid), it.summary);
                }
                for it in tombstones {
                    let key = (mailbox, it.row.message.uid);
                    self.messages.remove(&key);
                    self.tombstones.insert(key, it.row);
                    self.summaries.insert(key, it.summary);
                }
            }
            Change::RemoveMessages { mailbox, uids } => {
                for uid in uids.iter() {
                    self.messages.remove(&(mailbox, uid));
                    self.tombstones.remove(&(mailbox, uid));
                    self.summaries.remove(&(mailbox, uid));
                }
            }
            Change::Stage { account, staging, target, rows } => {
                for row in rows {
                    let source = MailboxKey { account, mailbox: row.source.0 };
                    let summary = self.summaries.get(&(source, row.source.1)).cloned();
                    self.staged.insert((account, staging, row.ordinal), (target, row, summary));
                }
            }
            Change::Publish { account, staging, target, first, modseq, saved_at, .. } => {
                for (key, (_, row, summary)) in self.take_staged(account, staging) {
                    let uid = Uid::new(first.get() + key.2).expect("above first");
                    self.messages.insert((target, uid), MessageRow { uid, modseq, saved_at, ..row.message });
                    summary.map(|summary| self.summaries.insert((target, uid), summary));
                }
            }
            Change::DropStaged { account, staging } => drop(self.take_staged(account, staging)),
            other => self.apply_other(other),
        }
    }

    fn apply_other(&mut self, change: Change) {
        match change {
            Change::OpenInstance(id, at) => drop(self.instances.entry(id).or_insert((at, 0))),
            Change::CloseInstance(id) => {
                self.instances.remove(&id);
                self.records.retain(|key, _| key.0 != id);
            }
            Change::Record { instance, sequence, accounts, outcome } => {
                self.records.insert((instance, sequence), (accounts, outcome));
            }
            Change::ForgetBelow { instance, sequence } => {
                self.records.retain(|key, _| key.0 != instance || key.1 >= sequence);
                let mark = &mut self.instances.get_mut(&instance).expect("instance is open").1;
                *mark = sequence.max(*mark);
            }
            Change::PutTenant(row) => drop(self.tenants.insert(row.id, row)),
            Change::RemoveTenant(id) => drop(self.tenants.remove(&id)),
            Change::PutDomain(row) => drop(self.domains.insert(row.domain.clone(), row)),
            Change::RemoveDomain(domain) => drop(self.domains.remove(&domain)),
            Change::PutPlacement(row) => drop(self.placements.insert(row.account, row)),
            Change::RemovePlacement(id) => drop(self.placements.remove(&id)),
            Change::PutAddress(row) => drop(self.addresses.insert(row.address.clone(), row)),
            Change::RemoveAddress(address) => drop(self.addresses.remove(&address)),
            Change::PutNode(row) => drop(self.nodes.insert(row.id, row)),
            Change::PutShard(row) => drop(self.shards.insert(row.group, row)),
            Change::PutMove(row) => drop(self.moves.insert(row.account, row)),
            Change::RemoveMove(id) => drop(self.moves.remove(&id)),
            Change::SetDirectoryCounters(counters) => self.counters = counters,
            Change::SetFeatureLevel(level) => self.feature_level = level,
            Change::SetTime(time) => self.time = time,
            other => panic!("{other:?} is for apply"),
        }
    }

    fn add(&mut self, mailbox: MailboxKey, row: MessageRow, summary: SummarySource) {
        let summary = match summary {
            SummarySource::Given(bytes) => Some(bytes),
            SummarySource::SameAs(source, uid) => {
                let source = MailboxKey { account: mailbox.account, mailbox: source };
                self.summaries.get(&(source, uid)).cloned()
            }
        };
        assert_eq!(self.messages.insert((mailbox, row.uid), row), None, "UID used twice");
        summary.map(|summary| self.summaries.insert((mailbox, row.uid), summary));
    }

    fn take_staged(&mut self, account: AccountId, staging: u128) -> Vec<((AccountId, u128, u32), Staged)> {
        let keys: Vec<_> =
            self.staged.range((account, staging, 0)..=(account, staging, u32::MAX)).map(|it| *it.0).collect();
        keys.into_iter().map(|key| (key, self.staged.remove(&key).expect("just seen"))).collect()
    }
}
