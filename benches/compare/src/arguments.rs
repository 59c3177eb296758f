//! The command line; `cargo xtask compare` passes it on.

use std::path::PathBuf;

use clap::Parser;

use crate::scale::Scale;
use crate::server::{Kind, Security};

/// Buzon and Dovecot side by side under the same load on this machine: what each operation costs.
#[derive(Debug, Parser)]
#[command(name = "compare")]
pub(crate) struct Arguments {
    /// Rows to measure, by name or the beginning of it; all when it is not given.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Servers that take turns; the first Dovecot is what the others are compared with.
    #[arg(
        long,
        value_enum,
        value_name = "SERVER,...",
        value_delimiter = ',',
        default_values = ["dovecot-sdbox", "dovecot-mdbox", "standalone", "metad", "cluster"]
    )]
    pub(crate) servers: Vec<Kind>,
    /// A tenth of everything.
    #[arg(long, conflicts_with = "smoke")]
    quick: bool,
    /// Hundreds of operations: only shows that it works.
    #[arg(long)]
    smoke: bool,
    /// Turns of each server in each row.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Messages of a large mailbox, instead of the scale's.
    #[arg(long, value_name = "N")]
    large: Option<usize>,
    /// Connections that idle, instead of the scale's.
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    /// IMAP over TLS on all servers, in all rows; plain text on all when it is not given.
    #[arg(long)]
    tls: bool,
    /// Where the results go; the picture goes beside it.
    #[arg(long, value_name = "FILE", default_value = "target/compare/compare.json")]
    pub(crate) json: PathBuf,
    /// Prints the rows' names and ends.
    #[arg(long)]
    pub(crate) list: bool,
}

impl Arguments {
    /// How much.
    pub(crate) fn scale(&self) -> Scale {
        let scale = match (self.quick, self.smoke) {
            (true, _) => Scale::QUICK,
            (_, true) => Scale::SMOKE,
            _ => Scale::FULL,
        };
        let large = self.large.unwrap_or(scale.large).max(scale.small);
        let idle = self.idle.unwrap_or(scale.idle).max(1);
        Scale { rounds: self.rounds.unwrap_or(scale.rounds).max(1), large, idle, ..scale }
    }

    /// How IMAP is spoken.
    pub(crate) fn security(&self) -> Security {
        if self.tls { Security::Tls } else { Security::Plain }
    }

    /// Whether a row is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|begin| name.starts_with(begin.as_str()))
    }
}
