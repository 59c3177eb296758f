//! What operators see of the object store. Names are declared here, beside their use.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

use crate::error::{BodiesError, RequestKind};

/// The instruments; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Counter<u64>,
    duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    stored: Counter<u64>,
    written: Counter<u64>,
    read: Counter<u64>,
    lookups: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let this = Self {
            requests: meter
                .u64_counter("buzon.bodies.requests")
                .with_unit("{request}")
                .with_description(
                    "Requests to the object store by kind and outcome; a retried one counts once.",
                )
                .build(),
            duration: meter
                .f64_histogram("buzon.bodies.request.duration")
                .with_unit("s")
                .with_description("Time of a request to the object store with its retries.")
                .with_boundaries(vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])
                .build(),
            in_flight: meter
                .i64_up_down_counter("buzon.bodies.requests.in_flight")
                .with_unit("{request}")
                .with_description("Requests on their way to the object store.")
                .build(),
            stored: meter
                .u64_counter("buzon.bodies.stored")
                .with_unit("{body}")
                .with_description("Bodies put into the object store; small ones share requests.")
                .build(),
            written: meter
                .u64_counter("buzon.bodies.written")
                .with_unit("By")
                .with_description("Bytes put into the object store.")
                .build(),
            read: meter
                .u64_counter("buzon.bodies.read")
                .with_unit("By")
                .with_description("Bytes read from the object store.")
                .build(),
            lookups: meter
                .u64_counter("buzon.bodies.cache.lookups")
                .with_unit("{lookup}")
                .with_description("Reads by whether the cache had the bytes.")
                .build(),
        };
        // From nothing: a rate sees no first time of a series that is born with it.
        for kind in [RequestKind::Put, RequestKind::GetRange] {
            for outcome in ["ok", "failed", "deadline"] {
                let labels = [KeyValue::new("kind", kind.name()), KeyValue::new("outcome", outcome)];
                this.requests.add(0, &labels);
            }
        }
        [true, false].iter().for_each(|&found| this.lookups.add(0, &[KeyValue::new("found", found)]));
        this.in_flight.add(0, &[]);
        this.stored.add(0, &[]);
        this.written.add(0, &[]);
        this.read.add(0, &[]);
        this
    }

    pub(crate) fn started(&self) -> InFlight<'_> {
        self.in_flight.add(1, &[]);
        InFlight(self)
    }

    pub(crate) fn finished(&self, kind: RequestKind, error: Option<&BodiesError>, took: Duration) {
        let kind = KeyValue::new("kind", kind.name());
        let outcome = KeyValue::new("outcome", error.map_or("ok", outcome));
        self.requests.add(1, &[kind.clone(), outcome]);
        self.duration.record(took.as_secs_f64(), &[kind]);
    }

    pub(crate) fn stored(&self) {
        self.stored.add(1, &[]);
    }

    pub(crate) fn wrote(&self, bytes: u64) {
        self.written.add(bytes, &[]);
    }

    pub(crate) fn read(&self, bytes: u64) {
        self.read.add(bytes, &[]);
    }

    pub(crate) fn looked_up(&self, found: bool) {
        self.lookups.add(1, &[KeyValue::new("found", found)]);
    }
}

/// Counts a request down when it ends, also when its caller went away.
pub(crate) struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.add(-1, &[]);
    }
}

fn outcome(error: &BodiesError) -> &'static str {
    match error {
        BodiesError::NotFound { .. } => "not_found",
        BodiesError::Unavailable { source: None, .. } => "deadline",
        _ => "failed",
    }
}
