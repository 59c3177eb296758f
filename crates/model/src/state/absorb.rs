//! Keeps what is in memory true to the changes. Changes of rows that are not loaded are skipped: they are in SQL.

use buzon_types::uid_set::UidSet;

use crate::cache::Used;
use crate::change::Change;
use crate::index::MailboxIndex;
use crate::row::MessageRow;
use crate::scope::AccountLoaded;
use crate::state::account::{Account, Staged};
use crate::state::{Mailbox, State};

impl State {
    /// Takes the changes of a decision, in order.
    pub fn absorb(&mut self, changes: &[Change]) {
        changes.iter().for_each(|change| self.absorb_one(change));
    }

    fn absorb_one(&mut self, change: &Change) {
        match change {
            Change::SetTime(time) => self.time = self.time.max(*time),
            Change::SetFeatureLevel(level) => self.feature_level = *level,
            Change::OpenInstance(..)
            | Change::CloseInstance(_)
            | Change::Record { .. }
            | Change::ForgetBelow { .. } => self.requests.absorb(change),
            Change::PutAccount(_) | Change::SetAccountCounters(..) | Change::RemoveAccount(_) => {
                self.absorb_account(change);
            }
            Change::PutMailbox(_)
            | Change::SetMailboxCounters(..)
            | Change::RemoveMailbox(_)
            | Change::Subscribe(..)
            | Change::Unsubscribe(..) => self.absorb_mailbox(change),
            Change::AddMessage { .. }
            | Change::SetFlags { .. }
            | Change::Expunge { .. }
            | Change::Arrive { .. }
            | Change::RemoveMessages { .. } => self.absorb_messages(change),
            Change::Stage { .. } | Change::Publish { .. } | Change::DropStaged { .. } => {
                self.absorb_staged(change);
            }
            directory => self.directory.absorb(directory, &self.uses),
        }
    }

    fn absorb_account(&mut self, change: &Change) {
        match change {
            Change::PutAccount(row) if self.accounts.get(&row.id).is_some() => {
                self.with_account(row.id, |account| account.row = row.clone());
                if !row.is_held() && !row.is_arriving() {
                    self.with_account(row.id, |account| {
                        account.with_all_mailboxes(|mailbox| mailbox.index = None);
                    });
                }
            }
            // Known to be absent: this is a new one, and all of it will pass by here.
            Change::PutAccount(row) if self.accounts.contains(&row.id) => {
                let (mailboxes, subscriptions) = (Vec::new(), Vec::new());
                let account = Account::new(AccountLoaded { row: row.clone(), mailboxes, subscriptions });
                let bytes = account.bytes();
                self.accounts.put(row.id, Some(account), bytes, &self.uses);
            }
            Change::SetAccountCounters(id, counters) => {
                self.with_account(*id, |account| account.row.counters = *counters);
            }
            Change::RemoveAccount(id) => {
                self.accounts.put(*id, None, 0, &self.uses);
                let staged: Vec<_> =
                    self.staged.keys().filter(|(account, _)| account == id).copied().collect();
                staged.into_iter().for_each(|key| self.staged.put(key, None, 0, &self.uses));
            }
            _ => {}
        }
    }

    fn absorb_mailbox(&mut self, change: &Change) {
        match change {
            Change::PutMailbox(row) => self.with_account(row.key.account, |account| {
                // A mailbox that the loaded account does not have is a new one, and so it is empty.
                let empty = || MailboxIndex::new(&[], row.counters.modseq);
                let is_kept = account.row.is_held() || account.row.is_arriving();
                account.put_mailbox(row.clone(), is_kept.then(empty));
            }),
            Change::SetMailboxCounters(key, counters) => self.with_account(key.account, |account| {
                account.with_mailbox(key.mailbox, |mailbox| mailbox.row.counters = *counters);
            }),
            Change::RemoveMailbox(key) => {
                self.with_account(key.account, |account| account.remove_mailbox(key.mailbox));
            }
            Change::Subscribe(id, name) => self.with_account(*id, |account| account.subscribe(name.clone())),
            Change::Unsubscribe(id, name) => self.with_account(*id, |account| account.unsubscribe(name)),
            _ => {}
        }
    }

    fn absorb_messages(&mut self, change: &Change) {
        let (Change::AddMessage { mailbox: key, .. }
        | Change::SetFlags { mailbox: key, .. }
        | Change::Expunge { mailbox: key, .. }
        | Change::Arrive { mailbox: key, .. }
        | Change::RemoveMessages { mailbox: key, .. }) = change
        else {
            return;
        };
        let uses = &self.uses;
        let absorb = |mailbox: &mut Mailbox| mailbox.absorb(change, uses);
        let account = |account: &mut Account| account.with_mailbox(key.mailbox, absorb);
        self.accounts.update(&key.account, account, Account::bytes);
    }

    fn absorb_staged(&mut self, change: &Change) {
        match change {
            Change::Stage { account, staging, target, rows } => {
                let key = (*account, *staging);
                if self.staged.get(&key).is_some() {
                    self.staged.update(&key, |staged| staged.add(rows), Staged::bytes);
                } else if self.staged.contains(&key) {
                    let staged = Staged::new(*target, rows);
                    let bytes = staged.bytes();
                    self.staged.put(key, Some(staged), bytes, &self.uses);
                }
            }
            Change::Publish { account, staging, .. } => {
                self.publish(change);
                self.staged.put((*account, *staging), None, 0, &self.uses);
            }
            Change::DropStaged { account, staging } => {
                self.staged.put((*account, *staging), None, 0, &self.uses);
            }
            _ => {}
        }
    }

    fn publish(&mut self, change: &Change) {
        let Change::Publish { account, staging, target, first, modseq, saved_at, .. } = change else {
            return;
        };
        let Some(staged) = self.staged.get(&(*account, *staging)) else {
            // Its rows are not here, so the target's index cannot be kept true: it will be loaded again.
            let forget = |mailbox: &mut Mailbox| mailbox.index = None;
            return self.accounts.update(
                &target.account,
                |it| it.with_mailbox(target.mailbox, forget),
                Account::bytes,
            );
        };
        let add = |index: &mut MailboxIndex| {
            let mut next = Some(*first);
            for message in staged.messages() {
                let uid = next.expect("decide has checked that the UIDs suffice");
                index.add(&MessageRow { uid, modseq: *modseq, saved_at: *saved_at, ..message });
                next = uid.next();
            }
        };
        self.accounts.update(&target.account, |it| it.with_index(target.mailbox, add), Account::bytes);
    }
}

impl Mailbox {
    fn absorb(&mut self, change: &Change, uses: &Used) {
        if let Change::RemoveMessages { .. } | Change::Arrive { .. } = change {
            self.residue = None;
        }
        let Some(index) = self.index.as_mut() else { return };
        match change {
            // Kept while it comes, so that its first user here need not wait for all of it to be loaded.
            Change::Arrive { messages, tombstones, .. } => {
                self.used.mark(uses);
                let gone: UidSet = tombstones.iter().map(|it| it.row.message.uid).collect();
                index.remove(&gone);
                if !messages.iter().all(|message| index.put(&message.row)) {
                    self.index = None;
                }
            }
            Change::AddMessage { row, .. } => index.add(row),
            Change::SetFlags { uid, flags, keywords, modseq, .. } => {
                index.set_flags(*uid, *flags, *keywords, *modseq);
            }
            Change::Expunge { uids, modseq, .. } => index.expunge(uids, *modseq),
            Change::RemoveMessages { uids, .. } => index.remove(uids),
            _ => {}
        }
    }
}
