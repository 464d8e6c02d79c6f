//! Clients that run in a page: preflights, origins, and the metadata that everybody may read.

use grantd_oauth_types::{PublicUrl, ScopeSet};
use grantd_proto::v1::token_denied::Reason;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    script::deny,
    support::{PUBLIC, Running, config, listen, ok, token},
};

#[tokio::test]
async fn a_preflight_needs_no_token() {
    let running = Running::before(ok).await;
    for path in ["/mcp", "/mcp/", "/messages", "/.well-known/oauth-protected-resource/mcp"] {
        let answer = running
            .request(Method::OPTIONS, path)
            .header("origin", "https://anywhere.example")
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 204, "{path}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let allowed = answer.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
        for name in [
            "authorization",
            "content-type",
            "accept",
            "mcp-protocol-version",
            "mcp-session-id",
            "last-event-id",
            "mcp-method",
            "mcp-name",
        ] {
            assert!(allowed.contains(name), "{name}");
        }
    }
}

#[tokio::test]
async fn every_answer_can_be_read_by_a_page() {
    let running = Running::before(ok).await;
    let good = running.call(1).send().await.unwrap();
    let without = running.request(Method::POST, "/mcp").send().await.unwrap();
    running.script.tokens(|| deny(Reason::InsufficientScope, "read"));
    let scope = running.call(2).send().await.unwrap();
    running.script.tokens(|| Err(tonic::Status::unavailable("")));
    let away = running.call(3).send().await.unwrap();
    for (answer, status) in [(good, 200), (without, 401), (scope, 403), (away, 503)] {
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let exposed = answer.headers()["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.contains("WWW-Authenticate") && exposed.contains("Mcp-Session-Id"));
    }
}

#[tokio::test]
async fn a_page_of_a_strange_origin_may_not_use_a_token_it_found() {
    let running = Running::before(ok).await;
    for (origin, status) in [
        (PUBLIC, 200),
        ("https://app.example", 200),
        ("http://localhost:6274", 200),
        ("http://127.0.0.1:1", 200),
        ("http://[::1]:1", 200),
        ("https://evil.example", 403),
        ("https://app.example.evil.example", 403),
        ("https://localhost.evil.example", 403),
        ("https://mcp.example.com.evil.example", 403),
        ("null", 403),
    ] {
        let answer = running.call(1).header("origin", origin).send().await.unwrap();
        assert_eq!(answer.status(), status, "{origin}");
        // Without a token the challenge comes first: discovery works from anywhere.
        let answer = running.request(Method::POST, "/mcp").header("origin", origin).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{origin}");
    }
    let mut open = config(&listen(ok).await);
    open.allowed_origins = vec!["*".into()];
    let running = Running::with(open).await;
    assert_eq!(running.call(1).header("origin", "https://evil.example").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_metadata_is_there_without_a_token_and_without_token_service() {
    let running = Running::before(ok).await;
    running.script.tokens(|| Err(tonic::Status::unavailable("")));
    for path in ["", "/", "/mcp", "/mcp/", "/messages"] {
        let url = format!("/.well-known/oauth-protected-resource{path}");
        let answer = running.request(Method::GET, &url).bearer_auth(token(1)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        let document: Value = answer.json().await.unwrap();
        assert_eq!(
            document,
            json!({
                "resource": format!("{PUBLIC}/mcp"),
                "authorization_servers": [PUBLIC],
                "scopes_supported": ["read", "write"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Articles",
            })
        );
    }
    let missing = running.request(Method::GET, "/.well-known/oauth-protected-resource/other").send().await.unwrap();
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.headers()["content-type"], "application/json");
    let posted = running.request(Method::POST, "/.well-known/oauth-protected-resource/mcp").send().await.unwrap();
    assert_eq!(posted.status(), 405);
}

#[tokio::test]
async fn each_resource_has_its_document_and_its_challenge() {
    let mut config = config(&listen(ok).await);
    let mut other = config.resources[0].clone();
    other.identifier = config.public_url.resource("/team/mcp");
    other.paths = vec!["/team/mcp".into()];
    other.default_scopes = ScopeSet::parse_lenient("write");
    config.resources.push(other);
    let running = Running::with(config).await;
    for (path, identifier, scope) in [("/mcp", "/mcp", "read"), ("/team/mcp", "/team/mcp", "write")] {
        let refused = running.request(Method::GET, path).send().await.unwrap();
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(challenge.contains(&format!("scope=\"{scope}\"")), "{challenge}");
        // Where the challenge leads, on this host.
        let url = challenge.split('"').nth(1).unwrap().strip_prefix(PUBLIC).unwrap().to_owned();
        let document: Value = running.request(Method::GET, &url).send().await.unwrap().json().await.unwrap();
        assert_eq!(document["resource"], format!("{PUBLIC}{identifier}"));
    }
    let root = running.request(Method::GET, "/.well-known/oauth-protected-resource").send().await.unwrap();
    assert_eq!(root.json::<Value>().await.unwrap()["resource"], format!("{PUBLIC}/mcp"), "the first");
    let foreign = running.request(Method::GET, "/team").send().await.unwrap();
    assert_eq!(foreign.status(), 404, "only whole paths are resources");
}

#[tokio::test]
async fn below_a_public_url_with_a_path_what_is_published_wins() {
    let mut with_path = config(&listen(ok).await);
    with_path.cache_max_age = std::time::Duration::ZERO;
    with_path.public_url = PublicUrl::parse("https://mcp.example.com/mcp").unwrap();
    let mut second = with_path.resources[0].clone();
    for (resource, paths) in [(&mut with_path.resources[0], &["/mcp"][..]), (&mut second, &["/mcp/mcp", "/:x/*y"])] {
        resource.identifier = with_path.public_url.resource(paths[0]);
        resource.paths = paths.iter().map(|path| (*path).to_owned()).collect();
    }
    with_path.resources.push(second);
    let running = Running::with(with_path).await;
    for (path, resource) in [
        ("/mcp/mcp", "https://mcp.example.com/mcp/mcp"),
        ("/mcp/mcp/", "https://mcp.example.com/mcp/mcp"),
        ("/mcp/mcp/mcp", "https://mcp.example.com/mcp/mcp/mcp"),
        ("/mcp", "https://mcp.example.com/mcp/mcp"),
        ("/mcp/:x/*y", "https://mcp.example.com/mcp/mcp/mcp"),
        ("/:x/*y", "https://mcp.example.com/mcp/mcp/mcp"),
    ] {
        let answer = running.request(Method::POST, path).bearer_auth(token(1)).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(running.script.questions().pop().unwrap().resource, resource, "{path}");
    }
    for (path, resource) in [
        ("/.well-known/oauth-protected-resource/mcp/mcp", "https://mcp.example.com/mcp/mcp"),
        ("/.well-known/oauth-protected-resource/mcp/mcp/mcp", "https://mcp.example.com/mcp/mcp/mcp"),
        ("/mcp/.well-known/oauth-protected-resource/mcp", "https://mcp.example.com/mcp/mcp"),
        ("/mcp/.well-known/oauth-protected-resource", "https://mcp.example.com/mcp/mcp"),
    ] {
        let document: Value = running.request(Method::GET, path).send().await.unwrap().json().await.unwrap();
        assert_eq!(document["resource"], resource, "{path}");
    }
    assert_eq!(running.request(Method::POST, "/x/y").send().await.unwrap().status(), 404, "no pattern");
}
