//! Accounts that come from another shard, page by page: one whole, one half, one in vain.

use buzon_model::command::*;
use buzon_model::reply::{QuotaKind, Rejection, Reply};
use buzon_model::row::*;
use buzon_types::address::Address;
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::id::*;
use buzon_types::request::InstanceId;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::{InternalDate, Timestamp};
use buzon_types::uid::{ModSeq, Uid, UidValidity};
use bytes::Bytes;

use super::super::script::Script;
use super::{SEED, credential, key, keyword, message, name, purge};

const WHOLE: AccountId = AccountId(21);
const HALF: AccountId = AccountId(22);
const IN_VAIN: AccountId = AccountId(23);
const FROM: GroupId = GroupId(9);

pub(super) fn arrivals(script: &mut Script) {
    let mut relocate = |it| script.send(Command::Shard(ShardCommand::Relocate(it)));
    for account in [WHOLE, HALF, IN_VAIN] {
        relocate(Relocation::ArrivePage(Box::new(page(account, 1, rows(account)))));
        relocate(begin(account));
        relocate(begin(account));
        relocate(Relocation::ArrivePage(Box::new(page(account, 1, rows(account)))));
    }
    relocate(Relocation::ArrivePage(Box::new(page(WHOLE, 1, rows(WHOLE)))));
    relocate(Relocation::ArrivePage(Box::new(page(WHOLE, 3, ArrivingRows::default()))));
    relocate(Relocation::Activate(step(WHOLE)));
    relocate(Relocation::ArrivePage(Box::new(page(WHOLE, 2, last_rows(WHOLE)))));
    relocate(Relocation::Activate(step(WHOLE)));
    relocate(Relocation::Activate(step(WHOLE)));
    relocate(Relocation::DropArriving(step(WHOLE)));
    relocate(Relocation::DropArriving(step(IN_VAIN)));
    relocate(Relocation::DropArriving(step(IN_VAIN)));
    purge(script, IN_VAIN);
    let inbox = key(WHOLE, 1);
    script.send(Command::Shard(ShardCommand::Append { mailbox: inbox, messages: vec![message(30, 70)] }));
    script.send(Command::Shard(ShardCommand::ClaimRecent(inbox)));
    let mailbox = key(HALF, 1);
    script.send(Command::Shard(ShardCommand::Append { mailbox, messages: vec![message(30, 70)] }));
}

fn step(account: AccountId) -> Step {
    Step { account, epoch: Epoch(5) }
}

fn address(account: AccountId) -> Address {
    Address::new(&format!("u{account}@example.com")).unwrap()
}

fn begin(account: AccountId) -> Relocation {
    let (tenant, address) = (TenantId(12), address(account));
    Relocation::BeginArrive(BeginArrive { step: step(account), from: FROM, tenant, address })
}

fn page(account: AccountId, number: u64, rows: ArrivingRows) -> ArrivePage {
    ArrivePage { step: step(account), number, cursor: Bytes::from(format!("\0after {number}")), rows }
}

fn modseq(number: u64) -> ModSeq {
    ModSeq::new(number).unwrap()
}

fn row(uid: u32) -> MessageRow {
    let NewMessage { internal_date: InternalDate { seconds, .. }, body, .. } = message(u64::from(uid), 500);
    MessageRow {
        uid: Uid::new(uid).unwrap(),
        flags: SystemFlags::SEEN,
        keywords: KeywordBits::one(0),
        modseq: modseq(70 + u64::from(uid)),
        size: 500,
        internal_date: InternalDate { seconds, zone_minutes: 90 },
        saved_at: Timestamp(1_699_000_000_123),
        body,
    }
}

fn mailbox(account: AccountId) -> MailboxRow {
    let counters = MailboxCounters {
        uid_next: Uid::new(5),
        recent_from: Uid::new(4),
        modseq: modseq(74),
        messages: 2,
        unseen: 0,
        deleted: 0,
        bytes: 1000,
    };
    MailboxRow {
        key: key(account, 1),
        name: name("INBOX"),
        state: MailboxState::Live,
        uid_validity: UidValidity::new(SEED - 5).unwrap(),
        special_use: None,
        keywords: vec![keyword("$Junk")],
        tombstone_floor: modseq(5),
        created_at: Timestamp(1_690_000_000_000),
        counters,
    }
}

/// First all that is read while the account is in use.
fn rows(account: AccountId) -> ArrivingRows {
    let summary = |uid: u32| Bytes::from(format!("\0summary {uid}"));
    let message = |uid| ArrivingMessage { mailbox: MailboxId(1), row: row(uid), summary: summary(uid) };
    let tombstone = Tombstone { message: row(2), expunged_at: Timestamp(1_699_500_000_000) };
    let record = |instance, sequence, outcome| ArrivingRecord {
        instance,
        opened_at: Timestamp(1_698_000_000_000),
        forgotten_below: 3,
        sequence,
        accounts: vec![account],
        outcome,
    };
    let elsewhere = InstanceId::owned(40 + account.0, 1);
    ArrivingRows {
        mailboxes: vec![MailboxRow { state: MailboxState::Deleting, ..mailbox(account) }],
        messages: [1, 2, 4].map(message).to_vec(),
        tombstones: vec![ArrivingTombstone { mailbox: MailboxId(1), row: tombstone, summary: summary(2) }],
        subscriptions: vec![name("INBOX"), name("elsewhere")],
        records: vec![
            record(elsewhere, 9, Err(Rejection::OverQuota(QuotaKind::Bytes))),
            record(elsewhere, 10, Ok(Reply::Purged { more: true })),
        ],
        account: None,
    }
}

/// At last the mailboxes as they are, and the account itself.
fn last_rows(account: AccountId) -> ArrivingRows {
    let counters = mailbox(account).counters;
    let trash = MailboxRow {
        key: key(account, 5),
        name: name("Trash"),
        special_use: Some(SpecialUse::Trash),
        counters: MailboxCounters {
            uid_next: Uid::new(1),
            recent_from: None,
            messages: 0,
            bytes: 0,
            ..counters
        },
        ..mailbox(account)
    };
    let row = AccountRow {
        id: account,
        tenant: TenantId(12),
        epoch: Epoch(4),
        address: address(account),
        state: AccountState::Active,
        credential: credential(),
        credential_version: CredentialVersion(4),
        quota: Quota { bytes_max: Some(1 << 30), messages_max: None },
        last_uid_validity: SEED - 5,
        next_mailbox: MailboxId(12),
        created_at: Timestamp(1_690_000_000_000),
        counters: AccountCounters { modseq: modseq(99), bytes: 1000, messages: 2 },
        place: Place::Here,
    };
    ArrivingRows { mailboxes: vec![mailbox(account), trash], account: Some(row), ..ArrivingRows::default() }
}
