//! How long HTTP requests take, and how many are being answered: `http.server.request.duration` and
//! `http.server.active_requests`.
//!
//! 1. A request is known by its method and by the route that it matched, which is a template of ours or a path of the
//!    configuration. What matched none has no route: whoever asks for anything makes no series.
//! 2. It counts until the head of its answer is there. A stream goes on after that; those are `grantd.gate.streams`.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::Method;
use opentelemetry::{
    KeyValue, Value, global,
    metrics::{Histogram, UpDownCounter},
};
use tokio::time::Instant;

/// As OpenTelemetry advises for this metric.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The instruments, and what is the same for every request.
#[derive(Clone)]
pub(crate) struct HttpMetrics {
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
    scheme: KeyValue,
}

impl HttpMetrics {
    /// `is_https` is what clients see: TLS ends at the proxy in front.
    pub(crate) fn new(is_https: bool) -> Self {
        let meter = global::meter("grantd");
        Self {
            duration: meter
                .f64_histogram("http.server.request.duration")
                .with_unit("s")
                .with_description("How long HTTP requests take, until the head of the answer is there")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            active: meter
                .i64_up_down_counter("http.server.active_requests")
                .with_description("HTTP requests whose answer has not begun")
                .build(),
            scheme: KeyValue::new("url.scheme", if is_https { "https" } else { "http" }),
        }
    }
}

/// A request that is being answered: however that ends, it is taken off.
struct Active {
    counter: UpDownCounter<i64>,
    labels: [KeyValue; 2],
}

impl Drop for Active {
    fn drop(&mut self) {
        self.counter.add(-1, &self.labels);
    }
}

/// For [`axum::middleware::from_fn_with_state`]; below routing.
pub(crate) async fn measure(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let method = KeyValue::new("http.request.method", known(request.method()));
    let route = request.extensions().get::<MatchedPath>().map(|path| std::sync::Arc::<str>::from(path.as_str()));
    let labels = [method.clone(), metrics.scheme.clone()];
    metrics.active.add(1, &labels);
    let active = Active { counter: metrics.active.clone(), labels };
    let began = Instant::now();
    let response = next.run(request).await;
    drop(active);
    let status = KeyValue::new("http.response.status_code", i64::from(response.status().as_u16()));
    let took = began.elapsed().as_secs_f64();
    match route {
        Some(route) => {
            let route = KeyValue::new("http.route", Value::from(route));
            metrics.duration.record(took, &[method, status, route, metrics.scheme]);
        }
        None => metrics.duration.record(took, &[method, status, metrics.scheme]),
    }
    response
}

/// A method is free text of a peer; OpenTelemetry's word for any other is `_OTHER`.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::PATCH => "PATCH",
        Method::TRACE => "TRACE",
        _ => "_OTHER",
    }
}
