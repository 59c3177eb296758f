//! What one account must look like: everything that was acknowledged, and the one change whose answer the server's
//! death cut off.

use std::collections::{BTreeMap, BTreeSet};

use super::letter::Letter;

/// Flags and keywords of a message.
pub type Flags = BTreeSet<String>;

/// A message in a mailbox.
#[derive(Debug, Clone)]
pub struct Held {
    /// Which one.
    pub letter: Letter,
    /// By LMTP, which puts two fields in front.
    pub delivered: bool,
    /// As acknowledged.
    pub flags: Flags,
    /// Its bytes were read back since it came.
    pub read_back: bool,
}

/// A mailbox.
#[derive(Debug, Clone, Default)]
pub struct Mailbox {
    /// Once it is known.
    pub uid_validity: Option<u64>,
    /// What it holds, by UID.
    pub held: BTreeMap<u32, Held>,
    /// What every UID ever meant.
    pub ever: BTreeMap<u32, String>,
    /// The highest that was told.
    pub modseq: u64,
    /// The highest that was told.
    pub uid_next: u64,
}

/// A change that was sent and not answered.
#[derive(Debug, Clone)]
pub enum Pending {
    /// By LMTP, into INBOX.
    Deliver(Letter),
    /// By APPEND.
    Append {
        /// Where to.
        mailbox: &'static str,
        /// What.
        letter: Letter,
        /// With these.
        flags: Flags,
    },
    /// UID STORE.
    Store {
        /// Where.
        mailbox: &'static str,
        /// What each has afterwards.
        after: BTreeMap<u32, Flags>,
    },
    /// UID EXPUNGE.
    Expunge {
        /// Where.
        mailbox: &'static str,
        /// Which.
        uids: Vec<u32>,
    },
    /// UID COPY or UID MOVE.
    Copy {
        /// Where from.
        from: &'static str,
        /// Where to.
        to: &'static str,
        /// Which.
        uids: Vec<u32>,
        /// Whether they leave.
        moves: bool,
    },
}

/// A message as a listing shows it; without a UID, any new one will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its UID.
    pub uid: Option<u32>,
    /// Its subject.
    pub token: String,
    /// Its flags.
    pub flags: Flags,
}

/// An account.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Its mailboxes.
    pub mailboxes: BTreeMap<&'static str, Mailbox>,
    /// Delivered into INBOX; their UIDs are not known yet.
    pub unplaced: Vec<Letter>,
    /// Sent and not answered.
    pub pending: Option<Pending>,
}

impl Mailbox {
    /// A message that is there now.
    pub fn put(&mut self, uid: u32, held: Held) {
        self.ever.insert(uid, held.letter.token.clone());
        self.uid_next = self.uid_next.max(u64::from(uid) + 1);
        self.held.insert(uid, held);
    }

    fn lines(&self) -> Vec<Line> {
        let line = |(uid, held): (&u32, &Held)| Line {
            uid: Some(*uid),
            token: held.letter.token.clone(),
            flags: held.flags.clone(),
        };
        self.held.iter().map(line).collect()
    }
}

impl Model {
    /// What a mailbox shows, and what it shows if the unanswered change was done.
    pub fn expected(&self, name: &'static str) -> (Vec<Line>, Vec<Line>) {
        let before = self.mailboxes.get(name).map(Mailbox::lines).unwrap_or_default();
        let mut after = before.clone();
        let new = |letter: &Letter, flags: &Flags| Line {
            uid: None,
            token: letter.token.clone(),
            flags: flags.clone(),
        };
        match &self.pending {
            Some(Pending::Deliver(letter)) if name == "INBOX" => after.push(new(letter, &Flags::new())),
            Some(Pending::Append { mailbox, letter, flags }) if *mailbox == name => {
                after.push(new(letter, flags))
            }
            Some(Pending::Store { mailbox, after: changed }) if *mailbox == name => {
                for line in &mut after {
                    if let Some(flags) = line.uid.and_then(|uid| changed.get(&uid)) {
                        line.flags = flags.clone();
                    }
                }
            }
            Some(Pending::Expunge { mailbox, uids }) if *mailbox == name => {
                after.retain(|line| !line.uid.is_some_and(|uid| uids.contains(&uid)));
            }
            Some(Pending::Copy { from, uids, moves: true, .. }) if *from == name => {
                after.retain(|line| !line.uid.is_some_and(|uid| uids.contains(&uid)));
            }
            Some(Pending::Copy { from, to, uids, .. }) if *to == name => {
                let source = self.mailboxes.get(from);
                let copied = uids.iter().filter_map(|uid| source?.held.get(uid));
                after.extend(copied.map(|held| new(&held.letter, &held.flags)));
            }
            _ => {}
        }
        (before, after)
    }

    /// The letter with that token, wherever it is or may be.
    pub fn find(&self, token: &str) -> Option<(Letter, bool)> {
        let held = self.mailboxes.values().flat_map(|mailbox| mailbox.held.values());
        if let Some(held) = held.into_iter().find(|held| held.letter.token == token) {
            return Some((held.letter.clone(), held.delivered));
        }
        let (letter, delivered) = match &self.pending {
            Some(Pending::Deliver(letter)) => (letter, true),
            Some(Pending::Append { letter, .. }) => (letter, false),
            _ => return None,
        };
        (letter.token == token).then(|| (letter.clone(), delivered))
    }

    /// Does an acknowledged COPY or MOVE, with what COPYUID said.
    pub fn copied(&mut self, from: &str, to: &str, pairs: &[(u32, u32)], moves: bool) -> Option<()> {
        for (source, target) in pairs {
            let source_mailbox = self.mailboxes.get_mut(from)?;
            let held = source_mailbox.held.get(source)?.clone();
            if moves {
                source_mailbox.held.remove(source);
            }
            self.mailboxes.get_mut(to)?.put(*target, held);
        }
        Some(())
    }
}
