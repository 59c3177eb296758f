//! From the end of a server to the first session's selected mailbox: what was put into it is there by then.

use std::time::Instant;

use anyhow::ensure;

use super::fetch_list::{ACCOUNT, MAILBOX};
use super::{Goal, Operation, Row};
use crate::bench::{Bench, select};
use crate::cost::Cost;
use crate::messages::Source;
use crate::sample::{self, Sample};

struct Restart;

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![Box::new(Restart)]
}

impl Operation for Restart {
    fn row(&self) -> Row {
        let goals = [Goal::Milliseconds(5000.0)];
        Row::new("restart", "stop, start, LOGIN, SELECT of a large mailbox", "restart", &goals)
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.fill(ACCOUNT, MAILBOX, bench.scale.large, Source::Letters)
    }

    /// Processes are new: their processor time is what it cost, and is not told apart.
    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        let began = Instant::now();
        bench.server.restart()?;
        let found = bench.run(async { select(&mut bench.imap(0, ACCOUNT).await?, MAILBOX).await })?;
        ensure!(found == bench.scale.large, "{found} messages");
        let took = began.elapsed();
        sample::finish(bench.server.as_ref(), vec![took], 1, took.as_secs_f64(), Cost::default())
    }
}
