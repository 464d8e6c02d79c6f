//! An OTLP collector in the test's own process.
#![expect(dead_code, reason = "each test file uses a part of this one")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grantd_telemetry::TelemetryConfig;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Everything that was exported.
#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.add(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// A collector that listens, on the current runtime.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        (collector, address)
    }

    pub(crate) fn add(&self, request: ExportTraceServiceRequest) {
        self.0.lock().unwrap().push(request);
    }

    pub(crate) fn batches(&self) -> Vec<ExportTraceServiceRequest> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let batches = self.batches().into_iter().flat_map(|batch| batch.resource_spans);
        batches.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    /// The one span of that name and kind.
    pub(crate) fn span(&self, name: &str, kind: i32) -> Span {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| span.name == name && span.kind == kind);
        let span = found.next().unwrap_or_else(|| panic!("no span {name} of kind {kind} in {spans:#?}")).clone();
        assert!(found.next().is_none(), "more than one span {name}");
        span
    }

    pub(crate) fn service_name(&self) -> String {
        let batches = self.batches();
        let resource = batches[0].resource_spans[0].resource.clone().unwrap();
        let name = resource.attributes.into_iter().find(|attribute| attribute.key == "service.name").unwrap();
        text(name.value.unwrap().value.unwrap())
    }
}

pub(crate) fn text(value: Value) -> String {
    match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    attribute.value.clone().and_then(|value| value.value).map(text)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn config(log_filter: &str) -> TelemetryConfig {
    TelemetryConfig { log_filter: log_filter.to_owned(), ..TelemetryConfig::new("grantd-test") }
}

/// An environment of one variable, or none.
pub(crate) fn variables(variables: Vec<(&'static str, String)>) -> impl Fn(&str) -> Option<String> {
    move |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

pub(crate) fn exporting_to(address: SocketAddr) -> impl Fn(&str) -> Option<String> {
    variables(vec![("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))])
}

pub(crate) const SERVER: i32 = 2;
pub(crate) const CLIENT: i32 = 3;

/// Longer than anything in these tests takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
