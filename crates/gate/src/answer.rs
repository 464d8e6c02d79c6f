//! What the gate answers for itself: challenges and errors, always JSON (RFC 6750 §3).

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use grantd_oauth_types::{BearerChallenge, OAuthErrorCode, ScopeSet};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Limited};

/// A JSON error.
pub(crate) fn error(status: StatusCode, error: &str, description: &str) -> Response<Body> {
    json(status, serde_json::json!({"error": error, "error_description": description}).to_string())
}

fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error as JSON-RPC says it (JSON-RPC 2.0 §5.1), for who reads the answer as a message. `id` is JSON, as it was sent.
/// Without an id there is none: MCP has no null there.
pub(crate) fn rpc_error(status: StatusCode, id: Option<&str>, code: i32, message: &str) -> Response<Body> {
    let mut body = serde_json::json!({"jsonrpc": "2.0", "error": {"code": code, "message": message}});
    let id = id.and_then(|id| serde_json::from_str(id).ok()).filter(|id: &serde_json::Value| !id.is_null());
    if let (Some(id), Some(body)) = (id, body.as_object_mut()) {
        body.insert("id".to_owned(), id);
    }
    json(status, body.to_string())
}

/// The body is longer than `gate.max_body`. The rest of it is not read.
pub(crate) fn too_large() -> Response<Body> {
    let mut refused = error(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too large");
    refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    refused
}

/// A method that MCP does not use.
pub(crate) fn method_not_allowed() -> Response<Body> {
    let mut refused = error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use GET, POST or DELETE");
    refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE, OPTIONS"));
    refused
}

/// 401 or 403 with its challenge.
pub(crate) fn challenge(metadata_url: &str, code: Option<OAuthErrorCode>, scope: &ScopeSet) -> Response<Body> {
    let (status, name, description) = match code {
        Some(OAuthErrorCode::InsufficientScope) => {
            (StatusCode::FORBIDDEN, "insufficient_scope", "the token lacks a scope this call needs")
        }
        Some(_) => (
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "the token is unknown, expired, revoked or for another resource",
        ),
        None => (StatusCode::UNAUTHORIZED, "unauthorized", "sign in: send an access token as Authorization: Bearer"),
    };
    let mut response = error(status, name, description);
    let value = BearerChallenge { resource_metadata: metadata_url, scope, error: code }.header_value();
    // Made of a URL and scope tokens: always a valid header value.
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// TokenService is away: never let through.
pub(crate) fn unavailable() -> Response<Body> {
    let mut response = error(
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "the service is not available right now; try again",
    );
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

/// How much of a body is read for nothing, and how long that may take.
const UNREAD: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends a refusal when the request's body has come in, unless it is long or slow. The connection would be closed otherwise,
/// without a word, and a client that sends its next request on it takes that for a broken server.
pub(crate) async fn after_body(body: Body, mut refusal: Response<Body>) -> Response<Body> {
    let is_short = body.size_hint().lower() <= UNREAD as u64;
    let read = async { tokio::time::timeout(PATIENCE, Limited::new(body, UNREAD).collect()).await };
    if !is_short || !matches!(read.await, Ok(Ok(_))) {
        refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    refusal
}
