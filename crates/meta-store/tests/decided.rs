//! Random commands through `decide`: rows written in batches and read back are those that the model keeps in maps,
//! and a state that knows nothing but what the store gives it decides the same.
#![allow(clippy::unwrap_used, reason = "a test ends there")]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use buzon_meta_store::postgres::PostgresStore;
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::{Applied, Batch, MetaStore, OutcomeCodec};
use buzon_meta_store::testing::TestPostgres;
use buzon_model::change::Change;
use buzon_model::command::{
    Command, CreateAccount, Entry, NewMessage, Recipient, ShardCommand, StoreFlags, StoreMode, Transfer,
};
use buzon_model::decide::decide;
use buzon_model::reply::Outcome;
use buzon_model::row::Quota;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_model::testing::Rows;
use buzon_types::address::Address;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::id::{AccountId, Epoch, GroupId, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use common::{Random, long, seed};

const GROUP: GroupId = GroupId(2);
const INSTANCE: InstanceId = InstanceId(77);
const NAMES: [&str; 7] = ["INBOX", "Sent", "a", "a/b", "a/b/c", "x", "INBOX/n"];
/// Both replicas forget often: what they then need comes from rows.
const CACHE_BYTES: usize = 20_000;

type Store = Arc<dyn MetaStore>;

/// Any outcome, as a number: their format belongs to the wire crate, which is none of this test's.
#[derive(Default)]
struct Numbered(Mutex<(Vec<Outcome>, HashMap<String, usize>)>);

impl OutcomeCodec for Numbered {
    fn encode(&self, outcome: &Outcome) -> Vec<u8> {
        let (all, known) = &mut *self.0.lock().unwrap();
        let number = *known.entry(format!("{outcome:?}")).or_insert_with(|| {
            all.push(outcome.clone());
            all.len() - 1
        });
        number.to_be_bytes().to_vec()
    }

    fn decode(&self, bytes: &[u8]) -> Option<Outcome> {
        let number = usize::from_be_bytes(bytes.try_into().ok()?);
        self.0.lock().unwrap().0.get(number).cloned()
    }
}

fn key(account: u64, mailbox: u64) -> MailboxKey {
    MailboxKey { account: AccountId(account), mailbox: MailboxId(mailbox as u32) }
}

fn message(random: &mut Random) -> NewMessage {
    let length = random.below(5_000);
    NewMessage {
        flags: SystemFlags::from_bits(random.below(32) as u8).unwrap(),
        keywords: ["$Forwarded", "b", "C"][random.below(3) as usize..]
            .iter()
            .map(|it| Keyword::new(it).unwrap())
            .collect(),
        internal_date: InternalDate { seconds: 5, zone_minutes: 90 },
        size: length,
        body: BodyRef {
            object: ObjectId(u128::from(random.next())),
            offset: random.next() >> 1,
            length,
            encoding: Encoding::Plain,
            key: KeyId(0),
        },
        summary: Bytes::from(vec![7; random.below(50) as usize]),
    }
}

fn command(random: &mut Random, at: u64) -> Command {
    let account = AccountId(1 + random.below(3));
    let mailbox = |random: &mut Random| key(account.0, 1 + random.below(9));
    let name = |random: &mut Random| MailboxName::new(NAMES[random.below(7) as usize]).unwrap();
    let uid_validity_seed = random.below(100) as u32;
    let transfer = |random: &mut Random| Transfer {
        source: mailbox(random),
        uids: uids(random),
        target: mailbox(random).mailbox,
    };
    Command::Shard(match random.below(44) {
        0 => return Command::OpenInstance(INSTANCE),
        1 if at.is_multiple_of(9) => return Command::CloseInstance(INSTANCE),
        1..=2 => create_account(account, uid_validity_seed),
        3 => ShardCommand::DeleteAccount(account),
        4..=5 => ShardCommand::PurgeAccount(account),
        6..=11 => {
            let messages = (0..random.below(6)).map(|_| message(random)).collect();
            ShardCommand::Append { mailbox: mailbox(random), messages }
        }
        12..=14 => {
            let one = |random: &mut Random| Recipient {
                account: AccountId(1 + random.below(4)),
                mailbox: random.chance(50).then(|| name(random)),
            };
            ShardCommand::Deliver {
                recipients: (0..3).map(|_| one(random)).collect(),
                message: message(random),
            }
        }
        15..=20 => ShardCommand::StoreFlags(StoreFlags {
            mailbox: mailbox(random),
            uids: uids(random),
            mode: *random.pick(&[StoreMode::Add, StoreMode::Replace, StoreMode::Remove]).unwrap(),
            flags: SystemFlags::from_bits(random.below(32) as u8).unwrap(),
            keywords: vec![Keyword::new(&format!("k{}", random.below(4))).unwrap()],
            unchanged_since: None,
        }),
        21..=23 => ShardCommand::Expunge { mailbox: mailbox(random), uids: uids(random) },
        24..=25 => ShardCommand::Copy(transfer(random)),
        26..=27 => ShardCommand::Move(transfer(random)),
        28..=30 => {
            ShardCommand::CreateMailbox { account, name: name(random), special_use: None, uid_validity_seed }
        }
        31 => ShardCommand::DeleteMailbox { account, name: name(random) },
        32..=33 => {
            let (from, to) = (name(random), name(random));
            ShardCommand::RenameMailbox { account, from, to, uid_validity_seed }
        }
        34 => ShardCommand::Subscribe { account, name: name(random) },
        35 => ShardCommand::Unsubscribe { account, name: name(random) },
        36 => ShardCommand::ClaimRecent(mailbox(random)),
        37..=39 => ShardCommand::StageCopy { staging: 5, transfer: transfer(random) },
        40 => ShardCommand::PublishCopy { account, staging: 5, messages: 1 + random.below(4) as u32 },
        41 => ShardCommand::DropCopy { account, staging: 5 },
        42 => ShardCommand::PurgeMailbox(mailbox(random)),
        _ => {
            let quota = Quota { bytes_max: Some(random.below(100_000)), messages_max: None };
            ShardCommand::SetQuota { account, quota }
        }
    })
}

fn create_account(account: AccountId, uid_validity_seed: u32) -> ShardCommand {
    ShardCommand::CreateAccount(CreateAccount {
        account,
        tenant: TenantId(1),
        epoch: Epoch(0),
        address: Address::new(&format!("u{account}@example.com")).unwrap(),
        credential: None,
        quota: Quota::default(),
        uid_validity_seed,
    })
}

fn uids(random: &mut Random) -> UidSet {
    if random.chance(30) {
        return UidSet::from(Uid::MIN..=Uid::MAX);
    }
    (1..20).filter(|_| random.chance(25)).filter_map(Uid::new).collect()
}

fn entry(random: &mut Random, at: u64) -> Entry {
    let command = command(random, at);
    let acknowledged_below = at.saturating_sub(random.below(30));
    let sequence = if random.chance(10) { at.saturating_sub(random.below(9)).max(1) } else { at };
    let request = matches!(command, Command::Shard(_)).then_some(RequestId {
        instance: INSTANCE,
        sequence,
        acknowledged_below,
    });
    Entry { at: Timestamp(at as i64 / 2), request, command }
}

/// A replica whose state gets what it needs from the store.
async fn fill(store: &Store, state: &mut State, command: &Command) {
    for _ in 0..8 {
        let missing = state.missing(command);
        for need in &missing {
            state.insert(store.load(GROUP, need).await.unwrap());
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("still missing {:?}", state.missing(command));
}

async fn commit(store: &Store, from: u64, to: u64, changes: &[Change]) {
    let applied = Applied { index: to, log_id: Bytes::new() };
    store
        .commit(Batch {
            group: GROUP,
            expected_index: from,
            applied,
            membership: None,
            changes,
            digest: None,
        })
        .await
        .unwrap();
}

async fn compare(store: &Store, rows: &Rows) {
    assert_eq!(store.seed(GROUP).await.unwrap(), rows.seed());
    let mut needs: Vec<Need> = (1..5).map(|id| Need::Account(AccountId(id))).collect();
    let keys: Vec<MailboxKey> = (1..4).flat_map(|id| (1..30).map(move |mailbox| key(id, mailbox))).collect();
    needs.extend(keys.iter().flat_map(|key| [Need::Index(*key), Need::Residue(*key)]));
    needs.extend((1..4).map(|id| Need::Staging(AccountId(id), 5)));
    for need in needs {
        assert_eq!(store.load(GROUP, &need).await.unwrap(), rows.load(&need), "{need:?}");
    }
    let all = UidSet::from(Uid::MIN..=Uid::MAX);
    for key in keys {
        let of_key = |it: &(&(MailboxKey, Uid), &Bytes)| it.0.0 == key;
        let summaries: Vec<_> =
            rows.summaries.iter().filter(of_key).map(|it| (it.0.1, it.1.clone())).collect();
        assert_eq!(store.summaries(GROUP, key, &all).await.unwrap(), summaries, "summaries of {key}");
        let dead: Vec<_> = rows.tombstones.iter().filter(|it| it.0.0 == key).map(|it| *it.1).collect();
        assert_eq!(store.tombstones(GROUP, key, &all).await.unwrap(), dead, "tombstones of {key}");
    }
}

async fn decided_rows_are_rows_read(store: &Store, seed: u64, entries: u64) {
    println!("seed {seed}");
    store.create_group(GROUP).await.unwrap();
    let mut random = Random(seed);
    let mut rows = Rows::default();
    let mut reference = State::new(GROUP, rows.seed());
    let mut state = State::new(GROUP, store.seed(GROUP).await.unwrap());
    let (mut changes, mut written) = (Vec::new(), 0);
    for at in 1..=entries {
        let entry = if at <= 3 {
            Entry {
                at: Timestamp(0),
                request: None,
                command: Command::Shard(create_account(AccountId(at), 1)),
            }
        } else if at == 4 {
            Entry { at: Timestamp(0), request: None, command: Command::OpenInstance(INSTANCE) }
        } else {
            entry(&mut random, at)
        };
        if !state.missing(&entry.command).is_empty() {
            // Rows are loaded only as of the last commit, so what is decided must be there first.
            commit(store, written, at - 1, &changes).await;
            (written, changes) = (at - 1, Vec::new());
            fill(store, &mut state, &entry.command).await;
        }
        let decision = decide(&state, &entry);
        assert_eq!(decision.outcome, rows.step(&mut reference, &entry).outcome, "{entry:?}");
        state.absorb(&decision.changes);
        changes.extend(decision.changes);
        if random.chance(10) {
            state.shrink(CACHE_BYTES);
        }
        if at % 300 == 0 {
            commit(store, written, at, &changes).await;
            (written, changes) = (at, Vec::new());
            compare(store, &rows).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_what_was_decided() {
    let folder = tempfile::tempdir().unwrap();
    for seed in seed()..seed() + if long() { 60 } else { 4 } {
        let path = folder.path().join(seed.to_string());
        let store: Store = Arc::new(SqliteStore::open(&path, Arc::new(Numbered::default())).await.unwrap());
        decided_rows_are_rows_read(&store, seed, 900).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_what_was_decided() {
    let server = TestPostgres::start().await;
    for seed in seed()..seed() + if long() { 30 } else { 1 } {
        let options = server.database(&format!("seed{seed}")).await;
        let store: Store =
            Arc::new(PostgresStore::connect(&options, Arc::new(Numbered::default())).await.unwrap());
        decided_rows_are_rows_read(&store, seed, 900).await;
    }
}
