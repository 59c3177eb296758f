//! Connect, LOGIN, SELECT, LOGOUT: what clients that check for mail do, a few at a time.

use super::{Goal, Operation, Row};
use crate::bench::{Bench, name, names, select};
use crate::client::imap::Imap;
use crate::client::stream::Trust;
use crate::messages::Source;
use crate::sample::Sample;
use crate::server::{PASSWORD, address};

/// At a time.
const CLIENTS: usize = 4;
const MAILBOX: &str = "Checked";
const MESSAGES: usize = 20;

struct LogIn;

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![Box::new(LogIn)]
}

struct Worker {
    address: std::net::SocketAddr,
    trust: Trust,
    user: String,
}

impl Operation for LogIn {
    fn row(&self) -> Row {
        let what = format!("connect, LOGIN, SELECT, LOGOUT, {CLIENTS} at a time");
        Row::new("login", what, "session", &[Goal::Cpu(0.5)])
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.people(&names(CLIENTS))?;
        (0..CLIENTS).try_for_each(|at| bench.fill(&name(at), MAILBOX, MESSAGES, Source::Letters))
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        let doors = (0..CLIENTS).map(|at| {
            let (to, trust) = bench.door(at, bench.security)?;
            Ok(Worker { address: to, trust, user: address(&name(at)) })
        });
        let mut workers = doors.collect::<anyhow::Result<Vec<_>>>()?;
        bench.run(bench.turn(&mut workers, async |worker| {
            let mut imap = Imap::login(worker.address, &worker.trust, &worker.user, PASSWORD).await?;
            let found = select(&mut imap, MAILBOX).await?;
            anyhow::ensure!(found == MESSAGES, "{found} messages");
            imap.ok("LOGOUT").await?;
            Ok(1)
        }))
    }
}
