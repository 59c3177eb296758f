//! Random batches of changes that a state machine could have decided, for a group that starts empty.

use buzon_model::change::{Change, SummarySource};
use buzon_model::command::{ArrivingMessage, ArrivingTombstone};
use buzon_model::limits::FEATURE_LEVEL_MAX;
use buzon_model::reply::{Rejection, Reply};
use buzon_model::row::*;
use buzon_types::address::{Address, Domain};
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{Keyword, KeywordBits, SystemFlags};
use buzon_types::id::*;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::node::{NodeAddress, Zone};
use buzon_types::request::InstanceId;
use buzon_types::secret::Secret;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use super::Random;
use super::mirror::Mirror;

pub struct Generator {
    pub random: Random,
    pub mirror: Mirror,
    changes: Vec<Change>,
    modseq: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), mirror: Mirror::default(), changes: Vec::new(), modseq: 0 }
    }

    /// The changes of a batch of entries; the mirror has them already.
    pub fn batch(&mut self) -> Vec<Change> {
        for _ in 0..=self.random.below(12) {
            let time = Timestamp(self.mirror.time.0 + self.random.below(5) as i64);
            self.push(Change::SetTime(time));
            self.entry();
        }
        std::mem::take(&mut self.changes)
    }

    fn push(&mut self, change: Change) {
        self.mirror.apply(&change);
        self.changes.push(change);
    }

    fn entry(&mut self) {
        match self.random.below(42) {
            0..=1 => self.put_account(),
            2..=4 => self.put_mailbox(),
            5..=14 => self.add_messages(),
            15..=22 => self.set_flags(),
            23..=25 => self.expunge(),
            26 => self.remove_messages(),
            27..=28 => self.copy(),
            29..=30 => self.stage(),
            31 => self.finish_staging(),
            32 => self.subscribe(),
            33 => self.remove_mailbox(),
            34..=37 => self.request(),
            38 => self.arrive(),
            _ => self.directory(),
        }
    }

    fn modseq(&mut self) -> ModSeq {
        self.modseq += 1;
        ModSeq::new(self.modseq).expect("small")
    }

    fn account(&mut self) -> Option<AccountId> {
        let ids: Vec<_> = self.mirror.accounts.keys().copied().collect();
        self.random.pick(&ids).copied()
    }

    fn mailbox(&mut self) -> Option<MailboxKey> {
        let keys: Vec<_> = self.mirror.mailboxes.keys().copied().collect();
        self.random.pick(&keys).copied()
    }

    fn uids(&mut self, key: MailboxKey) -> UidSet {
        let all: Vec<Uid> = self.mirror.messages.keys().filter(|it| it.0 == key).map(|it| it.1).collect();
        let percent = [5, 30, 100][self.random.below(3) as usize];
        all.into_iter().filter(|_| self.random.chance(percent)).collect()
    }

    fn put_account(&mut self) {
        let id = AccountId(1 + self.random.below(6));
        if self.random.chance(4) && self.mirror.accounts.contains_key(&id) {
            self.remove_account(id);
            return;
        }
        let counters = self.mirror.accounts.get(&id).map(|row| row.counters).unwrap_or_default();
        let row = AccountRow {
            id,
            tenant: TenantId(7),
            epoch: Epoch(self.random.below(3)),
            address: Address::new(&format!("\"us\\\"er{id}\"@example.com")).expect("valid"),
            state: AccountState::Active,
            credential: self.random.chance(50).then(|| Secret::new("$argon2id$\0…".to_owned())),
            credential_version: CredentialVersion(self.random.next()),
            quota: Quota { bytes_max: self.random.chance(50).then_some(u64::MAX), messages_max: None },
            last_uid_validity: u32::MAX,
            next_mailbox: MailboxId(9),
            created_at: self.mirror.time,
            counters,
            place: self.place(),
        };
        self.push(Change::PutAccount(row));
    }

    fn place(&mut self) -> Place {
        let (shard, epoch) = (GroupId(self.random.next()), Epoch(1 + self.random.next() / 2));
        match self.random.below(8) {
            0 => Place::Frozen { to: shard, epoch },
            1 => Place::Gone { to: shard, epoch },
            2 => Place::Arriving(Arrival::new(shard, epoch)),
            3 => Place::Arriving(Arrival {
                pages: self.random.next(),
                cursor: Bytes::from_static(b"\0cursor"),
                complete: self.random.chance(50),
                ..Arrival::new(shard, epoch)
            }),
            _ => Place::Here,
        }
    }

    /// Messages and tombstones over whatever is there, and new ones.
    pub(crate) fn arrive(&mut self) {
        let Some(mailbox) = self.mailbox() else { return };
        let (mut messages, mut tombstones) = (Vec::new(), Vec::new());
        for number in 1..=1 + self.random.below(40) as u32 {
            let uid = Uid::new(number * (1 + self.random.below(3) as u32)).expect("above 0");
            let summary = Bytes::from(self.random.next().to_be_bytes().to_vec());
            if self.mirror.mailboxes[&mailbox].counters.uid_next.is_none_or(|next| next <= uid) {
                continue; // only what the mailbox has given out
            }
            let modseq = self.modseq();
            let row = self.row(uid, modseq);
            let is_known = self.mirror.tombstones.contains_key(&(mailbox, uid));
            if is_known || self.random.chance(30) {
                let row = Tombstone { message: row, expunged_at: self.mirror.time };
                tombstones.retain(|it: &ArrivingTombstone| it.row.message.uid != uid);
                messages.retain(|it: &ArrivingMessage| it.row.uid != uid);
                tombstones.push(ArrivingTombstone { mailbox: mailbox.mailbox, row, summary });
            } else if !tombstones.iter().any(|it: &ArrivingTombstone| it.row.message.uid == uid) {
                messages.retain(|it: &ArrivingMessage| it.row.uid != uid);
                messages.push(ArrivingMessage { mailbox: mailbox.mailbox, row, summary });
            }
        }
        self.push(Change::Arrive { mailbox, messages, tombstones });
    }

    fn remove_account(&mut self, id: AccountId) {
        let keys: Vec<_> = self.mirror.mailboxes.keys().filter(|key| key.account == id).copied().collect();
        for key in keys {
            self.empty(key);
        }
        self.push(Change::RemoveAccount(id));
    }

    fn empty(&mut self, mailbox: MailboxKey) {
        let live = self.mirror.messages.keys().filter(|it| it.0 == mailbox).map(|it| it.1);
        let dead = self.mirror.tombstones.keys().filter(|it| it.0 == mailbox).map(|it| it.1);
        let uids: UidSet = live.chain(dead).collect();
        self.push(Change::RemoveMessages { mailbox, uids });
    }

    fn put_mailbox(&mut self) {
        let Some(account) = self.account() else { return };
        let key = MailboxKey { account, mailbox: MailboxId(1 + self.random.below(4) as u32) };
        let counters = self.mirror.mailboxes.get(&key).map_or_else(
            || MailboxCounters {
                uid_next: self
                    .mirror
                    .messages
                    .keys()
                    .chain(self.mirror.tombstones.keys())
                    .filter(|it| it.0 == key)
                    .map(|it| it.1)
                    .max()
                    .map_or(Some(Uid::MIN), Uid::next),
                recent_from: None,
                modseq: ModSeq::ZERO,
                messages: 0,
                unseen: 0,
                deleted: 0,
                bytes: 0,
            },
            |row| row.counters,
        );
        let keywords = ["$Forwarded", "$Junk", "[x]"]
            .map(|text| Keyword::new(text).or(Keyword::new("x")).expect("valid"));
        let state = if self.random.chance(20) { MailboxState::Deleting } else { MailboxState::Live };
        let row = MailboxRow {
            key,
            name: MailboxName::new(&format!("Año {}/ñ", key.mailbox)).expect("valid"),
            state,
            uid_validity: UidValidity::new(77).expect("not zero"),
            special_use: None,
            keywords: keywords[..self.random.below(4) as usize].to_vec(),
            tombstone_floor: ModSeq::ZERO,
            created_at: self.mirror.time,
            counters,
        };
        self.push(Change::PutMailbox(row));
    }

    fn remove_mailbox(&mut self) {
        let Some(key) = self.mailbox() else { return };
        if self.random.chance(30) {
            self.empty(key);
            self.push(Change::RemoveMailbox(key));
        }
    }

    fn row(&mut self, uid: Uid, modseq: ModSeq) -> MessageRow {
        MessageRow {
            uid,
            flags: SystemFlags::from_bits(self.random.below(32) as u8).expect("below 32"),
            keywords: KeywordBits(u128::from(self.random.next()) << 64 | u128::from(self.random.next())),
            modseq,
            size: self.random.next(),
            internal_date: InternalDate { seconds: -(self.random.below(1 << 40) as i64), zone_minutes: -720 },
            saved_at: self.mirror.time,
            body: BodyRef {
                object: ObjectId(u128::from(self.random.next()) << 64 | 1),
                offset: self.random.next(),
                length: self.random.below(1 << 20),
                encoding: Encoding::Plain,
                key: KeyId(u32::MAX),
            },
        }
    }

    fn next_uid(&mut self, key: MailboxKey) -> Uid {
        let counters = &mut self.mirror.mailboxes.get_mut(&key).expect("picked").counters;
        let uid = counters.uid_next.expect("not that many");
        counters.uid_next = uid.next();
        uid
    }

    fn set_counters(&mut self, key: MailboxKey, modseq: ModSeq) {
        let mut counters = self.mirror.mailboxes[&key].counters;
        counters.modseq = modseq;
        counters.bytes = self.random.next();
        counters.messages += 1;
        self.push(Change::SetMailboxCounters(key, counters));
        let counters = AccountCounters { modseq, bytes: self.random.next(), messages: 3 };
        self.push(Change::SetAccountCounters(key.account, counters));
    }

    fn add_messages(&mut self) {
        let Some(key) = self.mailbox() else { return };
        let modseq = self.modseq();
        let many = if self.random.chance(3) { 700 } else { self.random.below(9) };
        for _ in 0..many {
            let uid = self.next_uid(key);
            let row = self.row(uid, modseq);
            let length = self.random.below(60) as usize;
            let summary = SummarySource::Given(Bytes::from(vec![uid.get() as u8; length]));
            self.push(Change::AddMessage { mailbox: key, row, summary });
        }
        self.set_counters(key, modseq);
    }

    fn set_flags(&mut self) {
        let Some(key) = self.mailbox() else { return };
        let modseq = self.modseq();
        for uid in self.uids(key).iter().take(600) {
            let flags = SystemFlags::from_bits(self.random.below(32) as u8).expect("below 32");
            let keywords = KeywordBits(u128::from(self.random.next()));
            self.push(Change::SetFlags { mailbox: key, uid, flags, keywords, modseq });
        }
        self.set_counters(key, modseq);
    }

    fn expunge(&mut self) {
        let Some(mailbox) = self.mailbox() else { return };
        let (modseq, uids, at) = (self.modseq(), self.uids(mailbox), self.mirror.time);
        self.push(Change::Expunge { mailbox, uids, modseq, at });
        self.set_counters(mailbox, modseq);
    }

    fn remove_messages(&mut self) {
        let Some(mailbox) = self.mailbox() else { return };
        let dead = self.mirror.tombstones.keys().filter(|it| it.0 == mailbox).map(|it| it.1);
        let dead: Vec<Uid> = dead.collect();
        let uids = dead.into_iter().filter(|_| self.random.chance(50)).collect();
        self.push(Change::RemoveMessages { mailbox, uids });
    }

    fn copy(&mut self) {
        let (Some(source), Some(mut target)) = (self.mailbox(), self.mailbox()) else { return };
        target.account = source.account;
        if !self.mirror.mailboxes.contains_key(&target) {
            return;
        }
        let modseq = self.modseq();
        for from in self.uids(source).iter().take(50) {
            let uid = self.next_uid(target);
            let row = self.row(uid, modseq);
            let summary = SummarySource::SameAs(source.mailbox, from);
            self.push(Change::AddMessage { mailbox: target, row, summary });
        }
        self.set_counters(target, modseq);
    }

    fn stage(&mut self) {
        let Some(source) = self.mailbox() else { return };
        let staging = u128::from(self.random.below(3)) << 100;
        let range = (source.account, staging, 0)..=(source.account, staging, u32::MAX);
        let staged: Vec<_> = self.mirror.staged.range(range).map(|it| (it.0.2, it.1.0)).collect();
        let target = staged.first().map_or(source.mailbox, |it| it.1);
        let first = staged.last().map_or(0, |it| it.0 + 1);
        let modseq = self.modseq();
        let mut rows = Vec::new();
        for (uid, ordinal) in self.uids(source).iter().take(100).zip(first..) {
            let message = self.row(uid, modseq);
            rows.push(StagedRow { ordinal, source: (source.mailbox, uid), message });
        }
        self.push(Change::Stage { account: source.account, staging, target, rows });
    }

    fn finish_staging(&mut self) {
        let keys: Vec<_> = self.mirror.staged.iter().map(|it| (it.0.0, it.0.1, it.1.0)).collect();
        let Some(&(account, staging, target)) = self.random.pick(&keys) else { return };
        let target = MailboxKey { account, mailbox: target };
        if self.random.chance(30) || !self.mirror.mailboxes.contains_key(&target) {
            self.push(Change::DropStaged { account, staging });
            return;
        }
        let messages = keys.iter().filter(|it| (it.0, it.1) == (account, staging)).count() as u32;
        let (modseq, saved_at) = (self.modseq(), self.mirror.time);
        let first = self.next_uid(target);
        (1..messages).for_each(|_| {
            self.next_uid(target);
        });
        self.push(Change::Publish { account, staging, target, first, messages, modseq, saved_at });
        self.set_counters(target, modseq);
    }

    fn subscribe(&mut self) {
        let Some(account) = self.account() else { return };
        let name = MailboxName::new(&format!("box {}", self.random.below(4))).expect("valid");
        let change = if self.random.chance(70) { Change::Subscribe } else { Change::Unsubscribe };
        self.push(change(account, name));
    }

    fn request(&mut self) {
        let instance = InstanceId(u128::from(self.random.below(3)) << 90 | 5);
        let Some(mark) = self.mirror.instances.get(&instance).map(|it| it.1) else {
            let at = self.mirror.time;
            self.push(Change::OpenInstance(instance, at));
            return;
        };
        if self.random.chance(6) {
            self.push(Change::CloseInstance(instance));
            return;
        }
        if self.random.chance(10) {
            self.push(Change::OpenInstance(instance, Timestamp(-1))); // open already: nothing happens
        }
        let sequence = mark + self.random.below(20);
        if self.random.chance(50) {
            self.push(Change::ForgetBelow { instance, sequence: mark.max(sequence.saturating_sub(5)) });
        }
        let accounts = (0..self.random.below(3)).map(AccountId).collect();
        let outcome = match self.random.below(3) {
            0 => Ok(Reply::Done),
            1 => Err(Rejection::NoSuchMailbox),
            _ => Ok(Reply::Staged { messages: 70_000 }),
        };
        self.push(Change::Record { instance, sequence, accounts, outcome });
    }

    fn directory(&mut self) {
        let id = self.random.below(5) + 1;
        let domain = Domain::new(&format!("d{id}.example")).expect("valid");
        let address = Address::new(&format!("u{}@d{id}.example", self.random.below(3))).expect("valid");
        let account = AccountId(self.random.below(4) + 1);
        let tenant = TenantId(id);
        let created_at = self.mirror.time;
        let change = match self.random.below(15) {
            0..=1 => Change::PutTenant(TenantRow {
                id: tenant,
                name: format!("tenant\0{id}"),
                limits: TenantLimits { accounts_max: (id > 2).then_some(id) },
                accounts: self.random.next(),
                domains: 2,
                created_at,
            }),
            2 => Change::RemoveTenant(tenant),
            3..=4 => Change::PutDomain(DomainRow { domain, tenant, addresses: self.random.next() }),
            5 => Change::RemoveDomain(domain),
            6 => Change::PutPlacement(PlacementRow {
                account,
                tenant,
                address,
                shard: GroupId(3 + id % 2),
                epoch: Epoch(1),
                state: PlacementState::Active,
                created_at,
            }),
            7 => Change::RemovePlacement(account),
            8 => Change::PutAddress(AddressRow { address, account }),
            9 => Change::RemoveAddress(address),
            10 => Change::PutNode(NodeRow {
                id: NodeId(id),
                address: NodeAddress::new(&format!("n{id}:{}", self.random.below(9) + 1)).expect("valid"),
                zone: (id > 2).then(|| Zone::new("a-b").expect("valid")),
                state: if id > 3 { NodeState::Removed } else { NodeState::Draining },
                incarnation: Incarnation(u128::from(self.random.next()) << 64),
                added_at: created_at,
            }),
            13 => Change::PutMove(MoveRow {
                account,
                from: GroupId(id),
                to: GroupId(self.random.next()),
                epoch: Epoch(self.random.next()),
                state: if id > 3 { MoveState::Aborting } else { MoveState::Committed },
                began_at: created_at,
            }),
            14 => Change::RemoveMove(account),
            11 => Change::PutShard(ShardRow {
                group: GroupId(id),
                voters: (0..id).map(|at| NodeId(at << 40)).collect(),
                accounts: self.random.next(),
            }),
            _ => Change::SetDirectoryCounters(DirectoryCounters {
                next_tenant: tenant,
                next_account: account,
                next_node: NodeId(id),
                next_group: GroupId(self.random.next()),
                voters_per_shard: id as u8,
            }),
        };
        self.push(change);
        if self.random.chance(5) {
            let level = 1 + id as u32 % FEATURE_LEVEL_MAX.0; // a snapshot of a later one is refused
            self.push(Change::SetFeatureLevel(FeatureLevel(level)));
        }
    }
}
