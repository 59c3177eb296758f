//! One account under load: random commands over IMAP and LMTP, each answer noted in the model.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::letter::Letter;
use super::model::{Flags, Held, Mailbox, Model, Pending};
use crate::imap::{Answer, Imap};
use crate::lmtp::Lmtp;
use crate::value::{set_text, uid_set};

/// All are there from the start.
pub const MAILBOXES: [&str; 3] = ["INBOX", "Archive", "Sent"];
const FLAGS: [&str; 7] = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "\\Deleted", "$Work", "later"];
/// Above this a mailbox mostly loses messages: listings stay short.
const HELD_MAX: usize = 60;
/// Messages that one command names.
const CHOSEN_MAX: usize = 6;

/// The server did something wrong; anything else is a connection that broke.
#[derive(Debug)]
pub struct Violation(pub String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Fails with a [`Violation`] unless a claim holds.
///
/// A passing refusal is none: the text then tells of one, and the outcome is unknown.
macro_rules! claim {
    ($claim:expr, $($text:tt)+) => {
        if !$claim {
            let text = format!($($text)+);
            if $crate::load::person::is_passing(&text) {
                return Err(anyhow::anyhow!(text));
            }
            return Err($crate::load::person::Violation(text).into());
        }
    };
}
pub(crate) use claim;

/// Whether an answer says that the service is away for now (RFC 5530 §3, RFC 5321 §4.2.1).
pub(crate) fn is_passing(text: &str) -> bool {
    text.contains("NO [UNAVAILABLE]") || text.contains("\"451 ") || text.contains("\"421 ")
}

/// Where the server is now.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// IMAP over TLS.
    pub imaps: SocketAddr,
    /// LMTP.
    pub lmtp: SocketAddr,
    /// Whom to trust.
    pub ca: PathBuf,
}

/// An account.
#[derive(Debug)]
pub struct Person {
    /// Its address.
    pub user: String,
    /// Its password.
    pub password: String,
    /// What it must look like.
    pub model: Model,
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// Unanswered changes that turned out done, and not done.
    pub unknown: [u64; 2],
    /// Times that a session ended with a change unanswered, or with a refusal for now.
    pub interrupted: u64,
    pub(super) random: StdRng,
    letters: u64,
}

struct Work {
    imap: Imap,
    lmtp: Lmtp,
    selected: &'static str,
}

impl Person {
    /// Whose every choice follows from a seed.
    pub fn new(user: &str, password: &str, seed: u64) -> Self {
        let mailboxes = MAILBOXES.into_iter().map(|name| (name, Mailbox::default())).collect();
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            model: Model { mailboxes, ..Model::default() },
            acknowledged: 0,
            unknown: [0; 2],
            interrupted: 0,
            random: StdRng::seed_from_u64(seed),
            letters: 0,
        }
    }

    /// Works until the server is gone or `stop` is set. An error is a violation, or a server that went unasked.
    ///
    /// # Errors
    /// See there.
    pub fn work(&mut self, at: &Addresses, gone: &AtomicBool, stop: &AtomicBool) -> anyhow::Result<()> {
        match self.work_until(at, stop) {
            Err(error) if error.downcast_ref::<Violation>().is_none() && gone.load(Ordering::Acquire) => {
                Ok(())
            }
            other => other.with_context(|| format!("{} while {:?}", self.user, self.model.pending)),
        }
    }

    pub(super) fn work_until(&mut self, at: &Addresses, stop: &AtomicBool) -> anyhow::Result<()> {
        let imap = Imap::login(at.imaps, &at.ca, &self.user, &self.password)?;
        let mut work = Work { imap, lmtp: Lmtp::connect(at.lmtp)?, selected: "" };
        self.select(&mut work, "INBOX")?;
        while !stop.load(Ordering::Acquire) {
            self.step(&mut work)?;
            self.model.pending = None;
        }
        Ok(())
    }

    fn step(&mut self, work: &mut Work) -> anyhow::Result<()> {
        if self.random.random_ratio(1, 8) {
            let mailbox = *MAILBOXES.choose(&mut self.random).context("mailboxes")?;
            self.select(work, mailbox)?;
        }
        let held = self.mailbox(work.selected)?.held.len();
        let choice = if held > HELD_MAX {
            self.random.random_range(50..100)
        } else {
            self.random.random_range(0..100)
        };
        match choice {
            0..25 => self.deliver(work),
            25..50 => self.append(work),
            50..70 => self.store(work, None),
            70..80 => self.copy(work, false),
            80..90 => self.copy(work, true),
            _ => self.expunge(work),
        }
    }

    fn mailbox(&mut self, name: &str) -> anyhow::Result<&mut Mailbox> {
        self.model.mailboxes.get_mut(name).context("a mailbox of ours")
    }

    fn letter(&mut self) -> Letter {
        self.letters += 1;
        let token =
            format!("{}-{:08x}-{}", self.user.replace('@', "."), self.random.random::<u32>(), self.letters);
        Letter::random(token, &mut self.random)
    }

    fn some_flags(&mut self) -> Flags {
        let count = self.random.random_range(0..4);
        FLAGS.choose_multiple(&mut self.random, count).map(|flag| (*flag).to_owned()).collect()
    }

    fn some_uids(&mut self, mailbox: &str, deleted: bool) -> anyhow::Result<Vec<u32>> {
        let held = &self.model.mailboxes.get(mailbox).context("a mailbox of ours")?.held;
        let fit = held.iter().filter(|(_, held)| !deleted || held.flags.contains("\\Deleted"));
        let fit: Vec<u32> = fit.map(|(uid, _)| *uid).collect();
        let count = self.random.random_range(1..=CHOSEN_MAX);
        let mut some: Vec<u32> = fit.choose_multiple(&mut self.random, count).copied().collect();
        some.sort_unstable();
        Ok(some)
    }

    fn select(&mut self, work: &mut Work, mailbox: &'static str) -> anyhow::Result<()> {
        let answer = work.imap.command(&format!("SELECT {mailbox}"))?;
        claim!(answer.is_ok(), "SELECT: {}", answer.status);
        work.selected = mailbox;
        self.note_open(mailbox, &answer)?;
        if mailbox == "INBOX" { self.place(work) } else { Ok(()) }
    }

    fn note_open(&mut self, name: &str, answer: &Answer) -> anyhow::Result<()> {
        let number = |code: &str| answer.code(code).and_then(|text| text.parse::<u64>().ok());
        let (validity, next, modseq) = (number("UIDVALIDITY"), number("UIDNEXT"), number("HIGHESTMODSEQ"));
        let (Some(validity), Some(next), Some(modseq)) = (validity, next, modseq) else {
            return Err(Violation(format!("SELECT without its codes: {answer:?}")).into());
        };
        self.mailbox(name)?.note(validity, next, modseq)
    }

    /// Finds the UIDs of what LMTP delivered. All that was acknowledged before SELECT is there.
    fn place(&mut self, work: &mut Work) -> anyhow::Result<()> {
        if self.model.unplaced.is_empty() {
            return Ok(());
        }
        let answer = work.imap.command("UID FETCH 1:* (ENVELOPE)")?;
        claim!(answer.is_ok(), "UID FETCH: {}", answer.status);
        for fetched in answer.fetched()? {
            let Some(envelope) = fetched.get("ENVELOPE") else { continue };
            let token =
                String::from_utf8_lossy(envelope.list()?.get(1).context("a subject")?.bytes()?).into_owned();
            if let Some(at) = self.model.unplaced.iter().position(|letter| letter.token == token) {
                let letter = self.model.unplaced.remove(at);
                self.mailbox("INBOX")?.put(
                    fetched.uid()?,
                    Held { letter, delivered: true, flags: Flags::new(), read_back: false },
                );
            }
        }
        let lost = &self.model.unplaced;
        claim!(lost.is_empty(), "delivered and not there at the next SELECT: {lost:?}");
        Ok(())
    }

    fn deliver(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let letter = self.letter();
        self.model.pending = Some(Pending::Deliver(letter.clone()));
        let replies = work.lmtp.deliver("load@example.net", &[&self.user], &letter.bytes())?;
        claim!(replies.len() == 1 && replies[0].starts_with("250"), "LMTP: {replies:?}");
        self.model.unplaced.push(letter);
        self.acknowledged += 1;
        Ok(())
    }

    fn append(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let mailbox = *MAILBOXES.choose(&mut self.random).context("mailboxes")?;
        let (letter, flags) = (self.letter(), self.some_flags());
        self.model.pending = Some(Pending::Append { mailbox, letter: letter.clone(), flags: flags.clone() });
        let list = flags.iter().cloned().collect::<Vec<_>>().join(" ");
        let answer = work.imap.append(mailbox, &format!("({list})"), &letter.bytes())?;
        claim!(answer.is_ok(), "APPEND: {}", answer.status);
        let (_, uid) = answer.code("APPENDUID").and_then(|it| it.split_once(' ')).context("APPENDUID")?;
        let uid: u32 = uid.parse()?;
        let target = self.mailbox(mailbox)?;
        claim!(!target.ever.contains_key(&uid), "APPEND used UID {uid} of {mailbox} again");
        target.put(uid, Held { letter, delivered: false, flags, read_back: false });
        self.acknowledged += 1;
        Ok(())
    }

    fn store(&mut self, work: &mut Work, only: Option<&str>) -> anyhow::Result<()> {
        let uids = self.some_uids(work.selected, false)?;
        if uids.is_empty() {
            return Ok(());
        }
        let flags = only.map_or_else(|| self.some_flags(), |flag| Flags::from([flag.to_owned()]));
        let sign =
            if only.is_some() { "+" } else { ["+", "-", ""].choose(&mut self.random).context("a sign")? };
        let mailbox = self.mailbox(work.selected)?;
        let changed = |uid: &u32| {
            let before = mailbox.held.get(uid).map(|held| held.flags.clone()).unwrap_or_default();
            let after: Flags = match sign {
                "+" => before.union(&flags).cloned().collect(),
                "-" => before.difference(&flags).cloned().collect(),
                _ => flags.clone(),
            };
            (*uid, after)
        };
        let after: std::collections::BTreeMap<u32, Flags> = uids.iter().map(changed).collect();
        self.model.pending = Some(Pending::Store { mailbox: work.selected, after: after.clone() });
        let silent = if self.random.random() { ".SILENT" } else { "" };
        let list = flags.iter().cloned().collect::<Vec<_>>().join(" ");
        let answer =
            work.imap.command(&format!("UID STORE {} {sign}FLAGS{silent} ({list})", set_text(&uids)))?;
        claim!(answer.is_ok(), "UID STORE: {}", answer.status);
        for (uid, flags) in after {
            if let Some(held) = self.mailbox(work.selected)?.held.get_mut(&uid) {
                held.flags = flags;
            }
        }
        self.acknowledged += 1;
        Ok(())
    }

    fn expunge(&mut self, work: &mut Work) -> anyhow::Result<()> {
        let mut uids = self.some_uids(work.selected, true)?;
        if uids.is_empty() {
            self.store(work, Some("\\Deleted"))?;
            self.model.pending = None;
            uids = self.some_uids(work.selected, true)?;
        }
        if uids.is_empty() {
            return Ok(());
        }
        self.model.pending = Some(Pending::Expunge { mailbox: work.selected, uids: uids.clone() });
        let answer = work.imap.command(&format!("UID EXPUNGE {}", set_text(&uids)))?;
        claim!(answer.is_ok(), "UID EXPUNGE: {}", answer.status);
        let mailbox = self.mailbox(work.selected)?;
        mailbox.held.retain(|uid, _| !uids.contains(uid));
        self.acknowledged += 1;
        Ok(())
    }

    fn copy(&mut self, work: &mut Work, moves: bool) -> anyhow::Result<()> {
        let from = work.selected;
        let uids = self.some_uids(from, false)?;
        let to = *MAILBOXES
            .iter()
            .filter(|name| **name != from)
            .collect::<Vec<_>>()
            .choose(&mut self.random)
            .context("another")?;
        if uids.is_empty() {
            return Ok(());
        }
        self.model.pending = Some(Pending::Copy { from, to, uids: uids.clone(), moves });
        let verb = if moves { "MOVE" } else { "COPY" };
        let answer = work.imap.command(&format!("UID {verb} {} {to}", set_text(&uids)))?;
        claim!(answer.is_ok(), "UID {verb}: {}", answer.status);
        let code = answer.code("COPYUID").context("COPYUID")?;
        let words: Vec<&str> = code.split(' ').collect();
        let (sources, targets) =
            (uid_set(words.get(1).context("sources")?)?, uid_set(words.get(2).context("targets")?)?);
        claim!(sources == uids && targets.len() == uids.len(), "UID {verb} {uids:?}: COPYUID {code}");
        let ever = &self.mailbox(to)?.ever;
        claim!(
            !targets.iter().any(|uid| ever.contains_key(uid)),
            "UID {verb} used UIDs of {to} again: {code}"
        );
        let pairs: Vec<(u32, u32)> = sources.into_iter().zip(targets).collect();
        self.model.copied(from, to, &pairs, moves).context("what was copied is ours")?;
        self.acknowledged += 1;
        Ok(())
    }
}

impl Mailbox {
    /// What SELECT or STATUS told.
    ///
    /// # Errors
    /// If something went back or changed that must not.
    pub fn note(&mut self, validity: u64, uid_next: u64, modseq: u64) -> anyhow::Result<()> {
        let known = *self.uid_validity.get_or_insert(validity);
        claim!(known == validity, "UIDVALIDITY was {known}, is {validity}");
        claim!(uid_next >= self.uid_next, "UIDNEXT was {}, is {uid_next}", self.uid_next);
        claim!(modseq >= self.modseq, "HIGHESTMODSEQ was {}, is {modseq}", self.modseq);
        (self.uid_next, self.modseq) = (uid_next, modseq);
        Ok(())
    }
}
