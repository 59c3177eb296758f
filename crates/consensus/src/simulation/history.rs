//! What a group's log came to: every committed entry once, in order, decided by one state machine that has all rows in
//! memory and never fails. What any replica does is compared with it.

use std::collections::BTreeMap;

use buzon_model::change::Change;
use buzon_model::command::Entry as Decree;
use buzon_model::reply::Outcome;
use buzon_model::state::State;
use buzon_model::testing::Rows;
use buzon_types::id::{GroupId, LogIndex, MailboxKey};
use bytes::Bytes;
use openraft::EntryPayload;

use super::digest;
use crate::record;

/// See the module. Positions count from 1.
pub(crate) struct History {
    entries: Vec<Decided>,
    rows: Rows,
    state: State,
    /// What clients see of a mailbox from a position on.
    mailboxes: BTreeMap<MailboxKey, Vec<(LogIndex, u64)>>,
}

/// A committed entry.
pub(crate) struct Decided {
    pub(crate) index: LogIndex,
    /// As it stands in the log.
    pub(crate) bytes: Bytes,
    /// What it asks for; none for raft's own entries.
    pub(crate) decree: Option<Decree>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) changes: Vec<Change>,
    /// Of the rows after it.
    pub(crate) digest: u64,
}

impl History {
    pub(crate) fn new(group: GroupId) -> Self {
        let rows = Rows::default();
        let state = State::new(group, rows.seed());
        Self { entries: Vec::new(), rows, state, mailboxes: BTreeMap::new() }
    }

    pub(crate) fn last(&self) -> LogIndex {
        LogIndex(self.entries.len() as u64)
    }

    pub(crate) fn at(&self, index: LogIndex) -> Option<&Decided> {
        self.entries.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
    }

    /// The next entry.
    pub(crate) fn decide(&mut self, bytes: Bytes) -> Result<&Decided, String> {
        let index = LogIndex(self.last().0 + 1);
        let entry = record::decode_entry(bytes.clone()).map_err(|error| error.to_string())?;
        let decree = match entry.payload {
            EntryPayload::Normal(command) => {
                let decree = buzon_proto::log::decode_entry(command.0);
                Some(decree.map_err(|error| error.to_string())?)
            }
            _ => None,
        };
        let before = self.entries.last().map_or_else(|| digest::of_rows(&self.rows), |last| last.digest);
        let mut decided =
            Decided { index, bytes, decree, outcome: None, changes: Vec::new(), digest: before };
        if let Some(decree) = &decided.decree {
            let decision = self.rows.step(&mut self.state, decree);
            decided.digest = digest::of_rows(&self.rows);
            (decided.outcome, decided.changes) = (Some(decision.outcome), decision.changes);
            let accounts = decree.command.accounts();
            for key in self.rows.mailboxes.keys().filter(|key| accounts.contains(&key.account)) {
                let seen = digest::of_mailbox(&self.rows, *key);
                let history = self.mailboxes.entry(*key).or_default();
                if history.last().is_none_or(|last| last.1 != seen) {
                    history.push((index, seen));
                }
            }
        }
        self.entries.push(decided);
        Ok(self.entries.last().expect("just pushed"))
    }

    /// What a client sees of a mailbox at a position.
    pub(crate) fn mailbox_at(&self, key: MailboxKey, index: LogIndex) -> u64 {
        let history = self.mailboxes.get(&key).map(Vec::as_slice).unwrap_or_default();
        let until = history.partition_point(|(from, _)| *from <= index);
        until.checked_sub(1).map_or(0, |at| history[at].1)
    }

    /// What every model must hold to.
    pub(crate) fn check(&self) -> Result<(), String> {
        buzon_model::invariants::check(&self.state).map_err(|broken| broken.to_string())
    }
}
