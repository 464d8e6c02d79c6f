//! Scopes per method and name, against an upstream that says which body it got.

use std::sync::{Arc, Mutex};

use axum::{body::Body, extract::Request, http::Response};
use grantd_gate::{GateConfig, GateRule};
use grantd_oauth_types::ScopeSet;
use http_body_util::BodyExt as _;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    script::{allow, person},
    support::{Running, config, listen, token},
};

/// What reached the upstream.
type Seen = Arc<Mutex<Vec<String>>>;

async fn recording() -> (GateConfig, Seen) {
    let seen = Seen::default();
    let record = seen.clone();
    let upstream = listen(move |request: Request| {
        let record = record.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            record.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
            Response::new(Body::from("{}"))
        }
    });
    let mut config = config(&upstream.await);
    let rule = |methods: &[&str], names: &[&str], scopes: &str| {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        GateRule { methods: own(methods), names: own(names), scopes: ScopeSet::parse_lenient(scopes) }
    };
    config.resources[0].rules = vec![
        rule(&["tools/call"], &["write_*"], "write"),
        rule(&["tools/call"], &["delete_*"], "delete"),
        rule(&["completion/complete"], &["secret"], "write"),
    ];
    (config, seen)
}

async fn ruled() -> (Running, Seen) {
    let (config, seen) = recording().await;
    (Running::with(config).await, seen)
}

fn post(running: &Running, body: impl Into<reqwest::Body>) -> RequestBuilder {
    running.request(Method::POST, "/mcp").bearer_auth(token(1)).header("content-type", "application/json").body(body)
}

fn call(name: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name}}).to_string()
}

#[tokio::test]
async fn a_call_needs_the_scopes_of_its_rules() {
    let (running, seen) = ruled().await;
    for body in [
        call("read_article"),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string(),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string(),
        format!(" [{}, {}]\n", call("a"), call("b")),
    ] {
        assert_eq!(post(&running, body.clone()).send().await.unwrap().status(), 200, "{body}");
        assert_eq!(seen.lock().unwrap().pop().unwrap(), body, "byte for byte");
    }
    for (body, needed) in [
        (call("write_article"), "read write"),
        (call("Write_article"), "read write"),
        (call("delete_article"), "delete read"),
        (format!("[{}, {}, {}]", call("a"), call("write_x"), call("delete_x")), "delete read write"),
        (
            json!({"id": 1, "method": "completion/complete", "params": {"ref": {"name": "secret"}}}).to_string(),
            "read write",
        ),
    ] {
        let answer = post(&running, body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{body}");
        let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().cloned().collect();
        assert_eq!(
            challenges,
            [format!(
                "Bearer error=\"insufficient_scope\", resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\", scope=\"{needed}\""
            )]
        );
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "insufficient_scope");
    }
    assert!(seen.lock().unwrap().is_empty(), "what was refused reached the upstream");
    running.script.tokens(|| allow(grantd_proto::v1::TokenAllowed { scope: "delete read write".into(), ..person() }));
    let all = post(&running, call("write_article")).bearer_auth(token(2));
    // The last of two Authorization headers is not taken for the first.
    assert_eq!(all.send().await.unwrap().status(), 400);
    let all = running.request(Method::POST, "/messages?x=1").bearer_auth(token(2)).body(call("write_article"));
    assert_eq!(all.header("content-type", "application/json").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn headers_that_are_sent_agree_with_the_body() {
    let (running, seen) = ruled().await;
    for (headers, body, status) in [
        (&[("mcp-method", "tools/call"), ("mcp-name", "a")][..], call("a"), 200),
        (&[("mcp-method", "tools/call")], call("a"), 200),
        (&[("mcp-name", "=?base64?YQ==?=")], call("a"), 200),
        (&[("mcp-method", "tools/list")], json!({"id": 7, "method": "tools/list"}).to_string(), 200),
        (&[("mcp-method", "tools/list")], call("a"), 400),
        (&[("mcp-method", "Tools/call")], call("a"), 400),
        (&[("mcp-method", "")], call("a"), 400),
        (&[("mcp-method", "tools/call"), ("mcp-method", "tools/call")], call("a"), 400),
        (&[("mcp-method", "tools/call"), ("mcp_method", "tools/list")], call("a"), 400),
        (&[("mcp_method", "tools/call")], call("a"), 400),
        (&[("mcp-name", "b")], call("a"), 400),
        (&[("mcp-name", "A")], call("a"), 400),
        (&[("mcp-name", "=?base64?Yg==?=")], call("a"), 400),
        (&[("mcp-name", "=?base64?*?=")], call("a"), 400),
        (&[("mcp-name", "=?BASE64?YQ==?=")], call("a"), 400),
        (&[("mcp-name", "a"), ("mcp-name", "a")], call("a"), 400),
        (&[("mcp-name", "a")], json!({"id": 7, "method": "tools/list"}).to_string(), 400),
        (&[("mcp-name", "a")], format!("[{}, {}]", call("a"), call("b")), 400),
        (&[("mcp-method", "tools/call")], json!({"id": 7, "result": {}}).to_string(), 400),
    ] {
        let request = headers.iter().fold(post(&running, body.clone()), |it, (name, value)| it.header(*name, *value));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{headers:?} {body}");
        assert_eq!(seen.lock().unwrap().drain(..).count(), usize::from(status == 200));
        if status == 400 {
            let error: Value = answer.json().await.unwrap();
            assert_eq!((&error["jsonrpc"], &error["error"]["code"]), (&"2.0".into(), &(-32020).into()), "{error}");
            assert!(error["id"] == 7 || error.get("id").is_none(), "{error}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_without_doubt_goes_nowhere() {
    let (running, seen) = ruled().await;
    for (body, status) in [
        (String::new(), 400),
        ("\u{feff}{\"method\":\"ping\"}".into(), 400),
        (format!("{}{}", call("a"), call("write_x")), 400),
        (r#"{"method":"ping","Method":"tools/call","params":{"name":"write_x"}}"#.into(), 400),
        (format!("{{\"method\":\"ping\",\"params\":\"{}\"}}", "x".repeat(64 << 10)), 413),
    ] {
        let answer = post(&running, body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{}", &body[..body.len().min(80)]);
        assert!(answer.headers().get("www-authenticate").is_none());
    }
    // Without a length, too.
    let pieces = futures::stream::iter((0..80).map(|_| Ok::<_, std::io::Error>("x".repeat(1024))));
    assert_eq!(post(&running, reqwest::Body::wrap_stream(pieces)).send().await.unwrap().status(), 413);
    for (name, value) in [("content-encoding", "gzip"), ("content_encoding", "gzip"), ("content-type", "text/plain")] {
        assert_eq!(post(&running, call("a")).header(name, value).send().await.unwrap().status(), 415, "{name}");
    }
    let bare = |method: Method| running.request(method, "/mcp").bearer_auth(token(1));
    for method in [Method::GET, Method::DELETE] {
        // A server that overrides methods would execute it.
        let with_body = bare(method.clone()).header("x-http-method-override", "POST").body(call("write_x"));
        assert_eq!(with_body.send().await.unwrap().status(), 400, "{method}");
    }
    for method in [Method::PUT, Method::PATCH, Method::from_bytes(b"QUERY").unwrap()] {
        assert_eq!(bare(method.clone()).body(call("write_x")).send().await.unwrap().status(), 405, "{method}");
    }
    assert!(seen.lock().unwrap().is_empty());
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(bare(method).send().await.unwrap().status(), 200);
    }
    // Who has no token learns where to sign in, whatever the body.
    let stranger = running.request(Method::POST, "/mcp").body("nonsense").send().await.unwrap();
    assert_eq!(stranger.status(), 401);
}

#[tokio::test]
async fn headers_stand_for_the_body_only_where_the_upstream_compares_them() {
    let (mut config, seen) = recording().await;
    config.resources[0].trust_mcp_headers = true;
    let running = Running::with(config).await;
    let modern = ("mcp-protocol-version", "2026-07-28");
    for (headers, status) in [
        (&[modern, ("mcp-method", "tools/call"), ("mcp-name", "a")][..], 200),
        (&[("mcp-protocol-version", "2027-01-01"), ("mcp-method", "tools/list")], 200),
        (&[modern, ("mcp-method", "tools/call"), ("mcp-name", "write_x")], 403),
        (&[modern, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?d3JpdGVfeA==?=")], 403),
        // What it completes is in no header.
        (&[modern, ("mcp-method", "completion/complete"), ("mcp-name", "harmless")], 403),
        (&[modern, ("mcp-method", "tools/call")], 400),
        (&[modern, ("mcp-name", "a")], 400),
        (&[("mcp-method", "tools/call"), ("mcp-name", "a")], 400),
        (&[("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/call"), ("mcp-name", "a")], 400),
        (&[("mcp-protocol-version", "9"), ("mcp-method", "tools/call"), ("mcp-name", "a")], 400),
        (&[modern, modern, ("mcp-method", "tools/call"), ("mcp-name", "a")], 400),
    ] {
        let request = headers.iter().fold(post(&running, "unread"), |it, (name, value)| it.header(*name, *value));
        assert_eq!(request.send().await.unwrap().status(), status, "{headers:?}");
        assert_eq!(seen.lock().unwrap().drain(..).collect::<Vec<_>>().len(), usize::from(status == 200));
    }
}
