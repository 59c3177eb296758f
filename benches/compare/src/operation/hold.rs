//! Memory of connections that idle: the server's PSS before and after they were opened, after a restart, each logged in, with a
//! mailbox selected, in IDLE. Four for each account, as people have devices. What the kernel holds for sockets and processes is in no
//! figure.

use std::time::{Duration, Instant};

use super::{Goal, Operation, Row};
use crate::bench::{Bench, name, names, select};
use crate::client::imap::Imap;
use crate::cost::{Reading, tree};
use crate::sample::{self, Sample};
use crate::server::{PASSWORD, Security, address};

const CONNECTIONS_PER_ACCOUNT: usize = 4;
/// Until what was needed to log in is given back.
const REST: Duration = Duration::from_secs(2);

struct Hold {
    security: Security,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![Box::new(Hold { security: Security::Plain }), Box::new(Hold { security: Security::Tls })]
}

impl Operation for Hold {
    fn row(&self) -> Row {
        let (name, what, goal) = match self.security {
            Security::Plain => ("memory", "plain text", 30.0),
            Security::Tls => ("memory-tls", "TLS", 50.0),
        };
        Row::new(name, format!("memory of an idle connection, {what}"), "connection", &[Goal::Kib(goal)])
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.people(&names(bench.scale.idle.div_ceil(CONNECTIONS_PER_ACCOUNT)))
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        bench.server.restart()?;
        bench.run(self.turn(bench))
    }
}

impl Hold {
    async fn turn(&self, bench: &Bench) -> anyhow::Result<Sample> {
        // What the first session of all makes the server load is not a connection's.
        let first = self.open(bench, 0).await?;
        tokio::time::sleep(REST).await;
        let server = bench.server.as_ref();
        let (before, counters) = (tree::memory(&server.roots()?)?, Reading::take(server)?);
        let (began, mut times, mut open) = (Instant::now(), Vec::new(), Vec::new());
        for at in 0..bench.scale.idle {
            let opened = Instant::now();
            open.push(self.open(bench, at).await?);
            times.push(opened.elapsed());
        }
        let seconds = began.elapsed().as_secs_f64();
        tokio::time::sleep(REST).await;
        let cost = counters.until(&Reading::take(server)?);
        let after = tree::memory(&server.roots()?)?;
        let count = open.len() as u64;
        let mut sample = sample::finish(server, times, count, seconds, cost)?;
        let grown = after.pss_kib.saturating_sub(before.pss_kib) as f64;
        sample.kib_per_connection = Some(grown / count.max(1) as f64);
        drop((open, first));
        Ok(sample)
    }

    async fn open(&self, bench: &Bench, at: usize) -> anyhow::Result<Imap> {
        let (to, trust) = bench.door(at, self.security)?;
        let account = name(at / CONNECTIONS_PER_ACCOUNT);
        let mut imap = Imap::login(to, &trust, &address(&account), PASSWORD).await?;
        select(&mut imap, "INBOX").await?;
        imap.idle().await?;
        imap.rest();
        Ok(imap)
    }
}
