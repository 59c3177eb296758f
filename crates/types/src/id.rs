//! Ids of tenants, accounts, mailboxes, raft groups and nodes.
//!
//! Tenant and account ids are counted by the directory group, mailbox ids by their account, so that an account
//! moves between shards without renumbering. None is ever used again.

use std::fmt;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// A customer of the provider; owns domains and accounts.
    TenantId(u64)
}
id! {
    /// A person's mail: owns mailboxes, credentials and a quota. At most `i64::MAX`, as rows hold it.
    AccountId(u64)
}
id! {
    /// A mailbox within its account; counted from 1, never reused.
    MailboxId(u32)
}
id! {
    /// A raft group: 0 is the directory, every other one a shard.
    GroupId(u64)
}
id! {
    /// A metadata node's raft id. A node that lost its log gets a new one.
    NodeId(u64)
}
id! {
    /// One life of a node's disk: random, made anew when its log or database was lost (DESIGN D2).
    Incarnation(u128)
}
id! {
    /// Position in a group's log; 0 is before the first entry.
    LogIndex(u64)
}
id! {
    /// Counts the moves of an account between shards; a request with an old one is sent on.
    Epoch(u64)
}
id! {
    /// Counts the changes of an account's password or state; cached password checks are keyed by it.
    CredentialVersion(u64)
}
id! {
    /// The version of `decide` that a group runs (DESIGN D10).
    FeatureLevel(u32)
}

/// The group that knows tenants, domains and addresses.
pub const DIRECTORY: GroupId = GroupId(0);

/// A mailbox, named so that it is unique in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxKey {
    /// Who owns it.
    pub account: AccountId,
    /// Which of the account's mailboxes.
    pub mailbox: MailboxId,
}

impl fmt::Display for MailboxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.mailbox)
    }
}
