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
    let body = serde_json::json!({"error": error, "error_description": description}).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
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
