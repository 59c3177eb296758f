//! One random body of 10 KB, whole, from a mailbox that was read before: what servers and kernel cache is in their caches.

use anyhow::ensure;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Goal, Operation, Row};
use crate::bench::{Bench, select};
use crate::client::imap::Imap;
use crate::messages::Source;
use crate::sample::Sample;

const ACCOUNT: &str = "bodies";
const MAILBOX: &str = "Bodies";
const BYTES: usize = 10 << 10;

struct FetchBody {
    name: &'static str,
    many: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![
        Box::new(FetchBody { name: "body-alone", many: false }),
        Box::new(FetchBody { name: "body", many: true }),
    ]
}

impl Operation for FetchBody {
    fn row(&self) -> Row {
        let connections = if self.many { "many connections" } else { "one connection" };
        Row::new(
            self.name,
            format!("FETCH of one random body, 10 KB, {connections}"),
            "body",
            &[Goal::Cpu(1.0)],
        )
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.fill(ACCOUNT, MAILBOX, bench.scale.small, Source::Sized(BYTES))
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        let connections = if self.many { bench.scale.connections } else { 1 };
        bench.run(async {
            let mut workers = Vec::new();
            for at in 0..connections {
                workers.push(Worker::start(bench, at, ACCOUNT, MAILBOX, bench.scale.small).await?);
            }
            workers[0].imap.ok("FETCH 1:* (BODY.PEEK[])").await?;
            bench.turn(&mut workers, Worker::step).await
        })
    }
}

/// A session that reads one message after the other, at random.
pub(super) struct Worker {
    imap: Imap,
    messages: usize,
    random: StdRng,
}

impl Worker {
    /// Selects.
    pub(super) async fn start(
        bench: &Bench,
        at: usize,
        account: &str,
        mailbox: &str,
        messages: usize,
    ) -> anyhow::Result<Self> {
        let mut imap = bench.imap(at, account).await?;
        select(&mut imap, mailbox).await?;
        Ok(Self { imap, messages, random: StdRng::seed_from_u64(at as u64) })
    }

    /// One body.
    pub(super) async fn step(&mut self) -> anyhow::Result<u64> {
        let message = self.random.random_range(1..=self.messages);
        let reply = self.imap.ok(&format!("FETCH {message} (BODY.PEEK[])")).await?;
        ensure!(reply.fetches == 1 && reply.bytes > 900, "FETCH of a body answered {} bytes", reply.bytes);
        Ok(1)
    }
}
