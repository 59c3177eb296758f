//! Mailboxes as anybody would write them first: lists, names, and a copy of everything before each step. What
//! `decide` answers and what the rows hold must be the same.

use std::collections::{BTreeMap, BTreeSet};

use buzon_types::flag::{KeywordBits, SystemFlags};
use buzon_types::id::{AccountId, MailboxId, MailboxKey};
use buzon_types::uid::UidValidity;
use buzon_types::uid_set::UidSet;

use crate::command::{NewMessage, ShardCommand, StoreFlags, StoreMode, Transfer};
use crate::reply::{Advance, Delivery, FlagState, Outcome, QuotaKind, Rejection, Reply};
use crate::row::Quota;
use crate::testing::Rows;
use crate::tests::group::{modseq, name, uid};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    uid: u32,
    flags: SystemFlags,
    words: BTreeSet<String>,
    modseq: u64,
    size: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Box {
    id: u32,
    name: String,
    live: bool,
    validity: u32,
    keywords: Vec<String>,
    messages: Vec<Message>,
    next: u32,
    recent: u32,
    modseq: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    modseq: u64,
    bumped: bool,
    quota: Quota,
    validity: u32,
    last_id: u32,
    boxes: Vec<Box>,
    subscriptions: BTreeSet<String>,
    staged: Option<(u32, u32, Vec<Message>)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Naive {
    accounts: BTreeMap<AccountId, Account>,
}

type Result<T> = std::result::Result<T, Rejection>;

impl Naive {
    pub(super) fn run(&mut self, command: &ShardCommand) -> Outcome {
        let before = self.clone();
        self.accounts.values_mut().for_each(|account| account.bumped = false);
        let outcome = self.step(command);
        if outcome.is_err() {
            *self = before;
        }
        outcome
    }

    fn account(&mut self, id: AccountId) -> Result<&mut Account> {
        self.accounts.get_mut(&id).ok_or(Rejection::NoSuchAccount)
    }

    fn step(&mut self, command: &ShardCommand) -> Outcome {
        match command {
            ShardCommand::CreateAccount(create) => {
                let mut account = Account { quota: create.quota, ..Account::default() };
                for name in ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"] {
                    account.create(name, create.uid_validity_seed);
                    account.subscriptions.insert(name.into());
                }
                self.accounts.insert(create.account, account);
                Ok(Reply::Done)
            }
            ShardCommand::SetQuota { account, quota } => {
                self.account(*account)?.quota = *quota;
                Ok(Reply::Done)
            }
            ShardCommand::Deliver { recipients, message } => {
                let mut results = Vec::new();
                for recipient in recipients {
                    let before = self.clone();
                    let folder = recipient.mailbox.as_ref().map(|it| it.as_str());
                    let result = self.account(recipient.account).and_then(|it| it.deliver(folder, message));
                    if result.is_err() {
                        *self = before;
                    }
                    results.push(result);
                }
                Ok(Reply::Delivered(results))
            }
            other => self.account(other.accounts()[0])?.step(other),
        }
    }

    /// Everything the rows hold must be what is here.
    pub(super) fn assert_same(&self, rows: &Rows) {
        for (&id, account) in &self.accounts {
            let row = &rows.accounts[&id];
            let (messages, bytes) = account.usage();
            assert_eq!((row.counters.modseq.get(), row.counters.messages), (account.modseq, messages));
            assert_eq!(row.counters.bytes, bytes);
            let subscriptions = rows.subscriptions.iter().filter(|(it, _)| *it == id);
            assert!(subscriptions.map(|(_, name)| name.as_str()).eq(account.subscriptions.iter()));
            for folder in account.boxes.iter().filter(|it| it.live) {
                let key = MailboxKey { account: id, mailbox: MailboxId(folder.id) };
                let row = &rows.mailboxes[&key];
                assert_eq!((row.name.as_str(), row.uid_validity.get()), (&*folder.name, folder.validity));
                assert_eq!(row.counters.modseq.get(), folder.modseq);
                assert_eq!(row.counters.uid_next.unwrap().get(), folder.next);
                let words = |bits: KeywordBits| {
                    bits.numbers().map(|at| row.keywords[at].as_str().to_ascii_lowercase()).collect()
                };
                let live = rows.live(key).map(|it| Message {
                    uid: it.uid.get(),
                    flags: it.flags,
                    words: words(it.keywords),
                    modseq: it.modseq.get(),
                    size: it.size,
                });
                assert_eq!(live.collect::<Vec<_>>(), folder.messages);
            }
        }
    }
}

impl Account {
    fn step(&mut self, command: &ShardCommand) -> Outcome {
        match command {
            ShardCommand::CreateMailbox { name, uid_validity_seed, .. } => {
                self.make(name.as_str(), *uid_validity_seed)
            }
            ShardCommand::DeleteMailbox { name, .. } if name.is_inbox() => Err(Rejection::Inbox),
            ShardCommand::DeleteMailbox { name, .. } => {
                self.named(name.as_str()).ok_or(Rejection::NoSuchMailbox)?.live = false;
                Ok(Reply::Done)
            }
            ShardCommand::RenameMailbox { from, to, uid_validity_seed, .. } => {
                self.rename(from.as_str(), to.as_str(), *uid_validity_seed)
            }
            ShardCommand::Subscribe { name, .. } => {
                self.subscriptions.insert(name.to_string());
                Ok(Reply::Done)
            }
            ShardCommand::Unsubscribe { name, .. } => {
                self.subscriptions.remove(name.as_str());
                Ok(Reply::Done)
            }
            ShardCommand::PurgeMailbox(key) => {
                match self.boxes.iter().position(|it| it.id == key.mailbox.0) {
                    Some(at) if self.boxes[at].live => Err(Rejection::NotHere),
                    Some(at) => {
                        self.boxes.remove(at);
                        Ok(Reply::Purged { more: false })
                    }
                    None => Ok(Reply::Purged { more: false }),
                }
            }
            ShardCommand::Append { mailbox, messages } => self.append(mailbox.mailbox.0, messages),
            ShardCommand::StoreFlags(store) => self.store(store),
            ShardCommand::Expunge { mailbox, uids } => {
                self.folder(mailbox.mailbox.0)?;
                let deleted =
                    |it: &Message| uids.contains(uid(it.uid)) && it.flags.contains(SystemFlags::DELETED);
                let (gone, advance) = self.remove(mailbox.mailbox.0, deleted);
                Ok(Reply::Expunged { uids: gone, advance })
            }
            ShardCommand::Copy(transfer) => self.copy(transfer),
            ShardCommand::Move(transfer) => self.relocate(transfer),
            ShardCommand::StageCopy { transfer, .. } => self.stage(transfer),
            ShardCommand::PublishCopy { messages, .. } => self.publish(*messages),
            ShardCommand::DropCopy { .. } => {
                self.staged = None;
                Ok(Reply::Done)
            }
            ShardCommand::ClaimRecent(key) => {
                let folder = self.folder(key.mailbox.0)?;
                let (from, below) = (folder.recent, folder.next);
                folder.recent = below;
                Ok(Reply::RecentClaimed { from: Some(uid(from)), below: Some(uid(below)) })
            }
            other => panic!("the naive model does not know {other:?}"),
        }
    }

    fn usage(&self) -> (u64, u64) {
        let messages = || self.boxes.iter().filter(|it| it.live).flat_map(|it| &it.messages);
        (messages().count() as u64, messages().map(|it| it.size).sum())
    }

    fn check_quota(&self) -> Result<()> {
        let (messages, bytes) = self.usage();
        if self.quota.bytes_max.is_some_and(|max| bytes > max) {
            return Err(Rejection::OverQuota(QuotaKind::Bytes));
        }
        if self.quota.messages_max.is_some_and(|max| messages > max) {
            return Err(Rejection::OverQuota(QuotaKind::Messages));
        }
        Ok(())
    }

    fn bump(&mut self) -> u64 {
        if !self.bumped {
            self.modseq += 1;
        }
        self.bumped = true;
        self.modseq
    }

    fn named(&mut self, name: &str) -> Option<&mut Box> {
        self.boxes.iter_mut().find(|it| it.live && it.name == name)
    }

    fn folder(&mut self, id: u32) -> Result<&mut Box> {
        self.boxes.iter_mut().find(|it| it.live && it.id == id).ok_or(Rejection::NoSuchMailbox)
    }

    fn create(&mut self, name: &str, seed: u32) -> (u32, u32) {
        let modseq = self.bump();
        self.validity = seed.max(self.validity + 1);
        self.last_id += 1;
        let id = self.last_id;
        self.boxes.push(Box {
            id,
            name: name.into(),
            live: true,
            validity: self.validity,
            keywords: vec![],
            messages: vec![],
            next: 1,
            recent: 1,
            modseq,
        });
        (id, self.validity)
    }

    fn make(&mut self, name: &str, seed: u32) -> Outcome {
        if name == "INBOX" || name.to_ascii_uppercase().starts_with("INBOX/INBOX") {
            return Err(Rejection::Inbox);
        }
        if self.named(name).is_some() {
            return Err(Rejection::MailboxExists(crate::tests::group::name(name)));
        }
        self.make_above(name, seed);
        let (id, validity) = self.create(name, seed);
        Ok(Reply::MailboxCreated { mailbox: MailboxId(id), uid_validity: validity_of(validity) })
    }

    fn make_above(&mut self, name: &str, seed: u32) {
        let levels: Vec<&str> = name.split('/').collect();
        for depth in 1..levels.len() {
            let above = levels[..depth].join("/");
            // INBOX is never missing: while it is renamed, a new one is on its way.
            if above != "INBOX" && self.named(&above).is_none() {
                self.create(&above, seed);
            }
        }
    }

    fn rename(&mut self, from: &str, to: &str, seed: u32) -> Outcome {
        let below = format!("{from}/");
        let moves =
            |it: &Box| it.live && (it.name == from || (from != "INBOX" && it.name.starts_with(&below)));
        if !self.boxes.iter().any(moves) {
            return Err(Rejection::NoSuchMailbox);
        }
        if to == "INBOX" || to.starts_with("INBOX/INBOX") {
            return Err(Rejection::Inbox);
        }
        if self.named(to).is_some() {
            return Err(Rejection::MailboxExists(name(to)));
        }
        if (to == from || to.starts_with(&below)) && from != "INBOX" {
            return Err(Rejection::IntoItself);
        }
        let stay: Vec<String> =
            self.boxes.iter().filter(|it| it.live && !moves(it)).map(|it| it.name.clone()).collect();
        let mut moved: Vec<&mut Box> = self.boxes.iter_mut().filter(|it| moves(it)).collect();
        moved.sort_by_key(|it| (it.name.len(), it.name.clone()));
        for folder in moved {
            let new = format!("{to}{}", &folder.name[from.len()..]);
            if new.starts_with("INBOX/INBOX") {
                return Err(Rejection::Inbox);
            }
            if stay.contains(&new) {
                return Err(Rejection::MailboxExists(name(&new)));
            }
            folder.name = new;
        }
        self.make_above(to, seed);
        if from == "INBOX" {
            self.create("INBOX", seed);
        }
        // Even a rename writes the account's row; it takes no modseq unless mailboxes were made.
        Ok(Reply::Done)
    }

    fn deliver(&mut self, folder: Option<&str>, message: &NewMessage) -> Result<Delivery> {
        let exists = folder.is_some_and(|it| self.named(it).is_some());
        let folder = self.named(folder.filter(|_| exists).unwrap_or("INBOX")).unwrap();
        let (id, validity) = (folder.id, folder.validity);
        let uid = self.add(id, message.flags, words(message), message.size);
        self.check_quota()?;
        Ok(Delivery { mailbox: MailboxId(id), uid_validity: validity_of(validity), uid: uid_of(uid) })
    }

    fn append(&mut self, id: u32, messages: &[NewMessage]) -> Outcome {
        let folder = self.folder(id)?;
        let (validity, before) = (folder.validity, folder.modseq);
        let uids = messages.iter().map(|it| self.add(id, it.flags, words(it), it.size)).collect::<Vec<_>>();
        if !messages.is_empty() {
            self.check_quota()?;
        }
        let advance = advance(before, self.folder(id)?.modseq);
        let uids = uids.into_iter().map(uid_of).collect();
        Ok(Reply::Appended { uid_validity: validity_of(validity), uids, advance })
    }

    fn add(&mut self, id: u32, flags: SystemFlags, words: Vec<String>, size: u64) -> u32 {
        let modseq = self.bump();
        let folder = self.folder(id).unwrap();
        folder.learn(&words);
        let uid = folder.next;
        folder.next += 1;
        folder.modseq = modseq;
        let words = words.into_iter().map(|it| it.to_ascii_lowercase()).collect();
        folder.messages.push(Message { uid, flags, words, modseq, size });
        uid
    }

    fn remove(&mut self, id: u32, gone: impl Fn(&Message) -> bool) -> (UidSet, Advance) {
        let before = self.folder(id).unwrap().modseq;
        if self.folder(id).unwrap().messages.iter().any(&gone) {
            let modseq = self.bump();
            self.folder(id).unwrap().modseq = modseq;
        }
        let folder = self.folder(id).unwrap();
        let uids = folder.messages.iter().filter(|it| gone(it)).map(|it| uid_of(it.uid)).collect();
        folder.messages.retain(|it| !gone(it));
        (uids, advance(before, folder.modseq))
    }

    fn store(&mut self, store: &StoreFlags) -> Outcome {
        let id = store.mailbox.mailbox.0;
        let before = self.folder(id)?.modseq;
        let mut states = Vec::new();
        let mut modified = UidSet::new();
        let asked: Vec<Message> =
            self.folder(id)?.messages.iter().filter(|it| store.uids.contains(uid(it.uid))).cloned().collect();
        let named: Vec<String> = store.keywords.iter().map(|it| it.as_str().to_owned()).collect();
        let lower: BTreeSet<String> = named.iter().map(|it| it.to_ascii_lowercase()).collect();
        for mut message in asked {
            if store.unchanged_since.is_some_and(|since| message.modseq > since.get()) {
                modified.push(uid_of(message.uid));
                continue;
            }
            let old = message.clone();
            match store.mode {
                StoreMode::Replace => (message.flags, message.words) = (store.flags, lower.clone()),
                StoreMode::Add => {
                    message.flags |= store.flags;
                    message.words.extend(lower.clone());
                }
                StoreMode::Remove => {
                    message.flags = message.flags.without(store.flags);
                    message.words.retain(|it| !lower.contains(it));
                }
            }
            if store.mode != StoreMode::Remove {
                self.folder(id)?.learn(&named);
            }
            if message != old {
                message.modseq = self.bump();
                self.folder(id)?.modseq = message.modseq;
            }
            let folder = self.folder(id)?;
            states.push(folder.state_of(&message));
            let at = folder.messages.iter().position(|it| it.uid == message.uid).unwrap();
            folder.messages[at] = message;
        }
        let folder = self.folder(id)?;
        let keywords = folder.keywords.iter().map(|it| crate::tests::group::keyword(it)).collect();
        Ok(Reply::Stored { messages: states, modified, keywords, advance: advance(before, folder.modseq) })
    }

    fn copies(&mut self, transfer: &Transfer) -> Result<Vec<Message>> {
        let messages = self.folder(transfer.source.mailbox.0)?.messages.clone();
        self.folder(transfer.target.0)?;
        Ok(messages.into_iter().filter(|it| transfer.uids.contains(uid(it.uid))).collect())
    }

    fn add_all(&mut self, source: u32, target: u32, messages: &[Message]) -> (UidValidity, UidSet, UidSet) {
        let list =
            self.boxes.iter().find(|it| it.id == source).map(|it| it.keywords.clone()).unwrap_or_default();
        let mut uids = UidSet::new();
        for message in messages {
            // In the order of the source's list, in its spelling: as `decide` reads the bits.
            let words = list.iter().filter(|it| message.words.contains(&it.to_ascii_lowercase())).cloned();
            uids.push(uid_of(self.add(target, message.flags, words.collect(), message.size)));
        }
        let validity = validity_of(self.folder(target).unwrap().validity);
        (validity, messages.iter().map(|it| uid_of(it.uid)).collect(), uids)
    }

    fn copy(&mut self, transfer: &Transfer) -> Outcome {
        let messages = self.copies(transfer)?;
        let (uid_validity, source, target) =
            self.add_all(transfer.source.mailbox.0, transfer.target.0, &messages);
        if !messages.is_empty() {
            self.check_quota()?;
        }
        Ok(Reply::Copied { uid_validity, source, target })
    }

    fn relocate(&mut self, transfer: &Transfer) -> Outcome {
        let id = transfer.source.mailbox.0;
        let messages = self.copies(transfer)?;
        let before = self.folder(id)?.modseq;
        let (uid_validity, source, target) = self.add_all(id, transfer.target.0, &messages);
        self.remove(id, |it| messages.iter().any(|gone| gone.uid == it.uid));
        let after = self.folder(id)?.modseq;
        let before = if id == transfer.target.0 { after } else { before };
        Ok(Reply::Moved { uid_validity, source, target, advance: advance(before, after) })
    }

    fn stage(&mut self, transfer: &Transfer) -> Outcome {
        let (source, target) = (transfer.source.mailbox.0, transfer.target.0);
        let messages = self.copies(transfer)?;
        if let Some((from, to, staged)) = &self.staged
            && ((*from, *to) != (source, target)
                || messages.first().is_some_and(|it| it.uid <= staged.last().unwrap().uid))
        {
            return Err(Rejection::StagingMismatch);
        }
        // The target learns the keywords already.
        let list = self.folder(source)?.keywords.clone();
        for message in &messages {
            let words: Vec<String> =
                list.iter().filter(|it| message.words.contains(&it.to_ascii_lowercase())).cloned().collect();
            self.folder(target)?.learn(&words);
        }
        let mut staged = self.staged.take().map_or(Vec::new(), |(_, _, staged)| staged);
        staged.extend(messages);
        let count = staged.len() as u32;
        self.staged = (count > 0).then_some((source, target, staged));
        Ok(Reply::Staged { messages: count })
    }

    fn publish(&mut self, count: u32) -> Outcome {
        let (_, target, messages) = self.staged.take().ok_or(Rejection::NoSuchStaging)?;
        if messages.len() as u32 != count {
            return Err(Rejection::TooManyMessages);
        }
        self.folder(target)?;
        let mut uids = UidSet::new();
        for message in &messages {
            // The target has learned these when they were staged.
            let words = message.words.iter().cloned().collect();
            uids.push(uid_of(self.add(target, message.flags, words, message.size)));
        }
        self.check_quota()?;
        let uid_validity = validity_of(self.folder(target)?.validity);
        let source = messages.iter().map(|it| uid_of(it.uid)).collect();
        Ok(Reply::Copied { uid_validity, source, target: uids })
    }
}

impl Box {
    fn learn(&mut self, words: &[String]) {
        for word in words {
            if !self.keywords.iter().any(|it| it.eq_ignore_ascii_case(word)) {
                self.keywords.push(word.clone());
            }
        }
    }

    fn state_of(&self, message: &Message) -> FlagState {
        let has = |word: &String| message.words.contains(&word.to_ascii_lowercase());
        let bits = self.keywords.iter().enumerate().filter(|(_, word)| has(word));
        let keywords = KeywordBits(bits.map(|(at, _)| 1u128 << at).sum());
        FlagState { uid: uid(message.uid), flags: message.flags, keywords, modseq: modseq(message.modseq) }
    }
}

fn words(message: &NewMessage) -> Vec<String> {
    message.keywords.iter().map(|it| it.as_str().to_owned()).collect()
}

fn advance(before: u64, after: u64) -> Advance {
    Advance { before: modseq(before), after: modseq(after) }
}

fn validity_of(value: u32) -> UidValidity {
    UidValidity::new(value).unwrap()
}

fn uid_of(value: u32) -> buzon_types::uid::Uid {
    uid(value)
}
