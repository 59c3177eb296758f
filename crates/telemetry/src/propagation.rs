//! A trace goes on over gRPC and HTTP: `traceparent` and `tracestate` (W3C Trace Context). Without OTLP traces there is
//! nothing to carry on, and all of this does nothing.
//!
//! With tonic: `inject(request.metadata_mut().as_mut())`, `continue_trace(&span, request.metadata().as_ref())`.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Tells the other side which span this request belongs to: the current one.
pub fn inject(headers: &mut HeaderMap) {
    let context = Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Into(headers));
}

/// The span of the other side; an empty context if it told none, or nonsense.
pub fn extract(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &From(headers))
}

/// Makes the other side's span the parent of this one. Call it before the span is entered: later it is too late.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    let parent = extract(headers);
    // It fails where spans are not traced at all or this one has begun: the trace is cut here, nothing else is lost.
    let _ = span.set_parent(parent);
}

struct Into<'a>(&'a mut HeaderMap);

impl Injector for Into<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

struct From<'a>(&'a HeaderMap);

impl Extractor for From<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TraceContextExt;

    #[test]
    fn a_told_span_is_understood_and_nonsense_is_none() {
        let mut headers = HeaderMap::new();
        assert!(!extract(&headers).span().span_context().is_valid());
        headers.insert("traceparent", HeaderValue::from_static("00-xyz"));
        assert!(!extract(&headers).span().span_context().is_valid());
        let told = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", HeaderValue::from_static(told));
        let context = extract(&headers);
        assert_eq!(context.span().span_context().trace_id().to_string(), &told[3..35]);
        assert_eq!(context.span().span_context().span_id().to_string(), &told[36..52]);
    }

    #[test]
    fn without_traces_nothing_is_told() {
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty());
    }
}
