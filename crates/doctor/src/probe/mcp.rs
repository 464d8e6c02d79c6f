//! The MCP endpoint, without a token and with a bad one.

use http::{HeaderName, Method, header};
use serde_json::{Value, json};
use url::Url;

use super::{Doctor, ORIGIN};
use crate::{Step, exchange::Ask};

/// What a client in a browser sends, and must be allowed to.
pub(crate) const MCP_HEADERS: &[&str] = &[
    "authorization",
    "content-type",
    "accept",
    "mcp-protocol-version",
    "mcp-session-id",
    "last-event-id",
    "mcp-method",
    "mcp-name",
];

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// The usual first message.
pub(super) fn initialize(url: Url) -> Ask {
    let params = json!({
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "grantd-doctor", "version": env!("CARGO_PKG_VERSION")},
    });
    // Redirects within one origin keep the method and the token, so it is followed as clients follow it.
    Ask { follow: true, ..message(url, "initialize", &params) }
}

fn message(url: Url, method: &str, params: &Value) -> Ask {
    Ask::new(Method::POST, url)
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        .header(header::ACCEPT, "application/json, text/event-stream")
}

/// What a browser asks before it sends a request across origins.
pub(super) fn preflight(url: Url, method: &str, headers: &[&str]) -> Ask {
    Ask::new(Method::OPTIONS, url)
        .header(header::ORIGIN, ORIGIN)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, method)
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, &headers.join(","))
}

/// The address with a slash more or less at its end; an address without a path has no other.
fn other_slash(url: &Url) -> Option<Url> {
    let mut other = url.clone();
    match url.path().strip_suffix('/') {
        Some("") => return None,
        Some(path) => other.set_path(path),
        None => other.set_path(&format!("{}/", url.path())),
    }
    Some(other)
}

impl Doctor {
    pub(super) async fn ask_mcp(&mut self) {
        let url = self.visit.url.clone();
        let is_refused = self
            .ask(Step::McpInitialize, initialize(url.clone()))
            .await
            .is_some_and(|asked| asked.answer().is_some_and(|answer| answer.status == 401));
        if !is_refused {
            // Everything else is answered for the same reason.
            return;
        }
        let get = Ask { is_named: false, ..Ask::new(Method::GET, url.clone()) };
        let get = get.header(header::ACCEPT, "*/*").header(PROTOCOL_VERSION, "2024-11-05");
        self.ask(Step::McpGet, get).await;
        let discover = message(url.clone(), "server/discover", &json!({}));
        self.ask(Step::McpDiscover, discover.header(PROTOCOL_VERSION, "2026-07-28")).await;
        let unreadable = Ask { body: "{".into(), ..Ask::new(Method::POST, url.clone()) };
        self.ask(Step::McpUnreadable, unreadable.header(header::CONTENT_TYPE, "application/json")).await;
        self.ask(Step::McpDelete, Ask::new(Method::DELETE, url.clone())).await;
        let token = format!("Bearer doctor-{}", self.trace_id);
        self.ask(Step::McpBadToken, initialize(url.clone()).header(header::AUTHORIZATION, &token)).await;
        if let Some(other) = other_slash(&url) {
            self.ask(Step::McpOtherSlash, initialize(other)).await;
        }
        self.ask(Step::McpFromBrowser, initialize(url.clone()).header(header::ORIGIN, ORIGIN)).await;
        self.ask(Step::McpPreflight, preflight(url, "POST", MCP_HEADERS)).await;
    }
}
