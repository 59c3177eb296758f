//! What LMTP counts.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

/// Instruments of all LMTP connections.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    recipients: Counter<u64>,
    bytes: Counter<u64>,
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
        Self { recipients: recipients.build(), bytes: bytes.build() }
    }

    /// A message with its size came.
    pub(super) fn message(&self, bytes: u64) {
        self.bytes.add(bytes, &[]);
    }

    /// A recipient was answered.
    pub(super) fn recipient(&self, reply: &str) {
        let outcome = match reply.as_bytes().first() {
            Some(b'2') => "delivered",
            Some(b'4') => "deferred",
            _ => "refused",
        };
        self.recipients.add(1, &[KeyValue::new("outcome", outcome)]);
    }
}
