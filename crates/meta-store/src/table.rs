//! The tables and the order of their columns, once for both databases, pages and digests.
//!
//! `part` comes before the columns listed here in every table, and belongs to every key.

use crate::cell::{Kind, Rows};
use Kind::{Bytes, Int, Text};

/// A table whose rows belong to a group.
#[derive(Debug)]
pub(crate) struct Table {
    /// In SQL and in pages.
    pub(crate) name: &'static str,
    /// The key first; new ones come last and may be null.
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// How many of the columns are the key.
    pub(crate) keys: usize,
}

impl Table {
    /// Room for rows of this table.
    pub(crate) fn rows(&self) -> Rows {
        Rows::new(self.columns.iter().map(|column| column.1))
    }

    /// Room for keys of this table.
    pub(crate) fn key_rows(&self) -> Rows {
        Rows::new(self.key().iter().map(|column| column.1))
    }

    /// The columns of the key.
    pub(crate) fn key(&self) -> &'static [(&'static str, Kind)] {
        &self.columns[..self.keys]
    }
}

/// Every one, in the order of pages and digests.
pub(crate) const TABLES: [&Table; 16] = [
    &ACCOUNT,
    &MAILBOX,
    &SUBSCRIPTION,
    &MESSAGE,
    &SUMMARY,
    &TOMBSTONE,
    &STAGED,
    &INSTANCE,
    &RECORD,
    &TENANT,
    &DOMAIN,
    &PLACEMENT,
    &ADDRESS,
    &NODE,
    &SHARD,
    &MOVE,
];

pub(crate) const ACCOUNT: Table = Table {
    name: "account",
    keys: 1,
    columns: &[
        ("id", Int),
        ("tenant", Int),
        ("epoch", Int),
        ("local", Text),
        ("domain", Text),
        ("state", Int),
        ("credential", Bytes),
        ("credential_version", Int),
        ("quota_bytes", Int),
        ("quota_messages", Int),
        ("last_uid_validity", Int),
        ("next_mailbox", Int),
        ("created_at", Int),
        ("modseq", Int),
        ("bytes", Int),
        ("messages", Int),
        ("place", Int),
        ("place_shard", Int),
        ("place_epoch", Int),
        ("place_pages", Int),
        ("place_cursor", Bytes),
    ],
};

pub(crate) const MAILBOX: Table = Table {
    name: "mailbox",
    keys: 2,
    columns: &[
        ("account", Int),
        ("id", Int),
        ("name", Text),
        ("state", Int),
        ("uid_validity", Int),
        ("special_use", Int),
        ("keywords", Text),
        ("tombstone_floor", Int),
        ("created_at", Int),
        ("uid_next", Int),
        ("recent_from", Int),
        ("modseq", Int),
        ("messages", Int),
        ("unseen", Int),
        ("deleted", Int),
        ("bytes", Int),
    ],
};

pub(crate) const SUBSCRIPTION: Table =
    Table { name: "subscription", keys: 2, columns: &[("account", Int), ("name", Text)] };

pub(crate) const MESSAGE: Table = Table {
    name: "message",
    keys: 3,
    columns: &[
        ("account", Int),
        ("mailbox", Int),
        ("uid", Int),
        ("modseq", Int),
        ("flags", Int),
        ("keywords_low", Int),
        ("keywords_high", Int),
        ("size", Int),
        ("internal_seconds", Int),
        ("zone_minutes", Int),
        ("saved_at", Int),
        ("body_object", Bytes),
        ("body_offset", Int),
        ("body_length", Int),
        ("body_encoding", Int),
        ("body_key", Int),
    ],
};

pub(crate) const SUMMARY: Table = Table {
    name: "summary",
    keys: 3,
    columns: &[("account", Int), ("mailbox", Int), ("uid", Int), ("body", Bytes)],
};

pub(crate) const TOMBSTONE: Table = Table {
    name: "tombstone",
    keys: 3,
    columns: &[
        ("account", Int),
        ("mailbox", Int),
        ("uid", Int),
        ("modseq", Int),
        ("flags", Int),
        ("keywords_low", Int),
        ("keywords_high", Int),
        ("size", Int),
        ("internal_seconds", Int),
        ("zone_minutes", Int),
        ("saved_at", Int),
        ("body_object", Bytes),
        ("body_offset", Int),
        ("body_length", Int),
        ("body_encoding", Int),
        ("body_key", Int),
        ("expunged_at", Int),
    ],
};

pub(crate) const STAGED: Table = Table {
    name: "staged",
    keys: 3,
    columns: &[
        ("account", Int),
        ("staging", Bytes),
        ("ordinal", Int),
        ("target", Int),
        ("source_mailbox", Int),
        ("uid", Int),
        ("modseq", Int),
        ("flags", Int),
        ("keywords_low", Int),
        ("keywords_high", Int),
        ("size", Int),
        ("internal_seconds", Int),
        ("zone_minutes", Int),
        ("saved_at", Int),
        ("body_object", Bytes),
        ("body_offset", Int),
        ("body_length", Int),
        ("body_encoding", Int),
        ("body_key", Int),
        ("summary", Bytes),
    ],
};

pub(crate) const INSTANCE: Table =
    Table { name: "instance", keys: 1, columns: &[("id", Bytes), ("opened_at", Int), ("forget_below", Int)] };

pub(crate) const RECORD: Table = Table {
    name: "record",
    keys: 2,
    columns: &[("instance", Bytes), ("sequence", Int), ("accounts", Bytes), ("outcome", Bytes)],
};

pub(crate) const TENANT: Table = Table {
    name: "tenant",
    keys: 1,
    columns: &[
        ("id", Int),
        ("name", Bytes),
        ("accounts_max", Int),
        ("accounts", Int),
        ("domains", Int),
        ("created_at", Int),
    ],
};

pub(crate) const DOMAIN: Table =
    Table { name: "domain", keys: 1, columns: &[("domain", Text), ("tenant", Int), ("addresses", Int)] };

pub(crate) const PLACEMENT: Table = Table {
    name: "placement",
    keys: 1,
    columns: &[
        ("account", Int),
        ("tenant", Int),
        ("local", Text),
        ("domain", Text),
        ("shard", Int),
        ("epoch", Int),
        ("state", Int),
        ("created_at", Int),
    ],
};

pub(crate) const ADDRESS: Table =
    Table { name: "address", keys: 2, columns: &[("domain", Text), ("local", Text), ("account", Int)] };

pub(crate) const NODE: Table = Table {
    name: "cluster_node",
    keys: 1,
    columns: &[
        ("id", Int),
        ("address", Text),
        ("zone", Text),
        ("state", Int),
        ("incarnation", Bytes),
        ("added_at", Int),
    ],
};

pub(crate) const SHARD: Table = Table {
    name: "cluster_shard",
    keys: 1,
    columns: &[("group_id", Int), ("voters", Bytes), ("accounts", Int)],
};

pub(crate) const MOVE: Table = Table {
    name: "account_move",
    keys: 1,
    columns: &[
        ("account", Int),
        ("from_shard", Int),
        ("to_shard", Int),
        ("epoch", Int),
        ("state", Int),
        ("began_at", Int),
    ],
};
