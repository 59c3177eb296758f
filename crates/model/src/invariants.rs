//! What must hold of a state after every entry, one function for each. Tests, simulation and crash tests call
//! [`check`]; rows that are not loaded are not looked at.

use std::collections::BTreeSet;
use std::fmt::Display;

use buzon_types::flag::SystemFlags;
use buzon_types::id::NodeId;
use buzon_types::mailbox_name::MailboxName;
use buzon_types::uid::{ModSeq, Uid};

use crate::index::MailboxIndex;
use crate::limits::VOTERS_MAX;
use crate::row::{AccountCounters, MailboxCounters, MailboxRow, MailboxState, MoveState, NodeState};
use crate::state::{Account, State};

/// An invariant that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant} in {place}")]
pub struct Broken {
    /// What should hold.
    pub invariant: &'static str,
    /// Where it does not.
    pub place: String,
}

/// Checks all of them.
///
/// # Errors
/// The first that does not hold.
pub fn check(state: &State) -> Result<(), Broken> {
    for account in state.loaded_accounts().filter(|it| it.row.is_held()) {
        usage_is_the_sum_of_the_mailboxes(account)?;
        names_are_unique_and_inbox_exists(account)?;
        mailbox_ids_and_uid_validity_are_counted(account)?;
        for mailbox in account.mailboxes_in_any_state() {
            modseq_is_not_above_the_accounts(account, &mailbox.row)?;
            uid_next_never_falls_behind_recent(&mailbox.row)?;
            if let Some(index) = &mailbox.index {
                index_ascends_below_uid_next(&mailbox.row, index)?;
                counters_equal_the_index(&mailbox.row, index)?;
                flags_and_modseqs_are_known(&mailbox.row, index)?;
            }
        }
    }
    nodes_have_ids_and_addresses_of_their_own(state)?;
    shards_want_nodes_that_are_there(state)?;
    moves_are_of_placed_accounts(state)?;
    requests_are_above_their_mark(state)
}

/// A pending move leads from one shard to another, and its epoch is the account's next one or, once it is decided, its own.
pub fn moves_are_of_placed_accounts(state: &State) -> Result<(), Broken> {
    for row in state.pending_moves() {
        ensure(row.from != row.to, "moves lead elsewhere", &row.account)?;
        let Some(placement) = state.placement(row.account) else { continue };
        let (ahead, shard) = match row.state {
            MoveState::Copying => (1, row.from),
            MoveState::Aborting => (0, row.from),
            MoveState::Committed => (0, row.to),
        };
        let is_next = placement.epoch.0 + ahead == row.epoch.0 && placement.shard == shard;
        ensure(is_next, "a pending move fits the placement", &row.account)?;
    }
    Ok(())
}

/// Ids and incarnations are given out once, and no two nodes that are there share an address.
pub fn nodes_have_ids_and_addresses_of_their_own(state: &State) -> Result<(), Broken> {
    let (mut addresses, mut incarnations) = (BTreeSet::new(), BTreeSet::new());
    for row in state.nodes() {
        ensure(row.id < state.directory_counters().next_node, "node ids are below the next", &row.id)?;
        ensure(incarnations.insert(row.incarnation), "no two nodes share an incarnation", &row.id)?;
        let is_free = row.state == NodeState::Removed || addresses.insert(&row.address);
        ensure(is_free, "no two nodes share an address", &row.id)?;
    }
    Ok(())
}

/// Nobody waits for a node that does not come.
pub fn shards_want_nodes_that_are_there(state: &State) -> Result<(), Broken> {
    for row in state.shards() {
        ensure(row.group < state.directory_counters().next_group, "groups are below the next", &row.group)?;
        let is_fit = (1..=VOTERS_MAX).contains(&row.voters.len()) && row.voters.is_sorted_by(|a, b| a < b);
        ensure(is_fit, "voters are 1 to 5, ascending", &row.group)?;
        let is_there = |id: &NodeId| state.node(*id).is_some_and(|node| node.state != NodeState::Removed);
        ensure(row.voters.iter().all(is_there), "voters are not removed", &row.group)?;
    }
    Ok(())
}

/// An account's usage is that of its live mailboxes.
pub fn usage_is_the_sum_of_the_mailboxes(account: &Account) -> Result<(), Broken> {
    let mut sum = AccountCounters { modseq: account.row.counters.modseq, ..AccountCounters::default() };
    for mailbox in account.mailboxes() {
        sum.messages += u64::from(mailbox.row.counters.messages);
        sum.bytes += mailbox.row.counters.bytes;
    }
    ensure(sum == account.row.counters, "usage equals the sum of the mailboxes", &account.row.id)
}

/// Every live mailbox is found under its name, so no two share one; INBOX is one of them.
pub fn names_are_unique_and_inbox_exists(account: &Account) -> Result<(), Broken> {
    for mailbox in account.mailboxes_in_any_state().filter(|it| it.row.state == MailboxState::Live) {
        let named = account.mailbox_named(&mailbox.row.name).map(|it| it.row.key);
        ensure(named == Some(mailbox.row.key), "names of live mailboxes are unique", &mailbox.row.key)?;
    }
    ensure(account.mailbox_named(&MailboxName::inbox()).is_some(), "there is an INBOX", &account.row.id)
}

/// Ids and UIDVALIDITYs were given out by the account's counters, each once.
pub fn mailbox_ids_and_uid_validity_are_counted(account: &Account) -> Result<(), Broken> {
    let mut validities = BTreeSet::new();
    for mailbox in account.mailboxes_in_any_state() {
        let row = &mailbox.row;
        ensure(row.key.mailbox < account.row.next_mailbox, "mailbox ids are below the next", &row.key)?;
        let last = account.row.last_uid_validity;
        ensure(row.uid_validity.get() <= last, "UIDVALIDITY is not above the last", &row.key)?;
        ensure(validities.insert(row.uid_validity), "no two mailboxes share a UIDVALIDITY", &row.key)?;
    }
    Ok(())
}

/// The account's modseq counter is the greatest of all.
pub fn modseq_is_not_above_the_accounts(account: &Account, row: &MailboxRow) -> Result<(), Broken> {
    let modseq = row.counters.modseq;
    ensure(modseq > ModSeq::ZERO, "HIGHESTMODSEQ is not 0", &row.key)?;
    ensure(modseq <= account.row.counters.modseq, "HIGHESTMODSEQ is not above the account's modseq", &row.key)
}

/// What is claimed as recent exists already.
pub fn uid_next_never_falls_behind_recent(row: &MailboxRow) -> Result<(), Broken> {
    let MailboxCounters { recent_from, uid_next, .. } = row.counters;
    let holds = uid_next.is_none_or(|next| recent_from.is_some_and(|recent| recent <= next));
    ensure(holds, "recent messages are below UIDNEXT", &row.key)
}

/// UIDs ascend strictly, and each is below UIDNEXT.
pub fn index_ascends_below_uid_next(row: &MailboxRow, index: &MailboxIndex) -> Result<(), Broken> {
    let uids: Vec<Uid> = index.all().map(|message| message.uid).collect();
    ensure(uids.is_sorted_by(|a, b| a < b), "UIDs ascend", &row.key)?;
    let is_below = uids.last().is_none_or(|last| row.counters.uid_next.is_none_or(|next| *last < next));
    ensure(is_below, "UIDs are below UIDNEXT", &row.key)?;
    ensure(index.uids().iter().eq(uids), "runs are the UIDs", &row.key)
}

/// A mailbox's counters are what counting its messages gives.
pub fn counters_equal_the_index(row: &MailboxRow, index: &MailboxIndex) -> Result<(), Broken> {
    let mut counted = MailboxCounters { messages: 0, unseen: 0, deleted: 0, bytes: 0, ..row.counters };
    for message in index.all() {
        counted.messages += 1;
        counted.unseen += u32::from(!message.flags.contains(SystemFlags::SEEN));
        counted.deleted += u32::from(message.flags.contains(SystemFlags::DELETED));
        counted.bytes += message.size;
    }
    ensure(counted == row.counters, "counters equal the index", &row.key)?;
    ensure(index.len() == counted.messages as usize, "the index knows its length", &row.key)?;
    let unseen = index.all().find(|message| !message.flags.contains(SystemFlags::SEEN));
    ensure(
        index.first_unseen() == unseen.map(|it| it.uid),
        "the index knows its first unseen message",
        &row.key,
    )
}

/// No message has a keyword that its mailbox does not know, or a modseq above its mailbox's.
pub fn flags_and_modseqs_are_known(row: &MailboxRow, index: &MailboxIndex) -> Result<(), Broken> {
    for message in index.all() {
        let is_known = message.keywords.numbers().all(|at| at < row.keywords.len());
        ensure(is_known, "keywords are in the mailbox's list", &row.key)?;
        let modseq = message.modseq;
        let is_bounded = modseq > ModSeq::ZERO && modseq <= row.counters.modseq;
        ensure(is_bounded, "messages' modseqs are not above HIGHESTMODSEQ", &row.key)?;
    }
    Ok(())
}

/// No record lies below the mark under which they were forgotten.
pub fn requests_are_above_their_mark(state: &State) -> Result<(), Broken> {
    for (id, instance) in state.requests().instances() {
        let holds = instance.sequences().next().is_none_or(|first| first >= instance.forgotten_below);
        ensure(holds, "records lie at or above the mark", &format!("{id:?}"))?;
    }
    Ok(())
}

fn ensure(holds: bool, invariant: &'static str, place: &dyn Display) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { invariant, place: place.to_string() }) }
}
