//! Programs of the command line, and SDKs, whose answers go to a port of the person's machine.

use reqwest::{Method, StatusCode};

use super::*;
use crate::harness::{client::STATE, free_port};

/// The probes of rmcp: GET, twice, with a protocol version of long ago and nothing that says who asks.
async fn rmcp_finds(world: &World) -> (world::Challenge, world::Found) {
    let probe = || world.ask(Method::GET).header("accept", "*/*").header("mcp-protocol-version", "2024-11-05");
    world.probe(probe()).await;
    let challenge = world.probe(probe()).await;
    let found = world.discover(&challenge).await;
    // It also looks below the URL itself: nothing that could be taken for a document is there.
    let below = format!("{}/.well-known/oauth-protected-resource", world.url());
    let below = reqwest::get(below).await.unwrap();
    assert!([StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED].contains(&below.status()));
    (challenge, found)
}

/// What rmcp registers, for a program of this name.
fn rmcp_metadata(name: &str, uri: &str, scope: &str) -> Value {
    json!({
        "client_name": name, "redirect_uris": [uri], "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none", "application_type": "native", "scope": scope,
    })
}

/// Measured: rmcp, an ephemeral port, `/callback` or `/callback/{id}` in older versions; some versions send `resource` twice,
/// some leave it out of a refresh.
#[tokio::test]
async fn codex_registers() {
    let world = World::new().await;
    let (challenge, found) = rmcp_finds(&world).await;
    let resource = world.url();
    for path in ["callback", "callback/6MFBM1In3Ey-"] {
        let uri = format!("http://127.0.0.1:{}/{path}", free_port());
        let client = world.register(&found, rmcp_metadata("Codex", &uri, &challenge.scope)).await;
        assert!(client.secret.is_none());
        let once = [
            ("redirect_uri", uri.as_str()),
            ("state", STATE),
            ("scope", challenge.scope.as_str()),
            ("resource", resource.as_str()),
        ];
        let twice = [&once[..], &[("resource", resource.as_str())]].concat();
        for parameters in [&once[..], &twice] {
            let code = world.authorize(&found, &client, parameters).await;
            let more = [("redirect_uri", uri.as_str()), ("resource", &resource)];
            let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
            world.call(&client, &held).await;
            let held = world.refresh(&found, &client, Auth::Public, &held, &[]).await;
            let both = [("resource", resource.as_str()), ("resource", resource.as_str())];
            world.refresh(&found, &client, Auth::Public, &held, &both).await;
        }
    }
}

/// Measured: where documents are announced it uses its own and does not register.
#[tokio::test]
async fn codex_with_its_document() {
    let world = World::with_documents().await;
    let (challenge, found) = rmcp_finds(&world).await;
    let document = json!({
        "client_name": "Codex", "client_uri": "https://chatgpt.com/codex",
        "redirect_uris": ["http://127.0.0.1/callback", "http://localhost/callback"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let client = world.documented(&found, world.publish("/oauth/codex/client.json", document));
    let uri = format!("http://127.0.0.1:{}/callback", free_port());
    let parameters = [
        ("redirect_uri", uri.as_str()),
        ("state", "s"),
        ("scope", challenge.scope.as_str()),
        ("resource", &world.url()),
    ];
    let code = world.authorize(&found, &client, &parameters).await;
    let more = [("redirect_uri", uri.as_str()), ("resource", &world.url())];
    let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
    world.call(&client, &held).await;
    world.refresh(&found, &client, Auth::Public, &held, &[("resource", &world.url())]).await;
}

/// Measured: rmcp; its callback has an underscore; it refreshes at every start, however new the token is.
#[tokio::test]
async fn goose_registers_or_has_a_document_and_refreshes_at_every_start() {
    for has_document in [false, true] {
        let world = if has_document { World::with_documents().await } else { World::new().await };
        let (challenge, found) = rmcp_finds(&world).await;
        let uri = format!("http://127.0.0.1:{}/oauth_callback", free_port());
        let client = if has_document {
            let document = json!({
                "client_name": "Goose", "redirect_uris": ["http://127.0.0.1/oauth_callback"],
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            });
            world.documented(&found, world.publish("/oauth/client-metadata.json", document))
        } else {
            world.register(&found, rmcp_metadata("goose", &uri, &challenge.scope)).await
        };
        let parameters = [
            ("redirect_uri", uri.as_str()),
            ("state", "s"),
            ("scope", challenge.scope.as_str()),
            ("resource", &world.url()),
        ];
        let code = world.authorize(&found, &client, &parameters).await;
        let more = [("redirect_uri", uri.as_str()), ("resource", &world.url())];
        let mut held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
        for _ in 0..5 {
            held = world.refresh(&found, &client, Auth::Public, &held, &[("resource", &world.url())]).await;
            world.call(&client, &held).await;
        }
    }
}

/// Measured: it compares `resource` with the URL, may register an empty scope, asks for every scope that the server lists, and
/// has one fixed port.
#[tokio::test]
async fn gemini_cli_asks_for_every_scope() {
    let world = World::new().await;
    let (_, found) = world.find().await;
    let uri = "http://localhost:7777/oauth/callback";
    let metadata = json!({
        "client_name": "Gemini CLI MCP Client", "redirect_uris": [uri],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "scope": "",
    });
    let client = world.register(&found, metadata).await;
    let all: Vec<&str> =
        found.server["scopes_supported"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    let all = all.join(" ");
    let parameters = [("redirect_uri", uri), ("state", "s"), ("scope", all.as_str()), ("resource", &world.url())];
    let code = world.authorize(&found, &client, &parameters).await;
    let more = [("redirect_uri", uri), ("resource", &world.url())];
    let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
    assert_eq!(held.scope, all);
    world.call(&client, &held).await;
    world.refresh(&found, &client, Auth::Public, &held, &[("resource", &world.url())]).await;
}

/// Measured: a loopback URI that is nothing but a slash, and no scope: neither registered nor asked for.
#[tokio::test]
async fn copilot_cli_asks_for_no_scope() {
    let world = World::new().await;
    let (challenge, found) = world.find().await;
    let uri = format!("http://127.0.0.1:{}/", free_port());
    let metadata = json!({
        "client_name": "GitHub Copilot CLI", "redirect_uris": [uri],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let client = world.register(&found, metadata).await;
    let parameters = [("redirect_uri", uri.as_str()), ("state", "s"), ("resource", &world.url())];
    let code = world.authorize(&found, &client, &parameters).await;
    let more = [("redirect_uri", uri.as_str()), ("resource", &world.url())];
    let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
    assert_eq!(held.scope, challenge.scope, "what the challenge names is what it gets");
    world.call(&client, &held).await;
    world.refresh(&found, &client, Auth::Public, &held, &[]).await;
}

/// Measured: registers `client_secret_post`; as a public client it sends an empty `client_secret`, or Basic with an empty one;
/// no `state`; `Uri` adds a slash to a root.
#[tokio::test]
async fn csharp_sends_empty_secrets_and_no_state() {
    let world = World::new().await;
    let (challenge, found) = world.find().await;
    let root = format!("{}/", world.deployment.issuer());
    for (method, auth, resource) in [
        ("client_secret_post", Auth::Post, world.url()),
        ("none", Auth::Post, world.url()),
        ("none", Auth::Basic, root),
    ] {
        let uri = format!("http://localhost:{}/callback", free_port());
        let metadata = json!({
            "client_name": "ProtectedMcpClient", "redirect_uris": [uri],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "token_endpoint_auth_method": method, "scope": challenge.scope,
        });
        let client = world.register(&found, metadata).await;
        assert_eq!(client.secret.is_none(), method == "none");
        let parameters = [("redirect_uri", uri.as_str()), ("scope", challenge.scope.as_str()), ("resource", &resource)];
        let code = world.authorize(&found, &client, &parameters).await;
        let more = [("redirect_uri", uri.as_str()), ("resource", &resource)];
        let held = world.exchange(&found, &client, auth, &code, &more).await;
        world.call(&client, &held).await;
        world.refresh(&found, &client, auth, &held, &[("resource", &resource)]).await;
    }
}

/// Measured: with a document it authenticates by Basic, its URL percent-encoded and the secret empty, and no id in the body;
/// without a method in the answer to a registration likewise. No resource at a refresh.
#[tokio::test]
async fn go_authenticates_by_basic_without_a_secret() {
    let world = World::with_documents().await;
    let (challenge, found) = world.find().await;
    let uri = format!("http://localhost:{}/callback", free_port());
    let document = json!({"client_name": "A Go program", "redirect_uris": ["http://localhost/callback"]});
    let documented = world.documented(&found, world.publish("/go/client.json", document));
    let metadata = json!({"client_name": "A Go program", "redirect_uris": [uri], "token_endpoint_auth_method": "none"});
    let registered = world.register(&found, metadata).await;
    for client in [documented, registered] {
        let parameters = [
            ("redirect_uri", uri.as_str()),
            ("state", "s"),
            ("scope", challenge.scope.as_str()),
            ("resource", &world.url()),
        ];
        let code = world.authorize(&found, &client, &parameters).await;
        let more = [("redirect_uri", uri.as_str()), ("resource", &world.url())];
        let held = world.exchange(&found, &client, Auth::BasicEncoded, &code, &more).await;
        world.call(&client, &held).await;
        world.refresh(&found, &client, Auth::BasicEncoded, &held, &[]).await;
    }
}
