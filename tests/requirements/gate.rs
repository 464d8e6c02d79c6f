//! 1 to 10: the resource server.

use super::*;

const METHODS: [&str; 4] = ["initialize", "server/discover", "ping", "tools/list"];

#[tokio::test]
async fn requirement_01_whoever_has_no_token_gets_401_whatever_is_asked() {
    let deployment = running().await;
    for method in METHODS {
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}");
        let answer = ask(&deployment, Method::POST, "/mcp").header("content-type", "application/json").body(body);
        assert_eq!(answer.send().await.unwrap().status(), 401, "{method}");
    }
    for (accept, version) in [("*/*", "2024-11-05"), ("text/html", "2099-01-01"), ("text/event-stream", "")] {
        let probe = ask(&deployment, Method::GET, "/mcp").header("accept", accept);
        assert_eq!(probe.header("mcp-protocol-version", version).send().await.unwrap().status(), 401);
    }
    for body in ["", "not json", "[]"] {
        assert_eq!(ask(&deployment, Method::POST, "/mcp").body(body).send().await.unwrap().status(), 401, "{body}");
    }
    assert_eq!(ask(&deployment, Method::DELETE, "/mcp").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn requirement_02_one_challenge_of_plain_parameters() {
    let deployment = running().await;
    let answer = get(&deployment, "/mcp").await;
    assert_eq!(answer.headers().get_all("www-authenticate").iter().count(), 1);
    let expected = format!(
        "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\", scope=\"read:articles write:articles\"",
        deployment.issuer()
    );
    assert_eq!(header(&answer, "www-authenticate"), expected);
}

#[tokio::test]
async fn requirement_03_an_error_only_where_a_token_was_sent() {
    let deployment = running().await;
    assert!(!header(&get(&deployment, "/mcp").await, "www-authenticate").contains("error="));
    let pair = client(&deployment).await.pair().await;
    for token in ["x", "gda_AAAA", &pair.refresh] {
        let answer = ask(&deployment, Method::POST, "/mcp").bearer_auth(token).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert!(header(&answer, "www-authenticate").contains("error=\"invalid_token\""));
    }
}

const RULED: &str = "[[resource]]\npaths = [\"/mcp\"]\nupstream = \"UPSTREAM\"\nscopes = [\"a\", \"b\"]\n\
                     default_scopes = [\"a\"]\n[[resource.rule]]\nmethods = [\"tools/call\"]\nscopes = [\"b\"]\n\
                     [scopes]\na = \"A\"\nb = \"B\"\n";

#[tokio::test]
async fn requirement_04_403_is_for_scopes_and_names_all_that_are_needed() {
    let deployment = Deployment::embedded(Options { config: RULED.into(), ..Options::default() }).await;
    let client = client(&deployment).await;
    let code = client.code_with(&[("scope", Some("a"))]).await;
    let pair = crate::harness::client::pair(client.exchange(&code).await).await;
    let body = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}}";
    let answer = ask(&deployment, Method::POST, "/mcp")
        .bearer_auth(&pair.access)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    let challenge = header(&answer, "www-authenticate");
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"a b\""), "{challenge}");
    assert!(challenge.contains("resource_metadata=\""), "{challenge}");
}

#[tokio::test]
async fn requirement_05_the_first_challenge_and_the_metadata_carry_the_working_scopes() {
    let deployment = running().await;
    assert!(
        header(&get(&deployment, "/mcp").await, "www-authenticate").contains("scope=\"read:articles write:articles\"")
    );
    let metadata = json(&deployment, "/.well-known/oauth-protected-resource/mcp").await;
    assert_eq!(metadata["scopes_supported"], serde_json::json!(["read:articles", "write:articles"]));
}

#[tokio::test]
async fn requirement_06_a_token_works_at_once_everywhere() {
    let deployment = Deployment::distributed(Options::default()).await;
    let client = client(&deployment).await;
    for _ in 0..5 {
        let pair = client.pair().await;
        assert!(client.at(deployment.other()).is_accepted(&pair.access).await);
    }
}

#[tokio::test]
async fn requirement_07_get_with_a_token_is_passed_on() {
    let deployment = running().await;
    let pair = client(&deployment).await.pair().await;
    let request = ask(&deployment, Method::GET, "/mcp").bearer_auth(&pair.access);
    // What the upstream says: that it is away.
    assert_eq!(request.header("accept", "text/event-stream").send().await.unwrap().status(), 502);
}

#[tokio::test]
async fn requirement_08_no_redirect_anywhere_a_program_asks() {
    let deployment = running().await;
    let pair = client(&deployment).await.pair().await;
    for path in [
        "/mcp",
        "/mcp/",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/",
        "/oauth/register",
        "/oauth/token",
        "/oauth/token/",
        "//mcp",
    ] {
        for method in [Method::GET, Method::POST] {
            let answer = ask(&deployment, method, path).bearer_auth(&pair.access).send().await.unwrap();
            assert!(!answer.status().is_redirection(), "{path}");
        }
    }
}

#[tokio::test]
async fn requirement_09_preflights_need_no_token_and_answers_can_be_read() {
    let deployment = running().await;
    let needed = ["authorization", "content-type", "accept", "mcp-protocol-version", "mcp-session-id", "last-event-id"];
    for path in [
        "/mcp",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/oauth/register",
        "/oauth/token",
        "/oauth/revoke",
    ] {
        let preflight = ask(&deployment, Method::OPTIONS, path)
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 204, "{path}");
        let allowed = header(&preflight, "access-control-allow-headers").to_lowercase();
        for name in needed.into_iter().chain(["mcp-method", "mcp-name"]) {
            assert!(allowed.contains(name), "{path}: {allowed}");
        }
        let answer = ask(&deployment, Method::POST, path).send().await.unwrap();
        assert_eq!(header(&answer, "access-control-allow-origin"), "*", "{path} {}", answer.status());
        let exposed = header(&answer, "access-control-expose-headers");
        assert!(exposed.contains("WWW-Authenticate") && exposed.contains("Mcp-Session-Id"), "{path}: {exposed}");
    }
    let page = get(&deployment, "/oauth/authorize").await;
    assert_eq!(header(&page, "access-control-allow-origin"), "");
}

#[tokio::test]
async fn requirement_10_errors_are_json_and_no_client_must_say_what_it_is() {
    let deployment = running().await;
    for (method, path) in [
        (Method::POST, "/mcp"),
        (Method::POST, "/oauth/token"),
        (Method::POST, "/oauth/register"),
        (Method::POST, "/oauth/revoke"),
        (Method::GET, "/.well-known/nothing"),
        (Method::GET, "/oauth/token"),
    ] {
        // Neither User-Agent nor Accept; and a body with what firewalls take for an attack.
        let answer = ask(&deployment, method, path).body("http://127.0.0.1/<script>").send().await.unwrap();
        assert!(answer.status().is_client_error(), "{path}");
        assert!(header(&answer, "content-type").starts_with("application/json"), "{path}");
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string(), "{path}");
    }
}
