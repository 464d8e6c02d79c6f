//! The listener of the demo's MCP server: streamable HTTP on a loopback port of its own.
//!
//! Like any upstream it trusts the headers it gets, and any local program can reach it: a demo, not a deployment.

use std::{net::Ipv4Addr, sync::Arc};

use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::server::Demo;
use crate::{drain::Drain, error::Error};

/// The running upstream.
pub(crate) struct Upstream {
    /// Where it is.
    pub(crate) url: String,
    /// Its listener.
    pub(crate) task: JoinHandle<()>,
}

/// Starts it.
pub(crate) async fn start(drain: Drain) -> Result<Upstream, Error> {
    let failed = || Error::because("cannot start the demo's MCP server");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed())?;
    let url = format!("http://{}/mcp", listener.local_addr().map_err(failed())?);
    let sessions = CancellationToken::new();
    let ending = sessions.clone();
    let begun = drain.clone();
    tokio::spawn(async move {
        begun.begun().await;
        ending.cancel();
    });
    let app = router(sessions);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(drain.begun()).await {
            tracing::error!(%error, "the demo's MCP server ended");
        }
    });
    Ok(Upstream { url, task })
}

fn router(sessions: CancellationToken) -> axum::Router {
    let demo = Demo::default();
    let config = StreamableHttpServerConfig::default().with_cancellation_token(sessions);
    let service =
        StreamableHttpService::new(move || Ok(demo.clone()), Arc::new(LocalSessionManager::default()), config);
    axum::Router::new().route_service("/mcp", service)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use serde_json::{Value, json};
    use tower::ServiceExt as _;

    use super::*;

    /// Calls a tool, with these headers of the gate.
    async fn call(app: &axum::Router, tool: &str, arguments: Value, headers: &[(&str, &str)]) -> Value {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }},
        });
        let mut request = http::Request::post("/mcp")
            .header("host", "127.0.0.1:3000")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = app.clone().oneshot(request.body(Body::from(message.to_string())).unwrap()).await.unwrap();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let json =
            text.lines().find_map(|line| line.strip_prefix("data: ").filter(|data| !data.is_empty())).unwrap_or(&text);
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[tokio::test]
    async fn the_tools_know_who_calls() {
        let app = router(CancellationToken::new());
        let reader = [
            ("x-forwarded-user", "s1"),
            ("x-forwarded-preferred-username", "owner"),
            ("x-forwarded-groups", "owner"),
            ("x-grantd-scope", "read:articles"),
        ];
        let mut writer = reader;
        writer[3].1 = "read:articles write:articles";

        let who = call(&app, "whoami", json!({}), &reader).await;
        assert_eq!(who["result"]["structuredContent"]["preferred_username"], "owner", "{who}");
        let nobody = call(&app, "whoami", json!({}), &[]).await;
        assert_eq!(nobody["result"]["isError"], true, "{nobody}");

        let draft = json!({"title": "News", "text": "All is well."});
        let refused = call(&app, "publish_article", draft.clone(), &reader).await;
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        call(&app, "publish_article", draft, &writer).await;
        let listed = call(&app, "list_articles", json!({}), &reader).await;
        let last = &listed["result"]["structuredContent"]["articles"][1];
        assert_eq!((&last["title"], &last["author"]), (&json!("News"), &json!("owner")), "{listed}");
    }
}
