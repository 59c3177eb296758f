//! Random histories: three replicas with different rows loaded, the naive model, and a session that follows by
//! deltas, all against the rows.

use std::collections::BTreeMap;

use buzon_types::flag::SystemFlags;
use buzon_types::id::{AccountId, GroupId, MailboxId, MailboxKey};
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use buzon_types::uid_set::UidSet;
use proptest::prelude::*;

use crate::change::Change;
use crate::command::{Command, Entry, Recipient, ShardCommand, StoreFlags, StoreMode, Transfer};
use crate::decide::decide;
use crate::invariants;
use crate::reply::{FlagState, Outcome, Reply};
use crate::row::Quota;
use crate::scope::Need;
use crate::state::State;
use crate::testing::Rows;
use crate::tests::group::*;
use crate::tests::naive::Naive;

const FRONT: InstanceId = InstanceId(1);
const NAMES: [&str; 11] =
    ["INBOX", "Sent", "a", "a/b", "a/b/b", "a/b/c", "x/y", "INBOX/INBOX", "INBOX/n", "a b", "INBOX/n/m"];

/// Ids that commands name: mostly few, so that histories meet.
const IDS: [u32; 14] = [1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 7, 8, 9];

/// Plain numbers, so that proptest can shrink a history: see [`command`] for their meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    kind: u8,
    account: bool,
    a: u8,
    b: u8,
    uids: u16,
    flags: u8,
    /// Repeat the request so many before, instead.
    repeat: Option<u8>,
    cache: u16,
}

impl Step {
    /// The same, of ana.
    pub(super) fn of_ana(self) -> Self {
        Self { account: true, ..self }
    }
}

pub(super) fn steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    let numbers = (0u8..34, any::<bool>(), any::<u8>(), any::<u8>(), any::<u16>(), 0u8..32);
    let step =
        (numbers, prop::option::weighted(0.15, 0u8..6), any::<u16>()).prop_map(|(it, repeat, cache)| {
            let (kind, account, a, b, uids, flags) = it;
            Step { kind, account, a, b, uids, flags, repeat, cache }
        });
    prop::collection::vec(step, length / 2..length)
}

pub(super) fn command(step: &Step) -> ShardCommand {
    let account = if step.account { ANA } else { BEN };
    let mailbox =
        |number: u8| MailboxKey { account, mailbox: MailboxId(IDS[usize::from(number) % IDS.len()]) };
    let name_of = |number: u8| name(NAMES[usize::from(number) % NAMES.len()]);
    let flags = SystemFlags::from_bits(step.flags).unwrap();
    let words = ["$A", "b", "$a", "Cc"][usize::from(step.b) % 4..].to_vec();
    let words = if step.uids.is_multiple_of(3) { words } else { vec![] };
    let transfer =
        || Transfer { source: mailbox(step.a), uids: uids(step.uids), target: mailbox(step.b).mailbox };
    let uid_validity_seed = u32::from(step.uids) % 1_500;
    let message = || message(u64::from(step.uids % 100), flags, &words);
    match step.kind {
        0..=5 => {
            let messages = vec![message(); usize::from(step.b) % 5];
            ShardCommand::Append { mailbox: mailbox(step.a), messages }
        }
        6 | 7 => {
            let to = |account, detail: bool| Recipient { account, mailbox: detail.then(|| name_of(step.a)) };
            let recipients =
                vec![to(ANA, true), to(AccountId(9), false), to(BEN, step.account), to(ANA, false)];
            ShardCommand::Deliver { recipients, message: message() }
        }
        8..=13 => ShardCommand::StoreFlags(StoreFlags {
            mailbox: mailbox(step.a),
            uids: uids(step.uids),
            mode: [StoreMode::Add, StoreMode::Replace, StoreMode::Remove][usize::from(step.b) % 3],
            flags,
            keywords: words.iter().map(|it| keyword(it)).collect(),
            unchanged_since: (step.b >= 128).then(|| modseq(u64::from(step.b) % 40)),
        }),
        14..=16 => ShardCommand::Expunge { mailbox: mailbox(step.a), uids: uids(step.uids) },
        17 | 18 => ShardCommand::Copy(transfer()),
        19 | 20 => ShardCommand::Move(transfer()),
        21 | 22 => ShardCommand::CreateMailbox {
            account,
            name: name_of(step.a),
            special_use: None,
            uid_validity_seed,
        },
        23 => ShardCommand::DeleteMailbox { account, name: name_of(step.a) },
        24 | 25 => ShardCommand::RenameMailbox {
            account,
            from: name_of(step.a),
            to: name_of(step.b),
            uid_validity_seed,
        },
        26 => ShardCommand::Subscribe { account, name: name_of(step.a) },
        27 => ShardCommand::Unsubscribe { account, name: name_of(step.a) },
        28 => ShardCommand::ClaimRecent(mailbox(step.a)),
        29 | 30 => ShardCommand::StageCopy { staging: 5, transfer: transfer() },
        31 => ShardCommand::PublishCopy { account, staging: 5, messages: 1 + u32::from(step.b) % 3 },
        32 if step.b < 40 => ShardCommand::DropCopy { account, staging: 5 },
        32 => ShardCommand::PurgeMailbox(mailbox(step.a)),
        _ => {
            let max = |number: u8, most| (number >= 200).then(|| u64::from(number) * most);
            let quota = Quota { bytes_max: max(step.a, 30), messages_max: max(step.b, 1) };
            ShardCommand::SetQuota { account, quota }
        }
    }
}

fn uids(bits: u16) -> UidSet {
    if bits.is_multiple_of(5) {
        return UidSet::from(Uid::MIN..=Uid::MAX);
    }
    (0..16).filter(|at| bits >> at & 1 == 1).map(|at| uid(at + 1)).collect()
}

/// What must hold of a whole history.
#[derive(Default)]
struct History {
    last_uid: BTreeMap<MailboxKey, Uid>,
    highest: BTreeMap<MailboxKey, ModSeq>,
    account: BTreeMap<AccountId, ModSeq>,
    validity: BTreeMap<MailboxKey, UidValidity>,
}

impl History {
    fn uids_are_never_used_again(&mut self, changes: &[Change]) {
        for change in changes {
            let (key, first, last) = match change {
                Change::AddMessage { mailbox, row, .. } => (*mailbox, row.uid, row.uid),
                Change::Publish { target, first, messages, .. } => {
                    (*target, *first, uid(first.get() + messages - 1))
                }
                _ => continue,
            };
            let before = self.last_uid.insert(key, last);
            assert!(before.is_none_or(|before| before < first), "UID {first} of {key} was used before");
        }
    }

    fn modseqs_only_rise(&mut self, changes: &[Change], rows: &Rows) {
        for change in changes {
            let (account, modseq) = match change {
                Change::AddMessage { mailbox, row, .. } => (mailbox.account, row.modseq),
                Change::SetFlags { mailbox, modseq, .. } | Change::Expunge { mailbox, modseq, .. } => {
                    (mailbox.account, *modseq)
                }
                Change::Publish { account, modseq, .. } => (*account, *modseq),
                _ => continue,
            };
            assert!(
                self.account.get(&account).is_none_or(|before| *before < modseq),
                "modseq {modseq} is old"
            );
        }
        for (key, row) in &rows.mailboxes {
            let before = self.highest.insert(*key, row.counters.modseq);
            assert!(before.is_none_or(|before| before <= row.counters.modseq), "HIGHESTMODSEQ went back");
        }
        self.account = rows.accounts.iter().map(|(id, row)| (*id, row.counters.modseq)).collect();
    }

    fn uid_validity_is_fixed_and_never_given_twice(&mut self, rows: &Rows) {
        for (key, row) in &rows.mailboxes {
            let before = *self.validity.entry(*key).or_insert(row.uid_validity);
            assert_eq!(before, row.uid_validity);
        }
        for (earlier, later) in self.validity.iter().zip(self.validity.iter().skip(1)) {
            assert!(
                earlier.0.account != later.0.account || earlier.1 < later.1,
                "UIDVALIDITY ascends with ids"
            );
        }
    }
}

/// A session's view of one mailbox that learns only by deltas.
#[derive(Default)]
struct View {
    modseq: ModSeq,
    messages: BTreeMap<Uid, FlagState>,
}

impl View {
    fn follow(&mut self, key: MailboxKey, state: &mut State, rows: &Rows) {
        while let Some(need) = state.missing_of(&[Need::Index(key)]).first() {
            state.insert(rows.load(need));
        }
        let Some(mailbox) = state.mailbox(key) else { return };
        let index = mailbox.index.as_ref().unwrap();
        let expunged = index.expunged_since(self.modseq);
        let told = rows.expunged_since(key, self.modseq);
        assert!(expunged.as_ref().is_none_or(|it| *it == told), "the ring says what SQL says");
        self.messages.retain(|uid, _| !told.contains(*uid));
        let changed = index.changes_since(self.modseq);
        self.messages.extend(changed.iter().map(|row| (row.uid, FlagState::from(row))));
        self.modseq = mailbox.row.counters.modseq;
        assert!(self.messages.values().copied().eq(rows.live(key).map(|row| FlagState::from(&row))));
    }
}

struct Run {
    rows: Rows,
    warm: State,
    cold: State,
    moody: State,
    naive: Naive,
    history: History,
    views: BTreeMap<MailboxKey, View>,
    sent: Vec<(Entry, Outcome)>,
}

impl Run {
    fn new() -> Self {
        let rows = Rows::default();
        let state = || State::new(GroupId(1), rows.seed());
        let mut run = Self {
            warm: state(),
            cold: state(),
            moody: state(),
            naive: Naive::default(),
            history: History::default(),
            views: BTreeMap::new(),
            sent: vec![],
            rows: rows.clone(),
        };
        let open = Command::OpenInstance(FRONT);
        let (_, opened) = run.apply(&Entry { at: Timestamp(1), request: None, command: open });
        assert_eq!(opened, Ok(Reply::Done));
        run.tell(create_account(ANA, Quota::default()));
        run.tell(create_account(BEN, Quota { bytes_max: Some(2_000), messages_max: Some(40) }));
        run
    }

    fn step(&mut self, step: &Step) {
        let again = step.repeat.and_then(|back| self.sent.iter().rev().nth(usize::from(back)));
        match again {
            Some((entry, first)) => {
                let (entry, first) = (entry.clone(), first.clone());
                let (changes, outcome) = self.apply(&entry);
                assert_eq!((outcome, changes), (first, vec![]), "a repeated request applies once");
            }
            None => self.tell(command(step)),
        }
        self.moody.shrink(usize::from(step.cache));
        let key = MailboxKey { account: ANA, mailbox: MailboxId(1 + u32::from(step.cache) % 9) };
        let state = if step.account { &mut self.moody } else { &mut self.warm };
        self.views.entry(key).or_default().follow(key, state, &self.rows);
    }

    fn tell(&mut self, command: ShardCommand) {
        let sequence = self.sent.len() as u64 + 1;
        let acknowledged_below = sequence.saturating_sub(7);
        let request = Some(RequestId { instance: FRONT, sequence, acknowledged_below });
        let expected = self.naive.run(&command);
        // Every fifth clock lags behind.
        let at = Timestamp(sequence as i64 * 10 - if sequence.is_multiple_of(5) { 100 } else { 0 });
        let entry = Entry { at, request, command: Command::Shard(command) };
        let (changes, outcome) = self.apply(&entry);
        assert_eq!(outcome, expected, "{entry:?}");
        self.naive.assert_same(&self.rows);
        self.history.uids_are_never_used_again(&changes);
        self.history.modseqs_only_rise(&changes, &self.rows);
        self.history.uid_validity_is_fixed_and_never_given_twice(&self.rows);
        self.sent.push((entry, outcome));
    }

    /// On all replicas: what they have loaded must make no difference.
    fn apply(&mut self, entry: &Entry) -> (Vec<Change>, Outcome) {
        self.cold.shrink(0);
        let mut decisions = Vec::new();
        for state in [&mut self.warm, &mut self.cold, &mut self.moody] {
            self.rows.fill(state, &entry.command);
            decisions.push(decide(state, entry));
        }
        let decision = decisions.swap_remove(0);
        assert!(decisions.iter().all(|it| *it == decision), "replicas differ: {decision:?} {decisions:?}");
        self.rows.apply(&decision.changes);
        for state in [&mut self.warm, &mut self.cold, &mut self.moody] {
            state.absorb(&decision.changes);
            invariants::check(state).unwrap();
            what_is_in_memory_is_what_is_in_the_rows(state, &self.rows);
        }
        (decision.changes, decision.outcome)
    }
}

fn what_is_in_memory_is_what_is_in_the_rows(state: &State, rows: &Rows) {
    assert_eq!(state.time(), rows.time);
    for account in state.loaded_accounts() {
        let id = account.row.id;
        assert_eq!(account.row, rows.accounts[&id]);
        let mailboxes = rows.mailboxes.values().filter(|it| it.key.account == id);
        assert!(account.mailboxes_in_any_state().map(|it| &it.row).eq(mailboxes));
        for mailbox in account.mailboxes() {
            if let Some(index) = &mailbox.index {
                assert!(index.all().eq(rows.live(mailbox.key())));
            }
        }
    }
    let fresh = State::new(state.group(), rows.seed());
    assert_eq!(state.requests(), fresh.requests());
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn random_histories_are_those_of_the_naive_model(steps in steps(120)) {
        let mut run = Run::new();
        for step in &steps {
            run.step(step);
        }
    }
}

/// The random commands must get somewhere: a history of refusals would prove nothing.
#[test]
fn random_histories_do_something() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..30 {
        let mut run = Run::new();
        let steps = steps(120).new_tree(&mut runner).unwrap().current();
        steps.iter().for_each(|step| run.step(step));
        for (_, outcome) in &run.sent {
            let what = match outcome {
                Ok(Reply::Moved { source, .. }) if !source.is_empty() => "moved",
                Ok(Reply::Copied { source, .. }) if !source.is_empty() => "copied",
                Ok(Reply::Expunged { uids, .. }) if !uids.is_empty() => "expunged",
                Ok(Reply::Stored { messages, .. }) if !messages.is_empty() => "stored",
                Ok(Reply::Staged { messages: 1.. }) => "staged",
                Ok(Reply::Copied { .. } | Reply::Moved { .. }) => "idle",
                Ok(_) => "other",
                Err(_) => "refused",
            };
            *counts.entry(what).or_default() += 1;
        }
    }
    for what in ["moved", "copied", "expunged", "stored", "staged", "refused"] {
        assert!(counts.get(what).copied().unwrap_or(0) >= 30, "{counts:?}");
    }
}
