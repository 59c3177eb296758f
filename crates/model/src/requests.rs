//! Which requests were answered, and how (DESIGN promise 4): a repeated one gets its first outcome again.
//! All of it is in memory always.

use std::collections::BTreeMap;

use buzon_types::id::AccountId;
use buzon_types::request::{InstanceId, RequestId};
use buzon_types::time::Timestamp;

use crate::change::Change;
use crate::command::ArrivingRecord;
use crate::limits::RECORDS_PER_INSTANCE_MAX;
use crate::reply::{Outcome, Rejection};

/// Open instances with their records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    instances: BTreeMap<InstanceId, Instance>,
}

/// One client of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Requests below are forgotten.
    pub forgotten_below: u64,
    records: BTreeMap<u64, (Vec<AccountId>, Outcome)>,
}

/// What is to be done with a request.
pub(crate) enum Verdict {
    /// It is new: decide, then record. The mark moves there, if it moves.
    New(Option<u64>),
    /// It is answered already, or refused; the mark moves there, if it moves.
    Answered(Outcome, Option<u64>),
}

impl Instance {
    /// The greatest sequence that has a record.
    pub fn last(&self) -> Option<u64> {
        self.records.last_key_value().map(|(&sequence, _)| sequence)
    }
}

impl Requests {
    /// An open instance.
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// Open instances, by id.
    pub fn instances(&self) -> impl Iterator<Item = (InstanceId, &Instance)> {
        self.instances.iter().map(|(&id, instance)| (id, instance))
    }

    /// Other open instances of the same owner: their process is gone.
    pub(crate) fn left_behind(&self, id: InstanceId) -> impl Iterator<Item = InstanceId> + '_ {
        let all = InstanceId::owned(id.owner(), 0)..=InstanceId::owned(id.owner(), u64::MAX);
        let owned = self.instances.range(all).map(|(&other, _)| other);
        owned.filter(move |other| *other != id && id.owner() != 0)
    }

    /// An answered request's outcome.
    pub fn outcome(&self, instance: InstanceId, sequence: u64) -> Option<&Outcome> {
        self.instances.get(&instance)?.records.get(&sequence).map(|(_, outcome)| outcome)
    }

    /// Records that concern an account, by instance and sequence, after one: what moves with it. Looks at all of them.
    pub fn records_of(
        &self,
        account: AccountId,
        after: Option<(InstanceId, u64)>,
    ) -> impl Iterator<Item = ArrivingRecord> + '_ {
        let from = after.map_or(InstanceId(0), |(instance, _)| instance);
        self.instances.range(from..).flat_map(move |(&instance, of)| {
            let is_new = move |sequence: &u64| Some((instance, *sequence)) > after;
            let concerned = of.records.iter().filter(move |(sequence, record)| {
                is_new(sequence)
                    && record.0.contains(&account)
                    && !matches!(record.1, Err(Rejection::Moved { .. }))
            });
            concerned.map(move |(&sequence, (accounts, outcome))| ArrivingRecord {
                instance,
                opened_at: of.opened_at,
                forgotten_below: of.forgotten_below,
                sequence,
                accounts: accounts.clone(),
                outcome: outcome.clone(),
            })
        })
    }

    pub(crate) fn judge(&self, request: &RequestId) -> Verdict {
        let Some(instance) = self.instances.get(&request.instance) else {
            return Verdict::Answered(Err(Rejection::InstanceUnknown), None);
        };
        if request.sequence < instance.forgotten_below {
            return Verdict::Answered(Err(Rejection::RequestForgotten), None);
        }
        // A request cannot acknowledge itself; marks only rise, whatever a delayed copy says.
        let mark = request.acknowledged_below.min(request.sequence);
        let moved = (mark > instance.forgotten_below).then_some(mark);
        if let Some((_, outcome)) = instance.records.get(&request.sequence) {
            return Verdict::Answered(outcome.clone(), moved);
        }
        if instance.is_full(mark) {
            return Verdict::Answered(Err(Rejection::TooManyRequests), moved);
        }
        Verdict::New(moved)
    }

    pub(crate) fn open(&mut self, id: InstanceId, opened_at: Timestamp, forgotten_below: u64) {
        let instance = Instance { opened_at, forgotten_below, records: BTreeMap::new() };
        self.instances.entry(id).or_insert(instance);
    }

    pub(crate) fn record(
        &mut self,
        id: InstanceId,
        sequence: u64,
        accounts: Vec<AccountId>,
        outcome: Outcome,
    ) {
        if let Some(instance) = self.instances.get_mut(&id) {
            instance.records.insert(sequence, (accounts, outcome));
        }
    }

    pub(crate) fn absorb(&mut self, change: &Change) {
        match change {
            Change::OpenInstance(id, at) => self.open(*id, *at, 0),
            Change::CloseInstance(id) => drop(self.instances.remove(id)),
            Change::Record { instance, sequence, accounts, outcome } => {
                self.record(*instance, *sequence, accounts.clone(), outcome.clone());
            }
            Change::ForgetBelow { instance, sequence } => {
                if let Some(instance) = self.instances.get_mut(instance) {
                    instance.records = instance.records.split_off(sequence);
                    instance.forgotten_below = instance.forgotten_below.max(*sequence);
                }
            }
            _ => {}
        }
    }
}

impl Instance {
    /// How many outcomes are kept.
    pub fn records(&self) -> usize {
        self.records.len()
    }

    /// Answered requests that are not forgotten, ascending.
    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        self.records.keys().copied()
    }

    /// Whether there is no room for another record once those below `mark` are gone. Counts only when it may be.
    fn is_full(&self, mark: u64) -> bool {
        self.records.len() >= RECORDS_PER_INSTANCE_MAX
            && self.records.range(mark..).count() >= RECORDS_PER_INSTANCE_MAX
    }
}
