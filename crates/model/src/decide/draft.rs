//! Changes in the making: counters as they will be, so that several steps of one entry see each other, and their
//! rows written once at the end. Costs what is touched, never what is there.

use std::collections::BTreeMap;

use buzon_types::flag::{KEYWORDS_MAX, Keyword, KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, MailboxKey};
use buzon_types::time::Timestamp;
use buzon_types::uid::{ModSeq, Uid};
use buzon_types::uid_set::UidSet;

use crate::change::{Change, SummarySource};
use crate::reply::{QuotaKind, Rejection, Reply};
use crate::row::{AccountCounters, MailboxCounters, MailboxRow, MessageRow, Place};
use crate::state::{Account, Mailbox, State};

pub(super) struct Draft<'a> {
    state: &'a State,
    pub(super) at: Timestamp,
    accounts: BTreeMap<AccountId, AccountDraft>,
    mailboxes: BTreeMap<MailboxKey, MailboxDraft>,
    changes: Vec<Change>,
}

struct AccountDraft {
    counters: AccountCounters,
    /// Whether this entry has taken its modseq.
    advanced: bool,
}

struct MailboxDraft {
    counters: MailboxCounters,
    /// The whole list, once it has grown.
    keywords: Option<Vec<Keyword>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a State, at: Timestamp) -> Self {
        Self { state, at, accounts: BTreeMap::new(), mailboxes: BTreeMap::new(), changes: Vec::new() }
    }

    pub(super) fn account(&self, id: AccountId) -> Result<&'a Account, Rejection> {
        self.state.account(id).ok_or_else(|| match self.state.place(id) {
            Some(Place::Gone { to, epoch }) => Rejection::Moved { shard: *to, epoch: *epoch },
            _ => Rejection::NoSuchAccount,
        })
    }

    pub(super) fn mailbox(&self, key: MailboxKey) -> Result<&'a Mailbox, Rejection> {
        self.account(key.account)?.mailbox(key.mailbox).ok_or(Rejection::NoSuchMailbox)
    }

    /// A mailbox's counters as they will be.
    pub(super) fn counters(&self, mailbox: &Mailbox) -> MailboxCounters {
        self.mailboxes.get(&mailbox.key()).map_or(mailbox.row.counters, |draft| draft.counters)
    }

    /// A mailbox's keywords as they will be.
    pub(super) fn keywords<'b>(&'b self, mailbox: &'b Mailbox) -> &'b [Keyword] {
        let grown = self.mailboxes.get(&mailbox.key()).and_then(|draft| draft.keywords.as_ref());
        grown.unwrap_or(&mailbox.row.keywords)
    }

    /// The modseq of this entry's changes in an account: one for all of them.
    pub(super) fn modseq(&mut self, account: &Account) -> ModSeq {
        let draft = self.account_draft(account);
        if !draft.advanced {
            draft.advanced = true;
            draft.counters.modseq = draft.counters.modseq.next();
        }
        draft.counters.modseq
    }

    /// Whether so much more fits the account's quota; what fits exactly fits, and nothing always does.
    pub(super) fn check_quota(
        &mut self,
        account: &Account,
        messages: u64,
        bytes: u64,
    ) -> Result<(), Rejection> {
        if messages == 0 {
            return Ok(());
        }
        let used = self.account_draft(account).counters;
        let fits = |used: u64, more: u64, max: Option<u64>| {
            used.checked_add(more).is_some_and(|sum| max.is_none_or(|max| sum <= max))
        };
        if !fits(used.bytes, bytes, account.row.quota.bytes_max) {
            return Err(Rejection::OverQuota(QuotaKind::Bytes));
        }
        if !fits(used.messages, messages, account.row.quota.messages_max) {
            return Err(Rejection::OverQuota(QuotaKind::Messages));
        }
        Ok(())
    }

    /// The first of `count` UIDs in a row, without taking them. `count` is not zero.
    pub(super) fn check_uids(&self, mailbox: &Mailbox, count: u32) -> Result<Uid, Rejection> {
        let first = self.counters(mailbox).uid_next.ok_or(Rejection::UidsExhausted)?;
        first.get().checked_add(count - 1).ok_or(Rejection::UidsExhausted)?;
        Ok(first)
    }

    /// Bits of keywords in a mailbox, which learns those that are new to it; on a refusal it learns none.
    pub(super) fn keyword_bits(
        &mut self,
        mailbox: &Mailbox,
        names: &[Keyword],
    ) -> Result<KeywordBits, Rejection> {
        let known = self.keywords(mailbox);
        let mut bits = KeywordBits::NONE;
        let mut new: Vec<Keyword> = Vec::new();
        for name in names {
            let at = known.iter().chain(&new).position(|it| it == name).unwrap_or_else(|| {
                new.push(name.clone());
                known.len() + new.len() - 1
            });
            if at >= KEYWORDS_MAX {
                return Err(Rejection::TooManyKeywords);
            }
            bits.0 |= KeywordBits::one(at).0;
        }
        if !new.is_empty() {
            let grown = [known, &new].concat();
            self.mailbox_draft(mailbox).keywords = Some(grown);
        }
        Ok(bits)
    }

    /// The bits in `target` of what the bits mean in `source`.
    pub(super) fn translate(
        &mut self,
        bits: KeywordBits,
        source: &Mailbox,
        target: &Mailbox,
    ) -> Result<KeywordBits, Rejection> {
        if bits == KeywordBits::NONE || source.key() == target.key() {
            return Ok(bits);
        }
        let names: Vec<Keyword> =
            bits.numbers().filter_map(|at| source.row.keywords.get(at).cloned()).collect();
        self.keyword_bits(target, &names)
    }

    /// Adds a message under the mailbox's next UID, which `check_uids` has seen; `row.uid` and `row.modseq` are
    /// set here.
    pub(super) fn add(
        &mut self,
        account: &Account,
        mailbox: &Mailbox,
        row: MessageRow,
        summary: SummarySource,
    ) -> Uid {
        let modseq = self.modseq(account);
        let counters = &mut self.mailbox_draft(mailbox).counters;
        let uid = counters.uid_next.expect("check_uids has seen that there are enough");
        let row = MessageRow { uid, modseq, ..row };
        counters.uid_next = uid.next();
        counters.modseq = modseq;
        counters.messages += 1;
        count_flags(counters, row.flags, u32::wrapping_add);
        counters.bytes += row.size;
        let used = &mut self.account_draft(account).counters;
        used.messages += 1;
        used.bytes += row.size;
        self.changes.push(Change::AddMessage { mailbox: mailbox.key(), row, summary });
        uid
    }

    /// Expunges messages; there is at least one.
    pub(super) fn expunge(&mut self, account: &Account, mailbox: &Mailbox, rows: &[MessageRow]) -> UidSet {
        let modseq = self.modseq(account);
        let counters = &mut self.mailbox_draft(mailbox).counters;
        counters.modseq = modseq;
        for row in rows {
            counters.messages -= 1;
            counters.bytes -= row.size;
            count_flags(counters, row.flags, u32::wrapping_sub);
        }
        let used = &mut self.account_draft(account).counters;
        for row in rows {
            used.messages -= 1;
            used.bytes -= row.size;
        }
        let uids: UidSet = rows.iter().map(|row| row.uid).collect();
        let change = Change::Expunge { mailbox: mailbox.key(), uids: uids.clone(), modseq, at: self.at };
        self.changes.push(change);
        uids
    }

    /// Gives a message other flags. → its modseq
    pub(super) fn set_flags(
        &mut self,
        account: &Account,
        mailbox: &Mailbox,
        row: &MessageRow,
        flags: SystemFlags,
        keywords: KeywordBits,
    ) -> ModSeq {
        let modseq = self.modseq(account);
        let counters = &mut self.mailbox_draft(mailbox).counters;
        counters.modseq = modseq;
        count_flags(counters, row.flags, u32::wrapping_sub);
        count_flags(counters, flags, u32::wrapping_add);
        self.changes.push(Change::SetFlags { mailbox: mailbox.key(), uid: row.uid, flags, keywords, modseq });
        modseq
    }

    /// A change that the counters are told of by hand.
    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    pub(super) fn counters_mut(&mut self, mailbox: &Mailbox) -> &mut MailboxCounters {
        &mut self.mailbox_draft(mailbox).counters
    }

    pub(super) fn usage_mut(&mut self, account: &Account) -> &mut AccountCounters {
        &mut self.account_draft(account).counters
    }

    /// All changes: rows whose counters moved come last.
    pub(super) fn finish(self, reply: Reply) -> (Vec<Change>, Reply) {
        let Self { state, accounts, mailboxes, mut changes, .. } = self;
        for (key, draft) in mailboxes {
            let Some(mailbox) = state.mailbox(key) else { continue };
            match draft.keywords {
                Some(keywords) => {
                    let row = MailboxRow { keywords, counters: draft.counters, ..mailbox.row.clone() };
                    changes.push(Change::PutMailbox(row));
                }
                None if draft.counters != mailbox.row.counters => {
                    changes.push(Change::SetMailboxCounters(key, draft.counters));
                }
                None => {}
            }
        }
        for (id, draft) in accounts {
            if state.account(id).is_some_and(|account| account.row.counters != draft.counters) {
                changes.push(Change::SetAccountCounters(id, draft.counters));
            }
        }
        (changes, reply)
    }

    fn account_draft(&mut self, account: &Account) -> &mut AccountDraft {
        let counters = account.row.counters;
        self.accounts.entry(account.row.id).or_insert(AccountDraft { counters, advanced: false })
    }

    fn mailbox_draft(&mut self, mailbox: &Mailbox) -> &mut MailboxDraft {
        let counters = mailbox.row.counters;
        self.mailboxes.entry(mailbox.key()).or_insert(MailboxDraft { counters, keywords: None })
    }
}

fn count_flags(counters: &mut MailboxCounters, flags: SystemFlags, count: fn(u32, u32) -> u32) {
    counters.unseen = count(counters.unseen, u32::from(!flags.contains(SystemFlags::SEEN)));
    counters.deleted = count(counters.deleted, u32::from(flags.contains(SystemFlags::DELETED)));
}
