//! What is measured: one row of the table each. A file holds one verb and the rows that it is measured in.

use serde::Serialize;

use crate::bench::Bench;
use crate::sample::Sample;

mod append;
mod copy;
mod deliver;
mod fetch_body;
mod fetch_list;
mod grow;
mod hold;
mod idle;
mod list_mailboxes;
mod log_in;
mod restart;
mod search;
mod select;
mod store;

/// One row.
pub(crate) trait Operation {
    /// What it is and what is aimed at.
    fn row(&self) -> Row;

    /// Whether it can be asked of this server.
    fn applies(&self, _bench: &Bench) -> bool {
        true
    }

    /// Puts into the server what a turn needs; called before each round, does it once.
    ///
    /// # Errors
    /// If the server refuses something.
    fn prepare(&self, bench: &mut Bench) -> anyhow::Result<()>;

    /// One turn.
    ///
    /// # Errors
    /// If the server answers anything but what it must.
    fn measure(&self, bench: &mut Bench) -> anyhow::Result<Sample>;
}

/// See [`Operation::row`].
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// On the command line.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) what: String,
    /// What processor time is told for.
    pub(crate) unit: &'static str,
    /// Against the first Dovecot of the run.
    pub(crate) goals: Vec<Goal>,
    /// The row that this one shall not cost more than 1.2 times of, on the same server.
    pub(crate) grows_from: Option<&'static str>,
}

/// What is aimed at (the table of figures of the issue on speed).
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Goal {
    /// Rate at least so many times the other's.
    Rate(f64),
    /// Processor time at most so many times the other's.
    Cpu(f64),
    /// Half of the operations within so many milliseconds.
    Milliseconds(f64),
    /// So many KiB for each connection.
    Kib(f64),
}

impl Row {
    fn new(name: &'static str, what: impl Into<String>, unit: &'static str, goals: &[Goal]) -> Self {
        Self { name, what: what.into(), unit, goals: goals.to_vec(), grows_from: None }
    }
}

/// All, in the order in which they are measured: those that change a server for good come last.
pub(crate) fn all() -> Vec<Box<dyn Operation>> {
    [
        deliver::rows(),
        append::rows(),
        store::rows(),
        fetch_list::rows(),
        fetch_body::rows(),
        log_in::rows(),
        select::rows(),
        copy::rows(),
        search::rows(),
        list_mailboxes::rows(),
        idle::rows(),
        grow::rows(),
        hold::rows(),
        restart::rows(),
        grow::rows_of_groups(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
