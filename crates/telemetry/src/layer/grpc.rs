//! Spans of gRPC calls, served and made.

use http::Request;
use tower::Layer;
use tracing::field::Empty;
use tracing::{Level, Span};

use super::outcome::Outcome;
use super::{Side, Traced, carrier, path};

/// Health checks, many times a minute, of no interest unless one asks.
const HEALTH: &str = "grpc.health.v1.Health";

/// Opens a server span `package.Service/Method` for each gRPC call, child of the `traceparent` in its metadata.
///
/// Attributes: `rpc.system`, `rpc.service`, `rpc.method`, and `rpc.grpc.status_code` if the call ends with the response
/// head, as one that fails outright does. Health checks get theirs at `DEBUG`.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcServerTrace;

/// Opens a client span `package.Service/Method` for each gRPC call and writes its `traceparent` into the metadata.
///
/// Attributes as for [`GrpcServerTrace`].
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcClientTrace;

impl<S> Layer<S> for GrpcServerTrace {
    type Service = Traced<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Traced::new(inner)
    }
}

impl<S> Layer<S> for GrpcClientTrace {
    type Service = Traced<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Traced::new(inner)
    }
}

macro_rules! span {
    ($level:expr, $name:literal, $kind:literal, $call:expr) => {
        tracing::span!(
            $level,
            $name,
            otel.name = $call.path,
            otel.kind = $kind,
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = $call.service,
            rpc.method = $call.method,
            rpc.grpc.status_code = Empty,
        )
    };
}

impl Side for GrpcServerTrace {
    fn open<B>(request: &mut Request<B>) -> Span {
        let call = Call::of(request);
        let span = if call.service == HEALTH {
            span!(Level::DEBUG, "grpc.server", "server", call)
        } else {
            span!(Level::INFO, "grpc.server", "server", call)
        };
        carrier::adopt(&span, request.headers());
        span
    }

    fn outcome() -> Outcome {
        Outcome::GrpcServer
    }
}

impl Side for GrpcClientTrace {
    fn open<B>(request: &mut Request<B>) -> Span {
        let call = Call::of(request);
        let span = if call.service == HEALTH {
            span!(Level::DEBUG, "grpc.client", "client", call)
        } else {
            span!(Level::INFO, "grpc.client", "client", call)
        };
        carrier::hand_over(&span, request.headers_mut());
        span
    }

    fn outcome() -> Outcome {
        Outcome::GrpcClient
    }
}

/// What a gRPC request's path says: `/package.Service/Method`.
struct Call<'a> {
    path: &'a str,
    service: &'a str,
    method: &'a str,
}

impl<'a> Call<'a> {
    fn of<B>(request: &'a Request<B>) -> Self {
        let path = path::bounded(request.uri().path());
        let path = path.strip_prefix('/').unwrap_or(path);
        let (service, method) = path.rsplit_once('/').unwrap_or((path, ""));
        Self { path, service, method }
    }
}
