//! LIST of an account with many mailboxes, and LIST with STATUS of each (RFC 5819).

use anyhow::ensure;

use super::{Goal, Operation, Row};
use crate::bench::Bench;
use crate::client::imap::Imap;
use crate::sample::Sample;

const ACCOUNT: &str = "folders";
const STATUS: &str = " RETURN (STATUS (MESSAGES UNSEEN UIDNEXT UIDVALIDITY))";

struct ListMailboxes {
    with_status: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    vec![Box::new(ListMailboxes { with_status: false }), Box::new(ListMailboxes { with_status: true })]
}

impl Operation for ListMailboxes {
    fn row(&self) -> Row {
        let (name, what) =
            if self.with_status { ("list-status", "LIST with STATUS") } else { ("list", "LIST") };
        Row::new(name, format!("{what} of many mailboxes"), "command", &[Goal::Cpu(0.5)])
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        let folders: Vec<String> = (0..bench.scale.mailboxes).map(folder).collect();
        bench.mailboxes(ACCOUNT, &folders)
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        bench.run(async {
            let mut imap = bench.imap(0, ACCOUNT).await?;
            let with = if self.with_status { STATUS } else { "" };
            let command = format!("LIST \"\" \"Folder*\"{with}");
            let expected = bench.scale.mailboxes as u64 * if self.with_status { 2 } else { 1 };
            let step = async |imap: &mut Imap| {
                let reply = imap.ok(&command).await?;
                ensure!(reply.others == expected, "{} responses, {expected} expected", reply.others);
                Ok(1)
            };
            bench.turn(std::slice::from_mut(&mut imap), step).await
        })
    }
}

fn folder(number: usize) -> String {
    format!("Folder {number:04}")
}
