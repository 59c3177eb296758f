//! FETCH of attributes of every message of a large mailbox, as clients that open it ask: warm, and for the first time.
//!
//! First time: the server was restarted, and Dovecot's `dovecot.index.cache` is gone, as it is for messages that nobody asked about
//! yet. Pages that the kernel holds stay.

use anyhow::ensure;

use super::{Goal, Operation, Row};
use crate::bench::{Bench, select};
use crate::client::imap::Imap;
use crate::messages::Source;
use crate::sample::Sample;

/// Who has the large mailbox.
pub(super) const ACCOUNT: &str = "large";
/// The large mailbox.
pub(super) const MAILBOX: &str = "Large";

const FLAGS: &str = "(UID FLAGS)";
const ENVELOPE: &str = "(ENVELOPE)";
const STRUCTURE: &str = "(BODYSTRUCTURE)";
const SYNC: &str = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT REFERENCES \
                    IN-REPLY-TO MESSAGE-ID CONTENT-TYPE)])";

struct FetchList {
    name: &'static str,
    what: &'static str,
    items: &'static str,
    first: bool,
    goals: &'static [Goal],
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    let row = |name, what, items, first, goals| {
        Box::new(FetchList { name, what, items, first, goals }) as Box<dyn Operation>
    };
    vec![
        row("fetch-flags", "(UID FLAGS)", FLAGS, false, &[Goal::Cpu(0.7)]),
        row("fetch-envelope-first", "(ENVELOPE)", ENVELOPE, true, &[Goal::Cpu(0.1)]),
        row("fetch-envelope", "(ENVELOPE)", ENVELOPE, false, &[Goal::Cpu(0.3)]),
        row("fetch-structure-first", "(BODYSTRUCTURE)", STRUCTURE, true, &[Goal::Cpu(0.2)]),
        row("fetch-structure", "(BODYSTRUCTURE)", STRUCTURE, false, &[Goal::Cpu(1.0)]),
        row("sync-first", "of a client's first sync", SYNC, true, &[]),
        row("sync", "of a client's first sync", SYNC, false, &[Goal::Cpu(0.7)]),
    ]
}

impl Operation for FetchList {
    fn row(&self) -> Row {
        let when = if self.first { "first time" } else { "warm" };
        Row::new(self.name, format!("FETCH 1:* {}, large mailbox, {when}", self.what), "message", self.goals)
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.fill(ACCOUNT, MAILBOX, bench.scale.large, Source::Letters)
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        if self.first {
            bench.server.restart_cold()?;
        }
        bench.run(async {
            let mut imap = bench.imap(0, ACCOUNT).await?;
            select(&mut imap, MAILBOX).await?;
            let command = format!("FETCH 1:* {}", self.items);
            let step = async |imap: &mut Imap| {
                let reply = imap.ok(&command).await?;
                let count = bench.scale.large as u64;
                ensure!(reply.fetches == count, "{} FETCH responses for {count} messages", reply.fetches);
                Ok(count)
            };
            if self.first {
                bench.once(&mut imap, step).await
            } else {
                bench.turn(std::slice::from_mut(&mut imap), step).await
            }
        })
    }
}
