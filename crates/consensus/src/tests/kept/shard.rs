//! A log of a shard: every command taken and refused, then some at random.

mod arriving;
mod random;

use buzon_model::command::*;
use buzon_model::row::{AccountState, Quota};
use buzon_types::address::Address;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::id::*;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::request::InstanceId;
use buzon_types::secret::Secret;
use buzon_types::special_use::SpecialUse;
use buzon_types::staging::StagingId;
use buzon_types::time::InternalDate;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use super::SHARD;
use super::script::Script;

use ShardCommand as C;

const ANA: AccountId = AccountId(11);
const BOB: AccountId = AccountId(12);
const CARL: AccountId = AccountId(13);
const DORA: AccountId = AccountId(14);
const SEED: u32 = 1_700_000_000;
/// What every account begins with, in this order.
const INBOX: u32 = 1;
const TRASH: u32 = 5;
const ARCHIVE: u32 = 6;
/// More steps than any of these accounts takes to be purged.
const PURGES: usize = 10;
/// Commands at random.
const RANDOM: usize = 340;

pub(super) fn script(level: u32) -> Script {
    let mut script = Script::new(SHARD);
    accounts(&mut script);
    mailboxes(&mut script);
    messages(&mut script);
    copies(&mut script);
    renames(&mut script);
    script.requests(&Command::Shard(C::Subscribe { account: ANA, name: name("late") }));
    let misplaced = DirectoryCommand::DeleteTenant(TenantId(1));
    script.send(Command::Directory(misplaced));
    script.raise(level);
    script.new_leader();
    script.voters(&[&[1, 2, 3], &[2, 3, 4]]);
    script.voters(&[&[2, 3, 4]]);
    arriving::arrivals(&mut script);
    leaving(&mut script);
    script.now_at_random();
    random::commands(&mut script, RANDOM);
    script.pad();
    script
}

fn all(script: &mut Script, commands: impl IntoIterator<Item = C>) {
    commands.into_iter().for_each(|command| script.send(Command::Shard(command)));
}

fn key(account: AccountId, mailbox: u32) -> MailboxKey {
    MailboxKey { account, mailbox: MailboxId(mailbox) }
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

fn keyword(text: &str) -> Keyword {
    Keyword::new(text).unwrap()
}

fn uids(numbers: impl IntoIterator<Item = u32>) -> UidSet {
    numbers.into_iter().filter_map(Uid::new).collect()
}

fn create(account: AccountId, quota: Quota) -> C {
    C::CreateAccount(CreateAccount {
        account,
        tenant: TenantId(12),
        epoch: Epoch(1),
        address: Address::new(&format!("u{account}@example.com")).unwrap(),
        credential: credential(),
        quota,
        uid_validity_seed: SEED,
    })
}

fn credential() -> Option<Secret<String>> {
    Some(Secret::new("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned()))
}

fn message(number: u64, size: u64) -> NewMessage {
    let keywords = ["$Forwarded", "später", "b", "$Junk"];
    NewMessage {
        flags: SystemFlags::from_bits((number % 32) as u8).unwrap(),
        keywords: keywords[..(number % 5) as usize].iter().filter_map(|it| Keyword::new(it).ok()).collect(),
        internal_date: InternalDate { seconds: 1_700_000_000 + number as i64, zone_minutes: -330 },
        size,
        body: BodyRef {
            object: ObjectId(u128::from(number) << 70 | 5),
            offset: number * 4096,
            length: size,
            encoding: Encoding::Plain,
            key: KeyId(5),
        },
        summary: Bytes::from(format!("\0summary of {number}")),
    }
}

fn purge(script: &mut Script, account: AccountId) {
    for _ in 0..PURGES {
        script.send(Command::Shard(C::PurgeAccount(account)));
    }
}

fn accounts(script: &mut Script) {
    script.send(Command::Shard(create(ANA, Quota::default())));
    script.again();
    let small = Quota { bytes_max: Some(10_000), messages_max: Some(4) };
    all(
        script,
        [
            create(ANA, small),
            create(BOB, small),
            create(CARL, small),
            C::SetCredential { account: ANA, credential: None },
            C::SetCredential { account: ANA, credential: credential() },
            C::SetCredential { account: AccountId(99), credential: None },
            C::SetAccountState { account: BOB, state: AccountState::Suspended },
            C::SetAccountState { account: BOB, state: AccountState::Deleting },
            C::SetQuota { account: BOB, quota: Quota { bytes_max: Some(20_000), messages_max: Some(4) } },
            C::PurgeAccount(CARL),
            C::DeleteAccount(CARL),
            C::DeleteAccount(CARL),
            create(CARL, small),
        ],
    );
    purge(script, CARL);
}

fn create_mailbox(text: &str, special_use: Option<SpecialUse>) -> C {
    C::CreateMailbox { account: ANA, name: name(text), special_use, uid_validity_seed: SEED + 7 }
}

fn mailboxes(script: &mut Script) {
    all(
        script,
        [
            create_mailbox("work/2026", None), // 7 and 8
            create_mailbox("work/2026", None),
            create_mailbox("Größe/日本", None), // 9 and 10
            create_mailbox("inbox", None),
            create_mailbox("All", Some(SpecialUse::All)), // 11
            create_mailbox("Other", Some(SpecialUse::Trash)),
            C::Subscribe { account: ANA, name: name("work/2026") },
            C::Subscribe { account: ANA, name: name("not there") },
            C::Unsubscribe { account: ANA, name: name("Junk") },
            C::Unsubscribe { account: ANA, name: name("Junk") },
        ],
    );
}

fn store(of: &[u32], mode: StoreMode, flags: SystemFlags, unchanged_since: Option<u64>) -> C {
    C::StoreFlags(StoreFlags {
        mailbox: key(ANA, INBOX),
        uids: uids(of.iter().copied()),
        mode,
        flags,
        keywords: vec![keyword("$Junk"), keyword("k")],
        unchanged_since: unchanged_since.and_then(ModSeq::new),
    })
}

fn messages(script: &mut Script) {
    let append = |mailbox, numbers: std::ops::Range<u64>| C::Append {
        mailbox,
        messages: numbers.map(|number| message(number, 100 * number)).collect(),
    };
    let recipients = vec![
        Recipient { account: ANA, mailbox: None },
        Recipient { account: BOB, mailbox: Some(name("Sent")) },
        Recipient { account: BOB, mailbox: Some(name("not there")) },
        Recipient { account: AccountId(99), mailbox: None },
    ];
    let to_bob = |number| C::Deliver {
        recipients: vec![Recipient { account: BOB, mailbox: None }],
        message: message(number, 7_000),
    };
    all(
        script,
        [
            append(key(ANA, INBOX), 1..6),
            append(key(ANA, INBOX), 0..0),
            append(key(ANA, 99), 1..2),
            C::Deliver { recipients, message: message(6, 600) },
            to_bob(7),
            to_bob(8),
            to_bob(9),
            append(key(BOB, INBOX), 10..14),
            store(&[1, 2, 99], StoreMode::Add, SystemFlags::FLAGGED, None),
            store(&[2, 3], StoreMode::Replace, SystemFlags::SEEN, None),
            store(&[3], StoreMode::Remove, SystemFlags::SEEN, None),
            store(&[1, 2, 3, 4], StoreMode::Add, SystemFlags::ANSWERED, Some(5)),
            store(&[1, 2], StoreMode::Add, SystemFlags::DELETED, None),
            C::Expunge { mailbox: key(ANA, INBOX), uids: uids(2..100) },
            C::Expunge { mailbox: key(ANA, INBOX), uids: uids(2..100) },
            C::ClaimRecent(key(ANA, INBOX)),
            C::ClaimRecent(key(ANA, INBOX)),
            C::ClaimRecent(key(ANA, 99)),
        ],
    );
    script.again();
}

fn copies(script: &mut Script) {
    let transfer = |of: std::ops::RangeInclusive<u32>, target| Transfer {
        source: key(ANA, INBOX),
        uids: uids(of),
        target: MailboxId(target),
    };
    let owner = InstanceId::owned(7, 1);
    let (first, second, third) =
        (StagingId::of(owner, 1).0, StagingId::of(owner, 2).0, StagingId::of(owner, 3).0);
    let stage = |staging, transfer| C::StageCopy { staging, transfer };
    let publish = |staging, messages| C::PublishCopy { account: ANA, staging, messages };
    all(
        script,
        [
            C::Copy(transfer(1..=4, ARCHIVE)),
            C::Copy(transfer(1..=4, 99)),
            C::Copy(transfer(80..=90, ARCHIVE)),
            C::Move(transfer(4..=4, 7)),
            C::Move(transfer(5..=5, INBOX)),
            stage(first, transfer(1..=3, TRASH)),
            stage(first, transfer(1..=3, TRASH)),
            stage(first, transfer(6..=6, ARCHIVE)),
            stage(first, transfer(6..=6, TRASH)),
            publish(first, 1),
            publish(first, 3),
            publish(first, 3),
            stage(second, transfer(1..=5, TRASH)),
            stage(third, transfer(1..=5, ARCHIVE)),
            C::DropCopy { account: ANA, staging: third },
            C::DropCopy { account: ANA, staging: third },
        ],
    );
}

fn renames(script: &mut Script) {
    let rename = |from, to| C::RenameMailbox {
        account: ANA,
        from: name(from),
        to: name(to),
        uid_validity_seed: SEED + 9,
    };
    let delete = |text| C::DeleteMailbox { account: ANA, name: name(text) };
    all(
        script,
        [
            rename("work", "projects/old"),
            rename("projects", "projects/new"),
            rename("nowhere", "somewhere"),
            rename("INBOX", "before"),
            rename("before", "Archive"),
            C::PurgeMailbox(key(ANA, 8)),
            delete("projects/old/2026"),
            C::PurgeMailbox(key(ANA, 8)),
            C::PurgeMailbox(key(ANA, 8)),
            delete("INBOX"),
            delete("before"), // stays half deleted
            delete("before"),
            C::Append { mailbox: key(ANA, ARCHIVE), messages: vec![message(20, 5)] },
        ],
    );
}

/// Accounts that go: one comes back to where it was, one leaves for good, one stands still.
fn leaving(script: &mut Script) {
    let step = |account| Step { account, epoch: Epoch(2) };
    let relocate = |it| Command::Shard(C::Relocate(it));
    let freeze = |account| Relocation::Freeze(Leaving { step: step(account), to: GroupId(9) });
    let append =
        |account| Command::Shard(C::Append { mailbox: key(account, 6), messages: vec![message(3, 9)] });
    let all = [
        relocate(Relocation::FinishLeave(step(ANA))),
        relocate(freeze(ANA)),
        append(ANA),
        relocate(freeze(ANA)),
        relocate(Relocation::AbortLeave(step(ANA))),
        append(ANA),
        relocate(freeze(ANA)),
        relocate(freeze(BOB)),
        relocate(Relocation::FinishLeave(step(BOB))),
        relocate(Relocation::FinishLeave(step(BOB))),
        append(BOB),
        relocate(Relocation::AbortLeave(step(BOB))),
    ];
    all.into_iter().for_each(|command| script.send(command));
    purge(script, BOB);
    script.send(Command::Shard(create(DORA, Quota::default())));
    script.send(append(DORA));
    script.send(relocate(freeze(DORA)));
    let late = Step { account: DORA, epoch: Epoch(1) };
    script.send(relocate(Relocation::AbortLeave(late)));
}
