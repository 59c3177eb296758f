//! What clients ask for: real commands about few accounts and mailboxes, so that they meet.

use buzon_model::command::{
    Command, CreateAccount, DirectoryCommand, NewMessage, Recipient, ShardCommand, StoreFlags, StoreMode,
    Transfer,
};
use buzon_model::row::{Quota, TenantLimits};
use buzon_types::address::{Address, Domain};
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::{Keyword, SystemFlags};
use buzon_types::id::{AccountId, DIRECTORY, Epoch, GroupId, MailboxId, MailboxKey, TenantId};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::time::InternalDate;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use crate::simulation::random::Random;

pub(crate) const ACCOUNTS: u64 = 3;
const NAMES: [&str; 8] = ["INBOX", "Sent", "a", "a/b", "a/b/c", "x/y", "INBOX/n", "b"];

/// Any command of that group.
pub(crate) fn random(random: &Random, group: GroupId) -> Command {
    if group == DIRECTORY { Command::Directory(directory(random)) } else { Command::Shard(shard(random)) }
}

fn shard(random: &Random) -> ShardCommand {
    let account = AccountId(1 + random.below(ACCOUNTS));
    let mailbox = || MailboxKey { account, mailbox: MailboxId(1 + random.below(5) as u32) };
    let transfer =
        || Transfer { source: mailbox(), uids: uids(random), target: MailboxId(1 + random.below(5) as u32) };
    let uid_validity_seed = random.below(1_000) as u32;
    match random.below(100) {
        0..12 => ShardCommand::CreateAccount(CreateAccount {
            account,
            tenant: TenantId(1),
            epoch: Epoch(1),
            address: Address::new(&format!("a{account}@example.com")).expect("it is an address"),
            credential: None,
            quota: Quota::default(),
            uid_validity_seed,
        }),
        12..34 => ShardCommand::Deliver { recipients: recipients(random, account), message: message(random) },
        34..46 => {
            let messages = (0..1 + random.below(3)).map(|_| message(random)).collect();
            ShardCommand::Append { mailbox: mailbox(), messages }
        }
        46..62 => ShardCommand::StoreFlags(StoreFlags {
            mailbox: mailbox(),
            uids: uids(random),
            mode: *random.pick(&[StoreMode::Add, StoreMode::Replace, StoreMode::Remove]).expect("some"),
            flags: flags(random),
            keywords: keywords(random),
            unchanged_since: None,
        }),
        62..70 => ShardCommand::Expunge { mailbox: mailbox(), uids: uids(random) },
        70..75 => ShardCommand::Copy(transfer()),
        75..80 => ShardCommand::Move(transfer()),
        80..85 => {
            let name = name(random);
            ShardCommand::CreateMailbox { account, name, special_use: None, uid_validity_seed }
        }
        85..87 => ShardCommand::DeleteMailbox { account, name: name(random) },
        87..89 => {
            ShardCommand::RenameMailbox { account, from: name(random), to: name(random), uid_validity_seed }
        }
        89 => ShardCommand::PurgeMailbox(mailbox()),
        90..92 => ShardCommand::ClaimRecent(mailbox()),
        92..94 => ShardCommand::StageCopy { staging: 5, transfer: transfer() },
        94 => ShardCommand::PublishCopy { account, staging: 5, messages: 1 + random.below(3) as u32 },
        95 => ShardCommand::DropCopy { account, staging: 5 },
        96 => ShardCommand::Subscribe { account, name: name(random) },
        97 => ShardCommand::Unsubscribe { account, name: name(random) },
        _ => ShardCommand::SetQuota {
            account,
            quota: Quota { bytes_max: random.permille(300).then_some(5_000), messages_max: None },
        },
    }
}

fn directory(random: &Random) -> DirectoryCommand {
    let tenant = TenantId(1 + random.below(4));
    let account = AccountId(1 + random.below(12));
    let domain = || {
        let text = format!("d{}.example", random.below(4));
        Domain::new(&text).expect("it is a domain")
    };
    let address = || {
        let text = format!("u{}@{}", random.below(12), domain());
        Address::new(&text).expect("it is an address")
    };
    let limits = TenantLimits { accounts_max: random.permille(300).then(|| random.below(5)) };
    match random.below(20) {
        0..4 => DirectoryCommand::CreateTenant { name: format!("t{}", random.below(6)), limits },
        4 => DirectoryCommand::SetTenantLimits { tenant, limits },
        5 => DirectoryCommand::DeleteTenant(tenant),
        6..9 => DirectoryCommand::AddDomain { tenant, domain: domain() },
        9 => DirectoryCommand::RemoveDomain { tenant, domain: domain() },
        10..13 => DirectoryCommand::PlaceAccount { tenant, address: address(), shard: GroupId(1) },
        13..15 => DirectoryCommand::ActivateAccount(account),
        15 => DirectoryCommand::BeginDeleteAccount(account),
        16 => DirectoryCommand::FinishDeleteAccount(account),
        17..19 => DirectoryCommand::AddAlias { address: address(), account },
        _ => DirectoryCommand::RemoveAlias { address: address() },
    }
}

fn recipients(random: &Random, account: AccountId) -> Vec<Recipient> {
    let to = |account| Recipient { account, mailbox: random.permille(300).then(|| name(random)) };
    let other = random.permille(300).then(|| to(AccountId(1 + random.below(ACCOUNTS + 1))));
    std::iter::once(to(account)).chain(other).collect()
}

fn name(random: &Random) -> MailboxName {
    MailboxName::new(random.pick(&NAMES).expect("some")).expect("it is a name")
}

fn flags(random: &Random) -> SystemFlags {
    SystemFlags::from_bits(random.below(32) as u8).unwrap_or(SystemFlags::NONE)
}

fn keywords(random: &Random) -> Vec<Keyword> {
    let words = ["$A", "b", "Cc"].into_iter().filter(|_| random.permille(150));
    words.map(|word| Keyword::new(word).expect("it is a keyword")).collect()
}

fn uids(random: &Random) -> UidSet {
    if random.permille(200) {
        return UidSet::from(Uid::MIN..=Uid::MAX);
    }
    (0..1 + random.below(4)).filter_map(|_| Uid::new(1 + random.below(40) as u32)).collect()
}

fn message(random: &Random) -> NewMessage {
    let size = 1 + random.below(200);
    let (object, key) = (ObjectId(random.next().into()), KeyId(0));
    NewMessage {
        flags: flags(random),
        keywords: keywords(random),
        internal_date: InternalDate { seconds: 7, zone_minutes: 60 },
        size,
        body: BodyRef { object, offset: 1, length: size, encoding: Encoding::Plain, key },
        summary: Bytes::from(format!("summary {size}")),
    }
}
