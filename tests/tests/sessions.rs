//! Three sessions on one mailbox and LMTP beside them: thousands of random commands. Each client believes only what
//! it is told, and must end up with the truth; sequence numbers are never wrong.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use buzon_tests::imap::{Answer, Imap};
use buzon_tests::lmtp::Lmtp;
use buzon_tests::seed::{is_long, seed};
use buzon_tests::server::{Server, Start};
use buzon_tests::value::{set_text, uid_set};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

#[path = "sessions/at_once.rs"]
mod at_once;
#[path = "sessions/view.rs"]
mod view;
use view::{Expunges, View};

const USER: &str = "ana@example.org";
const PASSWORD: &str = "correct horse";
const CLIENTS: usize = 3;
const FLAGS: [&str; 6] = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "$Work", "later"];
/// Above this, messages mostly go.
const MESSAGES_MAX: usize = 25;
/// A client that hears nothing new after so many NOOPs does not hear it at all. Changes travel by an event, which
/// NOOP does not wait for.
const NOOPS_MAX: usize = 300;

type Flags = BTreeSet<String>;

struct Client {
    imap: Imap,
    view: View,
}

struct World {
    clients: Vec<Client>,
    lmtp: Lmtp,
    /// What the mailbox holds: every command is over before the next begins.
    truth: BTreeMap<u32, Flags>,
    uid_next: u32,
    random: StdRng,
}

impl Client {
    fn open(server: &Server, condstore: bool) -> anyhow::Result<Self> {
        let mut imap = Imap::login(server.address("imaps"), &server.ca(), USER, PASSWORD)?;
        if condstore {
            imap.ok("ENABLE CONDSTORE")?;
        }
        let mut client = Self { imap, view: View { condstore, ..View::default() } };
        ensure!(client.run("SELECT INBOX")?.is_ok(), "SELECT");
        Ok(client)
    }

    /// Runs a command and believes its responses.
    fn run(&mut self, command: &str) -> anyhow::Result<Answer> {
        let verb = command.split(' ').next().unwrap_or_default();
        let expunges = if ["FETCH", "STORE", "SEARCH"].contains(&verb) {
            Expunges::Forbidden
        } else {
            Expunges::Allowed
        };
        self.view.fetching = command.contains("FETCH ");
        let answer = self.imap.command(command)?;
        self.view.hear(&answer, expunges).with_context(|| command.to_owned())?;
        ensure!(!answer.status.starts_with("BAD"), "{command}: {}", answer.status);
        Ok(answer)
    }

    /// NOOP until it knows as many messages as there are; then asks for what EXISTS does not tell.
    fn learn(&mut self, truth: &BTreeMap<u32, Flags>) -> anyhow::Result<()> {
        for _ in 0..NOOPS_MAX {
            ensure!(self.run("NOOP")?.is_ok(), "NOOP");
            let unknown: Vec<u32> = (1..)
                .zip(&self.view.messages)
                .filter(|(_, it)| it.uid.is_none() || it.flags.is_none())
                .map(|(seq, _)| seq)
                .collect();
            if !unknown.is_empty() {
                self.run(&format!("FETCH {} (UID FLAGS)", set_text(&unknown)))?;
            }
            let flags_known = self.view.messages.iter().all(|it| it.uid.is_some() && it.flags.is_some());
            if flags_known && self.is(truth) {
                return Ok(());
            }
        }
        let known: Vec<_> = self.view.messages.iter().map(|it| (it.uid, it.flags.clone())).collect();
        bail!("this client is never told the truth.\nknown: {known:?}\ntruth: {truth:?}")
    }

    fn is(&self, truth: &BTreeMap<u32, Flags>) -> bool {
        self.view.messages.len() == truth.len()
            && self
                .view
                .messages
                .iter()
                .zip(truth)
                .all(|(it, (uid, flags))| it.uid == Some(*uid) && it.flags.as_ref() == Some(flags))
    }
}

impl World {
    fn new(server: &Server, seed: u64) -> anyhow::Result<Self> {
        let clients =
            (0..CLIENTS).map(|number| Client::open(server, number == 1)).collect::<anyhow::Result<_>>()?;
        let lmtp = Lmtp::connect(server.address("lmtp"))?;
        Ok(Self { clients, lmtp, truth: BTreeMap::new(), uid_next: 1, random: StdRng::seed_from_u64(seed) })
    }

    fn step(&mut self) -> anyhow::Result<()> {
        let at = self.random.random_range(0..CLIENTS);
        let choice = self.random.random_range(0..100);
        match choice {
            0..10 if self.truth.len() < MESSAGES_MAX => self.deliver(),
            0..18 if self.truth.len() < MESSAGES_MAX => self.append(at),
            18..40 => self.store(at),
            40..55 => self.fetch(at),
            55..63 => self.search(at),
            63..70 => self.noop(at),
            70..76 => self.copy(at),
            76..81 => self.move_away(at),
            81..88 => self.uid_expunge(at),
            88..92 => self.expunge(at),
            92..94 => self.reselect(at),
            94..97 => self.idle(at),
            _ => self.settle(),
        }
    }

    fn some_flags(&mut self) -> Flags {
        let count = self.random.random_range(1..4);
        FLAGS.choose_multiple(&mut self.random, count).map(|it| (*it).to_owned()).collect()
    }

    /// Sequence numbers that this client knows, and the UIDs that it believes they are.
    fn some(&mut self, at: usize) -> Vec<(u32, Option<u32>)> {
        let known = (1..).zip(&self.clients[at].view.messages);
        let known: Vec<(u32, Option<u32>)> = known.map(|(seq, it)| (seq, it.uid)).collect();
        let count = self.random.random_range(1..=6);
        let mut some: Vec<_> = known.choose_multiple(&mut self.random, count).copied().collect();
        some.shuffle(&mut self.random);
        some
    }

    fn put(&mut self, flags: Flags) {
        self.truth.insert(self.uid_next, flags);
        self.uid_next += 1;
    }

    fn deliver(&mut self) -> anyhow::Result<()> {
        let replies = self.lmtp.deliver("a@b.example", &[USER], b"Subject: by LMTP\r\n\r\ntext\r\n")?;
        ensure!(replies[0].starts_with("250"), "{replies:?}");
        self.put(Flags::new());
        Ok(())
    }

    fn append(&mut self, at: usize) -> anyhow::Result<()> {
        let flags = self.some_flags();
        let list = flags.iter().cloned().collect::<Vec<_>>().join(" ");
        let client = &mut self.clients[at];
        let answer =
            client.imap.append("INBOX", &format!("({list})"), b"Subject: by APPEND\r\n\r\ntext\r\n")?;
        client.view.hear(&answer, Expunges::Allowed)?;
        let uid = answer.code("APPENDUID").and_then(|it| it.split_once(' ')).context("APPENDUID")?.1;
        ensure!(uid == self.uid_next.to_string(), "APPENDUID {uid}, expected {}", self.uid_next);
        self.put(flags);
        Ok(())
    }

    fn store(&mut self, at: usize) -> anyhow::Result<()> {
        let (some, flags) = (self.some(at), self.some_flags());
        let by_uid = self.random.random::<bool>() && some.iter().all(|(_, uid)| uid.is_some());
        if some.is_empty() || some.iter().any(|(_, uid)| uid.is_none()) {
            return self.noop(at);
        }
        let sign = *["+", "-", ""].choose(&mut self.random).context("a sign")?;
        let silent = if self.random.random() { ".SILENT" } else { "" };
        let uids: Vec<u32> = some.iter().filter_map(|(_, uid)| *uid).collect();
        let seqs: Vec<u32> = some.iter().map(|(seq, _)| *seq).collect();
        let (verb, set) = if by_uid { ("UID STORE", set_text(&uids)) } else { ("STORE", set_text(&seqs)) };
        let list = flags.iter().cloned().collect::<Vec<_>>().join(" ");
        let all_there = uids.iter().all(|uid| self.truth.contains_key(uid));
        let answer = self.clients[at].run(&format!("{verb} {set} {sign}FLAGS{silent} ({list})"))?;
        ensure!(answer.is_ok() || !all_there, "STORE: {}", answer.status);
        for uid in &uids {
            let Some(held) = self.truth.get_mut(uid) else { continue };
            match sign {
                "+" => held.extend(flags.iter().cloned()),
                "-" => held.retain(|flag| !flags.contains(flag)),
                _ => held.clone_from(&flags),
            }
        }
        self.after_store(at, &uids, silent)
    }

    /// What is silent, the client works out itself; what is not, it was told.
    fn after_store(&mut self, at: usize, uids: &[u32], silent: &str) -> anyhow::Result<()> {
        for known in &mut self.clients[at].view.messages {
            let Some(held) = known.uid.filter(|uid| uids.contains(uid)).and_then(|uid| self.truth.get(&uid))
            else {
                continue;
            };
            if silent.is_empty() {
                ensure!(
                    known.flags.as_ref() == Some(held),
                    "STORE told {:?} of UID {:?}, it has {held:?}",
                    known.flags,
                    known.uid
                );
            } else {
                // Others may have changed it as well: only what it hears later or asks for counts.
                known.flags = Some(held.clone());
            }
        }
        Ok(())
    }

    fn fetch(&mut self, at: usize) -> anyhow::Result<()> {
        let some = self.some(at);
        let Some(seqs) = (!some.is_empty()).then(|| some.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
        else {
            return Ok(());
        };
        let client = &mut self.clients[at];
        let answer = client
            .run(&format!("FETCH {} (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])", set_text(&seqs)))?;
        let told: BTreeSet<u32> = answer.fetched()?.iter().map(|it| it.seq).collect();
        for (seq, uid) in some {
            let there = uid.is_some_and(|uid| self.truth.contains_key(&uid));
            ensure!(
                told.contains(&seq) || !there,
                "FETCH {seq} (UID {uid:?}) told nothing: {}",
                answer.status
            );
            let known = &self.clients[at].view.messages[seq as usize - 1];
            let held = known.uid.and_then(|uid| self.truth.get(&uid));
            ensure!(
                held.is_none() || known.flags.as_ref() == held,
                "FETCH {seq} told {:?}, it has {held:?}",
                known.flags
            );
        }
        Ok(())
    }

    fn search(&mut self, at: usize) -> anyhow::Result<()> {
        let flag = self.random.random_range(0..3);
        let (key, wanted) = [("FLAGGED", "\\Flagged"), ("KEYWORD $Work", "$Work"), ("SEEN", "\\Seen")][flag];
        let client = &mut self.clients[at];
        let before = client.view.uids();
        let unknown = client.view.messages.iter().any(|it| it.uid.is_none());
        let seqs = client.run(&format!("SEARCH {key}"))?.searched()?;
        let mut found = BTreeSet::new();
        for seq in seqs {
            let known = client
                .view
                .messages
                .get(seq as usize - 1)
                .with_context(|| format!("SEARCH found message {seq}"))?;
            found.extend(known.uid);
        }
        let by_uid: BTreeSet<u32> =
            client.run(&format!("UID SEARCH {key}"))?.searched()?.into_iter().collect();
        if unknown {
            return Ok(());
        }
        for uid in before {
            let Some(flags) = self.truth.get(&uid) else { continue };
            let expected = flags.contains(wanted);
            ensure!(
                found.contains(&uid) == expected,
                "SEARCH {key}: UID {uid} has {flags:?}, found {found:?}"
            );
            ensure!(
                by_uid.contains(&uid) == expected,
                "UID SEARCH {key}: UID {uid} has {flags:?}, found {by_uid:?}"
            );
        }
        Ok(())
    }

    fn noop(&mut self, at: usize) -> anyhow::Result<()> {
        let verb = if self.random.random() { "NOOP" } else { "CHECK" };
        ensure!(self.clients[at].run(verb)?.is_ok(), "{verb}");
        Ok(())
    }

    fn copy(&mut self, at: usize) -> anyhow::Result<()> {
        let some = self.some(at);
        if some.is_empty() || some.iter().any(|(_, uid)| uid.is_none()) || self.truth.len() > MESSAGES_MAX {
            return self.noop(at);
        }
        let uids: BTreeSet<u32> = some.iter().filter_map(|(_, uid)| *uid).collect();
        let seqs: Vec<u32> = some.iter().map(|(seq, _)| *seq).collect();
        let answer = self.clients[at].run(&format!("COPY {} INBOX", set_text(&seqs)))?;
        let Some(code) = answer.code("COPYUID") else {
            let all_there = uids.iter().all(|uid| self.truth.contains_key(uid));
            ensure!(!all_there, "COPY without COPYUID: {}", answer.status);
            return Ok(());
        };
        let words: Vec<&str> = code.split(' ').collect();
        let (sources, targets) = (uid_set(words[1])?, uid_set(words[2])?);
        ensure!(
            sources.len() == targets.len() && sources.iter().all(|uid| uids.contains(uid)),
            "COPYUID {code}"
        );
        for (source, target) in sources.iter().zip(targets) {
            ensure!(target == self.uid_next, "COPYUID {code}, expected {}", self.uid_next);
            let flags = self
                .truth
                .get(source)
                .with_context(|| format!("COPY of UID {source}, which is gone"))?
                .clone();
            self.put(flags);
        }
        Ok(())
    }

    fn move_away(&mut self, at: usize) -> anyhow::Result<()> {
        let some = self.some(at);
        let uids: Vec<u32> = some.iter().filter_map(|(_, uid)| *uid).collect();
        if some.is_empty() || uids.len() < some.len() {
            return self.noop(at);
        }
        let seqs: Vec<u32> = some.iter().map(|(seq, _)| *seq).collect();
        let by_uid = self.random.random::<bool>();
        let command = if by_uid {
            format!("UID MOVE {} Trash", set_text(&uids))
        } else {
            format!("MOVE {} Trash", set_text(&seqs))
        };
        let answer = self.clients[at].run(&command)?;
        let moved = match answer.code("COPYUID") {
            Some(code) => uid_set(code.split(' ').nth(1).context("sources")?)?,
            None => Vec::new(),
        };
        let there: BTreeSet<u32> = uids.into_iter().filter(|uid| self.truth.contains_key(uid)).collect();
        ensure!(
            moved.iter().copied().collect::<BTreeSet<_>>() == there || !answer.is_ok(),
            "{command} of {there:?}: {answer:?}"
        );
        self.gone(at, &moved)
    }

    fn uid_expunge(&mut self, at: usize) -> anyhow::Result<()> {
        let uids: Vec<u32> = self.some(at).iter().filter_map(|(_, uid)| *uid).collect();
        if uids.is_empty() {
            return Ok(());
        }
        if self.random.random() {
            self.clients[at].run(&format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", set_text(&uids)))?;
            for uid in &uids {
                if let Some(flags) = self.truth.get_mut(uid) {
                    flags.insert("\\Deleted".to_owned());
                }
            }
            self.after_store(at, &uids, ".SILENT")?;
        }
        let answer = self.clients[at].run(&format!("UID EXPUNGE {}", set_text(&uids)))?;
        ensure!(answer.is_ok(), "UID EXPUNGE: {}", answer.status);
        let deleted = |uid: &u32| self.truth.get(uid).is_some_and(|flags| flags.contains("\\Deleted"));
        let gone: Vec<u32> = uids.into_iter().filter(|uid| deleted(uid)).collect();
        self.gone(at, &gone)
    }

    /// EXPUNGE removes what is \Deleted; a client that does not know of a message cannot mean it, so it learns first.
    fn expunge(&mut self, at: usize) -> anyhow::Result<()> {
        self.clients[at].learn(&self.truth)?;
        ensure!(self.clients[at].run("EXPUNGE")?.is_ok(), "EXPUNGE");
        let gone = self.truth.iter().filter(|(_, flags)| flags.contains("\\Deleted")).map(|(uid, _)| *uid);
        let gone: Vec<u32> = gone.collect();
        self.gone(at, &gone)
    }

    /// Who removes messages is told so at once.
    fn gone(&mut self, at: usize, gone: &[u32]) -> anyhow::Result<()> {
        self.truth.retain(|uid, _| !gone.contains(uid));
        let left: Vec<u32> =
            self.clients[at].view.uids().into_iter().filter(|uid| gone.contains(uid)).collect();
        ensure!(left.is_empty(), "UIDs {left:?} were removed by this client, and no EXPUNGE told it");
        Ok(())
    }

    fn reselect(&mut self, at: usize) -> anyhow::Result<()> {
        let truth = self.truth.len();
        let client = &mut self.clients[at];
        ensure!(client.imap.command("UNSELECT")?.is_ok(), "UNSELECT");
        client.view.messages.clear();
        ensure!(client.run("SELECT INBOX")?.is_ok(), "SELECT");
        ensure!(
            client.view.messages.len() == truth,
            "SELECT shows {}, there are {truth}",
            client.view.messages.len()
        );
        Ok(())
    }

    /// One idles while another changes something; it is told without asking.
    fn idle(&mut self, at: usize) -> anyhow::Result<()> {
        self.clients[at].learn(&self.truth)?;
        let tag = self.clients[at].imap.idle()?;
        let other = (at + 1) % CLIENTS;
        for _ in 0..self.random.random_range(1..4) {
            match self.random.random_range(0..4) {
                0 => self.deliver()?,
                1 => self.store(other)?,
                2 => self.uid_expunge(other)?,
                _ => self.append(other)?,
            }
        }
        let truth = &self.truth;
        let client = &mut self.clients[at];
        let same = |view: &View| {
            view.messages.len() == truth.len()
                && view.messages.iter().zip(truth).all(|(it, (uid, flags))| {
                    it.uid.is_none_or(|known| known == *uid)
                        && it.flags.as_ref().is_none_or(|known| known == flags)
                })
        };
        while !same(&client.view) {
            let mut response = client
                .imap
                .response()
                .with_context(|| format!("IDLE is not told: {:?} is not {truth:?}", client.view.messages))?;
            let text =
                response.text.strip_prefix("* ").with_context(|| format!("IDLE: {response:?}"))?.to_owned();
            response.text = text;
            client.view.hear_one(&response, Expunges::Allowed)?;
        }
        let answer = client.imap.done(&tag)?;
        ensure!(answer.is_ok(), "IDLE: {}", answer.status);
        client.view.hear(&answer, Expunges::Allowed)
    }

    /// Nothing moves: every client learns the truth, and a listing by each says the same.
    fn settle(&mut self) -> anyhow::Result<()> {
        for client in &mut self.clients {
            client.learn(&self.truth)?;
            if !self.truth.is_empty() {
                client.run("FETCH 1:* (UID FLAGS)")?;
                ensure!(client.is(&self.truth), "a listing is not the truth");
            }
        }
        Ok(())
    }
}

#[test]
fn sessions_on_one_mailbox_see_each_others_changes_and_never_a_wrong_sequence_number() -> anyhow::Result<()> {
    let steps = if is_long() { 50_000 } else { 4_000 };
    let server = Server::start(Start::default())?;
    server.account(USER, PASSWORD)?;
    let mut world = World::new(&server, seed("sessions"))?;
    for step in 0..steps {
        world.step().with_context(|| format!("step {step}"))?;
    }
    world.settle()?;
    assert_eq!(server.complaints(), Vec::<String>::new());
    Ok(())
}
