//! The statements for mail, with the columns they take.

use crate::cell::Kind::{self, Bytes, Int};
use crate::cell::Rows;
use crate::span::{Run, Touch};
use crate::statement::Statement;
use crate::table::{ACCOUNT, MAILBOX, MESSAGE, STAGED, SUBSCRIPTION, SUMMARY, TOMBSTONE, Table};

/// Runs of UIDs.
pub(crate) const RUN_COLUMNS: &[(&str, Kind)] =
    &[("account", Int), ("mailbox", Int), ("first", Int), ("last", Int)];

/// Rows of runs of UIDs.
const fn run_of(table: &'static Table) -> Touch {
    Touch::Rows { table, prefix: &["account", "mailbox"], run: Some(Run::Between("first", "last")) }
}

const MESSAGES: &[Touch] = &[run_of(&MESSAGE)];
const TOMBSTONES: &[Touch] = &[run_of(&TOMBSTONE)];
const SUMMARIES: &[Touch] = &[run_of(&SUMMARY)];

pub(super) const SET_ACCOUNT_COUNTERS: Statement = Statement::new(
    &[("id", Int), ("modseq", Int), ("bytes", Int), ("messages", Int)],
    &[Touch::Key(&ACCOUNT)],
    include_str!("../../../queries/account/set_counters.sql"),
);
pub(super) const SET_MAILBOX_COUNTERS: Statement = Statement::new(
    &[
        ("account", Int),
        ("id", Int),
        ("uid_next", Int),
        ("recent_from", Int),
        ("modseq", Int),
        ("messages", Int),
        ("unseen", Int),
        ("deleted", Int),
        ("bytes", Int),
    ],
    &[Touch::Key(&MAILBOX)],
    include_str!("../../../queries/mailbox/set_counters.sql"),
);
pub(super) const COPY_SUMMARY: Statement = Statement::new(
    &[("account", Int), ("mailbox", Int), ("uid", Int), ("source_mailbox", Int), ("source_uid", Int)],
    &[Touch::Key(&SUMMARY)],
    include_str!("../../../queries/message/copy_summary.sql"),
);
pub(super) const SET_FLAGS: Statement = Statement::new(
    &[
        ("account", Int),
        ("mailbox", Int),
        ("uid", Int),
        ("modseq", Int),
        ("flags", Int),
        ("keywords_low", Int),
        ("keywords_high", Int),
    ],
    &[Touch::Key(&MESSAGE)],
    include_str!("../../../queries/message/set_flags.sql"),
);
pub(super) const STAGE: Statement = Statement::new(
    &[
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
    ],
    &[Touch::Key(&STAGED)],
    include_str!("../../../queries/staged/stage.sql"),
);
pub(super) const BURY: Statement = Statement::new(
    &[
        ("account", Int),
        ("mailbox", Int),
        ("first", Int),
        ("last", Int),
        ("modseq", Int),
        ("expunged_at", Int),
    ],
    TOMBSTONES,
    include_str!("../../../queries/message/bury.sql"),
);
pub(super) const DELETE_MESSAGES: Statement =
    Statement::new(RUN_COLUMNS, MESSAGES, include_str!("../../../queries/message/delete_message.sql"));
pub(super) const DELETE_TOMBSTONES: Statement =
    Statement::new(RUN_COLUMNS, TOMBSTONES, include_str!("../../../queries/message/delete_tombstone.sql"));
pub(super) const DELETE_SUMMARIES: Statement =
    Statement::new(RUN_COLUMNS, SUMMARIES, include_str!("../../../queries/message/delete_summary.sql"));

/// For tests of how they run.
#[cfg(test)]
pub(in crate::plan) const ALL: [Statement; 9] = [
    SET_ACCOUNT_COUNTERS,
    SET_MAILBOX_COUNTERS,
    COPY_SUMMARY,
    SET_FLAGS,
    STAGE,
    BURY,
    DELETE_MESSAGES,
    DELETE_TOMBSTONES,
    DELETE_SUMMARIES,
];

pub(super) const PUBLISH_MESSAGES: &str = include_str!("../../../queries/staged/publish_messages.sql");
pub(super) const PUBLISH_SUMMARIES: &str = include_str!("../../../queries/staged/publish_summaries.sql");
pub(super) const DROP_STAGED: &str = "DELETE FROM staged WHERE part = $1 AND account = $2 AND staging = $3";

/// All that hangs on an account, with the table it goes from; its messages are gone before.
pub(super) const REMOVE_ACCOUNT: [(&Table, &str); 4] = [
    (&STAGED, "DELETE FROM staged WHERE part = $1 AND account = $2"),
    (&SUBSCRIPTION, "DELETE FROM subscription WHERE part = $1 AND account = $2"),
    (&MAILBOX, "DELETE FROM mailbox WHERE part = $1 AND account = $2"),
    (&ACCOUNT, "DELETE FROM account WHERE part = $1 AND id = $2"),
];

impl Statement {
    /// Room for rows of this statement.
    pub(crate) fn rows(&self) -> Rows {
        Rows::new(self.columns.iter().map(|column| column.1))
    }
}
