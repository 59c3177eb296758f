//! Turns a batch's changes into a handful of statements. Changes of the same row within a batch become one; where
//! order matters and cannot be kept that way, what is pending is written out first (a *barrier*).
//!
//! ```text
//! puts, counters ─▶ messages ─▶ summaries ─▶ flags ─▶ staged ─▶ expunges ─▶ removals ─▶ accounts gone
//! ```
//! Within one flush the statements run in this order, so a change may only join what is pending if nothing after
//! its own place in the line has been noted for the same row.

mod mail;
mod requests;

use std::collections::BTreeMap;

use buzon_model::change::Change;
use buzon_model::row::{
    AddressRow, DirectoryCounters, DomainRow, MoveRow, NodeRow, PlacementRow, ShardRow, TenantRow,
};
use buzon_types::address::{Address, Domain};
use buzon_types::id::{AccountId, FeatureLevel, GroupId, NodeId, TenantId};
use buzon_types::time::Timestamp;

use crate::cell::{Rows, Value};
use crate::codec::{cluster, directory};
use crate::span::Span;
use crate::statement::Statement;
use crate::store::OutcomeCodec;
use crate::table::{ADDRESS, DOMAIN, MOVE, NODE, PLACEMENT, SHARD, TENANT, Table};

pub(crate) use mail::put_runs;

/// What a batch does to the group's head, besides `applied`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadChange {
    pub(crate) time: Option<Timestamp>,
    pub(crate) feature_level: Option<FeatureLevel>,
    pub(crate) counters: Option<DirectoryCounters>,
}

/// One statement of a batch.
#[derive(Debug)]
pub enum Step {
    /// For many rows.
    Batch(Statement, Rows),
    /// For one; the part is `$1`, the values come after it.
    One {
        /// Its text.
        sql: &'static str,
        /// From `$2` on.
        values: Vec<Value>,
        /// Which rows it may write.
        touches: Vec<Span>,
    },
}

/// A batch, ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) head: HeadChange,
    pub(crate) steps: Vec<Step>,
}

/// Plans a batch.
pub(crate) fn plan(changes: &[Change], codec: &dyn OutcomeCodec) -> Plan {
    let mut planner = Planner::default();
    for change in changes {
        if planner.must_flush(change) {
            planner.flush(codec);
        }
        planner.take(change);
    }
    planner.flush(codec);
    planner.plan
}

#[derive(Default)]
struct Planner<'a> {
    plan: Plan,
    mail: mail::Pending<'a>,
    requests: requests::Pending<'a>,
    tenants: BTreeMap<TenantId, Option<&'a TenantRow>>,
    domains: BTreeMap<&'a Domain, Option<&'a DomainRow>>,
    placements: BTreeMap<AccountId, Option<&'a PlacementRow>>,
    addresses: BTreeMap<&'a Address, Option<&'a AddressRow>>,
    nodes: BTreeMap<NodeId, Option<&'a NodeRow>>,
    shards: BTreeMap<GroupId, Option<&'a ShardRow>>,
    moves: BTreeMap<AccountId, Option<&'a MoveRow>>,
}

impl<'a> Planner<'a> {
    fn must_flush(&self, change: &Change) -> bool {
        self.mail.must_flush(change) || self.requests.must_flush(change)
    }

    fn take(&mut self, change: &'a Change) {
        match change {
            Change::PutTenant(row) => drop(self.tenants.insert(row.id, Some(row))),
            Change::RemoveTenant(id) => drop(self.tenants.insert(*id, None)),
            Change::PutDomain(row) => drop(self.domains.insert(&row.domain, Some(row))),
            Change::RemoveDomain(domain) => drop(self.domains.insert(domain, None)),
            Change::PutPlacement(row) => drop(self.placements.insert(row.account, Some(row))),
            Change::RemovePlacement(account) => drop(self.placements.insert(*account, None)),
            Change::PutAddress(row) => drop(self.addresses.insert(&row.address, Some(row))),
            Change::RemoveAddress(address) => drop(self.addresses.insert(address, None)),
            Change::PutNode(row) => drop(self.nodes.insert(row.id, Some(row))),
            Change::PutMove(row) => drop(self.moves.insert(row.account, Some(row))),
            Change::RemoveMove(account) => drop(self.moves.insert(*account, None)),
            Change::PutShard(row) => drop(self.shards.insert(row.group, Some(row))),
            Change::SetDirectoryCounters(counters) => self.plan.head.counters = Some(*counters),
            Change::SetFeatureLevel(level) => self.plan.head.feature_level = Some(*level),
            Change::SetTime(time) => self.plan.head.time = Some(*time),
            Change::OpenInstance(..)
            | Change::CloseInstance(_)
            | Change::Record { .. }
            | Change::ForgetBelow { .. } => self.requests.take(change),
            _ => self.mail.take(change, &mut self.plan.steps),
        }
    }

    fn flush(&mut self, codec: &dyn OutcomeCodec) {
        let steps = &mut self.plan.steps;
        std::mem::take(&mut self.mail).flush(steps);
        std::mem::take(&mut self.requests).flush(steps, codec);
        write_map(steps, &TENANT, std::mem::take(&mut self.tenants), directory::put_tenant, |rows, id| {
            rows.row().unsigned(id.0);
        });
        write_map(
            steps,
            &DOMAIN,
            std::mem::take(&mut self.domains),
            directory::put_domain,
            |rows, domain| {
                rows.row().text(domain.as_str());
            },
        );
        let placements = std::mem::take(&mut self.placements);
        write_map(steps, &PLACEMENT, placements, directory::put_placement, |rows, account| {
            rows.row().unsigned(account.0);
        });
        let addresses = std::mem::take(&mut self.addresses);
        write_map(steps, &ADDRESS, addresses, directory::put_address, |rows, address| {
            rows.row().text(address.domain().as_str()).text(address.local());
        });
        write_map(steps, &NODE, std::mem::take(&mut self.nodes), cluster::put_node, |rows, node| {
            rows.row().unsigned(node.0);
        });
        write_map(steps, &SHARD, std::mem::take(&mut self.shards), cluster::put_shard, |rows, group| {
            rows.row().unsigned(group.0);
        });
        write_map(steps, &MOVE, std::mem::take(&mut self.moves), cluster::put_move, |rows, account| {
            rows.row().unsigned(account.0);
        });
    }
}

/// Last word for each key: a row to put, or none to delete.
fn write_map<K, R>(
    steps: &mut Vec<Step>,
    table: &'static Table,
    map: BTreeMap<K, Option<&R>>,
    put: impl Fn(&mut Rows, &R),
    key: impl Fn(&mut Rows, K),
) {
    if map.is_empty() {
        return;
    }
    let (mut puts, mut deletes) = (table.rows(), table.key_rows());
    for (id, row) in map {
        match row {
            Some(row) => put(&mut puts, row),
            None => key(&mut deletes, id),
        }
    }
    batch(steps, Statement::delete(table), deletes);
    batch(steps, Statement::put(table), puts);
}

/// Adds a step unless there is nothing to do.
fn batch(steps: &mut Vec<Step>, statement: Statement, rows: Rows) {
    if !rows.is_empty() {
        steps.push(Step::Batch(statement, rows));
    }
}

/// Every statement over a batch that a plan may hold or a read may run, for tests of how they run.
#[cfg(test)]
pub(crate) fn batch_statements() -> Vec<Statement> {
    let of_table = |table| [Statement::put(table), Statement::insert(table), Statement::delete(table)];
    let mut all: Vec<Statement> = crate::table::TABLES.into_iter().flat_map(of_table).collect();
    all.extend(mail::ALL);
    all.extend(requests::ALL);
    all.extend(crate::read::BATCHES);
    all
}
