//! How cost grows: the same STORE, FETCH of a body and delivery with a small and a large mailbox; deliveries with few and with many
//! accounts, with few and with many raft groups on a node.

use super::{Operation, Row, deliver, fetch_body, fetch_list, store};
use crate::bench::{Bench, name, names};
use crate::messages::Source;
use crate::sample::Sample;
use crate::server::address;

/// Accounts when there are few; they exist anyway.
const FEW: usize = 10;
const SMALL: &str = "Small";
/// Connections: few, so that one operation's own cost is seen.
const CONNECTIONS: usize = 4;
/// Messages that one connection works on, at the mailbox's end: all connections' are in the small mailbox of every scale.
const TOUCHED: usize = 5;

#[derive(Clone, Copy)]
enum What {
    Store,
    Body,
    Deliver,
}

/// In a mailbox that is small or large.
struct InMailbox {
    what: What,
    large: bool,
}

/// With so many accounts.
struct Accounts {
    many: bool,
}

/// With so many groups.
struct Groups {
    many: bool,
}

pub(super) fn rows() -> Vec<Box<dyn Operation>> {
    let mailboxes = [What::Store, What::Body, What::Deliver].into_iter().flat_map(|what| {
        [false, true].map(|large| Box::new(InMailbox { what, large }) as Box<dyn Operation>)
    });
    let accounts = [false, true].map(|many| Box::new(Accounts { many }) as Box<dyn Operation>);
    mailboxes.chain(accounts).collect()
}

pub(super) fn rows_of_groups() -> Vec<Box<dyn Operation>> {
    [false, true].map(|many| Box::new(Groups { many }) as Box<dyn Operation>).into()
}

fn row(names: [&'static str; 2], is_large: bool, what: String, unit: &'static str) -> Row {
    let grows_from = is_large.then_some(names[0]);
    Row { grows_from, ..Row::new(names[usize::from(is_large)], what, unit, &[]) }
}

impl Operation for InMailbox {
    fn row(&self) -> Row {
        let size = if self.large { "large" } else { "small" };
        match self.what {
            What::Store => {
                let names = ["grow-store-small", "grow-store-large"];
                row(names, self.large, format!("STORE of one message, {size} mailbox"), "STORE")
            }
            What::Body => {
                let names = ["grow-body-small", "grow-body-large"];
                row(names, self.large, format!("FETCH of one body, {size} mailbox"), "body")
            }
            What::Deliver => {
                let names = ["grow-deliver-small", "grow-deliver-large"];
                row(names, self.large, format!("LMTP delivery, {size} mailbox"), "delivery")
            }
        }
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        match self.what {
            // Deliveries go to INBOX: one of an account of its own.
            What::Deliver => bench.fill(self.account(), "INBOX", self.messages(bench), Source::Letters),
            _ => bench.fill(self.account(), self.mailbox(), self.messages(bench), Source::Letters),
        }
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        let (account, mailbox, messages) = (self.account(), self.mailbox(), self.messages(bench));
        bench.run(async {
            match self.what {
                What::Store => {
                    let mut workers = Vec::new();
                    for at in 0..CONNECTIONS {
                        let begin = messages - (at + 1) * TOUCHED;
                        workers
                            .push(store::Worker::start(bench, at, account, mailbox, begin, TOUCHED).await?);
                    }
                    bench.turn(&mut workers, store::Worker::step).await
                }
                What::Body => {
                    let mut workers = Vec::new();
                    // The same messages in both: their copies' bodies are as large.
                    let touched = bench.scale.small;
                    for at in 0..CONNECTIONS {
                        workers.push(fetch_body::Worker::start(bench, at, account, mailbox, touched).await?);
                    }
                    bench.turn(&mut workers, fetch_body::Worker::step).await
                }
                What::Deliver => {
                    let recipients = vec![vec![address(account)]; CONNECTIONS];
                    deliver::turn(bench, recipients, Source::Sized(4 << 10)).await
                }
            }
        })
    }
}

impl InMailbox {
    fn account(&self) -> &'static str {
        match (self.what, self.large) {
            (What::Deliver, false) => "inbox-small",
            (What::Deliver, true) => "inbox-large",
            _ => fetch_list::ACCOUNT,
        }
    }

    fn mailbox(&self) -> &'static str {
        if self.large { fetch_list::MAILBOX } else { SMALL }
    }

    fn messages(&self, bench: &Bench) -> usize {
        if self.large { bench.scale.large } else { bench.scale.small }
    }
}

impl Operation for Accounts {
    fn row(&self) -> Row {
        let accounts = if self.many { "many accounts" } else { "10 accounts" };
        let names = ["grow-accounts-few", "grow-accounts-many"];
        row(names, self.many, format!("LMTP delivery, {accounts}"), "delivery")
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.people(&names(FEW))?;
        if self.many { bench.crowd(&crowd(bench.scale.crowd)) } else { Ok(()) }
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        let all = if self.many { crowd(bench.scale.crowd) } else { names(FEW) };
        // Each connection goes through a part of them; with many, nearly every delivery is to another one.
        let part = |at: usize| {
            all.iter().skip(at).step_by(CONNECTIONS).map(|name| address(name)).collect::<Vec<_>>()
        };
        bench.run(deliver::turn(bench, (0..CONNECTIONS).map(part).collect(), Source::Sized(4 << 10)))
    }
}

fn crowd(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("crowd{number}")).collect()
}

impl Operation for Groups {
    fn row(&self) -> Row {
        let groups = if self.many { "many groups" } else { "few groups" };
        let names = ["grow-groups-few", "grow-groups-many"];
        row(names, self.many, format!("LMTP delivery, {groups} on a node"), "delivery")
    }

    fn applies(&self, bench: &Bench) -> bool {
        bench.server.has_groups()
    }

    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()> {
        bench.people(&names(FEW))?;
        if self.many { bench.groups() } else { Ok(()) }
    }

    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample> {
        let recipients = (0..CONNECTIONS).map(|at| vec![address(&name(at))]).collect();
        bench.run(deliver::turn(bench, recipients, Source::Sized(4 << 10)))
    }
}
