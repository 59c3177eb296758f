//! Accounts, mailboxes, messages and staged copies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use buzon_model::change::{Change, SummarySource};
use buzon_model::command::{ArrivingMessage, ArrivingTombstone};
use buzon_model::row::{AccountCounters, AccountRow, MailboxCounters, MailboxRow, MessageRow, StagedRow};
use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;
use bytes::Bytes;

use super::{Step, batch};
use crate::cell::{Rows, Value};
use crate::codec::mail;
use crate::span::Span;
use crate::statement::Statement;
use crate::table::{ACCOUNT, MAILBOX, MESSAGE, STAGED, SUBSCRIPTION, SUMMARY, TOMBSTONE};

mod statements;
use statements::{
    BURY, COPY_SUMMARY, DELETE_MESSAGES, DELETE_SUMMARIES, DELETE_TOMBSTONES, RUN_COLUMNS,
    SET_ACCOUNT_COUNTERS, SET_FLAGS, SET_MAILBOX_COUNTERS, STAGE,
};

#[cfg(test)]
pub(super) use statements::ALL;

type MessageKey = (MailboxKey, Uid);

/// The last word about an account or a mailbox, short of a removal.
enum Latest<Row, Counters> {
    Row(Row),
    Counters(Counters),
    Removed,
}

struct Flags {
    flags: SystemFlags,
    keywords: KeywordBits,
    modseq: ModSeq,
}

/// Noted and not yet written.
#[derive(Default)]
pub(super) struct Pending<'a> {
    accounts: BTreeMap<AccountId, Latest<AccountRow, AccountCounters>>,
    accounts_removed: BTreeSet<AccountId>,
    mailboxes: BTreeMap<MailboxKey, Latest<MailboxRow, MailboxCounters>>,
    subscriptions: BTreeMap<(AccountId, &'a MailboxName), bool>,
    messages: BTreeMap<MessageKey, (MessageRow, SummarySource)>,
    flags: BTreeMap<MessageKey, Flags>,
    staged: BTreeMap<(AccountId, u128, u32), (MailboxId, &'a StagedRow)>,
    expunged: HashMap<MailboxKey, Vec<(&'a UidSet, ModSeq, Timestamp)>>,
    removed: HashMap<MailboxKey, Vec<&'a UidSet>>,
}

impl<'a> Pending<'a> {
    /// Whether what is pending must be written before this change.
    pub(super) fn must_flush(&self, change: &Change) -> bool {
        if !self.accounts_removed.is_empty() && !matches!(change, Change::RemoveAccount(_)) {
            return true; // seldom enough not to look whose change it is
        }
        match change {
            Change::AddMessage { mailbox, row, .. } => {
                self.is_leaving(*mailbox, &UidSet::from(row.uid..=row.uid))
            }
            Change::SetFlags { mailbox, uid, .. } => self.is_leaving(*mailbox, &UidSet::from(*uid..=*uid)),
            Change::Expunge { mailbox, uids, .. } => self.is_leaving(*mailbox, uids),
            Change::Publish { .. } | Change::DropStaged { .. } | Change::Arrive { .. } => true,
            _ => false,
        }
    }

    fn is_leaving(&self, mailbox: MailboxKey, uids: &UidSet) -> bool {
        let expunged = self.expunged.get(&mailbox).into_iter().flatten().map(|it| it.0);
        let removed = self.removed.get(&mailbox).into_iter().flatten().copied();
        expunged.chain(removed).any(|leaving| overlap(leaving, uids))
    }

    /// Notes a change, or writes it out if it cannot wait.
    pub(super) fn take(&mut self, change: &'a Change, steps: &mut Vec<Step>) {
        match change {
            Change::PutAccount(row) => drop(self.accounts.insert(row.id, Latest::Row(row.clone()))),
            Change::SetAccountCounters(id, counters) => self.set_account_counters(*id, *counters),
            Change::RemoveAccount(id) => self.remove_account(*id),
            Change::PutMailbox(row) => drop(self.mailboxes.insert(row.key, Latest::Row(row.clone()))),
            Change::SetMailboxCounters(key, counters) => self.set_mailbox_counters(*key, *counters),
            Change::RemoveMailbox(key) => drop(self.mailboxes.insert(*key, Latest::Removed)),
            Change::Subscribe(account, name) => drop(self.subscriptions.insert((*account, name), true)),
            Change::Unsubscribe(account, name) => drop(self.subscriptions.insert((*account, name), false)),
            Change::AddMessage { mailbox, row, summary } => self.add_message(*mailbox, row, summary),
            Change::SetFlags { mailbox, uid, flags, keywords, modseq } => {
                let flags = Flags { flags: *flags, keywords: *keywords, modseq: *modseq };
                self.set_flags((*mailbox, *uid), flags);
            }
            Change::Expunge { mailbox, uids, modseq, at } => {
                self.expunged.entry(*mailbox).or_default().push((uids, *modseq, *at));
            }
            Change::Arrive { mailbox, messages, tombstones } => {
                arrive(steps, *mailbox, messages, tombstones);
            }
            Change::RemoveMessages { mailbox, uids } => self.removed.entry(*mailbox).or_default().push(uids),
            Change::Stage { account, staging, target, rows } => {
                let keyed = rows.iter().map(|row| ((*account, *staging, row.ordinal), (*target, row)));
                self.staged.extend(keyed);
            }
            Change::Publish { account, staging, target, first, modseq, saved_at, .. } => {
                publish(steps, (*account, *staging), *target, (*first, *modseq, *saved_at));
            }
            Change::DropStaged { account, staging } => drop_staged(steps, *account, *staging),
            _ => {}
        }
    }

    fn set_account_counters(&mut self, id: AccountId, counters: AccountCounters) {
        match self.accounts.get_mut(&id) {
            Some(Latest::Row(row)) => row.counters = counters,
            _ => drop(self.accounts.insert(id, Latest::Counters(counters))),
        }
    }

    fn set_mailbox_counters(&mut self, key: MailboxKey, counters: MailboxCounters) {
        match self.mailboxes.get_mut(&key) {
            Some(Latest::Row(row)) => row.counters = counters,
            Some(Latest::Removed) => {}
            _ => drop(self.mailboxes.insert(key, Latest::Counters(counters))),
        }
    }

    fn remove_account(&mut self, id: AccountId) {
        self.accounts.remove(&id);
        self.mailboxes.retain(|key, _| key.account != id);
        self.subscriptions.retain(|key, _| key.0 != id);
        self.staged.retain(|key, _| key.0 != id);
        self.accounts_removed.insert(id);
    }

    /// A source that is itself still pending gives what it has, so that no copy waits for another.
    fn add_message(&mut self, mailbox: MailboxKey, row: &MessageRow, summary: &SummarySource) {
        let summary = match summary {
            SummarySource::SameAs(source, uid) => {
                let source = MailboxKey { account: mailbox.account, mailbox: *source };
                self.messages.get(&(source, *uid)).map_or(summary, |pending| &pending.1).clone()
            }
            SummarySource::Given(_) => summary.clone(),
        };
        self.messages.insert((mailbox, row.uid), (*row, summary));
    }

    fn set_flags(&mut self, key: MessageKey, flags: Flags) {
        match self.messages.get_mut(&key) {
            Some((row, _)) => {
                (row.flags, row.keywords, row.modseq) = (flags.flags, flags.keywords, flags.modseq);
            }
            None => drop(self.flags.insert(key, flags)),
        }
    }

    /// Writes everything out.
    pub(super) fn flush(self, steps: &mut Vec<Step>) {
        flush_accounts(steps, self.accounts);
        flush_mailboxes(steps, self.mailboxes);
        flush_subscriptions(steps, self.subscriptions);
        flush_messages(steps, self.messages);
        flush_flags(steps, self.flags);
        flush_staged(steps, self.staged);
        flush_expunged(steps, self.expunged);
        flush_removed(steps, self.removed);
        for account in self.accounts_removed {
            for (table, sql) in statements::REMOVE_ACCOUNT {
                let values = vec![account.0.into()];
                let touches = vec![Span::of(table, values.clone())];
                steps.push(Step::One { sql, values, touches });
            }
        }
    }
}

fn flush_accounts(steps: &mut Vec<Step>, accounts: BTreeMap<AccountId, Latest<AccountRow, AccountCounters>>) {
    if accounts.is_empty() {
        return;
    }
    let (mut puts, mut counters) = (ACCOUNT.rows(), SET_ACCOUNT_COUNTERS.rows());
    for (id, latest) in accounts {
        match latest {
            Latest::Row(row) => mail::put_account(&mut puts, &row),
            Latest::Counters(values) => mail::put_account_counters(counters.row().unsigned(id.0), values),
            Latest::Removed => {}
        }
    }
    batch(steps, Statement::put(&ACCOUNT), puts);
    batch(steps, SET_ACCOUNT_COUNTERS, counters);
}

fn flush_mailboxes(
    steps: &mut Vec<Step>,
    mailboxes: BTreeMap<MailboxKey, Latest<MailboxRow, MailboxCounters>>,
) {
    if mailboxes.is_empty() {
        return;
    }
    let (mut puts, mut counters) = (MAILBOX.rows(), SET_MAILBOX_COUNTERS.rows());
    let mut removed = MAILBOX.key_rows();
    for (key, latest) in mailboxes {
        match latest {
            Latest::Row(row) => mail::put_mailbox(&mut puts, &row),
            Latest::Counters(values) => {
                let mut writer = counters.row();
                mail::put_mailbox_key(&mut writer, key);
                mail::put_mailbox_counters(&mut writer, &values);
            }
            Latest::Removed => mail::put_mailbox_key(&mut removed.row(), key),
        }
    }
    batch(steps, Statement::put(&MAILBOX), puts);
    batch(steps, SET_MAILBOX_COUNTERS, counters);
    batch(steps, Statement::delete(&MAILBOX), removed);
}

fn flush_subscriptions(steps: &mut Vec<Step>, names: BTreeMap<(AccountId, &MailboxName), bool>) {
    if names.is_empty() {
        return;
    }
    let (mut puts, mut deletes) = (SUBSCRIPTION.rows(), SUBSCRIPTION.key_rows());
    for ((account, name), subscribed) in names {
        let rows = if subscribed { &mut puts } else { &mut deletes };
        rows.row().unsigned(account.0).text(name.as_str());
    }
    batch(steps, Statement::put(&SUBSCRIPTION), puts);
    batch(steps, Statement::delete(&SUBSCRIPTION), deletes);
}

fn flush_messages(steps: &mut Vec<Step>, messages: BTreeMap<MessageKey, (MessageRow, SummarySource)>) {
    if messages.is_empty() {
        return;
    }
    let (mut rows, mut summaries, mut copies) = (MESSAGE.rows(), SUMMARY.rows(), COPY_SUMMARY.rows());
    for ((key, uid), (row, summary)) in messages {
        let mut writer = rows.row();
        mail::put_mailbox_key(&mut writer, key);
        mail::put_message(&mut writer, &row);
        match summary {
            SummarySource::Given(bytes) => put_summary(&mut summaries, key, uid, bytes),
            SummarySource::SameAs(source, source_uid) => {
                let mut writer = copies.row();
                mail::put_mailbox_key(&mut writer, key);
                writer.int(uid.get()).int(source.0).int(source_uid.get());
            }
        }
    }
    // A row that is there already is a UID used twice: the batch must fail.
    batch(steps, Statement::insert(&MESSAGE), rows);
    batch(steps, Statement::insert(&SUMMARY), summaries);
    batch(steps, COPY_SUMMARY, copies);
}

fn put_summary(rows: &mut Rows, key: MailboxKey, uid: Uid, bytes: Bytes) {
    let mut writer = rows.row();
    mail::put_mailbox_key(&mut writer, key);
    writer.int(uid.get()).bytes(bytes);
}

fn flush_flags(steps: &mut Vec<Step>, flags: BTreeMap<MessageKey, Flags>) {
    if flags.is_empty() {
        return;
    }
    let mut rows = SET_FLAGS.rows();
    for ((key, uid), flags) in flags {
        let mut writer = rows.row();
        mail::put_mailbox_key(&mut writer, key);
        writer.int(uid.get()).unsigned(flags.modseq.get());
        mail::put_flags(&mut writer, flags.flags, flags.keywords);
    }
    batch(steps, SET_FLAGS, rows);
}

fn flush_staged(steps: &mut Vec<Step>, staged: BTreeMap<(AccountId, u128, u32), (MailboxId, &StagedRow)>) {
    let mut rows = STAGE.rows();
    for ((account, staging, ordinal), (target, row)) in staged {
        let mut writer = rows.row();
        writer.unsigned(account.0).wide(staging).int(ordinal).int(target.0).int(row.source.0.0);
        // The UID column is the source's, whatever the message says.
        mail::put_message(&mut writer, &MessageRow { uid: row.source.1, ..row.message });
    }
    batch(steps, STAGE, rows);
}

fn flush_expunged(steps: &mut Vec<Step>, expunged: HashMap<MailboxKey, Vec<(&UidSet, ModSeq, Timestamp)>>) {
    let (mut graves, mut runs) = (BURY.rows(), DELETE_MESSAGES.rows());
    for (key, sets) in expunged {
        for (uids, modseq, at) in sets {
            put_runs(&mut runs, key, uids);
            for (first, last) in uids.runs() {
                let mut writer = graves.row();
                mail::put_mailbox_key(&mut writer, key);
                writer.int(first.get()).int(last.get()).unsigned(modseq.get()).int(at.0);
            }
        }
    }
    batch(steps, BURY, graves);
    batch(steps, DELETE_MESSAGES, runs);
}

fn flush_removed(steps: &mut Vec<Step>, removed: HashMap<MailboxKey, Vec<&UidSet>>) {
    let mut runs = Rows::new(RUN_COLUMNS.iter().map(|column| column.1));
    for (key, sets) in removed {
        sets.iter().for_each(|uids| put_runs(&mut runs, key, uids));
    }
    for statement in [DELETE_MESSAGES, DELETE_TOMBSTONES, DELETE_SUMMARIES] {
        batch(steps, statement, runs.clone());
    }
}

/// One row for each run.
pub(crate) fn put_runs(rows: &mut Rows, key: MailboxKey, uids: &UidSet) {
    for (first, last) in uids.runs() {
        let mut writer = rows.row();
        mail::put_mailbox_key(&mut writer, key);
        writer.int(first.get()).int(last.get());
    }
}

fn publish(
    steps: &mut Vec<Step>,
    (account, staging): (AccountId, u128),
    target: MailboxKey,
    (first, modseq, saved_at): (Uid, ModSeq, Timestamp),
) {
    let common: Vec<Value> =
        vec![account.0.into(), staging.into(), target.mailbox.0.into(), first.get().into()];
    let stamped = [common.clone(), vec![modseq.get().into(), saved_at.0.into()]].concat();
    // To the end: how many there are stands in the rows only, and what comes after them is little.
    let published = |table| {
        let prefix = vec![account.0.into(), target.mailbox.0.into()];
        vec![Span { run: Some((first.get().into(), i64::MAX)), ..Span::of(table, prefix) }]
    };
    let (messages, summaries) = (published(&MESSAGE), published(&SUMMARY));
    steps.push(Step::One { sql: statements::PUBLISH_MESSAGES, values: stamped, touches: messages });
    steps.push(Step::One { sql: statements::PUBLISH_SUMMARIES, values: common, touches: summaries });
    drop_staged(steps, account, staging);
}

fn drop_staged(steps: &mut Vec<Step>, account: AccountId, staging: u128) {
    let values: Vec<Value> = vec![account.0.into(), staging.into()];
    let touches = vec![Span::of(&STAGED, values.clone())];
    steps.push(Step::One { sql: statements::DROP_STAGED, values, touches });
}

/// What arrives takes the place of what came before; what was pending is written by then.
fn arrive(
    steps: &mut Vec<Step>,
    mailbox: MailboxKey,
    messages: &[ArrivingMessage],
    tombstones: &[ArrivingTombstone],
) {
    let (mut live, mut dead, mut gone) = (MESSAGE.rows(), TOMBSTONE.rows(), MESSAGE.key_rows());
    let mut summaries = SUMMARY.rows();
    let mut summary_of = |uid: Uid, summary: &Bytes| {
        let mut writer = summaries.row();
        mail::put_mailbox_key(&mut writer, mailbox);
        writer.int(uid.get()).bytes(summary.clone());
    };
    for ArrivingMessage { row, summary, .. } in messages {
        let mut writer = live.row();
        mail::put_mailbox_key(&mut writer, mailbox);
        mail::put_message(&mut writer, row);
        summary_of(row.uid, summary);
    }
    for ArrivingTombstone { row, summary, .. } in tombstones {
        let mut writer = dead.row();
        mail::put_mailbox_key(&mut writer, mailbox);
        mail::put_message(&mut writer, &row.message);
        writer.int(row.expunged_at.0);
        let mut writer = gone.row();
        mail::put_mailbox_key(&mut writer, mailbox);
        writer.int(row.message.uid.get());
        summary_of(row.message.uid, summary);
    }
    batch(steps, Statement::put(&MESSAGE), live);
    batch(steps, Statement::delete(&MESSAGE), gone);
    batch(steps, Statement::put(&TOMBSTONE), dead);
    batch(steps, Statement::put(&SUMMARY), summaries);
}

/// Whether two sets share a UID; linear in their runs.
fn overlap(a: &UidSet, b: &UidSet) -> bool {
    let (mut left, mut right) = (a.runs().peekable(), b.runs().peekable());
    while let (Some(x), Some(y)) = (left.peek(), right.peek()) {
        if x.0 <= y.1 && y.0 <= x.1 {
            return true;
        }
        if x.1 < y.0 {
            left.next()
        } else {
            right.next()
        };
    }
    false
}
