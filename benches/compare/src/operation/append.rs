//! APPEND into a mailbox that is not selected, as clients save what they sent; each connection has its account.

use super::{Goal, Operation, Row};
use crate::bench::{Bench, name, names};
use crate::client::imap::Imap;
use crate::messages::Source;
use crate::sample::Sample;

const MAILBOX: &str = "Saved";
/// Different messages of one connection.
const MESSAGES: u64 = 16;

struct Append {
    name: &'static str,
    bytes: usize,
    /// Or one connection.
    many: bool,
    goals: &'static [Goal],
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    let both: &[Goal] = &[Goal::Rate(2.0), Goal::Cpu(0.5)];
    let one = |name, bytes, many, goals| Box::new(Append { name, bytes, many, goals }) as Box<dyn Operation>;
    vec![
        one("append-1k", 1 << 10, true, both),
        one("append-100k", 100 << 10, true, both),
        one("append-1k-alone", 1 << 10, false, &[Goal::Rate(1.0)]),
        one("append-100k-alone", 100 << 10, false, &[]),
    ]
}

impl Operation for Append {
    fn row(&self) -> Row {
        let (kib, connections) =
            (self.bytes >> 10, if self.many { "many connections" } else { "one connection" });
        Row::new(self.name, format!("APPEND {kib} KB, {connections}"), "message", self.goals)
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        let names = names(self.connections(bench));
        bench.people(&names)?;
        names.iter().try_for_each(|name| bench.mailbox(name, MAILBOX))
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        bench.run(self.turn(bench))
    }
}

struct Worker {
    imap: Imap,
    messages: Vec<Vec<u8>>,
    next: usize,
}

impl Append {
    fn connections(&self, bench: &Bench) -> usize {
        if self.many { bench.scale.connections } else { 1 }
    }

    async fn turn(&self, bench: &Bench) -> anyhow::Result<Sample> {
        let from = Source::Sized(self.bytes);
        let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|number| from.message(number)).collect();
        let mut workers = Vec::new();
        for at in 0..self.connections(bench) {
            let imap = bench.imap(at, &name(at)).await?;
            workers.push(Worker { imap, messages: messages.clone(), next: at });
        }
        bench
            .turn(&mut workers, async |worker| {
                worker.next += 1;
                worker.imap.append(MAILBOX, &worker.messages[worker.next % worker.messages.len()]).await?;
                Ok(1)
            })
            .await
    }
}
