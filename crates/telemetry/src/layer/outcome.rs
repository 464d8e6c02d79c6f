//! What of a response goes into its span: a status, and whether it means failure. Never a message.

use http::{HeaderMap, Response};
use tracing::Span;

/// How the result of a request is recorded.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// `http.response.status_code`; a failure from 500 up.
    Http,
    /// `rpc.grpc.status_code`, if the call ended with the head; a failure if the *server* is to blame.
    GrpcServer,
    /// `rpc.grpc.status_code`, if the call ended with the head; a failure if it is not OK.
    GrpcClient,
}

impl Outcome {
    pub(super) fn record<B, E>(self, span: &Span, result: &Result<Response<B>, E>) {
        if span.is_disabled() {
            return;
        }
        let failed = match result {
            Err(_) => true,
            Ok(response) => match self {
                Self::Http => {
                    span.record("http.response.status_code", response.status().as_u16());
                    if let Some(error) = challenged(response.headers()) {
                        span.record("error.type", error);
                    }
                    response.status().is_server_error()
                }
                Self::GrpcServer => grpc_status(span, response.headers()).is_some_and(is_servers_fault),
                Self::GrpcClient => grpc_status(span, response.headers()).is_some_and(|code| code != 0),
            },
        };
        if failed {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// The `error` of a bearer challenge of ours.
fn challenged(headers: &HeaderMap) -> Option<&str> {
    let challenge = headers.get(http::header::WWW_AUTHENTICATE)?.to_str().ok()?;
    let Some((_, rest)) = challenge.split_once("error=\"") else { return Some("unauthorized") };
    rest.split_once('"').map(|(error, _)| error).filter(|error| error.len() <= 40)
}

/// A call that fails before its first message says so in the head; any other in trailers, which come too late.
fn grpc_status(span: &Span, headers: &HeaderMap) -> Option<u8> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok().filter(|code| *code <= 16)?;
    span.record("rpc.grpc.status_code", code);
    Some(code)
}

/// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: OpenTelemetry's list.
fn is_servers_fault(code: u8) -> bool {
    matches!(code, 2 | 4 | 12 | 13 | 14 | 15)
}
