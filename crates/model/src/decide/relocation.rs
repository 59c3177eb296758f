//! An account comes to this shard or goes from it, step by step (docs/decisions/0008-moving-accounts.md).
//!
//! ```text
//! source:      Here ─Freeze─▶ Frozen ─FinishLeave─▶ Gone        AbortLeave ─▶ Here
//! destination: (none, Gone) ─BeginArrive─▶ Arriving ─Activate─▶ Here     DropArriving ─▶ Gone
//! ```
//! The row's epoch only rises, and a step whose epoch it has passed is refused or finds its work done: so a step that is
//! late by any time can neither freeze nor activate anything.

use std::collections::{BTreeMap, BTreeSet};

use buzon_types::id::{AccountId, CredentialVersion, Epoch, MailboxId, MailboxKey};
use buzon_types::request::InstanceId;
use buzon_types::time::Timestamp;
use buzon_types::uid::Uid;

use crate::change::Change;
use crate::command::{
    ArrivePage, ArrivingMessage, ArrivingRecord, ArrivingTombstone, BeginArrive, Leaving, Relocation, Step,
};
use crate::decide::Decided;
use crate::reply::{Rejection, Reply};
use crate::row::{AccountCounters, AccountRow, AccountState, Arrival, Place, Quota};
use crate::state::{Account, State};

pub(super) fn decide(state: &State, at: Timestamp, step: &Relocation) -> Decided {
    match step {
        Relocation::BeginArrive(begin) => begin_arrive(state, at, begin),
        Relocation::ArrivePage(page) => arrive_page(state, page),
        Relocation::Freeze(leaving) => freeze(state, leaving),
        Relocation::Activate(step) => activate(state, *step),
        Relocation::FinishLeave(step) => finish_leave(state, *step),
        Relocation::AbortLeave(step) => abort_leave(state, *step),
        Relocation::DropArriving(step) => drop_arriving(state, *step),
    }
}

fn begin_arrive(state: &State, at: Timestamp, begin: &BeginArrive) -> Decided {
    let Step { account: id, epoch } = begin.step;
    if begin.from == state.group() {
        return Err(Rejection::NotHere);
    }
    let Some(account) = state.account_in_any_state(id) else {
        return Ok((vec![Change::PutAccount(arriving(at, begin))], told(&Arrival::new(begin.from, epoch))));
    };
    match &account.row.place {
        Place::Arriving(arrival) if arrival.epoch == epoch => Ok((vec![], told(arrival))),
        _ if account.row.epoch >= epoch => Err(Rejection::MoveOver),
        Place::Gone { .. } if account.mailboxes_in_any_state().len() > 0 => {
            Ok((vec![], Reply::Purged { more: true }))
        }
        Place::Gone { .. } => {
            Ok((vec![Change::PutAccount(arriving(at, begin))], told(&Arrival::new(begin.from, epoch))))
        }
        // Left by a step that came after its move was over.
        Place::Arriving(arrival) => {
            let place = Place::Gone { to: arrival.from, epoch: arrival.epoch };
            Ok((vec![put(account, place, arrival.epoch)], Reply::Purged { more: true }))
        }
        Place::Here | Place::Frozen { .. } => Err(Rejection::NotHere),
    }
}

/// Holds the place until the account's own row comes.
fn arriving(at: Timestamp, begin: &BeginArrive) -> AccountRow {
    let Step { account: id, epoch } = begin.step;
    AccountRow {
        id,
        tenant: begin.tenant,
        epoch,
        address: begin.address.clone(),
        state: AccountState::Active,
        credential: None,
        credential_version: CredentialVersion(0),
        quota: Quota::default(),
        last_uid_validity: 0,
        next_mailbox: MailboxId(1),
        created_at: at,
        counters: AccountCounters::default(),
        place: Place::Arriving(Arrival::new(begin.from, epoch)),
    }
}

fn arrive_page(state: &State, page: &ArrivePage) -> Decided {
    let Step { account: id, epoch } = page.step;
    let account = state.account_in_any_state(id).ok_or(Rejection::MoveOver)?;
    let Place::Arriving(arrival) = &account.row.place else { return Err(Rejection::MoveOver) };
    if arrival.epoch != epoch {
        return Err(Rejection::MoveOver);
    }
    if arrival.complete || page.number != arrival.pages + 1 {
        return Ok((vec![], told(arrival)));
    }
    if !page.rows.is_bounded() {
        return Err(Rejection::TooManyMessages);
    }
    let mut changes = rows(state, account, page)?;
    let arrival = Arrival {
        pages: page.number,
        cursor: page.cursor.clone(),
        complete: page.rows.account.is_some(),
        ..arrival.clone()
    };
    let reply = told(&arrival);
    let row = page.rows.account.as_ref().unwrap_or(&account.row);
    if row.id != id {
        return Err(Rejection::NotHere);
    }
    changes.push(Change::PutAccount(AccountRow { epoch, place: Place::Arriving(arrival), ..row.clone() }));
    Ok((changes, reply))
}

/// What a page has for one mailbox, each UID once.
#[derive(Default)]
struct Arrived {
    messages: BTreeMap<Uid, ArrivingMessage>,
    tombstones: BTreeMap<Uid, ArrivingTombstone>,
}

/// What a page puts, but for the account's row.
fn rows(state: &State, account: &Account, page: &ArrivePage) -> Result<Vec<Change>, Rejection> {
    let id = account.row.id;
    let mut changes = Vec::new();
    let mut known: BTreeSet<MailboxId> = BTreeSet::new();
    for row in &page.rows.mailboxes {
        if row.key.account != id {
            return Err(Rejection::NotHere);
        }
        known.insert(row.key.mailbox);
        changes.push(Change::PutMailbox(row.clone()));
    }
    let mut arrived: BTreeMap<MailboxId, Arrived> = BTreeMap::new();
    for message in &page.rows.messages {
        arrived.entry(message.mailbox).or_default().messages.insert(message.row.uid, message.clone());
    }
    for tombstone in &page.rows.tombstones {
        let of_mailbox = arrived.entry(tombstone.mailbox).or_default();
        // Read after its message, and so the newer of the two.
        of_mailbox.messages.remove(&tombstone.row.message.uid);
        of_mailbox.tombstones.insert(tombstone.row.message.uid, tombstone.clone());
    }
    for (mailbox, Arrived { messages, tombstones }) in arrived {
        if !known.contains(&mailbox) && account.mailbox_in_any_state(mailbox).is_none() {
            return Err(Rejection::NotHere);
        }
        let mailbox = MailboxKey { account: id, mailbox };
        let (messages, tombstones) = (messages.into_values().collect(), tombstones.into_values().collect());
        changes.push(Change::Arrive { mailbox, messages, tombstones });
    }
    let new = page.rows.subscriptions.iter().filter(|name| !account.is_subscribed(name));
    changes.extend(new.map(|name| Change::Subscribe(id, name.clone())));
    changes.extend(records(state, &page.rows.records));
    Ok(changes)
}

/// Records of requests that this group does not know better itself. Nobody who is open here is closed for them.
fn records(state: &State, records: &[ArrivingRecord]) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut opened: BTreeSet<InstanceId> = BTreeSet::new();
    let mut recorded: BTreeSet<(InstanceId, u64)> = BTreeSet::new();
    for record in records {
        let ArrivingRecord { instance, opened_at, forgotten_below, sequence, accounts, outcome } = record;
        let (instance, sequence) = (*instance, *sequence);
        let known = state.requests().instance(instance);
        if known.is_none() && opened.insert(instance) {
            changes.push(Change::OpenInstance(instance, *opened_at));
            if *forgotten_below > 0 {
                changes.push(Change::ForgetBelow { instance, sequence: *forgotten_below });
            }
        }
        let is_old = known.is_some_and(|known| sequence < known.forgotten_below);
        let is_new = state.requests().outcome(instance, sequence).is_none();
        if !is_old && is_new && recorded.insert((instance, sequence)) {
            let (accounts, outcome) = (accounts.clone(), outcome.clone());
            changes.push(Change::Record { instance, sequence, accounts, outcome });
        }
    }
    changes
}

fn freeze(state: &State, leaving: &Leaving) -> Decided {
    let Step { account: id, epoch } = leaving.step;
    let account = state.account_in_any_state(id).ok_or(Rejection::NoSuchAccount)?;
    if account.row.state == AccountState::Deleting || leaving.to == state.group() {
        return Err(Rejection::NotHere);
    }
    match account.row.place {
        Place::Here if account.row.epoch < epoch => {
            let frozen = Place::Frozen { to: leaving.to, epoch };
            Ok((vec![put(account, frozen, account.row.epoch)], Reply::Done))
        }
        Place::Frozen { epoch: frozen, .. } if frozen == epoch => Ok((vec![], Reply::Done)),
        _ => Err(Rejection::MoveOver),
    }
}

fn activate(state: &State, Step { account: id, epoch }: Step) -> Decided {
    let account = state.account_in_any_state(id).ok_or(Rejection::MoveOver)?;
    match &account.row.place {
        Place::Arriving(arrival) if arrival.epoch == epoch => {
            if arrival.complete {
                Ok((vec![put(account, Place::Here, epoch)], Reply::Done))
            } else {
                Err(Rejection::NotHere)
            }
        }
        // It may have begun its next move since.
        Place::Here | Place::Frozen { .. } if account.row.epoch >= epoch => Ok((vec![], Reply::Done)),
        _ => Err(Rejection::MoveOver),
    }
}

fn finish_leave(state: &State, Step { account: id, epoch }: Step) -> Decided {
    let account = state.account_in_any_state(id).ok_or(Rejection::MoveOver)?;
    match account.row.place {
        Place::Frozen { to, epoch: frozen } if frozen == epoch => {
            Ok((vec![put(account, Place::Gone { to, epoch }, epoch)], Reply::Done))
        }
        Place::Gone { .. } if account.row.epoch >= epoch => Ok((vec![], Reply::Done)),
        _ => Err(Rejection::MoveOver),
    }
}

fn abort_leave(state: &State, Step { account: id, epoch }: Step) -> Decided {
    let account = state.account_in_any_state(id).ok_or(Rejection::NoSuchAccount)?;
    match account.row.place {
        _ if account.row.epoch >= epoch => Ok((vec![], Reply::Done)),
        Place::Here => Ok((vec![put(account, Place::Here, epoch)], Reply::Done)),
        Place::Frozen { epoch: frozen, .. } if frozen == epoch => {
            Ok((vec![put(account, Place::Here, epoch)], Reply::Done))
        }
        _ => Err(Rejection::MoveOver),
    }
}

fn drop_arriving(state: &State, Step { account: id, epoch }: Step) -> Decided {
    let Some(account) = state.account_in_any_state(id) else { return Ok((vec![], Reply::Done)) };
    match &account.row.place {
        Place::Arriving(arrival) if arrival.epoch == epoch => {
            let gone = Place::Gone { to: arrival.from, epoch };
            Ok((vec![put(account, gone, epoch)], Reply::Done))
        }
        Place::Gone { .. } => Ok((vec![], Reply::Done)),
        _ => Err(Rejection::MoveOver),
    }
}

fn put(account: &Account, place: Place, epoch: Epoch) -> Change {
    Change::PutAccount(AccountRow { epoch, place, ..account.row.clone() })
}

fn told(arrival: &Arrival) -> Reply {
    Reply::Arriving { pages: arrival.pages, cursor: arrival.cursor.clone(), complete: arrival.complete }
}

/// What a command that changes an account is told where the account cannot be changed now.
pub(super) fn check_place(state: &State, accounts: &[AccountId], is_delivery: bool) -> Result<(), Rejection> {
    let mut moved = None;
    for id in accounts {
        match state.account_in_any_state(*id).map(|account| &account.row.place) {
            Some(Place::Frozen { .. } | Place::Arriving(_)) => return Err(Rejection::Frozen),
            Some(Place::Gone { to, epoch }) => moved = Some(Rejection::Moved { shard: *to, epoch: *epoch }),
            Some(Place::Here) | None => {}
        }
    }
    // Of a delivery, each recipient is told on its own.
    moved.filter(|_| !is_delivery).map_or(Ok(()), Err)
}
