//! What is counted of IMAP.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

/// How an attempt to log in ends.
const LOGINS: [&str; 4] = ["ok", "wrong", "suspended", "unavailable"];

/// The instruments.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    commands: Counter<u64>,
    duration: Histogram<f64>,
    sessions: UpDownCounter<i64>,
    logins: Counter<u64>,
    turned_away: Counter<u64>,
}

impl Metrics {
    /// Made from the process's meter.
    pub(crate) fn new(meter: &Meter) -> Self {
        let this = Self {
            commands: meter
                .u64_counter("buzon.imap.commands")
                .with_description("Commands answered, by name and outcome")
                .build(),
            duration: meter
                .f64_histogram("buzon.imap.command.duration")
                .with_unit("s")
                .with_boundaries(buzon_telemetry::DURATION_BOUNDARIES_S.to_vec())
                .with_description("From a command's last byte to its tagged answer")
                .build(),
            sessions: meter
                .i64_up_down_counter("buzon.imap.sessions")
                .with_description("Open IMAP connections")
                .build(),
            logins: meter
                .u64_counter("buzon.imap.logins")
                .with_description("Attempts to log in, by outcome")
                .build(),
            turned_away: meter
                .u64_counter("buzon.imap.connections.turned_away")
                .with_description("Connections over a limit")
                .build(),
        };
        // From nothing: a rate sees no first time of a series that is born with it.
        this.session(0);
        this.turned_away.add(0, &[]);
        LOGINS.iter().for_each(|&outcome| this.logins.add(0, &[KeyValue::new("outcome", outcome)]));
        this
    }

    pub(crate) fn command(&self, name: &'static str, outcome: &'static str, took: Duration) {
        let name = KeyValue::new("command", name);
        self.duration.record(took.as_secs_f64(), std::slice::from_ref(&name));
        self.commands.add(1, &[name, KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn session(&self, difference: i64) {
        self.sessions.add(difference, &[]);
    }

    pub(crate) fn login(&self, outcome: &'static str) {
        self.logins.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn turned_away(&self) {
        self.turned_away.add(1, &[]);
    }
}
