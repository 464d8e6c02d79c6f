//! Products that ask from a server of their makers, with an https callback.

use super::*;
use crate::{
    binary::ran,
    harness::{Signer, client::pair, signer::ASSERTION_TYPE},
};

const CLAUDE: &str = "https://claude.ai/api/mcp/auth_callback";
const STABLE_CHATGPT: &str = "https://chatgpt.com/connector_platform_oauth_redirect";

/// What a hosted connector of which no more is known does: it registers with a secret or without one, and sends the whole
/// resource everywhere.
async fn hosted(name: &str, callback: &str, method: Option<&str>, auth: Auth) {
    let world = World::new().await;
    let (challenge, found) = world.find().await;
    let mut metadata = json!({
        "client_name": name, "redirect_uris": [callback], "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    });
    if let Some(method) = method {
        metadata["token_endpoint_auth_method"] = json!(method);
    }
    let client = world.register(&found, metadata).await;
    assert_eq!(client.secret.is_some(), method != Some("none"));
    let resource = found.resource["resource"].as_str().unwrap();
    let parameters =
        [("redirect_uri", callback), ("state", "s"), ("scope", challenge.scope.as_str()), ("resource", resource)];
    let code = world.authorize(&found, &client, &parameters).await;
    let more = [("redirect_uri", callback), ("resource", resource)];
    let held = world.exchange(&found, &client, auth, &code, &more).await;
    world.call(&client, &held).await;
    let next = world.refresh(&found, &client, auth, &held, &[("resource", resource)]).await;
    world.call(&client, &next).await;
}

/// Measured: `client_secret_post`; a scope that begins with a space; a pathless resource with a slash; after 401
/// invalid_client it registers anew.
#[tokio::test]
async fn claude_ai_registers_with_a_secret_in_the_body_and_again_when_it_is_forgotten() {
    let world = World::new().await;
    let challenge = world.probe(world.initialize().header("user-agent", "python-httpx/0.28.1")).await;
    let found = world.discover(&challenge).await;
    let metadata = json!({
        "client_name": "Claude", "redirect_uris": [CLAUDE], "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "token_endpoint_auth_method": "client_secret_post", "scope": "claudeai",
    });
    let with_slash = format!("{}/", world.deployment.issuer());
    let authorize = async |scope: &str, resource: &str| {
        // A new client for each connection.
        let client = world.register(&found, metadata.clone()).await;
        assert_eq!(client.answer["token_endpoint_auth_method"], "client_secret_post");
        let parameters = [("redirect_uri", CLAUDE), ("state", "a-b_c"), ("scope", scope), ("resource", resource)];
        let code = world.authorize(&found, &client, &parameters).await;
        let more = [("redirect_uri", CLAUDE), ("resource", resource)];
        let held = world.exchange(&found, &client, Auth::Post, &code, &more).await;
        assert_eq!(held.scope, challenge.scope, "scopes that nobody knows are passed over");
        world.call(&client, &held).await;
        (client, held)
    };
    authorize(" offline_access", &with_slash).await;
    authorize("claudeai", &world.url()).await;
    let wanted = format!("{} offline_access", challenge.scope);
    let (client, held) = authorize(&wanted, &world.url()).await;
    let held = world.refresh(&found, &client, Auth::Post, &held, &[]).await;

    let data = world.deployment.dir.path().join("serve");
    ran(&["client", "remove", &client.id], data.to_str().unwrap()).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", held.refresh.as_str())];
    refused(world.token(&found, &client, Auth::Post, &form).await, reqwest::StatusCode::UNAUTHORIZED, "invalid_client")
        .await;
    let (client, held) = authorize(&wanted, &world.url()).await;
    world.refresh(&found, &client, Auth::Post, &held, &[("resource", &world.url())]).await;
}

/// Measured: where metadata cannot be read it goes on with `/authorize`, `/token` and `/register` of the origin. The name may
/// be missing.
#[tokio::test]
async fn claude_ai_goes_on_without_metadata() {
    let world = World::new().await;
    let (challenge, mut found) = world.find().await;
    for (endpoint, path) in
        [("authorization_endpoint", "authorize"), ("token_endpoint", "token"), ("registration_endpoint", "register")]
    {
        found.server[endpoint] = json!(format!("{}/{path}", world.deployment.issuer()));
    }
    let metadata = json!({"redirect_uris": [CLAUDE], "token_endpoint_auth_method": "client_secret_post"});
    let client = world.register(&found, metadata).await;
    let parameters = [("redirect_uri", CLAUDE), ("state", "s"), ("scope", challenge.scope.as_str())];
    let code = world.authorize(&found, &client, &parameters).await;
    let held = world.exchange(&found, &client, Auth::Post, &code, &[("redirect_uri", CLAUDE)]).await;
    world.call(&client, &held).await;
    world.refresh(&found, &client, Auth::Post, &held, &[]).await;
}

/// Measured: its document is used only where it is announced together with `none`; it names a grant type that is not ours.
#[tokio::test]
async fn claude_ai_with_its_document() {
    let world = World::with_documents().await;
    let (challenge, found) = world.find().await;
    let document = json!({
        "client_name": "Claude", "client_uri": "https://claude.ai", "redirect_uris": [CLAUDE],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "response_types": ["code"], "token_endpoint_auth_method": "none",
    });
    let id = world.publish("/oauth/mcp-oauth-client-metadata", document);
    let client = world.documented(&found, id);
    let scope = format!("{} offline_access", challenge.scope);
    let parameters = [("redirect_uri", CLAUDE), ("state", "s"), ("scope", scope.as_str()), ("resource", &world.url())];
    let code = world.authorize(&found, &client, &parameters).await;
    let held = world.exchange(&found, &client, Auth::Public, &code, &[("redirect_uri", CLAUDE)]).await;
    world.call(&client, &held).await;
    world.refresh(&found, &client, Auth::Public, &held, &[]).await;
}

/// Measured: a callback for each connector, and one for all where answers carry `iss`; with a secret or without one.
#[tokio::test]
async fn chatgpt_registers() {
    for (callback, method, auth) in [
        ("https://chatgpt.com/connector/oauth/Ab_c-123", Some("none"), Auth::Public),
        (STABLE_CHATGPT, Some("client_secret_post"), Auth::Post),
        (STABLE_CHATGPT, None, Auth::Basic),
    ] {
        hosted("ChatGPT", callback, method, auth).await;
    }
}

/// Measured: its document prefers `private_key_jwt` and lists `none` beside it. Here it authenticates by none.
#[tokio::test]
async fn chatgpt_with_its_document_and_no_key() {
    let world = World::with_documents().await;
    let (challenge, found) = world.find().await;
    let ours = found.server["authorization_response_iss_parameter_supported"] == true;
    assert!(ours, "ChatGPT has its one stable client id only where answers carry iss");
    for (path, callback) in [
        ("/oauth/client.json", STABLE_CHATGPT),
        ("/oauth/Ab_c-123/client.json", "https://chatgpt.com/connector/oauth/Ab_c-123"),
    ] {
        let document = chatgpt_document(callback, "https://localhost:1/oauth/jwks.json");
        let client = world.documented(&found, world.publish(path, document));
        let parameters = [
            ("redirect_uri", callback),
            ("state", "oauth_s_1"),
            ("scope", challenge.scope.as_str()),
            ("resource", &world.url()),
        ];
        let code = world.authorize(&found, &client, &parameters).await;
        let more = [("redirect_uri", callback), ("resource", &world.url())];
        let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
        world.call(&client, &held).await;
        world.refresh(&found, &client, Auth::Public, &held, &[("resource", &world.url())]).await;
    }
}

/// Measured: with its key it signs with RS256, for the token endpoint, with its client id in the body; a new assertion for
/// each request.
#[tokio::test]
async fn chatgpt_with_its_document_and_its_key() {
    let world = World::with_documents().await;
    let (challenge, found) = world.find().await;
    let methods = found.server["token_endpoint_auth_methods_supported"].as_array().unwrap();
    let algorithms = found.server["token_endpoint_auth_signing_alg_values_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("private_key_jwt")) && algorithms.contains(&json!("RS256")), "{methods:?}");
    let key = Signer::rs256("openai-1");
    world.publish("/oauth/jwks.json", json!({"keys": [key.jwk()]}));
    let document = chatgpt_document(STABLE_CHATGPT, &world.site_url("/oauth/jwks.json"));
    let client = world.documented(&found, world.publish("/oauth/client.json", document));
    let parameters = [
        ("redirect_uri", STABLE_CHATGPT),
        ("state", "oauth_s_1"),
        ("scope", challenge.scope.as_str()),
        ("resource", &world.url()),
    ];
    let code = world.authorize(&found, &client, &parameters).await;
    let assertion = || key.assertion(&client.id, found.server["token_endpoint"].as_str().unwrap());
    let (signed, resource) = ([assertion(), assertion()], world.url());
    let [first, second] = signed.each_ref().map(|assertion| {
        [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion.as_str()),
            ("resource", resource.as_str()),
        ]
    });
    let more = [&first[..], &[("redirect_uri", STABLE_CHATGPT)]].concat();
    let held = world.exchange(&found, &client, Auth::Public, &code, &more).await;
    world.call(&client, &held).await;
    let next = world.refresh(&found, &client, Auth::Public, &held, &second).await;
    world.call(&client, &next).await;
    // A bad one is not made good by what the document permits.
    let form = [("grant_type", "refresh_token"), ("refresh_token", next.refresh.as_str())];
    let used = world.token(&found, &client, Auth::Public, &[&form[..], &second].concat()).await;
    refused(used, reqwest::StatusCode::UNAUTHORIZED, "invalid_client").await;
}

/// As it is published.
fn chatgpt_document(callback: &str, jwks_uri: &str) -> Value {
    json!({
        "client_uri": "https://chatgpt.com/", "redirect_uris": [callback],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "client_name": "ChatGPT",
        "logo_uri": "https://persistent.oaistatic.com/sonic/misc/openai-logo.png",
        "token_endpoint_auth_signing_alg": "RS256", "jwks_uri": jwks_uri,
    })
}

/// Not measured. Its makers document these callbacks; all else is what any hosted connector does, with each way to
/// authenticate that one may have.
#[tokio::test]
async fn perplexity_registers() {
    hosted(
        "Perplexity",
        "https://www.perplexity.ai/rest/connections/oauth_callback",
        Some("client_secret_post"),
        Auth::Post,
    )
    .await;
    hosted(
        "Perplexity",
        "https://enterprise.perplexity.ai/rest/connections/oauth_callback",
        Some("none"),
        Auth::Public,
    )
    .await;
}

/// Measured: the callback, which servers with a list of hosts refuse at authorization after they registered it.
#[tokio::test]
async fn copilot_studio_registers() {
    let callback = "https://global.consent.azure-apim.net/redirect/cr1a2-5fgrantd-20mcp-5f0123456789abcdef";
    hosted("Copilot Studio", callback, None, Auth::Post).await;
}

/// Measured: it registers one https callback. Where it then sends another, as it has been seen to, the person must hear of
/// it: an answer to a URI that nobody registered is what attackers ask for.
#[tokio::test]
async fn n8n_registers_and_is_told_when_its_callback_changed() {
    hosted("n8n", "https://n8n.example.com/rest/oauth2-credential/callback", Some("client_secret_basic"), Auth::Basic)
        .await;
    let world = World::new().await;
    let (_, found) = world.find().await;
    let registered = "https://n8n.example.com/rest/oauth2-credential/callback";
    let client = world.register(&found, json!({"client_name": "n8n", "redirect_uris": [registered]})).await;
    let other = [("redirect_uri", "https://n8n.internal:5678/rest/oauth2-credential/callback"), ("state", "s")];
    let answer = world.refused_to_ask(&found, &client, &other).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.headers().get("location").is_none());
    let page = answer.text().await.unwrap();
    assert!(page.contains("redirect"), "{page}");
    // Nothing was spoiled: with the registered one it works.
    let code = world.authorize(&found, &client, &[("redirect_uri", registered), ("state", "s")]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", crate::harness::client::VERIFIER),
        ("redirect_uri", registered),
    ];
    pair(world.token(&found, &client, Auth::Basic, &form).await).await;
}

/// Whatever goes wrong once client and callback are known is told to the product at once, and not to the person on a page.
#[tokio::test]
async fn errors_go_back_to_hosted_products_at_once() {
    let world = World::new().await;
    let (_, found) = world.find().await;
    for callback in [
        CLAUDE,
        "https://claude.com/api/mcp/auth_callback",
        STABLE_CHATGPT,
        "https://chatgpt.com/connector/oauth/Ab_c-123",
        "https://www.perplexity.ai/rest/connections/oauth_callback",
        "https://enterprise.perplexity.ai/rest/connections/oauth_callback",
        "https://global.consent.azure-apim.net/redirect/cr1a2",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "https://vscode.dev/redirect",
        "https://insiders.vscode.dev/redirect",
    ] {
        let client = world.register(&found, json!({"redirect_uris": [callback]})).await;
        let parameters = [("redirect_uri", callback), ("state", "s"), ("resource", "https://other.example/mcp")];
        let answer = world.refused_to_ask(&found, &client, &parameters).await;
        assert_eq!(answer.status(), 302, "{callback}");
        let location = answer.headers()["location"].to_str().unwrap();
        let said = |name: &str| crate::harness::client::param(location, name);
        assert!(location.starts_with(callback), "{location}");
        assert_eq!(said("error").as_deref(), Some("invalid_target"));
        assert_eq!((said("state").as_deref(), said("iss").as_deref()), (Some("s"), Some(world.deployment.issuer())));
    }
}
