//! What LMTP counts.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

/// What a recipient may be answered.
const OUTCOMES: [&str; 3] = ["delivered", "deferred", "refused"];

/// Instruments of all LMTP connections.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    recipients: Counter<u64>,
    bytes: Counter<u64>,
    duration: Histogram<f64>,
}

impl Metrics {
    pub(super) fn new(meter: &Meter) -> Self {
        let recipients = meter
            .u64_counter("buzon.lmtp.recipients")
            .with_description("Recipients of messages that came by LMTP, by what they were answered.")
            .with_unit("{recipient}");
        let bytes = meter
            .u64_counter("buzon.lmtp.message.size")
            .with_description("Bytes of messages that came by LMTP.")
            .with_unit("By");
        let duration = meter
            .f64_histogram("buzon.lmtp.delivery.duration")
            .with_description("From a message's last byte to its replies: body, log and rows.")
            .with_boundaries(buzon_telemetry::DURATION_BOUNDARIES_S.to_vec())
            .with_unit("s");
        let this = Self { recipients: recipients.build(), bytes: bytes.build(), duration: duration.build() };
        // From nothing: a rate sees no first time of a series that is born with it.
        OUTCOMES.iter().for_each(|&outcome| this.recipients.add(0, &[KeyValue::new("outcome", outcome)]));
        this
    }

    /// A message with its size came.
    pub(super) fn message(&self, bytes: u64) {
        self.bytes.add(bytes, &[]);
    }

    /// A message was delivered or refused.
    pub(super) fn finished(&self, took: Duration) {
        self.duration.record(took.as_secs_f64(), &[]);
    }

    /// A recipient was answered.
    pub(super) fn recipient(&self, reply: &str) {
        let outcome = match reply.as_bytes().first() {
            Some(b'2') => OUTCOMES[0],
            Some(b'4') => OUTCOMES[1],
            _ => OUTCOMES[2],
        };
        self.recipients.add(1, &[KeyValue::new("outcome", outcome)]);
    }
}
