//! A mixed load with a checker: accounts that send random commands and remember every answer; after the server's
//! death and restart, what was acknowledged must be there, and of what was not, all or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};

use crate::imap::Imap;
use crate::server::Server;

pub mod check;
pub mod endure;
pub mod letter;
pub mod model;
pub mod person;
pub mod tour;

use check::Bodies;
use person::{Addresses, MAILBOXES, Person};

const PASSWORD: &str = "load test";

/// Accounts, each with a thread of its own.
#[derive(Debug)]
pub struct Crowd {
    /// Who they are.
    pub people: Vec<Person>,
}

impl Crowd {
    /// Makes the accounts.
    ///
    /// # Errors
    /// If one is refused.
    pub fn new(server: &Server, count: u64, seed: u64) -> anyhow::Result<Self> {
        let mut people = Vec::new();
        for number in 0..count {
            let user = format!("p{number}@load.example");
            server.account(&user, PASSWORD)?;
            people.push(Person::new(&user, PASSWORD, seed.wrapping_mul(1000) + number));
        }
        Ok(Self { people })
    }

    /// All work for a while; then `end` ends the server, in the midst of it.
    ///
    /// # Errors
    /// If the server answers wrongly, or goes before its end.
    pub fn work(
        &mut self,
        server: &mut Server,
        while_for: Duration,
        end: impl FnOnce(&mut Server) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (at, gone, stop) = (addresses(server), Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let work = |person| {
                let (at, gone, stop) = (&at, &gone, &stop);
                scope.spawn(move || Person::work(person, at, gone, stop))
            };
            let threads: Vec<_> = self.people.iter_mut().map(work).collect();
            std::thread::sleep(while_for); // the moment is the point
            gone.store(true, Ordering::Release);
            let ended = end(server);
            if ended.is_err() {
                stop.store(true, Ordering::Release);
            }
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a thread of the load panicked"))??;
            }
            ended
        })
    }

    /// Compares all accounts with their models.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn check(&mut self, server: &Server, bodies: Bodies) -> anyhow::Result<()> {
        let at = addresses(server);
        std::thread::scope(|scope| {
            let check = |person| {
                let at = &at;
                scope.spawn(move || Person::check(person, at, bodies))
            };
            let threads: Vec<_> = self.people.iter_mut().map(check).collect();
            for thread in threads {
                let checked = thread.join().map_err(|_| anyhow!("a thread of the check panicked"))?;
                checked.context("after restart")?;
            }
            anyhow::Ok(())
        })?;
        if bodies == Bodies::All { self.check_usage(server) } else { Ok(()) }
    }

    /// What is counted against the quota is what the mailboxes hold.
    fn check_usage(&self, server: &Server) -> anyhow::Result<()> {
        for person in &self.people {
            let mut imap =
                Imap::login(server.address("imaps"), &server.ca(), &person.user, &person.password)?;
            let (mut messages, mut bytes) = (0, 0);
            for name in MAILBOXES {
                let status = imap.ok(&format!("STATUS {name} (MESSAGES SIZE)"))?.status_items()?;
                messages += status["MESSAGES"];
                bytes += status["SIZE"];
            }
            let shown = server.ctl(&["account", "show", &person.user])?;
            let same = shown["messages"] == messages && shown["bytes"] == bytes;
            ensure!(same, "{shown} for {messages} messages, {bytes} bytes");
        }
        Ok(())
    }

    /// For the test's last line.
    pub fn summary(&self) -> String {
        let acknowledged: u64 = self.people.iter().map(|it| it.acknowledged).sum();
        let unknown = |at: usize| self.people.iter().map(|it| it.unknown[at]).sum::<u64>();
        let done = self.people.iter().map(|it| it.unknown[0]).sum::<u64>();
        format!(
            "{acknowledged} acknowledged changes; of the unanswered ones {done} were done, {} not",
            unknown(1)
        )
    }
}

/// Where a server is.
pub fn addresses(server: &Server) -> Addresses {
    Addresses { imaps: server.address("imaps"), lmtp: server.address("lmtp"), ca: server.ca() }
}
