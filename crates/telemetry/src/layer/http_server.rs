//! Spans of HTTP requests served.

use http::{Method, Request};
use tower::Layer;
use tracing::field::Empty;
use tracing::{Level, Span};

use super::outcome::Outcome;
use super::{Side, Traced, carrier, path};

/// Health checks, many times a minute, of no interest unless one asks.
const PROBES: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Opens a server span `METHOD /path` for each HTTP request, child of the caller's `traceparent`.
///
/// Attributes: `http.request.method`, `url.path` (no query, at most 128 characters), `http.response.status_code`.
/// Whoever serves the request may record `grantd.flow.id` on it; `error.type` is the `error` of a challenge
/// (RFC 6750 §3), where the answer has one.
/// `/healthz`, `/livez` and `/readyz` get theirs at `DEBUG`.
///
/// Whoever may send requests may choose their trace id, and whether they are sampled: what must be on record belongs
/// in the audit log.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpServerTrace;

impl<S> Layer<S> for HttpServerTrace {
    type Service = Traced<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Traced::new(inner)
    }
}

macro_rules! span {
    ($level:expr, $method:expr, $path:expr) => {
        tracing::span!(
            $level,
            "http.server",
            otel.name = %format_args!("{} {}", $method, $path),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = $method,
            url.path = $path,
            http.response.status_code = Empty,
            error.type = Empty,
            grantd.flow.id = Empty,
        )
    };
}

impl Side for HttpServerTrace {
    fn open<B>(request: &mut Request<B>) -> Span {
        let method = known(request.method());
        let path = path::bounded(request.uri().path());
        let span =
            if PROBES.contains(&path) { span!(Level::DEBUG, method, path) } else { span!(Level::INFO, method, path) };
        carrier::adopt(&span, request.headers());
        span
    }

    fn outcome() -> Outcome {
        Outcome::Http
    }
}

/// A method is free text too; OpenTelemetry's word for any other is `_OTHER`.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS
        | Method::CONNECT
        | Method::PATCH
        | Method::TRACE => method.as_str(),
        _ => "_OTHER",
    }
}
