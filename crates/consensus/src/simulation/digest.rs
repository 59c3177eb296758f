//! Rows in one number, to compare replicas with each other and with what the log says.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use buzon_model::row::{MailboxRow, MailboxState, MessageRow};
use buzon_model::state::State;
use buzon_model::testing::Rows;
use buzon_types::id::MailboxKey;

/// Of all rows of a group.
pub(crate) fn of_rows(rows: &Rows) -> u64 {
    let mut hash = DefaultHasher::new();
    (rows.time, rows.feature_level, rows.counters).hash(&mut hash);
    rows.instances.hash(&mut hash);
    for ((instance, sequence), (accounts, outcome)) in &rows.records {
        (instance, sequence, accounts, format!("{outcome:?}")).hash(&mut hash);
    }
    for row in rows.accounts.values() {
        (row.id, row.epoch, row.state, row.quota, row.last_uid_validity).hash(&mut hash);
        (row.next_mailbox, row.counters, &row.place).hash(&mut hash);
    }
    for row in rows.mailboxes.values() {
        mailbox(row, &mut hash);
        (row.state, row.special_use).hash(&mut hash);
    }
    (&rows.subscriptions, &rows.messages, &rows.tombstones, &rows.summaries, &rows.staged).hash(&mut hash);
    let directory = (&rows.tenants, &rows.domains, &rows.addresses, &rows.placements);
    if !rows.tenants.is_empty() {
        format!("{directory:?}").hash(&mut hash);
    }
    hash.finish()
}

fn mailbox(row: &MailboxRow, hash: &mut DefaultHasher) {
    (row.key, &row.name, row.uid_validity, row.counters, &row.keywords).hash(hash);
}

fn seen(row: &MailboxRow, messages: impl Iterator<Item = MessageRow>) -> u64 {
    let mut hash = DefaultHasher::new();
    mailbox(row, &mut hash);
    messages.for_each(|message| message.hash(&mut hash));
    hash.finish()
}

/// Of what a client sees of a mailbox; 0 if there is none.
pub(crate) fn of_mailbox(rows: &Rows, key: MailboxKey) -> u64 {
    let is_held = rows.accounts.get(&key.account).is_some_and(|account| account.is_held());
    let row = rows.mailboxes.get(&key).filter(|row| is_held && row.state == MailboxState::Live);
    row.map_or(0, |row| seen(row, rows.live(key)))
}

/// The same, of a state that has it loaded.
pub(crate) fn of_view(state: &State, key: MailboxKey) -> u64 {
    let mailbox = state.mailbox(key);
    mailbox.map_or(0, |mailbox| seen(&mailbox.row, mailbox.index.iter().flat_map(|index| index.all())))
}
