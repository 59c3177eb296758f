//! Values that several benchmarks share. The benchmarks are the files beside this folder, one per part.

use buzon_model::command::{Command, CreateAccount, Entry, NewMessage, ShardCommand};
use buzon_model::row::Quota;
use buzon_model::state::State;
use buzon_model::testing::Rows;
use buzon_types::address::Address;
use buzon_types::body_ref::{BodyRef, Encoding, KeyId, ObjectId};
use buzon_types::flag::SystemFlags;
use buzon_types::id::{AccountId, Epoch, GroupId, MailboxId, MailboxKey, TenantId};
use buzon_types::time::{InternalDate, Timestamp};
use bytes::Bytes;

/// Whether a benchmark that measures by itself shall run: its name holds the filter on the command line, if there is one.
pub fn asked_for(name: &str) -> bool {
    std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .all(|filter| name.contains(&filter))
}

/// INBOX of the account that [`account_with`] makes.
pub const INBOX: MailboxKey = MailboxKey { account: AccountId(1), mailbox: MailboxId(1) };

/// Messages in one entry.
const BATCH: usize = 1000;

/// An entry without a request id.
pub fn entry(command: ShardCommand) -> Entry {
    Entry { at: Timestamp(1_700_000_000_000), request: None, command: Command::Shard(command) }
}

/// A message of 4 KB with a summary as large as most are.
pub fn message() -> NewMessage {
    NewMessage {
        flags: SystemFlags::NONE,
        keywords: Vec::new(),
        internal_date: InternalDate { seconds: 1_700_000_000, zone_minutes: 60 },
        size: 4096,
        body: BodyRef {
            object: ObjectId(7),
            offset: 16,
            length: 4096,
            encoding: Encoding::Plain,
            key: KeyId(0),
        },
        summary: Bytes::from(vec![b'x'; 1200]),
    }
}

/// A shard with one account that has so many messages in its INBOX, all loaded.
pub fn account_with(messages: usize) -> (Rows, State) {
    let group = GroupId(1);
    let mut rows = Rows::default();
    let mut state = State::new(group, rows.seed());
    let create = CreateAccount {
        account: INBOX.account,
        tenant: TenantId(1),
        epoch: Epoch(1),
        address: Address::new("ana@example.com").expect("an address"),
        credential: None,
        quota: Quota::default(),
        uid_validity_seed: 1,
    };
    rows.step(&mut state, &entry(ShardCommand::CreateAccount(create)));
    let mut left = messages;
    while left > 0 {
        let some = left.min(BATCH);
        let append = ShardCommand::Append { mailbox: INBOX, messages: vec![message(); some] };
        rows.step(&mut state, &entry(append));
        left -= some;
    }
    (rows, state)
}
