//! Commands at random about three accounts of their own, small enough that much of it is taken.

use buzon_model::command::*;
use buzon_model::row::{AccountState, Quota};
use buzon_types::flag::SystemFlags;
use buzon_types::id::*;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::special_use::SpecialUse;
use buzon_types::uid::ModSeq;
use buzon_types::uid_set::UidSet;

use super::super::script::{Random, Script};
use super::{C, create, key, keyword, message, name, uids};

const FIRST: u64 = 31;
const NAMES: [&str; 7] = ["INBOX", "Sent", "a", "a/b", "a/b/c", "x", "INBOX/n"];

pub(super) fn commands(script: &mut Script, count: usize) {
    for account in FIRST..FIRST + 3 {
        script.send(Command::Shard(create(AccountId(account), Quota::default())));
    }
    for number in 0..count {
        let command = command(&mut script.random, 100 + number as u64);
        script.send(Command::Shard(command));
        if script.random.below(9) == 0 {
            script.again();
        }
    }
}

fn some_uids(random: &mut Random) -> UidSet {
    if random.below(3) == 0 {
        return uids(1..=40);
    }
    uids((1..20).filter(|_| random.below(4) == 0).collect::<Vec<_>>())
}

fn some_name(random: &mut Random) -> MailboxName {
    name(NAMES[random.below(7) as usize])
}

fn command(random: &mut Random, number: u64) -> C {
    let account = AccountId(FIRST + random.below(3));
    let mailbox = key(account, 1 + random.below(9) as u32);
    match random.below(46) {
        0..=11 => {
            let messages = (0..random.below(6)).map(|at| message(number + at, random.below(5_000))).collect();
            C::Append { mailbox, messages }
        }
        12..=14 => {
            let one = |random: &mut Random| Recipient {
                account: AccountId(FIRST + random.below(4)),
                mailbox: (random.below(2) == 0).then(|| some_name(random)),
            };
            let recipients = (0..3).map(|_| one(random)).collect();
            C::Deliver { recipients, message: message(number, random.below(5_000)) }
        }
        15..=21 => C::StoreFlags(StoreFlags {
            mailbox,
            uids: some_uids(random),
            mode: [StoreMode::Add, StoreMode::Replace, StoreMode::Remove][random.below(3) as usize],
            flags: SystemFlags::from_bits(random.below(32) as u8).unwrap(),
            keywords: vec![keyword(&format!("k{}", random.below(4)))],
            unchanged_since: if random.below(4) == 0 { ModSeq::new(1 + random.below(60)) } else { None },
        }),
        22..=24 => C::Expunge { mailbox, uids: some_uids(random) },
        25..=30 => transfer(random, mailbox),
        31..=33 => C::CreateMailbox {
            account,
            name: some_name(random),
            special_use: (random.below(3) == 0).then_some(SpecialUse::All),
            uid_validity_seed: random.below(100) as u32,
        },
        34 => C::DeleteMailbox { account, name: some_name(random) },
        35 => {
            let (from, to) = (some_name(random), some_name(random));
            C::RenameMailbox { account, from, to, uid_validity_seed: random.below(100) as u32 }
        }
        36 => C::Subscribe { account, name: some_name(random) },
        37 => C::Unsubscribe { account, name: some_name(random) },
        38 => C::ClaimRecent(mailbox),
        39 => C::PurgeMailbox(mailbox),
        40 => C::PublishCopy { account, staging: 5, messages: 1 + random.below(4) as u32 },
        41 => C::DropCopy { account, staging: 5 },
        42 => {
            let state = [AccountState::Active, AccountState::Suspended][random.below(2) as usize];
            C::SetAccountState { account, state }
        }
        43 => {
            let quota = Quota { bytes_max: Some(random.below(200_000)), messages_max: None };
            C::SetQuota { account, quota }
        }
        _ => C::Relocate(relocation(random, account)),
    }
}

fn transfer(random: &mut Random, source: MailboxKey) -> C {
    let target = MailboxId(1 + random.below(9) as u32);
    let transfer = Transfer { source, uids: some_uids(random), target };
    match random.below(3) {
        0 => C::Copy(transfer),
        1 => C::Move(transfer),
        _ => C::StageCopy { staging: 5, transfer },
    }
}

fn relocation(random: &mut Random, account: AccountId) -> Relocation {
    let step = Step { account, epoch: Epoch(2 + random.below(4)) };
    match random.below(4) {
        0 => Relocation::Freeze(Leaving { step, to: GroupId(9) }),
        1 => Relocation::Activate(step),
        // Mostly this, so that the accounts go on.
        _ => Relocation::AbortLeave(step),
    }
}
