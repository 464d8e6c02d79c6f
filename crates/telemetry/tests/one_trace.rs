//! A request's way through grantd is one trace: HTTP in, gRPC out, gRPC in, over real connections.
#![expect(clippy::unwrap_used, reason = "the test's own servers and clients")]

#[cfg(test)]
mod support;

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use grantd_telemetry::{GrpcClientTrace, GrpcServerTrace, HttpServerTrace, init_from};
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use support::{CLIENT, Collector, SERVER, attribute, config, exporting_to, hex};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tower::{ServiceBuilder, ServiceExt as _};

const CALL: &str = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A gRPC service of our own: any would do, and this one is at hand.
struct Refusing;

#[tonic::async_trait]
impl TraceService for Refusing {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        tracing::info!(target: "grantd_test", "inside");
        if request.metadata().contains_key("x-refuse") {
            return Err(tonic::Status::permission_denied("SECRET"));
        }
        Ok(tonic::Response::new(Default::default()))
    }
}

async fn grpc_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(GrpcServerTrace)
        .add_service(TraceServiceServer::new(Refusing))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    address
}

async fn call(channel: Channel, refuse: bool) -> StatusCode {
    let mut client = TraceServiceClient::new(ServiceBuilder::new().layer(GrpcClientTrace).service(channel));
    let mut request = tonic::Request::new(ExportTraceServiceRequest::default());
    request.metadata_mut().insert("authorization", "Bearer SECRET".parse().unwrap());
    if refuse {
        request.metadata_mut().insert("x-refuse", "SECRET".parse().unwrap());
    }
    match client.export(request).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::BAD_GATEWAY,
    }
}

fn request(path: &str) -> Request<Body> {
    Request::get(path)
        .header("traceparent", PARENT)
        .header("tracestate", "vendor=SECRET")
        .header("cookie", "session=SECRET")
        .body(Body::from("code=SECRET"))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_all_hops_share_a_trace_and_carry_no_secret() {
    let (collector, address) = Collector::start().await;
    let telemetry = init_from(config("warn"), exporting_to(address)).unwrap();
    assert!(telemetry.exports_traces());

    let channel = Channel::from_shared(format!("http://{}", grpc_server().await)).unwrap().connect_lazy();
    let refused = channel.clone();
    let app = Router::new()
        .route("/authorize", get(move || call(channel.clone(), false)))
        .route("/refused", get(move || call(refused.clone(), true)))
        .route("/healthz", get(|| async { "ok" }))
        .layer(HttpServerTrace);

    let response = app.clone().oneshot(request("/authorize?code=SECRET&ticket=SECRET")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    app.clone().oneshot(request("/healthz")).await.unwrap();
    let long = format!("/{}", "x".repeat(500));
    app.clone().oneshot(Request::get(long.as_str()).body(Body::empty()).unwrap()).await.unwrap();
    // On a worker thread of the runtime: it may block there, and must not deadlock.
    telemetry.shutdown().unwrap();

    let http = collector.span("GET /authorize", SERVER);
    let client = collector.span(CALL, CLIENT);
    let server = collector.span(CALL, SERVER);
    assert_eq!(hex(&http.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&http.parent_span_id), "b7ad6b7169203331");
    assert_eq!(http.trace_state, "");
    assert_eq!(client.trace_id, http.trace_id);
    assert_eq!(client.parent_span_id, http.span_id);
    assert_eq!(server.trace_id, http.trace_id);
    assert_eq!(server.parent_span_id, client.span_id);

    assert_eq!(attribute(&http, "http.request.method").unwrap(), "GET");
    assert_eq!(attribute(&http, "url.path").unwrap(), "/authorize");
    assert_eq!(attribute(&http, "http.response.status_code").unwrap(), "200");
    assert_eq!(attribute(&server, "rpc.system").unwrap(), "grpc");
    assert_eq!(attribute(&server, "rpc.service").unwrap(), CALL.split_once('/').unwrap().0);
    assert_eq!(attribute(&server, "rpc.method").unwrap(), "Export");
    assert_eq!(attribute(&server, "rpc.grpc.status_code"), None);
    assert_eq!(http.status.unwrap_or_default().code, 0);
    assert_eq!(server.events.iter().filter(|event| event.name.contains("inside")).count(), 1, "{server:#?}");

    let cut = format!("/{}", "x".repeat(127));
    let unknown = collector.span(&format!("GET {cut}"), SERVER);
    assert_eq!(attribute(&unknown, "url.path").unwrap(), cut);
    assert_ne!(unknown.trace_id, http.trace_id);
    assert_eq!(unknown.parent_span_id, Vec::<u8>::new());

    assert_eq!(collector.spans().len(), 4, "no span for the health check: {:#?}", collector.spans());
    assert_eq!(collector.service_name(), "grantd-test");
    let everything = format!("{:?}", collector.batches());
    assert!(!everything.contains("SECRET"), "{everything}");

    // After the end, requests are served as before.
    let response = app.oneshot(request("/refused?code=SECRET")).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}
