//! How much of everything: the whole comparison, a quick one, and one that only shows that it works.

use std::time::Duration;

use serde::Serialize;

/// See the module.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Scale {
    /// `full`, `quick` or `smoke`.
    pub(crate) name: &'static str,
    /// How often servers take turns in an operation.
    pub(crate) rounds: usize,
    /// How long one turn lasts.
    pub(crate) turn: Duration,
    /// How long a server's work behind its answers is waited for.
    pub(crate) settle: Duration,
    /// How many operations one turn has at most.
    pub(crate) operations_max: u64,
    /// Connections where there are many.
    pub(crate) connections: usize,
    /// Messages of a large mailbox.
    pub(crate) large: usize,
    /// Messages of a mailbox that is searched.
    pub(crate) searched: usize,
    /// Messages of a small mailbox, and of one COPY.
    pub(crate) small: usize,
    /// Mailboxes of an account that has many.
    pub(crate) mailboxes: usize,
    /// Connections that idle.
    pub(crate) idle: usize,
    /// Accounts when there are many.
    pub(crate) crowd: usize,
    /// Groups when there are many.
    pub(crate) groups: usize,
}

impl Scale {
    /// As the figures are defined: an hour or two with all servers.
    pub(crate) const FULL: Self = Self {
        name: "full",
        rounds: 5,
        turn: Duration::from_secs(5),
        settle: Duration::from_millis(250),
        operations_max: 200_000,
        connections: 32,
        large: 100_000,
        searched: 10_000,
        small: 1_000,
        mailboxes: 1_000,
        idle: 2_000,
        crowd: 10_000,
        groups: 200,
    };
    /// A tenth: minutes. Ratios are near those of the whole where cost is proportional.
    pub(crate) const QUICK: Self = Self {
        name: "quick",
        rounds: 3,
        turn: Duration::from_secs(2),
        operations_max: 20_000,
        large: 10_000,
        searched: 2_000,
        mailboxes: 200,
        idle: 400,
        crowd: 1_000,
        groups: 20,
        ..Self::FULL
    };
    /// Hundreds of operations: says nothing about speed.
    pub(crate) const SMOKE: Self = Self {
        name: "smoke",
        rounds: 1,
        turn: Duration::from_millis(100),
        settle: Duration::from_millis(20),
        operations_max: 100,
        connections: 2,
        large: 60,
        searched: 30,
        small: 20,
        mailboxes: 8,
        idle: 6,
        crowd: 8,
        groups: 2,
    };
}
