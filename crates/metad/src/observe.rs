//! A span and two metrics for each call.

use std::future::Future;
use std::time::Instant;

use buzon_proto::status::CallError;
use buzon_telemetry::TRACED;
use buzon_telemetry::propagation::continue_trace;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};
use tracing::Instrument;

/// Counts and times calls.
#[derive(Debug, Clone)]
pub(crate) struct Observer {
    calls: Counter<u64>,
    seconds: Histogram<f64>,
}

impl Observer {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            calls: meter
                .u64_counter("buzon.metad.calls")
                .with_description("Calls answered, by method and gRPC code")
                .with_unit("{call}")
                .build(),
            seconds: meter
                .f64_histogram("buzon.metad.call.duration")
                .with_description("Time to an answer, for streams to its beginning, by method")
                .with_unit("s")
                .with_boundaries(vec![0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0])
                .build(),
        }
    }

    /// Runs a handler as part of the caller's trace.
    pub(crate) async fn call<T>(
        &self,
        method: &'static str,
        metadata: &MetadataMap,
        handler: impl Future<Output = Result<T, CallError>>,
    ) -> Result<Response<T>, Status> {
        let span = tracing::info_span!(target: TRACED, "rpc", method);
        continue_trace(&span, metadata.as_ref());
        let start = Instant::now();
        let answer = handler.instrument(span).await.map(Response::new).map_err(Status::from);
        let code = answer.as_ref().map_or_else(|status| i64::from(status.code() as i32), |_| 0);
        self.calls.add(1, &[KeyValue::new("method", method), KeyValue::new("code", code)]);
        self.seconds.record(start.elapsed().as_secs_f64(), &[KeyValue::new("method", method)]);
        answer
    }
}
