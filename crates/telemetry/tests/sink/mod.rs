//! A collector: takes OTLP over gRPC and remembers names.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use buzon_telemetry::export::Export;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) spans: Vec<String>,
    pub(crate) metrics: Vec<String>,
    pub(crate) logs: Vec<String>,
    pub(crate) services: BTreeSet<String>,
    pub(crate) trace_ids: BTreeSet<Vec<u8>>,
    pub(crate) log_trace_ids: BTreeSet<Vec<u8>>,
    /// Everything, as debug text.
    pub(crate) raw: String,
}

/// The collector.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sink {
    endpoint: String,
    received: Arc<Mutex<Received>>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let sink = Self { endpoint, received: Arc::default() };
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(sink.clone()))
            .add_service(MetricsServiceServer::new(sink.clone()))
            .add_service(LogsServiceServer::new(sink.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        sink
    }

    /// Everything to this collector.
    pub(crate) fn export(&self) -> Export {
        let endpoint = Some(self.endpoint.clone());
        Export { traces: endpoint.clone(), metrics: endpoint.clone(), logs: endpoint }
    }

    /// Everything to a port where nobody listens.
    pub(crate) fn nobody() -> Export {
        Self { endpoint: "http://127.0.0.1:1".into(), ..Self::default() }.export()
    }

    pub(crate) fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }
}

impl Received {
    fn resource(&mut self, resource: Option<Resource>) {
        let attributes = resource.unwrap_or_default().attributes;
        let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
        if let Some(Value::StringValue(name)) = name.and_then(|name| name.value).and_then(|any| any.value) {
            self.services.insert(name);
        }
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.received.lock().unwrap();
        write!(received.raw, "{request:?}").unwrap();
        for resource_spans in request.into_inner().resource_spans {
            received.resource(resource_spans.resource);
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                received.spans.push(span.name);
                received.trace_ids.insert(span.trace_id);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Sink {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let mut received = self.received.lock().unwrap();
        write!(received.raw, "{request:?}").unwrap();
        for resource_metrics in request.into_inner().resource_metrics {
            received.resource(resource_metrics.resource);
            for metric in resource_metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                received.metrics.push(metric.name);
            }
        }
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Sink {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut received = self.received.lock().unwrap();
        write!(received.raw, "{request:?}").unwrap();
        for resource_logs in request.into_inner().resource_logs {
            received.resource(resource_logs.resource);
            for record in resource_logs.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                if let Some(Value::StringValue(text)) = record.body.and_then(|body| body.value) {
                    received.logs.push(text);
                }
                received.log_trace_ids.insert(record.trace_id);
            }
        }
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}
