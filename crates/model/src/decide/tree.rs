//! New mailboxes of an account: ids, UIDVALIDITYs and the levels above them.

use buzon_types::id::{MailboxId, MailboxKey};
use buzon_types::mailbox_name::MailboxName;
use buzon_types::special_use::SpecialUse;
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid, UidValidity};

use crate::change::Change;
use crate::limits::MAILBOXES_MAX;
use crate::reply::{Rejection, Reply};
use crate::row::{AccountRow, MailboxCounters, MailboxRow, MailboxState};
use crate::state::Account;

/// An account's row and its mailboxes' rows as they will be.
pub(super) struct TreeDraft {
    row: AccountRow,
    at: Timestamp,
    /// From the proposer: see `CreateMailbox`.
    seed: u32,
    /// Mailboxes after this, those being deleted too: their rows are in memory as well.
    mailboxes: usize,
    /// Of all mailboxes that this entry makes.
    modseq: Option<ModSeq>,
    changes: Vec<Change>,
}

impl TreeDraft {
    pub(super) fn new(row: AccountRow, mailboxes: usize, at: Timestamp, seed: u32) -> Self {
        Self { row, at, seed, mailboxes, modseq: None, changes: Vec::new() }
    }

    pub(super) fn of(account: &Account, at: Timestamp, seed: u32) -> Self {
        Self::new(account.row.clone(), account.mailboxes_in_any_state().len(), at, seed)
    }

    /// A new, empty mailbox.
    pub(super) fn create(
        &mut self,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<(MailboxId, UidValidity), Rejection> {
        self.mailboxes += 1;
        if self.mailboxes > MAILBOXES_MAX {
            return Err(Rejection::TooManyMailboxes);
        }
        // D13. Refused only once every value up to 2^32 - 1 is used, which no clock in seconds comes near.
        let next = self.row.last_uid_validity.checked_add(1).ok_or(Rejection::NotHere)?;
        let uid_validity = UidValidity::new(next.max(self.seed)).ok_or(Rejection::NotHere)?;
        let id = self.row.next_mailbox;
        self.row.last_uid_validity = uid_validity.get();
        self.row.next_mailbox = MailboxId(id.0.checked_add(1).ok_or(Rejection::TooManyMailboxes)?);
        let row = self.empty(id, name, special_use, uid_validity);
        self.changes.push(Change::PutMailbox(row));
        Ok((id, uid_validity))
    }

    /// The levels above `name` that are no mailboxes yet (RFC 9051 §6.3.4).
    pub(super) fn create_above(&mut self, account: &Account, name: &MailboxName) -> Result<(), Rejection> {
        for ancestor in name.ancestors().filter(|it| account.mailbox_named(it).is_none()) {
            self.create(ancestor, None)?;
        }
        Ok(())
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// The account's row comes first: the others hang on it.
    pub(super) fn finish(self, reply: Reply) -> (Vec<Change>, Reply) {
        let mut changes = vec![Change::PutAccount(self.row)];
        changes.extend(self.changes);
        (changes, reply)
    }

    fn empty(
        &mut self,
        id: MailboxId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
        uid_validity: UidValidity,
    ) -> MailboxRow {
        // HIGHESTMODSEQ is never 0 (RFC 7162 §3.1.2.1), and above all that a client can have seen.
        let modseq = *self.modseq.get_or_insert_with(|| {
            self.row.counters.modseq = self.row.counters.modseq.next();
            self.row.counters.modseq
        });
        MailboxRow {
            key: MailboxKey { account: self.row.id, mailbox: id },
            name,
            state: MailboxState::Live,
            uid_validity,
            special_use,
            keywords: Vec::new(),
            tombstone_floor: ModSeq::ZERO,
            created_at: self.at,
            counters: MailboxCounters {
                uid_next: Some(Uid::MIN),
                recent_from: Some(Uid::MIN),
                modseq,
                messages: 0,
                unseen: 0,
                deleted: 0,
                bytes: 0,
            },
        }
    }
}

/// Whether a name is INBOX within INBOX, or below it: Apple's clients ask for it, and it helps nobody.
pub(super) fn is_inbox_in_inbox(name: &MailboxName) -> bool {
    let mut levels = name.as_str().split(buzon_types::mailbox_name::SEPARATOR);
    levels.next() == Some("INBOX") && levels.next().is_some_and(|level| level.eq_ignore_ascii_case("INBOX"))
}
