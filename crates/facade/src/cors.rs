//! CORS for what programs call: metadata, registration, tokens (the Fetch standard, CORS protocol).
//!
//! MCP clients run in browsers too. They send no cookie here and prove themselves by what is in the request, so any
//! origin may call. The pages for people get none of this. Errors carry the headers as well: without them a browser
//! client cannot read why it was refused.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// What every answer carries.
const ALWAYS: [(HeaderName, &str); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "WWW-Authenticate, Mcp-Session-Id, Retry-After"),
];

/// What the answer to a preflight carries beside that.
const PREFLIGHT: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, OPTIONS"),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, last-event-id, mcp-method, mcp-name",
    ),
    (header::ACCESS_CONTROL_MAX_AGE, "7200"),
];

/// Answers preflights at once and marks everything else as readable.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    let mut response = next.run(request).await;
    add(response.headers_mut());
    response
}

/// The answer to OPTIONS.
pub(crate) fn preflight() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    add(response.headers_mut());
    for (name, value) in PREFLIGHT {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Makes an answer readable from other origins.
pub(crate) fn add(headers: &mut HeaderMap) {
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
