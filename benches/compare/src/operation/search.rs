//! SEARCH by header fields and by text, without an index of words. All servers must find the same number.

use super::{Goal, Operation, Row};
use crate::bench::{Bench, select};
use crate::client::imap::Imap;
use crate::messages::{NEEDLE, Source};
use crate::sample::Sample;

const ACCOUNT: &str = "searched";
const MAILBOX: &str = "Searched";

struct Search {
    name: &'static str,
    what: &'static str,
    key: String,
    goal: f64,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    let row = |name, what, key: &str, goal| {
        Box::new(Search { name, what, key: key.to_owned(), goal }) as Box<dyn Operation>
    };
    vec![
        row("search-subject", "SUBJECT", "SUBJECT \"invoice report\"", 0.5),
        row("search-from", "FROM", "FROM \"carol\"", 0.5),
        row("search-text", "TEXT", &format!("TEXT \"{NEEDLE}\""), 1.0),
        row("search-body", "BODY", "BODY \"invoice report thanks\"", 1.0),
    ]
}

impl Operation for Search {
    fn row(&self) -> Row {
        Row::new(
            self.name,
            format!("SEARCH {}, middle-sized mailbox", self.what),
            "SEARCH",
            &[Goal::Cpu(self.goal)],
        )
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.fill(ACCOUNT, MAILBOX, bench.scale.searched, Source::Letters)
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        bench.run(async {
            let mut imap = bench.imap(0, ACCOUNT).await?;
            select(&mut imap, MAILBOX).await?;
            let command = format!("SEARCH {}", self.key);
            let found = hits(&imap.read(&command).await?.text);
            let mut sample = bench
                .turn(std::slice::from_mut(&mut imap), async |imap: &mut Imap| {
                    imap.ok(&command).await?;
                    Ok(1)
                })
                .await?;
            sample.answer = Some(found);
            Ok(sample)
        })
    }
}

/// Numbers of `* SEARCH 2 84 882`.
fn hits(text: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().filter_map(|line| line.strip_prefix("* SEARCH"));
    lines.map(|line| line.split_whitespace().count() as u64).sum()
}
