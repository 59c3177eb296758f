//! COPY and MOVE of a small mailbox's messages. Copies go to a mailbox that each turn begins anew; messages are moved to and fro, and
//! the SELECT of where they went is in the figure.

use anyhow::ensure;

use super::{Goal, Operation, Row};
use crate::bench::{Bench, select};
use crate::messages::Source;
use crate::sample::{self, Sample};

const ACCOUNT: &str = "copies";
const MAILBOX: &str = "Thousand";
const MOVED: [&str; 2] = ["Here", "There"];
const COPIES: &str = "Copies";
/// So many in one turn: the target grows.
const COPIES_MAX: u64 = 40;

struct Copy {
    moves: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![Box::new(Copy { moves: false }), Box::new(Copy { moves: true })]
}

impl Operation for Copy {
    fn row(&self) -> Row {
        let (name, what) = if self.moves { ("move", "MOVE") } else { ("copy", "COPY") };
        Row::new(name, format!("{what} of 1,000 messages"), "command", &[Goal::Cpu(0.5)])
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        let small = bench.scale.small;
        if self.moves {
            bench.fill(ACCOUNT, MOVED[0], small, Source::Letters)?;
            return bench.mailbox(ACCOUNT, MOVED[1]);
        }
        bench.fill(ACCOUNT, MAILBOX, small, Source::Letters)?;
        bench.mailbox(ACCOUNT, COPIES)
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        bench.run(if self.moves {
            futures::future::Either::Left(moves(bench))
        } else {
            futures::future::Either::Right(copies(bench))
        })
    }
}

async fn copies(bench: &Bench) -> anyhow::Result<Sample> {
    let mut imap = bench.imap(0, ACCOUNT).await?;
    imap.ok(&format!("DELETE {COPIES}")).await?;
    imap.ok(&format!("CREATE {COPIES}")).await?;
    select(&mut imap, MAILBOX).await?;
    turn(bench, &mut imap, async |imap| {
        imap.ok(&format!("COPY 1:* {COPIES}")).await?;
        Ok(1)
    })
    .await
}

async fn moves(bench: &Bench) -> anyhow::Result<Sample> {
    let mut imap = bench.imap(0, ACCOUNT).await?;
    let at = usize::from(select(&mut imap, MOVED[0]).await? == 0);
    select(&mut imap, MOVED[at]).await?;
    let small = bench.scale.small;
    let mut worker = (imap, at);
    turn(bench, &mut worker, async |(imap, at)| {
        *at = 1 - *at;
        imap.ok(&format!("MOVE 1:* {}", MOVED[*at])).await?;
        let found = select(imap, MOVED[*at]).await?;
        ensure!(found == small, "{found} messages after MOVE of {small}");
        Ok(1)
    })
    .await
}

async fn turn<W>(
    bench: &Bench,
    worker: &mut W,
    step: impl AsyncFn(&mut W) -> anyhow::Result<u64>,
) -> anyhow::Result<Sample> {
    let limits = bench.limits(COPIES_MAX, true);
    sample::take(bench.server.as_ref(), std::slice::from_mut(worker), limits, step).await
}
