//! One account goes once through what a mail client asks of a server, over two front-ends: what the load's commands leave out.
//! So every call between a front-end and metadata nodes is made, and each answer is looked at.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::endure::is_trouble;
use super::person::{Addresses, is_passing};
use crate::imap::Imap;
use crate::lmtp::Lmtp;

/// A tour that met a restart is begun anew within this.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// Letters that are appended before anything else.
const LETTERS: usize = 3;

/// See the module.
#[derive(Debug)]
pub struct Tour {
    /// The account.
    pub user: String,
    password: String,
    number: u32,
}

impl Tour {
    /// Of an account that is there.
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), number: 0 }
    }

    /// One tour: commands to the first front-end, and a second session at the other that hears of them.
    ///
    /// # Errors
    /// A wrong answer, or no service for too long.
    pub fn go(&mut self, first: &Addresses, other: &Addresses) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            self.number += 1;
            match self.once(first, other).with_context(|| format!("tour {}", self.number)) {
                Err(error) if passes(&error) && Instant::now() < until => std::thread::sleep(PAUSE),
                done => return done,
            }
        }
    }

    fn login(&self, at: &Addresses) -> anyhow::Result<Imap> {
        Imap::login(at.imaps, &at.ca, &self.user, &self.password)
    }

    fn once(&self, first: &Addresses, other: &Addresses) -> anyhow::Result<()> {
        let (mut imap, mut quiet) = (self.login(first)?, self.login(other)?);
        let name = self.mailboxes(&mut imap)?;
        for number in 1..=LETTERS {
            let answer = imap.append(&name, "(\\Seen $Tour)", letter(number).as_bytes())?;
            ensure!(answer.is_ok(), "APPEND: {}", answer.status);
        }
        self.news(&mut imap, &mut quiet, &name)?;
        self.delivery(&mut imap, other)?;
        reads(&mut imap, &name)?;
        writes(&mut imap, &name)?;
        // What the other one hears meanwhile, and what it would miss.
        quiet.ok("NOOP")?;
        let left = quiet.ok("UID FETCH 1:* (FLAGS)")?.fetched()?;
        ensure!(left.len() == LETTERS - 1, "the other session sees {left:?}");
        quiet.ok("UNSELECT")?;
        imap.ok("CLOSE")?;
        imap.ok(&format!("UNSUBSCRIBE {name}"))?;
        imap.ok(&format!("DELETE {name}"))?;
        imap.ok("LOGOUT").map(drop)
    }

    /// Makes, renames and lists; the name that is left.
    fn mailboxes(&self, imap: &mut Imap) -> anyhow::Result<String> {
        let (made, name) = (format!("made/{}", self.number), format!("tours/{}", self.number));
        imap.ok(&format!("CREATE {made}"))?;
        imap.ok(&format!("RENAME {made} {name}"))?;
        imap.ok(&format!("SUBSCRIBE {name}"))?;
        let listed = imap.ok("LIST \"\" \"tours/*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT))")?;
        ensure!(listed.with(&name).count() >= 2, "LIST has no {name}: {listed:?}");
        ensure!(imap.ok("LSUB \"\" tours/%")?.with(&name).count() == 1, "LSUB has no {name}");
        ensure!(!imap.command(&format!("CREATE {name}"))?.is_ok(), "{name} is made twice");
        Ok(name)
    }

    /// IDLE at the other front-end hears of what happens at this one.
    fn news(&self, imap: &mut Imap, quiet: &mut Imap, name: &str) -> anyhow::Result<()> {
        quiet.ok(&format!("SELECT {name} (CONDSTORE)"))?;
        let tag = quiet.idle()?;
        let answer = imap.append(name, "()", letter(LETTERS + 1).as_bytes())?;
        ensure!(answer.is_ok(), "APPEND: {}", answer.status);
        let wanted = format!("* {} EXISTS", LETTERS + 1);
        while quiet.response()?.text != wanted {}
        ensure!(quiet.done(&tag)?.is_ok(), "IDLE does not end well");
        Ok(())
    }

    fn delivery(&self, imap: &mut Imap, other: &Addresses) -> anyhow::Result<()> {
        let count = |imap: &mut Imap| -> anyhow::Result<u64> {
            Ok(imap.ok("STATUS INBOX (MESSAGES)")?.status_items()?["MESSAGES"])
        };
        let before = count(imap)?;
        let mut lmtp = Lmtp::connect(other.lmtp)?;
        let to = [&*self.user, "nobody@load.example"];
        let replies = lmtp.deliver("tour@example.net", &to, b"Subject: x\r\n\r\n")?;
        let is_right = replies.len() == 2 && replies[0].starts_with("550") && replies[1].starts_with("250");
        ensure!(is_right, "LMTP: {replies:?}");
        let after = count(imap)?;
        ensure!(after > before, "INBOX held {before} messages, and holds {after} after a delivery");
        Ok(())
    }
}

/// A connection that broke, or a refusal for now, as processes end and begin.
fn passes(error: &anyhow::Error) -> bool {
    is_trouble(error) || is_passing(&format!("{error:#}"))
}

fn letter(number: usize) -> String {
    format!("Subject: letter {number}\r\nFrom: A <a@example.net>\r\n\r\nbody of letter {number}\r\n")
}

fn reads(imap: &mut Imap, name: &str) -> anyhow::Result<()> {
    imap.ok(&format!("SELECT {name} (CONDSTORE)"))?;
    let all = "(UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE \
               BODY.PEEK[HEADER.FIELDS (SUBJECT)] BODY.PEEK[TEXT])";
    let fetched = imap.ok(&format!("FETCH 1:* {all}"))?.fetched()?;
    ensure!(fetched.len() == LETTERS + 1, "FETCH: {fetched:?}");
    for (number, it) in fetched.iter().enumerate() {
        let subject = it.item("ENVELOPE")?.list()?.get(1).context("a subject")?.bytes()?;
        ensure!(subject == format!("letter {}", number + 1).as_bytes(), "ENVELOPE {it:?}");
        let text = it.item("BODY[TEXT]")?.bytes()?;
        ensure!(text == format!("body of letter {}\r\n", number + 1).as_bytes(), "BODY[TEXT] {it:?}");
        ensure!(it.item("RFC822.SIZE")?.number()? == letter(number + 1).len() as u64, "RFC822.SIZE {it:?}");
        let flags = it.flags()?.context("FLAGS")?;
        ensure!(flags.contains("$Tour") == (number < LETTERS), "FLAGS {flags:?}");
    }
    for (search, found) in
        [("SUBJECT \"letter 2\"", 1), ("TEXT \"body of\"", LETTERS + 1), ("KEYWORD $Tour", LETTERS)]
    {
        let uids = imap.ok(&format!("UID SEARCH {search}"))?.searched()?;
        ensure!(uids.len() == found, "SEARCH {search}: {uids:?}");
    }
    Ok(())
}

/// Leaves all but the two first: one went to another mailbox, one is expunged.
fn writes(imap: &mut Imap, name: &str) -> anyhow::Result<()> {
    imap.ok("STORE 1:2 +FLAGS (\\Flagged $New)")?;
    let late = imap.command("STORE 1 (UNCHANGEDSINCE 1) FLAGS ()")?;
    ensure!(late.code("MODIFIED") == Some("1"), "STORE UNCHANGEDSINCE: {}", late.status);
    ensure!(imap.ok("COPY 1:2 Archive")?.code("COPYUID").is_some(), "COPY without COPYUID");
    imap.ok("MOVE 1 Trash")?;
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")?;
    ensure!(imap.ok("EXPUNGE")?.with("EXPUNGE").count() == 1, "EXPUNGE of one message");
    let status = imap.ok(&format!("STATUS {name} (MESSAGES UNSEEN DELETED)"))?.status_items()?;
    ensure!(status["MESSAGES"] == LETTERS as u64 - 1, "{status:?}");
    Ok(())
}
