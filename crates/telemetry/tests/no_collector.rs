//! No endpoint: nothing is exported, and the layers are transparent. A dead endpoint: the end is bounded.

#[cfg(test)]
mod support;

use grantd_telemetry::{GrpcClientTrace, HttpServerTrace, LogFormat, SHUTDOWN_LIMIT, TelemetryError, build};
use http::{Request, Response};
use support::{PATIENCE, config, exporting_to, variables};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tracing::instrument::WithSubscriber as _;

#[tokio::test]
async fn without_an_endpoint_nothing_is_sent_on() {
    let (dispatch, telemetry) = build(config("info"), variables(vec![])).unwrap();
    assert!(!telemetry.exports_traces());
    async {
        let echo = service_fn(|request: Request<&'static str>| async move {
            assert!(!request.headers().contains_key("traceparent"));
            Ok::<_, &str>(Response::new(request.into_body()))
        });
        let client = ServiceBuilder::new().layer(HttpServerTrace).layer(GrpcClientTrace).service(echo);
        assert_eq!(client.oneshot(Request::new("body")).await.unwrap().into_body(), "body");
    }
    .with_subscriber(dispatch)
    .await;
    telemetry.shutdown().unwrap();
}

/// On a current-thread runtime, where waiting for a task of that runtime would never end.
#[tokio::test]
async fn a_dead_collector_does_not_hold_up_the_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = listener.local_addr().unwrap();
    let (dispatch, telemetry) = build(config("off"), exporting_to(mute)).unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        tracing::info_span!(target: "grantd_test", "lost").in_scope(|| ());
    });
    let started = tokio::time::Instant::now();
    let error = telemetry.shutdown().unwrap_err();
    assert!(matches!(error, TelemetryError::Flush(_)), "{error:?}");
    assert!(started.elapsed() >= SHUTDOWN_LIMIT && started.elapsed() < PATIENCE);
}

#[test]
fn settings_that_cannot_be_honoured_are_refused() {
    let env = variables(vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318".to_owned()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json".to_owned()),
    ]);
    assert!(matches!(build(config("info"), env), Err(TelemetryError::Setting { .. })));
    assert!(matches!(build(config("grantd=loud"), variables(vec![])), Err(TelemetryError::Filter { .. })));
    let env = variables(vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:4317".to_owned()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent/ca.pem".to_owned()),
    ]);
    assert!(matches!(build(config("info"), env), Err(TelemetryError::Certificate { .. })));
    let env = variables(vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address".to_owned())]);
    assert!(matches!(build(config("info"), env), Err(TelemetryError::Exporter(_))));
    assert_eq!("json".parse(), Ok(LogFormat::Json));
}

#[test]
fn an_https_collector_needs_no_runtime_and_no_setting_up() {
    for protocol in ["grpc", "http/protobuf"] {
        let env = variables(vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:1".to_owned()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
        ]);
        let (_, telemetry) = build(config("info"), env).unwrap();
        telemetry.shutdown().unwrap();
    }
}
