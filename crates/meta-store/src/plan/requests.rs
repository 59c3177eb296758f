//! Client instances and what their requests came to.

use std::collections::BTreeMap;

use buzon_model::change::Change;
use buzon_model::reply::Outcome;
use buzon_types::id::AccountId;
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use bytes::Bytes;

use super::{Step, batch};
use crate::cell::{Kind, Rows};
use crate::codec::mail::accounts_to_bytes;
use crate::span::{Run, Touch};
use crate::statement::Statement;
use crate::store::OutcomeCodec;
use crate::table::{INSTANCE, RECORD};

const MARK_COLUMNS: &[(&str, Kind)] = &[("instance", Kind::Bytes), ("forget_below", Kind::Int)];
const RAISE_MARK: Statement = Statement::new(
    MARK_COLUMNS,
    &[Touch::Rows { table: &INSTANCE, prefix: &["instance"], run: None }],
    include_str!("../../queries/request/raise_mark.sql"),
);
const FORGET: Statement = Statement::new(
    MARK_COLUMNS,
    &[Touch::Rows { table: &RECORD, prefix: &["instance"], run: Some(Run::Before("forget_below")) }],
    include_str!("../../queries/request/forget.sql"),
);
const CLOSE: Statement = Statement::new(
    &[("instance", Kind::Bytes)],
    &[Touch::Rows { table: &RECORD, prefix: &["instance"], run: None }],
    "DELETE FROM record WHERE (part, instance) IN (SELECT part, instance FROM input)",
);

/// For tests of how they run.
#[cfg(test)]
pub(super) const ALL: [Statement; 3] = [RAISE_MARK, FORGET, CLOSE];

#[derive(Default)]
struct InstanceChange {
    opened: Option<Timestamp>,
    forget_below: Option<u64>,
    closed: bool,
}

/// Noted and not yet written.
#[derive(Default)]
pub(super) struct Pending<'a> {
    instances: BTreeMap<InstanceId, InstanceChange>,
    records: BTreeMap<(InstanceId, u64), (&'a [AccountId], &'a Outcome)>,
}

impl<'a> Pending<'a> {
    /// Whether what is pending must be written before this change.
    pub(super) fn must_flush(&self, change: &Change) -> bool {
        let pending = |instance| self.instances.get(instance);
        match change {
            Change::OpenInstance(instance, _) | Change::ForgetBelow { instance, .. } => {
                pending(instance).is_some_and(|it| it.closed)
            }
            Change::Record { instance, sequence, .. } => pending(instance)
                .is_some_and(|it| it.closed || it.forget_below.is_some_and(|below| *sequence < below)),
            _ => false,
        }
    }

    /// Notes a change.
    pub(super) fn take(&mut self, change: &'a Change) {
        match change {
            Change::OpenInstance(instance, at) => {
                self.instances.entry(*instance).or_default().opened.get_or_insert(*at);
            }
            Change::CloseInstance(instance) => {
                self.records.retain(|(owner, _), _| owner != instance);
                self.instances
                    .insert(*instance, InstanceChange { closed: true, ..InstanceChange::default() });
            }
            Change::Record { instance, sequence, accounts, outcome } => {
                self.records.insert((*instance, *sequence), (accounts, outcome));
            }
            Change::ForgetBelow { instance, sequence } => {
                let mark = &mut self.instances.entry(*instance).or_default().forget_below;
                *mark = (*mark).max(Some(*sequence));
                while let Some((&key, _)) = self.records.range((*instance, 0)..(*instance, *sequence)).next()
                {
                    self.records.remove(&key);
                }
            }
            _ => {}
        }
    }

    /// Writes everything out.
    pub(super) fn flush(self, steps: &mut Vec<Step>, codec: &dyn OutcomeCodec) {
        let mut opened = INSTANCE.rows();
        let mut marks = Rows::new(MARK_COLUMNS.iter().map(|column| column.1));
        let mut closed = INSTANCE.key_rows();
        for (instance, change) in self.instances {
            if change.closed {
                closed.row().wide(instance.0);
                continue;
            }
            if let Some(at) = change.opened {
                opened.row().wide(instance.0).int(at.0).int(0);
            }
            if let Some(below) = change.forget_below {
                marks.row().wide(instance.0).unsigned(below);
            }
        }
        let mut records = RECORD.rows();
        for ((instance, sequence), (accounts, outcome)) in self.records {
            let outcome = Bytes::from(codec.encode(outcome));
            records
                .row()
                .wide(instance.0)
                .unsigned(sequence)
                .bytes(accounts_to_bytes(accounts))
                .bytes(outcome);
        }
        batch(steps, Statement::put_missing(&INSTANCE), opened); // open already: nothing happens
        batch(steps, FORGET, marks.clone()); // from the old mark on
        batch(steps, RAISE_MARK, marks);
        batch(steps, CLOSE, closed.clone());
        batch(steps, Statement::delete(&INSTANCE), closed);
        batch(steps, Statement::put(&RECORD), records);
    }
}
