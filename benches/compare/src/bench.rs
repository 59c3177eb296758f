//! A server under measurement with what was put into it: accounts and mailboxes are made once, when an operation first asks for them.

use std::collections::BTreeSet;
use std::future::Future;

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;

use crate::client::imap::Imap;
use crate::client::lmtp::Lmtp;
use crate::client::stream::{Trust, trust};
use crate::messages::Source;
use crate::sample::{self, Limits, Sample};
use crate::scale::Scale;
use crate::server::{Account, Kind, PASSWORD, Security, Server, address};

/// Different messages of a mailbox; larger ones hold copies, which are rows of their own to every server.
const DIFFERENT_MAX: usize = 1000;
/// Messages that are read back and compared after a mailbox was filled.
const CHECKED: usize = 5;

/// See the module.
pub(crate) struct Bench {
    /// Which one.
    pub(crate) kind: Kind,
    /// The server itself.
    pub(crate) server: Box<dyn Server>,
    /// How much.
    pub(crate) scale: Scale,
    /// How IMAP is spoken.
    pub(crate) security: Security,
    runtime: Runtime,
    accounts: BTreeSet<String>,
    /// Mailboxes by account and name.
    made: BTreeSet<(String, String)>,
    filled: BTreeSet<(String, String)>,
    has_many_groups: bool,
}

impl Bench {
    /// Starts the server.
    ///
    /// # Errors
    /// If it does not start.
    pub(crate) fn start(kind: Kind, scale: Scale, security: Security) -> anyhow::Result<Self> {
        let server = kind.start().with_context(|| format!("start {kind}"))?;
        // One thread: what it takes of a core can be told from everything else in this process.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            kind,
            server,
            scale,
            security,
            runtime,
            accounts: BTreeSet::new(),
            made: BTreeSet::new(),
            filled: BTreeSet::new(),
            has_many_groups: false,
        })
    }

    /// Runs clients.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Makes accounts that log in.
    ///
    /// # Errors
    /// If one is refused.
    pub(crate) fn people(&mut self, names: &[String]) -> anyhow::Result<()> {
        self.add(names, true)
    }

    /// Makes accounts that only get mail.
    ///
    /// # Errors
    /// If one is refused.
    pub(crate) fn crowd(&mut self, names: &[String]) -> anyhow::Result<()> {
        self.add(names, false)
    }

    fn add(&mut self, names: &[String], can_log_in: bool) -> anyhow::Result<()> {
        let new = names.iter().filter(|name| !self.accounts.contains(*name));
        let new: Vec<Account> = new.map(|name| Account { name: name.clone(), can_log_in }).collect();
        if !new.is_empty() {
            self.server.add_accounts(&new)?;
            self.accounts.extend(new.into_iter().map(|account| account.name));
        }
        Ok(())
    }

    /// Adds the scale's raft groups.
    ///
    /// # Errors
    /// If they do not come to serve.
    pub(crate) fn groups(&mut self) -> anyhow::Result<()> {
        if !self.has_many_groups {
            self.server.add_groups(self.scale.groups)?;
            self.has_many_groups = true;
        }
        Ok(())
    }

    /// An empty mailbox; INBOX is there.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) fn mailbox(&mut self, account: &str, mailbox: &str) -> anyhow::Result<()> {
        self.mailboxes(account, &[mailbox.to_owned()])
    }

    /// Empty mailboxes.
    ///
    /// # Errors
    /// If one is refused.
    pub(crate) fn mailboxes(&mut self, account: &str, mailboxes: &[String]) -> anyhow::Result<()> {
        self.people(&[account.to_owned()])?;
        let key = |mailbox: &String| (account.to_owned(), mailbox.clone());
        let is_new = |mailbox: &&String| *mailbox != "INBOX" && !self.made.contains(&key(mailbox));
        let new: Vec<&String> = mailboxes.iter().filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        self.run(async {
            let mut imap = self.imap(0, account).await?;
            for mailbox in &new {
                imap.ok(&format!("CREATE \"{mailbox}\"")).await?;
            }
            anyhow::Ok(())
        })?;
        let new: Vec<_> = new.into_iter().map(key).collect();
        self.made.extend(new);
        Ok(())
    }

    /// A mailbox with so many messages, and a look at whether they are what was sent.
    ///
    /// # Errors
    /// If something is refused, or comes back changed.
    pub(crate) fn fill(
        &mut self,
        account: &str,
        mailbox: &str,
        count: usize,
        from: Source,
    ) -> anyhow::Result<()> {
        if !self.filled.insert((account.to_owned(), mailbox.to_owned())) {
            return Ok(());
        }
        if count <= DIFFERENT_MAX {
            self.mailbox(account, mailbox)?;
            return self.run(self.append_all(account, mailbox, count, from));
        }
        let basis = format!("{mailbox} basis");
        self.fill(account, &basis, DIFFERENT_MAX, from)?;
        self.mailbox(account, mailbox)?;
        self.run(async {
            let mut imap = self.imap(0, account).await?;
            imap.ok(&format!("SELECT \"{basis}\"")).await?;
            let mut left = count;
            while left > 0 {
                let some = left.min(DIFFERENT_MAX);
                imap.ok(&format!("COPY 1:{some} \"{mailbox}\"")).await?;
                left -= some;
            }
            self.check(&mut imap, mailbox, count, from).await
        })
    }

    async fn append_all(
        &self,
        account: &str,
        mailbox: &str,
        count: usize,
        from: Source,
    ) -> anyhow::Result<()> {
        let mut imap = self.imap(0, account).await?;
        for number in 0..count {
            imap.append(mailbox, &from.message(number as u64)).await?;
        }
        self.check(&mut imap, mailbox, count, from).await
    }

    /// Number, sizes and bytes are those that were sent.
    async fn check(&self, imap: &mut Imap, mailbox: &str, count: usize, from: Source) -> anyhow::Result<()> {
        ensure!(select(imap, mailbox).await? == count, "{mailbox} does not hold {count} messages");
        let mut random = StdRng::seed_from_u64(count as u64);
        for _ in 0..CHECKED.min(count) {
            let at = random.random_range(0..count);
            let message = from.message((at % DIFFERENT_MAX) as u64);
            let fetched = imap.read(&format!("FETCH {} (RFC822.SIZE BODY.PEEK[])", at + 1)).await?;
            let size = format!("RFC822.SIZE {}", message.len());
            let is_same = memchr::memmem::find(&fetched.text, &message).is_some()
                && memchr::memmem::find(&fetched.text, size.as_bytes()).is_some();
            ensure!(is_same, "message {} of {mailbox} is not what was sent", at + 1);
        }
        Ok(())
    }

    /// A session of an account; `at` says at which front-end, in turns.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn imap(&self, at: usize, account: &str) -> anyhow::Result<Imap> {
        let (to, trust) = self.door(at, self.security)?;
        Imap::login(to, &trust, &address(account), PASSWORD).await
    }

    /// Where IMAP is, and whom to trust there.
    ///
    /// # Errors
    /// If the server does not run.
    pub(crate) fn door(
        &self,
        at: usize,
        security: Security,
    ) -> anyhow::Result<(std::net::SocketAddr, Trust)> {
        let (addresses, authorities) = (self.server.imap(security)?, self.server.ca()?);
        let at = at % addresses.len();
        let trust = match security {
            Security::Plain => None,
            Security::Tls => Some(trust(&authorities[at])?),
        };
        Ok((addresses[at], trust))
    }

    /// An LMTP connection; front-ends in turns.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn lmtp(&self, at: usize) -> anyhow::Result<Lmtp> {
        let addresses = self.server.lmtp()?;
        Lmtp::connect(addresses[at % addresses.len()]).await
    }

    /// The scale's length of a turn, with a number of operations.
    pub(crate) fn limits(&self, operations: u64, warm: bool) -> Limits {
        Limits { time: self.scale.turn, operations, settle: self.scale.settle, warm }
    }

    /// One turn of the scale's length.
    ///
    /// # Errors
    /// As [`sample::take`].
    pub(crate) async fn turn<W>(
        &self,
        workers: &mut [W],
        step: impl AsyncFn(&mut W) -> anyhow::Result<u64>,
    ) -> anyhow::Result<Sample> {
        let limits = self.limits(self.scale.operations_max, true);
        sample::take(self.server.as_ref(), workers, limits, step).await
    }

    /// One operation, without a first one before it.
    ///
    /// # Errors
    /// As [`sample::take`].
    pub(crate) async fn once<W>(
        &self,
        worker: &mut W,
        step: impl AsyncFn(&mut W) -> anyhow::Result<u64>,
    ) -> anyhow::Result<Sample> {
        let limits = self.limits(1, false);
        sample::take(self.server.as_ref(), std::slice::from_mut(worker), limits, step).await
    }
}

/// Selects and says how many messages there are.
///
/// # Errors
/// If it is refused or does not say.
pub(crate) async fn select(imap: &mut Imap, mailbox: &str) -> anyhow::Result<usize> {
    let reply = imap.read(&format!("SELECT \"{mailbox}\"")).await?;
    let text = String::from_utf8(reply.text)?;
    let exists = text.lines().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS"));
    Ok(exists.context("no EXISTS")?.parse()?)
}

/// Names of that many accounts of the ordinary kind.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(name).collect()
}

/// The name of one.
pub(crate) fn name(number: usize) -> String {
    format!("p{number}")
}
