//! A client that believes nothing: it checks every untagged response against what it was told before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use buzon_types::flag::SystemFlags;

use super::harness::{Line, Server};

/// In how many sessions with SELECT and without IMAP4rev2 each message was told, and in how many it was `\Recent`, by UID.
pub(super) type Ledger = Arc<Mutex<BTreeMap<u32, (u32, u32)>>>;

/// How a client opens its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Select,
    Examine,
    /// After ENABLE IMAP4rev2.
    Rev2,
}

/// What it knows of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// 0: not told yet.
    pub(super) uid: u32,
    pub(super) flags: Option<SystemFlags>,
}

/// A session with a mailbox open.
pub(super) struct Client {
    line: Line,
    commands: u32,
    pub(super) opening: Opening,
    pub(super) messages: Vec<Known>,
    /// Told with `\Recent` since the mailbox was opened, and without.
    recent: BTreeSet<u32>,
    old: BTreeSet<u32>,
    /// The last RECENT.
    recent_told: Option<usize>,
    /// The last SEARCH.
    found: Vec<u32>,
    ledger: Ledger,
}

/// Whether EXPUNGE may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expunges {
    Allowed,
    Forbidden,
}

impl Client {
    pub(super) async fn open(server: &Server, opening: Opening, ledger: &Ledger) -> Self {
        let mut line = server.log_in().await;
        if opening == Opening::Rev2 {
            line.command("rev2", "ENABLE IMAP4rev2").await;
        }
        let mut client = Self {
            line,
            commands: 0,
            opening,
            messages: Vec::new(),
            recent: BTreeSet::new(),
            old: BTreeSet::new(),
            recent_told: None,
            found: Vec::new(),
            ledger: Arc::clone(ledger),
        };
        client.open_again().await;
        client
    }

    pub(super) async fn open_again(&mut self) {
        self.messages.clear();
        self.recent.clear();
        self.old.clear();
        let command = if self.opening == Opening::Examine { "EXAMINE" } else { "SELECT" };
        let lines = self.line.command("open", &format!("{command} INBOX")).await;
        assert!(lines.last().unwrap().starts_with("open OK"), "{lines:?}");
        lines.iter().for_each(|line| self.hear(line, Expunges::Forbidden));
        self.learn().await;
    }

    /// Runs a command and believes its answers; returns the tagged one without its tag.
    pub(super) async fn run(&mut self, command: &str, expunges: Expunges) -> String {
        self.commands += 1;
        let tag = format!("t{}", self.commands);
        let lines = self.line.command(&tag, command).await;
        let (last, untagged) = lines.split_last().unwrap();
        for line in untagged {
            self.hear(line, expunges);
        }
        last[tag.len() + 1..].to_owned()
    }

    /// Asks the UIDs and flags of messages that it does not know; more may come meanwhile.
    pub(super) async fn learn(&mut self) {
        while let Some(first) = self.messages.iter().position(|message| message.uid == 0) {
            let last = self.messages.len();
            let fetch = format!("FETCH {}:{last} (UID FLAGS)", first + 1);
            let answer = self.run(&fetch, Expunges::Forbidden).await;
            if answer.starts_with("NO [EXPUNGEISSUED]") {
                // Some are gone for good before they could be asked: EXPUNGE tells which.
                self.run("NOOP", Expunges::Allowed).await;
            } else {
                assert!(answer.starts_with("OK"), "{answer}");
            }
        }
        let uids: Vec<u32> = self.messages.iter().map(|message| message.uid).collect();
        assert!(uids.windows(2).all(|pair| pair[0] < pair[1]), "UIDs ascend: {uids:?}");
    }

    /// Sits in IDLE until nothing more comes.
    pub(super) async fn idle(&mut self) {
        self.line.send("idle IDLE").await;
        self.line.send("DONE").await;
        for line in self.line.until_tagged("idle").await {
            self.hear(&line, Expunges::Allowed);
        }
        self.learn().await;
    }

    /// Once all flags are known: what RECENT told, and what SEARCH and STATUS find, is what FETCH showed.
    pub(super) async fn check_recent(&mut self) {
        if self.opening == Opening::Rev2 {
            assert_eq!((self.recent_told, self.recent.len()), (None, 0));
            return;
        }
        let counted: BTreeSet<u32> = self.messages.iter().map(|message| message.uid).collect();
        let recent: Vec<u32> = self.recent.intersection(&counted).copied().collect();
        assert_eq!(self.recent_told, Some(recent.len()));
        self.run("UID SEARCH RECENT", Expunges::Allowed).await;
        assert_eq!(self.found, recent);
        self.run("UID SEARCH OLD", Expunges::Allowed).await;
        assert_eq!(self.found.len(), counted.len() - recent.len());
    }

    pub(super) fn flags(&self) -> BTreeMap<u32, SystemFlags> {
        self.messages.iter().map(|message| (message.uid, message.flags.unwrap())).collect()
    }

    fn hear(&mut self, line: &str, expunges: Expunges) {
        if let Some(found) = line.strip_prefix("* SEARCH") {
            self.found = found.split_whitespace().map(|uid| uid.parse().unwrap()).collect();
        }
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let ["*", number, what, ..] = words[..] else { return };
        let Ok(number) = number.parse::<usize>() else { return };
        match what {
            "EXISTS" => {
                assert!(number >= self.messages.len(), "EXISTS {number} of {}", self.messages.len());
                self.messages.resize(number, Known::default());
            }
            "RECENT" => self.recent_told = Some(number),
            "EXPUNGE" => {
                assert_eq!(expunges, Expunges::Allowed, "{line} where it is forbidden");
                assert!((1..=self.messages.len()).contains(&number), "{line} of {}", self.messages.len());
                self.messages.remove(number - 1);
            }
            "FETCH" => {
                assert!((1..=self.messages.len()).contains(&number), "{line} of {}", self.messages.len());
                self.believe(number - 1, words[3]);
            }
            _ => {}
        }
    }

    fn believe(&mut self, at: usize, items: &str) {
        let message = &mut self.messages[at];
        if let Some((_, rest)) = items.split_once("UID ") {
            let uid: u32 = rest.split([' ', ')']).next().unwrap().parse().unwrap();
            assert!(
                message.uid == 0 || message.uid == uid,
                "message {} was {} and is {uid}",
                at + 1,
                message.uid
            );
            message.uid = uid;
        }
        if let Some((_, rest)) = items.split_once("FLAGS (") {
            let names = rest.split(')').next().unwrap().split(' ');
            let is_recent = names.clone().any(|name| name == "\\Recent");
            let flags = names.filter_map(SystemFlags::from_name);
            message.flags = Some(flags.fold(SystemFlags::NONE, |all, flag| all | flag));
            let uid = message.uid;
            if uid != 0 {
                self.note_recent(uid, is_recent);
            }
        }
    }

    /// A message that is recent stays so, as long as the mailbox is open; one that is not never becomes it.
    fn note_recent(&mut self, uid: u32, is_recent: bool) {
        assert!(!is_recent || self.opening != Opening::Rev2, "{uid} is recent in IMAP4rev2");
        let (noted, other) =
            if is_recent { (&mut self.recent, &self.old) } else { (&mut self.old, &self.recent) };
        assert!(!other.contains(&uid), "{uid} changes to recent: {is_recent}");
        if noted.insert(uid) && self.opening == Opening::Select {
            let mut ledger = self.ledger.lock().unwrap();
            let (told, recent) = ledger.entry(uid).or_default();
            (*told, *recent) = (*told + 1, *recent + u32::from(is_recent));
            assert!(*recent <= 1, "{uid} is recent twice");
        }
    }
}
