//! What a response, an error or a refusal leaves in the span.
#![expect(clippy::unwrap_used, reason = "requests and responses that are known to be well formed")]

#[cfg(test)]
mod support;

use std::convert::Infallible;

use grantd_telemetry::{GrpcClientTrace, GrpcServerTrace, HttpServerTrace, build};
use http::{Request, Response};
use support::{CLIENT, Collector, SERVER, attribute, config, exporting_to};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tracing::instrument::WithSubscriber as _;

const ERROR: i32 = 2;

async fn answer(status: u16, grpc: Option<&'static str>) -> Result<Response<String>, Infallible> {
    let mut response = Response::builder().status(status).header("grpc-message", "SECRET");
    if let Some(code) = grpc {
        response = response.header("grpc-status", code);
    }
    Ok(response.body("SECRET".to_owned()).unwrap())
}

fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(path).body(()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_are_recorded_and_messages_are_not() {
    let (collector, address) = Collector::start().await;
    let (dispatch, telemetry) = build(config("off"), exporting_to(address)).unwrap();
    async {
        let http = |status| ServiceBuilder::new().layer(HttpServerTrace).service_fn(move |_| answer(status, None));
        http(404).oneshot(request("POST", "/missing")).await.unwrap();
        http(503).oneshot(request("SECRET", "/broken?SECRET")).await.unwrap();

        let failing = service_fn(|_: Request<()>| async { Err::<Response<()>, _>("SECRET") });
        let failing = ServiceBuilder::new().layer(HttpServerTrace).service(failing);
        assert_eq!(failing.oneshot(request("GET", "/error")).await.unwrap_err(), "SECRET");

        let denied = || service_fn(|_: Request<()>| answer(200, Some("7")));
        let broken = || service_fn(|_: Request<()>| answer(200, Some("13")));
        let server = ServiceBuilder::new().layer(GrpcServerTrace);
        let client = ServiceBuilder::new().layer(GrpcClientTrace);
        server.clone().service(denied()).oneshot(request("POST", "/a.S/Denied")).await.unwrap();
        server.clone().service(broken()).oneshot(request("POST", "/a.S/Broken")).await.unwrap();
        server.service(denied()).oneshot(request("POST", "/grpc.health.v1.Health/Check")).await.unwrap();
        client.service(denied()).oneshot(request("POST", "/a.S/Denied")).await.unwrap();
    }
    .with_subscriber(dispatch)
    .await;
    telemetry.shutdown().unwrap();

    let status = |name: &str, kind| collector.span(name, kind).status.unwrap_or_default().code;
    assert_eq!(status("POST /missing", SERVER), 0);
    assert_eq!(status("_OTHER /broken", SERVER), ERROR);
    assert_eq!(status("GET /error", SERVER), ERROR);
    assert_eq!(status("a.S/Denied", SERVER), 0);
    assert_eq!(status("a.S/Broken", SERVER), ERROR);
    assert_eq!(status("a.S/Denied", CLIENT), ERROR);
    assert_eq!(attribute(&collector.span("a.S/Denied", SERVER), "rpc.grpc.status_code").unwrap(), "7");
    assert_eq!(attribute(&collector.span("_OTHER /broken", SERVER), "http.response.status_code").unwrap(), "503");
    assert_eq!(collector.spans().len(), 6, "{:#?}", collector.spans());
    assert!(!format!("{:?}", collector.batches()).contains("SECRET"));
}
