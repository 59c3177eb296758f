//! Removes what nobody needs any more, in steps, beside the normal work: rows of deleted mailboxes, and copies that were
//! staged by clients that are gone, and these clients' instances (`silent`).
//!
//! ```text
//! this node begins to lead a group, and every hour ─▶ all of the group, by indexes that hold such rows alone
//! a mailbox was deleted, or a list found one       ─▶ its account
//! a client instance was opened or closed           ─▶ the group's staged copies
//! ```
//! What is forgotten here is found by the next look: nobody but the disk notices in between. A staged copy is dropped once
//! the group has closed the instance that its name tells: none of its steps can apply any more
//! (docs/decisions/0007-who-staged-it.md).

mod silent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buzon_model::command::{Command, ShardCommand};
use buzon_model::read::ReadAt;
use buzon_model::reply::Reply;
use buzon_model::row::MailboxState;
use buzon_model::scope::Need;
use buzon_model::state::State;
use buzon_proto::status::CallError;
use buzon_types::id::{AccountId, GroupId, LogIndex, MailboxKey, NodeId};
use buzon_types::staging::StagingId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use self::silent::Silent;
use crate::groups::{Groups, Replica, cold};

/// Orders that wait; more are left for the next look at their group.
const WAITING_MAX: usize = 1024;
/// Steps for one mailbox in a row: of 2,000 messages each, more than the largest mailbox needs.
const STEPS_MAX: u32 = 10_000;
/// How often to see which groups this node leads: rows wait that may wait for hours.
const LEADER_CHECK: Duration = Duration::from_secs(10);
/// A group that is led for long is looked at again so often, for what was forgotten.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// Mailboxes or copies in one read.
const PAGE_ROWS: u32 = 256;

/// Takes orders. The work ends with the last handle.
#[derive(Debug, Clone)]
pub(crate) struct Janitor {
    waiting: mpsc::Sender<Order>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    /// An account's deleted mailboxes, in a state that has applied the index.
    Account(GroupId, AccountId, LogIndex),
    /// A group's staged copies.
    Copies(GroupId),
}

impl Janitor {
    pub(crate) fn start(groups: Arc<dyn Groups>) -> (Self, JoinHandle<()>) {
        let (waiting, orders) = mpsc::channel(WAITING_MAX);
        (Self { waiting }, tokio::spawn(work(groups, orders)))
    }

    /// Looks at an account, in a state that has applied `index`, when there is time.
    pub(crate) fn look_at(&self, group: GroupId, account: AccountId, index: LogIndex) {
        // Full: the next look at the group finds it.
        let _ = self.waiting.try_send(Order::Account(group, account, index));
    }

    /// Looks for staged copies whose clients are gone, when there is time.
    pub(crate) fn look_for_copies(&self, group: GroupId) {
        let _ = self.waiting.try_send(Order::Copies(group));
    }
}

async fn work(groups: Arc<dyn Groups>, mut orders: mpsc::Receiver<Order>) {
    let mut rounds = Rounds::default();
    let mut ticks = tokio::time::interval(LEADER_CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => follow(&*groups, order).await,
                None => return,
            },
            _ = ticks.tick() => {
                for replica in rounds.due(&*groups) {
                    let mut done = clean(&*replica).await;
                    if done.is_ok() {
                        done = rounds.close_silent(&*replica).await;
                    }
                    if done.is_err() {
                        rounds.look_again(replica.id());
                    }
                    noted(replica.id(), done);
                }
            }
        }
    }
}

async fn follow(groups: &dyn Groups, order: Order) {
    let (Order::Account(group, ..) | Order::Copies(group)) = order;
    let Some(replica) = groups.group(group) else { return };
    let done = match order {
        Order::Account(_, account, index) => clean_account(&*replica, account, index).await,
        Order::Copies(_) => drop_left_copies(&*replica).await,
    };
    noted(group, done);
}

fn noted(group: GroupId, done: Result<(), CallError>) {
    if let Err(error) = done {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(%group, error, "deleted mailboxes and staged copies are left for later");
    }
}

/// The groups that were looked at.
#[derive(Debug, Default)]
struct Rounds(BTreeMap<GroupId, Round>);

/// The last look at a group.
#[derive(Debug)]
struct Round {
    /// In which term of this node's.
    term: u64,
    at: Instant,
    silent: Silent,
}

impl Rounds {
    /// Groups that this node leads and that are to be looked at now.
    fn due(&mut self, groups: &dyn Groups) -> Vec<Arc<dyn Replica>> {
        let (node, now, mut before) = (groups.node(), Instant::now(), std::mem::take(&mut self.0));
        let mut due = Vec::new();
        for replica in groups.groups() {
            let Some(term) = term_of_leader(&*replica, node) else { continue };
            let last = before.remove(&replica.id()).filter(|last| last.term == term);
            let is_due = last.as_ref().is_none_or(|last| now >= last.at + LOOK_EVERY);
            let mut round = last.unwrap_or(Round { term, at: now, silent: Silent::default() });
            if is_due {
                round.at = now;
                due.push(Arc::clone(&replica));
            }
            self.0.insert(replica.id(), round);
        }
        due
    }

    /// Closes instances that have said nothing for too long.
    async fn close_silent(&mut self, replica: &dyn Replica) -> Result<(), CallError> {
        let Some(round) = self.0.get_mut(&replica.id()) else { return Ok(()) };
        let none: [Need; 0] = [];
        let open = replica.read(ReadAt::Linearizable, none, |state| {
            let open = state.requests().instances();
            open.map(|(id, it)| (id, (it.forgotten_below, it.last()))).collect::<Vec<_>>()
        });
        for instance in round.silent.look(open.await?.value.into_iter()) {
            tracing::info!(group = %replica.id(), %instance, "a client instance is closed that was silent for a week");
            // It may be closed by now, or go on: then it is refused, and opens another.
            let _answer = replica.propose(None, Command::CloseInstance(instance)).await?;
        }
        Ok(())
    }

    /// At the next tick, if this node still leads it.
    fn look_again(&mut self, group: GroupId) {
        self.0.remove(&group);
    }
}

/// The term in which this node leads.
fn term_of_leader(replica: &dyn Replica, node: NodeId) -> Option<u64> {
    let status = replica.status();
    (status.leader == Some(node)).then_some(status.term)
}

/// Everything in a group that is to go.
async fn clean(replica: &dyn Replica) -> Result<(), CallError> {
    let mut after = None;
    loop {
        let page =
            replica.rows().await?.deleting_mailboxes(replica.id(), after, PAGE_ROWS).await.map_err(cold)?;
        let Some(&last) = page.last() else { break };
        for key in page {
            purge(replica, key).await?;
        }
        after = Some(last);
    }
    drop_left_copies(replica).await
}

/// Removes what is left of an account's deleted mailboxes.
async fn clean_account(replica: &dyn Replica, account: AccountId, index: LogIndex) -> Result<(), CallError> {
    let found = replica.read(ReadAt::Index(index), [Need::Account(account)], |state| {
        let account = state.account(account);
        let mailboxes = account.into_iter().flat_map(|account| account.mailboxes_in_any_state());
        let deleted = mailboxes.filter(|mailbox| mailbox.row.state == MailboxState::Deleting);
        deleted.map(|mailbox| mailbox.row.key).collect::<Vec<_>>()
    });
    for key in found.await?.value {
        purge(replica, key).await?;
    }
    Ok(())
}

/// A step may be repeated, so it needs no request id.
async fn purge(replica: &dyn Replica, key: MailboxKey) -> Result<(), CallError> {
    for _ in 0..STEPS_MAX {
        let step = Command::Shard(ShardCommand::PurgeMailbox(key));
        match replica.propose(None, step).await? {
            (_, Ok(Reply::Purged { more: true })) => {}
            // Done, or somebody else did it.
            _ => break,
        }
    }
    Ok(())
}

/// Drops staged copies that nobody can publish any more.
async fn drop_left_copies(replica: &dyn Replica) -> Result<(), CallError> {
    let mut after = None;
    loop {
        let page = replica.rows().await?.staged_copies(replica.id(), after, PAGE_ROWS).await.map_err(cold)?;
        let Some(&last) = page.last() else { return Ok(()) };
        // A state that has applied at least what these rows come from: who staged them had been opened then, and is closed
        // if it is not open now.
        let none: [Need; 0] = [];
        let left = replica.read(ReadAt::Linearizable, none, |state| {
            page.into_iter().filter(|(_, staging)| is_left(state, *staging)).collect::<Vec<_>>()
        });
        let left = left.await?.value;
        for (account, staging) in left {
            let drop = Command::Shard(ShardCommand::DropCopy { account, staging });
            // Refused only where the account is being deleted: it takes its copies along.
            if replica.propose(None, drop).await?.1.is_ok() {
                tracing::info!(group = %replica.id(), %account, "a copy that was cut off is dropped");
            }
        }
        after = Some(last);
    }
}

/// Whether the instance that staged it is closed. Names that tell none are left alone.
fn is_left(state: &State, staging: u128) -> bool {
    let staging = StagingId(staging);
    staging.names_an_owner() && !state.requests().instances().any(|(id, _)| staging.may_be_of(id))
}
