//! The authorization-server metadata: what real clients insist on.

use http::Request;
use serde_json::json;

use super::{alone, config, facade, facade_with};

#[tokio::test]
async fn the_document_is_complete_and_from_configuration() {
    let answer = alone()
        .get_with("/.well-known/oauth-authorization-server", &[("host", "evil.example"), ("x-forwarded-host", "e")])
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "issuer": "https://mcp.example.com",
            "authorization_endpoint": "https://mcp.example.com/oauth/authorize",
            "token_endpoint": "https://mcp.example.com/oauth/token",
            "registration_endpoint": "https://mcp.example.com/oauth/register",
            "scopes_supported": ["read:articles", "write:articles"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "revocation_endpoint": "https://mcp.example.com/oauth/revoke",
            "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "introspection_endpoint": "https://mcp.example.com/oauth/introspect",
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        })
    );
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn where_it_is_served() {
    let facade = alone();
    for (path, status) in [
        ("/.well-known/oauth-authorization-server", 200),
        ("/.well-known/oauth-authorization-server/", 200),
        ("/.well-known/oauth-authorization-server/mcp", 200),
        ("/.well-known/oauth-authorization-server/mcp/", 200),
        ("/.well-known/oauth-authorization-server/other", 404),
        ("/.well-known/openid-configuration", 404),
        ("/.well-known/openid-configuration/mcp", 404),
        ("/mcp/.well-known/openid-configuration", 404),
        ("/.well-known/anything", 404),
        ("/nothing", 404),
    ] {
        let answer = facade.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        answer.json();
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
}

#[tokio::test]
async fn an_issuer_with_a_path() {
    let facade = facade_with(config("https://example.com/auth"), |call| panic!("asked: {call:?}"));
    for path in [
        "/.well-known/oauth-authorization-server/auth",
        "/.well-known/oauth-authorization-server/auth/mcp",
        "/.well-known/oauth-authorization-server",
        "/auth/.well-known/oauth-authorization-server",
    ] {
        let answer = facade.get(path).await;
        assert_eq!(answer.json()["token_endpoint"], "https://example.com/auth/oauth/token", "{path}");
    }
    for path in ["/auth/oauth/token", "/oauth/token", "/auth/token", "/token"] {
        facade.form(path, &[], "").await.is_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn iss_is_one_switch() {
    let mut config = config(super::PUBLIC_URL);
    config.iss_parameter = false;
    let answer =
        facade_with(config, |call| panic!("asked: {call:?}")).get("/.well-known/oauth-authorization-server").await;
    assert!(answer.json().get("authorization_response_iss_parameter_supported").is_none());
}

#[tokio::test]
async fn preflights_need_nothing() {
    let facade = alone();
    for path in ["/oauth/token", "/token", "/oauth/register", "/register", "/.well-known/oauth-authorization-server"] {
        let answer = facade.send(Request::options(path), "").await;
        assert_eq!(answer.status, 204, "{path}");
        let allowed = answer.header("access-control-allow-headers");
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
        let exposed = answer.header("access-control-expose-headers");
        assert!(exposed.contains("WWW-Authenticate") && exposed.contains("Mcp-Session-Id"));
    }
    let answer = facade.send(Request::options("/oauth/authorize"), "").await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn wrong_methods_are_json_405() {
    let facade = alone();
    for path in ["/oauth/token", "/oauth/register", "/oauth/sign-in"] {
        let answer = facade.get(path).await;
        answer.is_error(405, "invalid_request");
        assert_eq!(answer.header("allow"), "POST", "{path}");
    }
    let answer = facade.send(Request::delete("/oauth/token"), "").await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (405, "*"));
    facade.form("/oauth/authorize", &[], "").await.is_error(405, "invalid_request");
    for path in ["/oauth/authorize/approve?ticket=t", "/oauth/authorize/deny?ticket=t"] {
        assert_eq!(facade.send(Request::head(path), "").await.status, 405, "{path}");
        facade.form(path, &[], "").await.is_error(405, "invalid_request");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_just_not_there() {
    let facade = facade(|_| panic!());
    for path in ["/.well-known/oauth-authorization-server/%ff", "/.well-known/oauth-authorization-server/%2e%2e/mcp"] {
        let answer = facade.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (404, "application/json"), "{path}");
    }
}
