//! How long gRPC calls take that are served: `rpc.server.call.duration`, by method and status.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, Value, global};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service};

/// Up to sign-ins that wait in the line for password hashes.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The names of gRPC's status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Records `rpc.server.call.duration` (seconds) for each call of the methods it knows; what else is asked for, by whoever
/// reaches the port, is counted as `_OTHER`.
///
/// A call counts when the response head is there. A unary call that succeeds has then been done, one that fails says so in
/// the head; of a stream it is the time until it opened.
#[derive(Debug, Clone)]
pub struct GrpcServerMetrics {
    duration: Histogram<f64>,
    /// By path, without its slash.
    methods: Arc<HashMap<String, KeyValue>>,
}

impl GrpcServerMetrics {
    /// For methods by their full names, `package.Service/Method`.
    pub fn new(methods: impl IntoIterator<Item = String>) -> Self {
        let label = |name: String| {
            let value = Value::from(Arc::<str>::from(name.as_str()));
            (name, KeyValue::new("rpc.method", value))
        };
        Self {
            duration: global::meter("grantd")
                .f64_histogram("rpc.server.call.duration")
                .with_unit("s")
                .with_description("How long gRPC calls take that are served, until the response head is there")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            methods: Arc::new(methods.into_iter().map(label).collect()),
        }
    }
}

impl<S> Layer<S> for GrpcServerMetrics {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Measured { inner, metrics: self.clone() }
    }
}

/// A service whose calls are measured, made by [`GrpcServerMetrics`].
#[derive(Debug, Clone)]
pub struct Measured<S> {
    inner: S,
    metrics: GrpcServerMetrics,
}

impl<S, B, R> Service<Request<B>> for Measured<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let method = self.metrics.methods.get(path.strip_prefix('/').unwrap_or(path));
        let method = method.cloned().unwrap_or_else(|| KeyValue::new("rpc.method", "_OTHER"));
        MeasuredFuture {
            inner: self.inner.call(request),
            began: Instant::now(),
            method: Some(method),
            duration: self.metrics.duration.clone(),
        }
    }
}

pin_project! {
    /// The inner service's future, measured.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct MeasuredFuture<F> {
        #[pin]
        inner: F,
        began: Instant,
        method: Option<KeyValue>,
        duration: Histogram<f64>,
    }
}

impl<F, R, E> Future for MeasuredFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let code = match &result {
            Ok(response) => code(response),
            Err(_) => "UNKNOWN",
        };
        if let Some(method) = this.method.take() {
            let labels =
                [method, KeyValue::new("rpc.response.status_code", code), KeyValue::new("rpc.system.name", "grpc")];
            this.duration.record(this.began.elapsed().as_secs_f64(), &labels);
        }
        Poll::Ready(result)
    }
}

/// The status that a head says, or else success: a failure of a unary call is in the head.
fn code<R>(response: &Response<R>) -> &'static str {
    let Some(said) = response.headers().get("grpc-status") else { return "OK" };
    let number: Option<usize> = said.to_str().ok().and_then(|text| text.parse().ok());
    number.and_then(|number| CODES.get(number).copied()).unwrap_or("UNKNOWN")
}
