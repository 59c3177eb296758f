//! After a restart: the account over IMAP against its model. The unanswered change is there entirely or not at all.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, ensure};
use rand::Rng;

use super::letter::is_delivered;
use super::model::{Flags, Held, Line};
use super::person::{Addresses, MAILBOXES, Person, claim};
use crate::imap::Imap;

/// Which messages are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bodies {
    /// New ones, and one in so many of the others.
    Some(u32),
    /// All.
    All,
}

struct Listed {
    line: Line,
    bytes: u64,
}

impl Person {
    /// Compares, and goes on from what is there.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&mut self, at: &Addresses, bodies: Bodies) -> anyhow::Result<()> {
        let user = self.user.clone();
        self.check_account(at, bodies)
            .with_context(|| format!("{user} with {:?} unanswered", self.model.pending))?;
        self.model.pending = None;
        Ok(())
    }

    fn check_account(&mut self, at: &Addresses, bodies: Bodies) -> anyhow::Result<()> {
        let mut imap = Imap::login(at.imaps, &at.ca, &self.user, &self.password)?;
        let mut seen = BTreeMap::new();
        for name in MAILBOXES {
            seen.insert(name, self.list(&mut imap, name).with_context(|| name.to_owned())?);
        }
        self.place_delivered(&seen["INBOX"])?;
        self.settle(&seen)?;
        for name in MAILBOXES {
            imap.ok(&format!("EXAMINE {name}"))?;
            self.read_back(&mut imap, name, &seen[name], bodies).with_context(|| name.to_owned())?;
        }
        Ok(())
    }

    /// STATUS, SELECT and a listing, which must agree.
    fn list(&mut self, imap: &mut Imap, name: &'static str) -> anyhow::Result<Vec<Listed>> {
        let status = imap
            .ok(&format!("STATUS {name} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE)"))?
            .status_items()?;
        let number = |item: &str| status.get(item).copied().with_context(|| format!("{item} in STATUS"));
        let mailbox = self.model.mailboxes.get_mut(name).context("a mailbox of ours")?;
        mailbox.note(number("UIDVALIDITY")?, number("UIDNEXT")?, number("HIGHESTMODSEQ")?)?;
        let opened = imap.ok(&format!("EXAMINE {name}"))?;
        let exists = format!("{} EXISTS", number("MESSAGES")?);
        ensure!(
            opened.with(" EXISTS").any(|it| it.text == exists),
            "STATUS tells {exists}, EXAMINE: {opened:?}"
        );
        let mut listed = Vec::new();
        for fetched in imap.ok("UID FETCH 1:* (FLAGS RFC822.SIZE ENVELOPE)")?.fetched()? {
            ensure!(
                fetched.seq as usize == listed.len() + 1,
                "sequence number {} at {}",
                fetched.seq,
                listed.len() + 1
            );
            let subject = fetched.item("ENVELOPE")?.list()?.get(1).context("a subject")?.bytes()?.to_vec();
            let line = Line {
                uid: Some(fetched.uid()?),
                token: String::from_utf8(subject)?,
                flags: fetched.flags()?.context("FLAGS")?,
            };
            listed.push(Listed { line, bytes: fetched.item("RFC822.SIZE")?.number()? });
        }
        let unseen = listed.iter().filter(|it| !it.line.flags.contains("\\Seen")).count();
        ensure!(
            number("MESSAGES")? == listed.len() as u64,
            "STATUS counts {}, {} are listed",
            number("MESSAGES")?,
            listed.len()
        );
        ensure!(
            number("UNSEEN")? == unseen as u64,
            "STATUS counts {} unseen, {unseen} are listed",
            number("UNSEEN")?
        );
        let bytes: u64 = listed.iter().map(|it| it.bytes).sum();
        ensure!(number("SIZE")? == bytes, "STATUS counts {} bytes, {bytes} are listed", number("SIZE")?);
        let uids: Vec<Option<u32>> = listed.iter().map(|it| it.line.uid).collect();
        ensure!(uids.is_sorted_by(|a, b| a < b), "UIDs do not ascend: {uids:?}");
        let last = uids.last().copied().flatten().unwrap_or(0);
        ensure!(number("UIDNEXT")? > u64::from(last), "UIDNEXT {} with UID {last}", number("UIDNEXT")?);
        for it in &listed {
            let meant = it.line.uid.and_then(|uid| mailbox.ever.get(&uid));
            ensure!(
                meant.is_none_or(|token| *token == it.line.token),
                "UID {:?} was {meant:?}, is {}",
                it.line.uid,
                it.line.token
            );
        }
        Ok(listed)
    }

    /// What LMTP acknowledged gets its UIDs from the listing.
    fn place_delivered(&mut self, inbox: &[Listed]) -> anyhow::Result<()> {
        for letter in std::mem::take(&mut self.model.unplaced) {
            let line = &inbox
                .iter()
                .find(|it| it.line.token == letter.token)
                .with_context(|| format!("delivered and lost: {letter:?}"))?
                .line;
            ensure!(line.flags.is_empty(), "a new message has flags: {line:?}");
            let held = Held { letter, delivered: true, flags: Flags::new(), read_back: false };
            let mailbox = self.model.mailboxes.get_mut("INBOX").context("INBOX")?;
            mailbox.put(line.uid.context("a UID")?, held);
        }
        Ok(())
    }

    /// Everything as before the unanswered change, or everything as after it.
    fn settle(&mut self, seen: &BTreeMap<&'static str, Vec<Listed>>) -> anyhow::Result<()> {
        let both = MAILBOXES.map(|name| self.model.expected(name));
        let (before, after): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        let fits = |expected: &[Vec<Line>]| {
            MAILBOXES.iter().zip(expected).all(|(name, lines)| same(lines, &seen[name]))
        };
        if fits(&before) {
            self.unknown[1] += u64::from(self.model.pending.is_some());
            return Ok(());
        }
        claim!(fits(&after), "neither as before nor as after:{}", differences(&before, seen));
        self.unknown[0] += 1;
        self.adopt(seen)
    }

    /// The unanswered change was done: what is listed is what is held.
    fn adopt(&mut self, seen: &BTreeMap<&'static str, Vec<Listed>>) -> anyhow::Result<()> {
        let model = self.model.clone();
        for (name, listed) in seen {
            let mailbox = self.model.mailboxes.get_mut(name).context("a mailbox of ours")?;
            let uids: Vec<u32> = listed.iter().filter_map(|it| it.line.uid).collect();
            mailbox.held.retain(|uid, _| uids.contains(uid));
            for Listed { line, .. } in listed {
                let uid = line.uid.context("a UID")?;
                if let Some(held) = mailbox.held.get_mut(&uid) {
                    held.flags = line.flags.clone();
                } else {
                    let (letter, delivered) = model.find(&line.token).context("a letter of ours")?;
                    mailbox.put(uid, Held { letter, delivered, flags: line.flags.clone(), read_back: false });
                }
            }
        }
        Ok(())
    }

    /// No referenced body is missing, and each is whole.
    fn read_back(
        &mut self,
        imap: &mut Imap,
        name: &str,
        listed: &[Listed],
        bodies: Bodies,
    ) -> anyhow::Result<()> {
        for Listed { line, bytes } in listed {
            let uid = line.uid.context("a UID")?;
            let mailbox = self.model.mailboxes.get_mut(name).context("a mailbox of ours")?;
            let held = mailbox.held.get_mut(&uid).context("it is held")?;
            let again = match bodies {
                Bodies::All => true,
                Bodies::Some(one_in) => self.random.random_ratio(1, one_in),
            };
            if held.read_back && !again {
                continue;
            }
            let fetched = imap.ok(&format!("UID FETCH {uid} (BODY.PEEK[])"))?.fetched()?;
            let body = fetched.first().context("a FETCH")?.item("BODY[]")?.bytes()?.to_vec();
            ensure!(body.len() as u64 == *bytes, "UID {uid}: RFC822.SIZE {bytes}, BODY[] has {}", body.len());
            let sent = held.letter.bytes();
            let good = if held.delivered { is_delivered(&body, &sent) } else { body == sent };
            ensure!(good, "UID {uid}: BODY[] is not what was sent: {:?}", held.letter);
            held.read_back = true;
        }
        Ok(())
    }
}

/// New messages have any UID; the listing ascends, so they come last and in order.
fn same(expected: &[Line], listed: &[Listed]) -> bool {
    expected.len() == listed.len()
        && expected.iter().zip(listed).all(|(line, it)| {
            (line.uid.is_none() || line.uid == it.line.uid)
                && line.token == it.line.token
                && line.flags == it.line.flags
        })
}

/// What is there and was not before, and the other way round.
fn differences(before: &[Vec<Line>], seen: &BTreeMap<&'static str, Vec<Listed>>) -> String {
    let mut text = String::new();
    for (name, before) in MAILBOXES.iter().zip(before) {
        let lines: Vec<&Line> = seen[name].iter().map(|it| &it.line).collect();
        let more: Vec<_> = lines.iter().filter(|line| !before.contains(line)).collect();
        let less: Vec<_> = before.iter().filter(|line| !lines.contains(line)).collect();
        let _ = write!(text, "\n{name}: more {more:?}\n{name}: less {less:?}");
    }
    text
}
