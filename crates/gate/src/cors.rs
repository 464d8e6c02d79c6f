//! CORS for clients that run in a browser, and the Origin check of the MCP transport.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header},
};

use crate::GateConfig;

const ALLOW_HEADERS: &str =
    "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, last-event-id, mcp-method, mcp-name";
const EXPOSE_HEADERS: &str = "WWW-Authenticate, Mcp-Session-Id";

/// Every CORS header of an answer; replaces what an upstream may have set. No credentials: tokens are sent by hand.
pub(crate) fn apply(headers: &mut HeaderMap) {
    let stale: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in stale {
        headers.remove(name);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSE_HEADERS));
}

/// The answer to a preflight.
pub(crate) fn preflight(methods: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    apply(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOW_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Whether a page of this origin may call. A bearer token is needed anyway; this keeps a page that found one from using it
/// through the person's browser.
pub(crate) fn origin_allowed(config: &GateConfig, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let loopback =
        || url::Url::parse(origin).is_ok_and(|url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")));
    origin == config.public_url.origin()
        || config.allowed_origins.iter().any(|allowed| allowed == "*" || allowed == origin)
        || loopback()
}
