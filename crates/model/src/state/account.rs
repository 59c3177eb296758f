//! An account in memory with its mailboxes, and staged copies.

use std::collections::{BTreeMap, BTreeSet};

use buzon_types::flag::SystemFlags;
use buzon_types::id::{MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::special_use::SpecialUse;
use buzon_types::uid::Uid;
use buzon_types::uid_set::UidSet;

use crate::cache::Used;
use crate::index::{Combinations, MailboxIndex, PackedRow};
use crate::row::{AccountRow, MailboxRow, MailboxState, MessageRow, StagedRow};
use crate::scope::AccountLoaded;

/// What a subscription takes in memory, nearly: a name and its place in a map.
const SUBSCRIPTION_BYTES: usize = 96;

/// An account with all its mailboxes' rows.
#[derive(Debug)]
pub struct Account {
    /// Its row.
    pub row: AccountRow,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    /// Live ones only.
    names: BTreeMap<MailboxName, MailboxId>,
    subscriptions: BTreeSet<MailboxName>,
    mailbox_bytes: usize,
}

/// A mailbox, with its messages if they are loaded.
#[derive(Debug)]
pub struct Mailbox {
    /// Its row.
    pub row: MailboxRow,
    /// Its live messages.
    pub index: Option<MailboxIndex>,
    /// UIDs left in it, while it is being removed; good for one step.
    pub(crate) residue: Option<UidSet>,
    pub(crate) used: Used,
}

/// A copy that is too large for one entry, so far.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) target: MailboxId,
    /// The mailbox it comes from; `None` while it is empty.
    pub(crate) source: Option<MailboxId>,
    pub(crate) sources: UidSet,
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
    pub(crate) unseen: u32,
    pub(crate) deleted: u32,
    rows: Vec<PackedRow>,
    combinations: Combinations,
}

impl Account {
    pub(crate) fn new(loaded: AccountLoaded) -> Self {
        let mut account = Self {
            row: loaded.row,
            mailboxes: BTreeMap::new(),
            names: BTreeMap::new(),
            subscriptions: loaded.subscriptions.into_iter().collect(),
            mailbox_bytes: 0,
        };
        loaded.mailboxes.into_iter().for_each(|row| account.put_mailbox(row, None));
        account
    }

    /// Its live mailboxes, by name.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.names.values().filter_map(|id| self.mailboxes.get(id))
    }

    /// A live mailbox.
    pub fn mailbox(&self, id: MailboxId) -> Option<&Mailbox> {
        self.mailboxes.get(&id).filter(|mailbox| mailbox.row.state == MailboxState::Live)
    }

    /// The live mailbox of that name.
    pub fn mailbox_named(&self, name: &MailboxName) -> Option<&Mailbox> {
        self.mailboxes.get(self.names.get(name)?)
    }

    /// Its INBOX: every live account has one.
    pub fn inbox(&self) -> Option<&Mailbox> {
        self.mailbox_named(&MailboxName::inbox())
    }

    /// Names it subscribes to, ascending.
    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = &MailboxName> {
        self.subscriptions.iter()
    }

    /// Whether it subscribes to a name.
    pub fn is_subscribed(&self, name: &MailboxName) -> bool {
        self.subscriptions.contains(name)
    }

    /// The live mailbox for a use.
    pub fn mailbox_for(&self, special_use: SpecialUse) -> Option<&Mailbox> {
        self.mailboxes().find(|mailbox| mailbox.row.special_use == Some(special_use))
    }

    /// All its mailboxes, those being deleted too, by id.
    pub fn mailboxes_in_any_state(&self) -> impl ExactSizeIterator<Item = &Mailbox> {
        self.mailboxes.values()
    }

    /// Live mailboxes below a name, by name.
    pub(crate) fn below(&self, name: &MailboxName) -> impl Iterator<Item = &Mailbox> {
        // In byte order names below `a` follow `a`, but `a b` may come between them and `a`.
        let prefix = name.clone();
        let candidates = self.names.range(name.clone()..);
        let near = candidates.take_while(move |(it, _)| it.as_str().starts_with(prefix.as_str()));
        let parent = name.clone();
        near.filter(move |(it, _)| it.is_below(&parent)).filter_map(|(_, id)| self.mailboxes.get(id))
    }

    pub(crate) fn mailbox_in_any_state(&self, id: MailboxId) -> Option<&Mailbox> {
        self.mailboxes.get(&id)
    }

    /// Whether a mailbox's rows are there only to be removed.
    pub(crate) fn is_residue(&self, mailbox: &Mailbox) -> bool {
        !self.row.is_held() || mailbox.row.state == MailboxState::Deleting
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.mailbox_bytes + self.subscriptions.len() * SUBSCRIPTION_BYTES
    }

    /// Inserts or replaces a row; an index that is loaded stays, a new mailbox gets the one given.
    pub(crate) fn put_mailbox(&mut self, row: MailboxRow, index_if_new: Option<MailboxIndex>) {
        let id = row.key.mailbox;
        let mut mailbox = match self.mailboxes.remove(&id) {
            Some(old) => {
                self.mailbox_bytes -= old.bytes();
                if self.names.get(&old.row.name) == Some(&id) {
                    self.names.remove(&old.row.name);
                }
                Mailbox { row, ..old }
            }
            None => Mailbox { row, index: index_if_new, residue: None, used: Used::default() },
        };
        match mailbox.row.state {
            MailboxState::Live => drop(self.names.insert(mailbox.row.name.clone(), id)),
            // One that is hidden until all of it has come.
            MailboxState::Deleting if self.row.is_arriving() => {}
            MailboxState::Deleting => mailbox.index = None,
        }
        if let Some(index) = mailbox.index.as_mut().filter(|_| self.row.is_arriving()) {
            index.forget_changes(mailbox.row.counters.modseq);
        }
        self.mailbox_bytes += mailbox.bytes();
        self.mailboxes.insert(id, mailbox);
    }

    pub(crate) fn remove_mailbox(&mut self, id: MailboxId) {
        if let Some(old) = self.mailboxes.remove(&id) {
            self.mailbox_bytes -= old.bytes();
            if self.names.get(&old.row.name) == Some(&id) {
                self.names.remove(&old.row.name);
            }
        }
    }

    pub(crate) fn subscribe(&mut self, name: MailboxName) {
        self.subscriptions.insert(name);
    }

    pub(crate) fn unsubscribe(&mut self, name: &MailboxName) {
        self.subscriptions.remove(name);
    }

    pub(crate) fn with_mailbox(&mut self, id: MailboxId, change: impl FnOnce(&mut Mailbox)) {
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            self.mailbox_bytes -= mailbox.bytes();
            change(mailbox);
            self.mailbox_bytes += mailbox.bytes();
        }
    }

    pub(crate) fn with_all_mailboxes(&mut self, mut change: impl FnMut(&mut Mailbox)) {
        for mailbox in self.mailboxes.values_mut() {
            self.mailbox_bytes -= mailbox.bytes();
            change(mailbox);
            self.mailbox_bytes += mailbox.bytes();
        }
    }

    pub(crate) fn with_index(&mut self, id: MailboxId, change: impl FnOnce(&mut MailboxIndex)) {
        self.with_mailbox(id, |mailbox| {
            if let Some(index) = mailbox.index.as_mut() {
                change(index);
            }
        });
    }

    pub(crate) fn load_index(&mut self, key: MailboxKey, rows: &[MessageRow]) {
        let account_is_live = self.row.is_held();
        self.with_mailbox(key.mailbox, |mailbox| {
            if mailbox.index.is_none() && account_is_live && mailbox.row.state == MailboxState::Live {
                mailbox.index = Some(MailboxIndex::new(rows, mailbox.row.counters.modseq));
            }
        });
    }

    pub(crate) fn load_residue(&mut self, id: MailboxId, uids: UidSet) {
        if self.mailboxes.get(&id).is_some_and(|mailbox| self.is_residue(mailbox)) {
            self.with_mailbox(id, |mailbox| mailbox.residue = Some(uids));
        }
    }
}

impl Mailbox {
    /// Its account and id.
    pub fn key(&self) -> MailboxKey {
        self.row.key
    }

    fn bytes(&self) -> usize {
        let residue = self.residue.as_ref().map_or(0, |uids| uids.run_count() * size_of::<(Uid, Uid)>());
        let keywords =
            self.row.keywords.iter().map(|keyword| keyword.as_str().len() + size_of::<usize>() * 2);
        // Its name stands here and in the map of names.
        size_of::<Self>()
            + 2 * self.row.name.as_str().len()
            + size_of::<MailboxName>() * 2
            + keywords.sum::<usize>()
            + residue
            + self.index.as_ref().map_or(0, MailboxIndex::bytes)
    }
}

impl Staged {
    pub(crate) fn new(target: MailboxId, rows: &[StagedRow]) -> Self {
        let mut staged = Self {
            target,
            source: None,
            sources: UidSet::new(),
            messages: 0,
            bytes: 0,
            unseen: 0,
            deleted: 0,
            rows: Vec::new(),
            combinations: Combinations::default(),
        };
        staged.add(rows);
        staged
    }

    pub(crate) fn add(&mut self, rows: &[StagedRow]) {
        for staged in rows {
            let message = &staged.message;
            self.source = Some(staged.source.0);
            self.sources.push(staged.source.1);
            self.messages += 1;
            self.bytes = self.bytes.saturating_add(message.size);
            self.unseen += u32::from(!message.flags.contains(SystemFlags::SEEN));
            self.deleted += u32::from(message.flags.contains(SystemFlags::DELETED));
            self.rows.push(PackedRow::pack(message, &mut self.combinations));
        }
    }

    /// The messages in order, with the source's UIDs.
    pub(crate) fn messages(&self) -> impl Iterator<Item = MessageRow> {
        self.rows.iter().map(|row| row.unpack(&self.combinations))
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.rows.len() * size_of::<PackedRow>() + self.sources.run_count() * 8
    }
}
