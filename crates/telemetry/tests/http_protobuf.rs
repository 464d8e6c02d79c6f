//! Export over HTTP, for collectors that are not reached by gRPC.

#[cfg(test)]
mod support;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use grantd_telemetry::build;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use support::{Collector, config, variables};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_are_exported_over_http() {
    let collector = Collector::default();
    let receiver = collector.clone();
    let app = Router::new().route(
        "/v1/traces",
        post(move |body: Bytes| async move { receiver.add(ExportTraceServiceRequest::decode(body).unwrap()) }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // axum's own server is not among the workspace's features; hyper's is.
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(app.clone());
            let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
            tokio::spawn(async move {
                builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await.ok();
            });
        }
    });

    let (dispatch, telemetry) = build(
        config("warn"),
        variables(vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
            ("OTEL_SERVICE_NAME", "named-by-environment".to_owned()),
        ]),
    )
    .unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info_span!(target: "grantd_test", "work").in_scope(|| ());
    });
    // Dropped, not shut down: an early return flushes too.
    drop(telemetry);

    assert_eq!(collector.spans().len(), 1);
    assert_eq!(collector.spans()[0].name, "work");
    assert_eq!(collector.service_name(), "named-by-environment");
}
