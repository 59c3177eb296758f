//! STORE of one flag on one message: in a mailbox of each connection's own, or all in the same. Every one changes something.
//! Dovecot does not flush changes of flags unless `mail_fsync = always`; the column of fsyncs shows it.

use super::{Goal, Operation, Row};
use crate::bench::{Bench, name, names, select};
use crate::client::imap::Imap;
use crate::messages::Source;
use crate::sample::Sample;

const MAILBOX: &str = "Flags";
/// Messages of each connection: it changes one after the other, then back.
const MESSAGES_MAX: usize = 100;

struct Store {
    name: &'static str,
    shared: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![
        Box::new(Store { name: "store", shared: false }),
        Box::new(Store { name: "store-shared", shared: true }),
    ]
}

impl Operation for Store {
    fn row(&self) -> Row {
        let where_ = if self.shared { "all in one mailbox" } else { "each in its own mailbox" };
        Row::new(
            self.name,
            format!("STORE of one message, many connections, {where_}"),
            "STORE",
            &[Goal::Cpu(1.0)],
        )
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        let (connections, messages) = (bench.scale.connections, messages(bench));
        bench.people(&names(connections))?;
        if self.shared {
            return bench.fill("shared", MAILBOX, messages * connections, Source::Sized(2 << 10));
        }
        (0..connections).try_for_each(|at| bench.fill(&name(at), MAILBOX, messages, Source::Sized(2 << 10)))
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        bench.run(async {
            let mut workers = Vec::new();
            for at in 0..bench.scale.connections {
                let account = if self.shared { "shared".to_owned() } else { name(at) };
                let messages = messages(bench);
                let begin = if self.shared { at * messages } else { 0 };
                workers.push(Worker::start(bench, at, &account, MAILBOX, begin, messages).await?);
            }
            bench.turn(&mut workers, Worker::step).await
        })
    }
}

fn messages(bench: &Bench) -> usize {
    bench.scale.small.min(MESSAGES_MAX)
}

/// A session that sets a flag on its messages, one after the other, and then takes it back.
pub(super) struct Worker {
    imap: Imap,
    begin: usize,
    count: usize,
    next: usize,
}

impl Worker {
    /// Selects; the flag is on none of its messages.
    pub(super) async fn start(
        bench: &Bench,
        at: usize,
        account: &str,
        mailbox: &str,
        begin: usize,
        count: usize,
    ) -> anyhow::Result<Self> {
        let mut imap = bench.imap(at, account).await?;
        select(&mut imap, mailbox).await?;
        imap.ok(&format!("STORE {}:{} -FLAGS.SILENT (\\Flagged)", begin + 1, begin + count)).await?;
        Ok(Self { imap, begin, count, next: 0 })
    }

    /// One change.
    pub(super) async fn step(&mut self) -> anyhow::Result<u64> {
        let sign = if (self.next / self.count).is_multiple_of(2) { '+' } else { '-' };
        let message = self.begin + self.next % self.count + 1;
        self.next += 1;
        let reply = self.imap.ok(&format!("STORE {message} {sign}FLAGS (\\Flagged)")).await?;
        anyhow::ensure!(reply.fetches > 0, "STORE answered no FETCH");
        Ok(1)
    }
}
