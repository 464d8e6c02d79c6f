//! Editors, whose answers go to a scheme of their own or to a port of the person's machine.

use reqwest::StatusCode;

use super::*;
use crate::{
    binary::ran,
    harness::{client::STATE, free_port},
};

/// Measured: three kinds of redirect URIs in one registration, `application_type` "web" beside `cursor:`. Refusing one of
/// them locks Cursor out.
#[tokio::test]
async fn cursor_registers_three_kinds_of_uris_at_once() {
    let world = World::new().await;
    let (challenge, found) = world.find().await;
    let uris = [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "http://localhost:8787/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
    ];
    let metadata = json!({
        "client_name": "Cursor", "redirect_uris": uris, "application_type": "web",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "token_endpoint_auth_method": "none", "scope": challenge.scope,
    });
    let client = world.register(&found, metadata).await;
    assert!(client.secret.is_none(), "{}", client.answer);
    for uri in uris {
        let parameters = [
            ("redirect_uri", uri),
            ("state", "eyJpZCI6MX0="),
            ("scope", challenge.scope.as_str()),
            ("resource", &world.url()),
        ];
        let code = world.authorize(&found, &client, &parameters).await;
        let more = [("redirect_uri", uri), ("resource", &world.url())];
        let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
        world.call(&client, &held).await;
        world.refresh(&found, &client, Auth::Public, &held, &[("resource", &world.url())]).await;
    }
}

/// Measured: it compares `resource` with the URL; registers four URIs and more grant types; listens at a port that is not
/// registered when 33418 is taken; leaves `resource` out of token requests; registers anew after invalid_client.
#[tokio::test]
async fn vs_code_registers_and_listens_elsewhere() {
    let world = World::new().await;
    let (challenge, found) = world.find().await;
    let metadata = json!({
        "client_name": "Visual Studio Code", "client_uri": "https://code.visualstudio.com",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "redirect_uris": [
            "https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
        ],
        "token_endpoint_auth_method": "none", "application_type": "native", "scope": challenge.scope,
    });
    let elsewhere = format!("http://127.0.0.1:{}/", free_port());
    let mut client = world.register(&found, metadata.clone()).await;
    assert_eq!(client.answer["grant_types"], json!(["authorization_code", "refresh_token"]));
    for uri in ["http://127.0.0.1:33418/", &elsewhere, "https://vscode.dev/redirect"] {
        let parameters = [
            ("redirect_uri", uri),
            ("state", "vscode://vscode.mcp/did-authenticate?nonce=1&windowId=2"),
            ("scope", challenge.scope.as_str()),
            ("resource", &world.url()),
        ];
        let code = world.authorize(&found, &client, &parameters).await;
        let held = world.exchange(&found, &client, Auth::Public, &code, &[("redirect_uri", uri)]).await;
        world.call(&client, &held).await;
        let held = world.refresh(&found, &client, Auth::Public, &held, &[]).await;

        let data = world.deployment.dir.path().join("serve");
        ran(&["client", "remove", &client.id], data.to_str().unwrap()).await;
        let form = [("grant_type", "refresh_token"), ("refresh_token", held.refresh.as_str())];
        let answer = world.token(&found, &client, Auth::Public, &form).await;
        refused(answer, StatusCode::UNAUTHORIZED, "invalid_client").await;
        client = world.register(&found, metadata.clone()).await;
    }
}

/// Measured: the document has one loopback port; the port it listens at may be another.
#[tokio::test]
async fn vs_code_with_its_document() {
    let world = World::with_documents().await;
    let (challenge, found) = world.find().await;
    let document = json!({
        "client_name": "Visual Studio Code", "client_uri": "https://vscode.dev/product",
        "logo_uri": "https://code.visualstudio.com/assets/branding/code-stable.png",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"], "token_endpoint_auth_method": "none", "application_type": "native",
        "redirect_uris": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
    });
    let client = world.documented(&found, world.publish("/oauth/client-metadata.json", document));
    let elsewhere = format!("http://127.0.0.1:{}/", free_port());
    for uri in ["http://127.0.0.1:33418/", &elsewhere, "https://vscode.dev/redirect"] {
        let parameters = [("redirect_uri", uri), ("state", STATE), ("scope", challenge.scope.as_str())];
        let code = world.authorize(&found, &client, &parameters).await;
        let held = world.exchange(&found, &client, Auth::Public, &code, &[("redirect_uri", uri)]).await;
        world.call(&client, &held).await;
        world.refresh(&found, &client, Auth::Public, &held, &[]).await;
    }
}

async fn zed(world: &World, found: &world::Found, client: &world::Known, uri: &str, auth: Auth) {
    // Its own spelling of the URL: without a trailing slash.
    let resource = world.url();
    let parameters = [("redirect_uri", uri), ("state", "x"), ("resource", resource.as_str())];
    let code = world.authorize(found, client, &parameters).await;
    let more = [("redirect_uri", uri), ("resource", resource.as_str())];
    let held = world.exchange(found, client, auth, &code, &more).await;
    world.call(client, &held).await;
    world.refresh(found, client, auth, &held, &[("resource", &resource)]).await;
}

/// Measured: a registration for each flow, with the port it listens at; for `authorization_code` only, and yet it refreshes; a
/// secret that is issued goes into the body.
#[tokio::test]
async fn zed_registers_for_each_flow() {
    let world = World::new().await;
    let (_, found) = world.find().await;
    for (method, auth) in [(Some("none"), Auth::Public), (None, Auth::Post)] {
        let uri = format!("http://127.0.0.1:{}/callback", free_port());
        let mut metadata = json!({
            "client_name": "Zed", "redirect_uris": [uri], "grant_types": ["authorization_code"],
            "response_types": ["code"],
        });
        if let Some(method) = method {
            metadata["token_endpoint_auth_method"] = json!(method);
        }
        let client = world.register(&found, metadata).await;
        assert_eq!(client.secret.is_some(), method.is_none());
        zed(&world, &found, &client, &uri, auth).await;
    }
}

/// Measured: the document has no port.
#[tokio::test]
async fn zed_with_its_document() {
    let world = World::with_documents().await;
    let (_, found) = world.find().await;
    let document = json!({
        "client_name": "Zed", "client_uri": "https://zed.dev", "logo_uri": "https://zed.dev/img/logo.png",
        "redirect_uris": ["http://127.0.0.1/callback"], "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let client = world.documented(&found, world.publish("/oauth/client-metadata.json", document));
    for _ in 0..2 {
        let uri = format!("http://127.0.0.1:{}/callback", free_port());
        zed(&world, &found, &client, &uri, Auth::Public).await;
    }
}

/// Measured: the answer goes to an extension of the editor, by its scheme and a hash of the server.
#[tokio::test]
async fn cline_gets_its_answer_through_the_editor() {
    let world = World::new().await;
    let (challenge, found) = world.find().await;
    let uri = "vscode://saoudrizwan.claude-dev/mcp-auth/callback/2f6d1c0a9b8e7d6c5b4a39281706f5e4";
    let metadata = json!({
        "client_name": "Cline", "redirect_uris": [uri], "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let client = world.register(&found, metadata).await;
    let parameters = [
        ("redirect_uri", uri),
        ("state", "0123456789abcdef"),
        ("scope", challenge.scope.as_str()),
        ("resource", &world.url()),
    ];
    let code = world.authorize(&found, &client, &parameters).await;
    let more = [("redirect_uri", uri), ("resource", &world.url())];
    let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
    world.call(&client, &held).await;
    world.refresh(&found, &client, Auth::Public, &held, &[("resource", &world.url())]).await;
}
