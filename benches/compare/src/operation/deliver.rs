//! LMTP: MAIL, RCPT, DATA, message, 250; each connection delivers to accounts of its own.

use super::{Goal, Operation, Row};
use crate::bench::{Bench, name, names};
use crate::client::lmtp::{Lmtp, dotted};
use crate::messages::Source;
use crate::sample::Sample;
use crate::server::address;

/// Different messages of one connection.
const MESSAGES: u64 = 40;

struct Deliver {
    name: &'static str,
    what: &'static str,
    from: Source,
    goals: &'static [Goal],
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![
        Box::new(Deliver {
            name: "deliver",
            what: "LMTP delivery, 4 KB",
            from: Source::Sized(4 << 10),
            goals: &[Goal::Rate(4.0), Goal::Cpu(0.25)],
        }),
        Box::new(Deliver {
            name: "deliver-varied",
            what: "LMTP delivery, 1 KB to 5 MB",
            from: Source::Varied,
            goals: &[],
        }),
    ]
}

impl Operation for Deliver {
    fn row(&self) -> Row {
        Row::new(self.name, format!("{}, many connections", self.what), "delivery", self.goals)
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.people(&names(bench.scale.connections))
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        let connections = bench.scale.connections;
        let recipients = (0..connections).map(|at| vec![address(&name(at))]).collect();
        bench.run(turn(bench, recipients, self.from))
    }
}

/// One connection of the turn.
struct Worker {
    lmtp: Lmtp,
    messages: Vec<Vec<u8>>,
    recipients: Vec<String>,
    next: usize,
}

/// A turn with a connection for each list of recipients, who get mail by turns.
pub(super) async fn turn(
    bench: &Bench,
    recipients: Vec<Vec<String>>,
    from: Source,
) -> anyhow::Result<Sample> {
    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|number| dotted(&from.message(number))).collect();
    let mut workers = Vec::new();
    for (at, recipients) in recipients.into_iter().enumerate() {
        // Each begins elsewhere, so that not all send the large ones at once.
        let (lmtp, next) = (bench.lmtp(at).await?, at * 7);
        workers.push(Worker { lmtp, messages: messages.clone(), recipients, next });
    }
    bench
        .turn(&mut workers, async |worker| {
            worker.next += 1;
            let recipient = &worker.recipients[worker.next % worker.recipients.len()];
            let message = &worker.messages[worker.next % worker.messages.len()];
            worker.lmtp.deliver(recipient, message).await?;
            Ok(1)
        })
        .await
}
