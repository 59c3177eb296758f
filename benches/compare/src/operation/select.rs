//! SELECT of the large mailbox: again and again in a session, and once after the server's restart.

use anyhow::ensure;

use super::fetch_list::{ACCOUNT, MAILBOX};
use super::{Goal, Operation, Row};
use crate::bench::{Bench, select};
use crate::client::imap::Imap;
use crate::messages::Source;
use crate::sample::Sample;

struct Select {
    restarted: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![Box::new(Select { restarted: false }), Box::new(Select { restarted: true })]
}

impl Operation for Select {
    fn row(&self) -> Row {
        if self.restarted {
            let goals = [Goal::Milliseconds(50.0)];
            return Row::new(
                "select-restarted",
                "SELECT of a large mailbox after a restart",
                "SELECT",
                &goals,
            );
        }
        Row::new("select", "SELECT of a large mailbox, warm", "SELECT", &[Goal::Milliseconds(1.0)])
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.fill(ACCOUNT, MAILBOX, bench.scale.large, Source::Letters)
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        if self.restarted {
            bench.server.restart()?;
        }
        bench.run(async {
            let mut imap = bench.imap(0, ACCOUNT).await?;
            let step = async |imap: &mut Imap| {
                let found = select(imap, MAILBOX).await?;
                ensure!(found == bench.scale.large, "{found} messages");
                Ok(1)
            };
            if self.restarted {
                bench.once(&mut imap, step).await
            } else {
                bench.turn(std::slice::from_mut(&mut imap), step).await
            }
        })
    }
}
