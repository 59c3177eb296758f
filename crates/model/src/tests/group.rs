//! One group under test: a state over rows in maps, checked after each entry.

use buzon_types::address::Address;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::id::{AccountId, DIRECTORY, Epoch, GroupId, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::RequestId;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::change::Change;
use crate::command::{
    Command, CreateAccount, Entry, NewMessage, ShardCommand, StoreFlags, StoreMode, Transfer,
};
use crate::decide::Decision;
use crate::invariants;
use crate::reply::{Outcome, Rejection, Reply};
use crate::row::{MailboxRow, Quota};
use crate::state::State;
use crate::testing::Rows;

pub(super) const ANA: AccountId = AccountId(1);
pub(super) const BEN: AccountId = AccountId(2);

pub(super) struct Group {
    pub(super) state: State,
    pub(super) rows: Rows,
    pub(super) at: i64,
}

impl Group {
    pub(super) fn new(group: GroupId) -> Self {
        let rows = Rows::default();
        Self { state: State::new(group, rows.seed()), rows, at: 1_000 }
    }

    pub(super) fn directory() -> Self {
        Self::new(DIRECTORY)
    }

    /// A shard with ana, whose mailboxes have ids 1 (INBOX) to 6 (Archive).
    pub(super) fn shard() -> Self {
        let mut group = Self::new(GroupId(1));
        assert_eq!(group.run(create_account(ANA, Quota::default())), Ok(Reply::Done));
        group
    }

    pub(super) fn entry(&mut self, command: Command, request: Option<RequestId>) -> Entry {
        self.at += 1;
        Entry { at: Timestamp(self.at), request, command }
    }

    pub(super) fn decide(&mut self, command: Command, request: Option<RequestId>) -> Decision {
        let entry = self.entry(command, request);
        let decision = self.rows.step(&mut self.state, &entry);
        invariants::check(&self.state).unwrap();
        if decision.outcome.is_err() {
            let told = |it: &Change| {
                matches!(it, Change::SetTime(_) | Change::Record { .. } | Change::ForgetBelow { .. })
            };
            assert!(decision.changes.iter().all(told), "a refusal changes nothing: {decision:?}");
        }
        decision
    }

    pub(super) fn run(&mut self, command: ShardCommand) -> Outcome {
        self.decide(Command::Shard(command), None).outcome
    }

    /// Runs a command that is to change nothing.
    pub(super) fn run_idle(&mut self, command: ShardCommand) -> Outcome {
        let decision = self.decide(Command::Shard(command), None);
        assert!(matches!(decision.changes[..], [] | [Change::SetTime(_)]), "{decision:?}");
        decision.outcome
    }

    pub(super) fn refuse(&mut self, command: ShardCommand, rejection: Rejection) {
        assert_eq!(self.run(command), Err(rejection));
    }

    pub(super) fn create(&mut self, name_of: &str) -> MailboxKey {
        match self.run(create_mailbox(name_of)) {
            Ok(Reply::MailboxCreated { mailbox, .. }) => MailboxKey { account: ANA, mailbox },
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn fill(&mut self, mailbox: MailboxKey, flags: &[SystemFlags]) {
        let messages = flags.iter().map(|&flags| message(10, flags, &[])).collect();
        self.run(ShardCommand::Append { mailbox, messages }).unwrap();
    }

    pub(super) fn row(&self, key: MailboxKey) -> &MailboxRow {
        &self.rows.mailboxes[&key]
    }

    pub(super) fn names(&self) -> Vec<String> {
        let account = self.state.account(ANA).unwrap();
        account.mailboxes().map(|it| it.row.name.to_string()).collect()
    }

    pub(super) fn uids(&self, key: MailboxKey) -> String {
        self.rows.live(key).map(|row| row.uid).collect::<UidSet>().to_string()
    }
}

pub(super) fn create_account(account: AccountId, quota: Quota) -> ShardCommand {
    ShardCommand::CreateAccount(CreateAccount {
        account,
        tenant: TenantId(1),
        epoch: Epoch(1),
        address: Address::new(&format!("a{account}@example.com")).unwrap(),
        credential: None,
        quota,
        uid_validity_seed: 1_000,
    })
}

pub(super) fn create_mailbox(name_of: &str) -> ShardCommand {
    let name = name(name_of);
    ShardCommand::CreateMailbox { account: ANA, name, special_use: None, uid_validity_seed: 0 }
}

pub(super) fn rename(from: &str, to: &str) -> ShardCommand {
    ShardCommand::RenameMailbox { account: ANA, from: name(from), to: name(to), uid_validity_seed: 0 }
}

pub(super) fn delete(name_of: &str) -> ShardCommand {
    ShardCommand::DeleteMailbox { account: ANA, name: name(name_of) }
}

pub(super) fn message(size: u64, flags: SystemFlags, keywords: &[&str]) -> NewMessage {
    NewMessage {
        flags,
        keywords: keywords.iter().map(|it| keyword(it)).collect(),
        internal_date: InternalDate { seconds: 7, zone_minutes: 60 },
        size,
        body: BodyRef {
            object: ObjectId(u128::from(size)),
            offset: 1,
            length: size,
            encoding: Encoding::Plain,
            key: KeyId(0),
        },
        summary: Bytes::from(format!("summary {size}")),
    }
}

pub(super) fn append(mailbox: MailboxKey, size: u64) -> ShardCommand {
    ShardCommand::Append { mailbox, messages: vec![message(size, SystemFlags::NONE, &[])] }
}

pub(super) fn store(mailbox: MailboxKey, uids: &str, mode: StoreMode, flags: SystemFlags) -> StoreFlags {
    StoreFlags { mailbox, uids: uids_of(uids), mode, flags, keywords: vec![], unchanged_since: None }
}

pub(super) fn transfer(source: MailboxKey, uids: &str, target: MailboxKey) -> Transfer {
    Transfer { source, uids: uids_of(uids), target: target.mailbox }
}

pub(super) fn key(mailbox: u32) -> MailboxKey {
    MailboxKey { account: ANA, mailbox: MailboxId(mailbox) }
}

pub(super) fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub(super) fn keyword(text: &str) -> Keyword {
    Keyword::new(text).unwrap()
}

pub(super) fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

pub(super) fn modseq(value: u64) -> ModSeq {
    ModSeq::new(value).unwrap()
}

/// `1:3,7`
pub(super) fn uids_of(text: &str) -> UidSet {
    let runs = text.split(',').filter(|run| !run.is_empty()).map(|run| {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        (uid(first.parse().unwrap()), uid(last.parse().unwrap()))
    });
    UidSet::from_runs(runs)
}
