//! The whole flow, step by step, in both shapes.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Options, between,
    client::{CALLBACK, STATE, pair, param},
    http,
};

fn assert_no_null(value: &Value) {
    match value {
        Value::Null => panic!("a null"),
        Value::Array(items) => items.iter().for_each(assert_no_null),
        Value::Object(members) => members.values().for_each(assert_no_null),
        _ => {}
    }
}

async fn json_of(url: String) -> Value {
    let answer = http().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{url}");
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"), "{url}");
    let body = answer.json().await.unwrap();
    assert_no_null(&body);
    body
}

#[tokio::test]
async fn from_discovery_to_refresh() {
    Deployment::each(Options::default(), |deployment| async move {
        let (issuer, resource) = (deployment.issuer().to_owned(), deployment.resource());

        // Discovery starts with a 401.
        let mcp = format!("{issuer}/mcp");
        let challenged = http().post(&mcp).body("{}").send().await.unwrap();
        assert_eq!(challenged.status(), StatusCode::UNAUTHORIZED);
        let challenge = challenged.headers()["www-authenticate"].to_str().unwrap();
        assert_eq!(
            challenge,
            format!("Bearer resource_metadata=\"{issuer}/.well-known/oauth-protected-resource/mcp\", scope=\"read:articles write:articles\"")
        );

        for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
            let metadata = json_of(format!("{issuer}{path}")).await;
            assert_eq!(metadata["resource"], resource);
            assert_eq!(metadata["authorization_servers"], json!([issuer]));
            assert_eq!(metadata["bearer_methods_supported"], json!(["header"]));
            assert_eq!(metadata["scopes_supported"], json!(["read:articles", "write:articles"]));
        }
        for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp"] {
            let metadata = json_of(format!("{issuer}{path}")).await;
            assert_eq!(metadata["issuer"], issuer);
            assert_eq!(metadata["authorization_endpoint"], format!("{issuer}/oauth/authorize"));
            assert_eq!(metadata["token_endpoint"], format!("{issuer}/oauth/token"));
            assert_eq!(metadata["registration_endpoint"], format!("{issuer}/oauth/register"));
            assert_eq!(metadata["response_types_supported"], json!(["code"]));
            assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
            assert_eq!(metadata["authorization_response_iss_parameter_supported"], json!(true));
            let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
            for method in ["none", "client_secret_post", "client_secret_basic"] {
                assert!(methods.contains(&json!(method)));
            }
        }
        assert_eq!(http().get(format!("{issuer}/.well-known/openid-configuration")).send().await.unwrap().status(), 404);

        let client = Client::register(&issuer).await;
        let page = client.consent_page(&[("resource", Some(&resource))]).await;
        for text in ["localhost:3118", "Tests", "owner", "Read your articles", "Write and publish articles"] {
            assert!(page.html.contains(text), "the consent page does not say {text:?}: {}", page.html);
        }
        let approved = client.at(deployment.other()).follow(&page, &page.approve).await;
        assert_eq!(approved.status(), StatusCode::FOUND);
        let location = approved.headers()["location"].to_str().unwrap();
        assert!(location.starts_with(&format!("{CALLBACK}?")));
        assert!(!location.contains('+'), "spaces are %20: {location}");
        assert_eq!(param(location, "state").unwrap(), STATE);
        assert_eq!(param(location, "iss").unwrap(), issuer);
        let code = param(location, "code").unwrap();

        let answer = client.exchange(&code).await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let first = pair(answer).await;
        assert_eq!(first.scope, "read:articles write:articles");
        assert_eq!(first.expires_in, 3600);

        assert!(client.is_accepted(&first.access).await);
        assert!(client.at(deployment.other()).is_accepted(&first.access).await);

        let second = pair(client.at(deployment.other()).refresh(&first.refresh).await).await;
        assert_ne!(second.access, first.access);
        assert_ne!(second.refresh, first.refresh);
        assert_eq!(second.scope, first.scope);
        assert!(client.is_accepted(&second.access).await);
    })
    .await;
}

#[tokio::test]
async fn the_old_access_token_ends_with_its_pair() {
    // Without the gate's cache the end is exact.
    let options = Options { config: "[gate]\ncache_max_age = \"0s\"".into(), ..Options::default() };
    Deployment::each(options, |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let first = client.pair().await;
        assert!(client.is_accepted(&first.access).await);
        let second = pair(client.refresh(&first.refresh).await).await;
        for facade in &deployment.facades {
            assert!(!client.at(facade).is_accepted(&first.access).await);
            assert!(client.at(facade).is_accepted(&second.access).await);
        }
    })
    .await;
}

#[tokio::test]
async fn all_three_ways_to_authenticate_a_client() {
    Deployment::each(Options::default(), |deployment| async move {
        for registered in ["client_secret_basic", "client_secret_post", ""] {
            let mut metadata = json!({"redirect_uris": [CALLBACK], "client_name": "Secret"});
            if !registered.is_empty() {
                metadata["token_endpoint_auth_method"] = json!(registered);
            }
            let client = Client::register_as(deployment.issuer(), metadata).await;
            let secret = client.secret.clone().expect("a secret for secret methods");
            // By Basic, whatever it registered.
            let first = client.pair().await;
            // By post, whatever it registered.
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", first.refresh.as_str()),
                ("client_id", client.id.as_str()),
                ("client_secret", secret.as_str()),
            ];
            let answer = http().post(format!("{}/oauth/token", deployment.issuer())).form(&form).send().await.unwrap();
            pair(answer).await;
        }
        let public = Client::register(deployment.issuer()).await;
        assert_eq!(public.secret, None);
        public.pair().await;
    })
    .await;
}

#[tokio::test]
async fn registration_echoes_and_fills_in() {
    let deployment = Deployment::embedded(Options::default()).await;
    let uris = [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "http://localhost:8787/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
    ];
    let sent = json!({
        "redirect_uris": uris, "client_name": "Cursor", "token_endpoint_auth_method": "none", "application_type": "web",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "scope": "read:articles unknown", "unheard_of": {"a": [1, null]}, "logo_uri": null,
    });
    let answer = http().post(format!("{}/oauth/register", deployment.issuer())).json(&sent).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: Value = answer.json().await.unwrap();
    assert_no_null(&body);
    assert_eq!(body["redirect_uris"], json!(uris));
    assert_eq!(body["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(body["token_endpoint_auth_method"], "none");
    assert!(body.get("client_secret").is_none() && body.get("client_secret_expires_at").is_none());
    assert!(body["client_id_issued_at"].is_i64());
}

#[tokio::test]
async fn scopes_and_resources_are_read_with_tolerance() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let granted = async |change: &[(&str, Option<&str>)]| {
        let code = client.code_with(change).await;
        pair(client.exchange(&code).await).await.scope
    };
    assert_eq!(granted(&[]).await, "read:articles write:articles");
    assert_eq!(granted(&[("scope", Some("read:articles"))]).await, "read:articles");
    assert_eq!(granted(&[("scope", Some(" offline_access  read:articles openid"))]).await, "read:articles");
    assert_eq!(granted(&[("scope", Some("claudeai"))]).await, "read:articles write:articles");
    for resource in [
        deployment.resource(),
        format!("{}/", deployment.resource()),
        deployment.issuer().to_owned(),
        format!("{}/", deployment.issuer()),
    ] {
        granted(&[("resource", Some(&resource))]).await;
    }
}

#[tokio::test]
async fn a_double_click_gets_the_same_answer() {
    // Over plain http on localhost approve ends the session; a second click is answered all the same.
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page(&[]).await;
    let (first, second) = tokio::join!(client.follow(&page, &page.approve), client.follow(&page, &page.approve));
    let codes: Vec<_> = [&first, &second]
        .iter()
        .filter(|answer| answer.status() == StatusCode::FOUND)
        .map(|answer| param(answer.headers()["location"].to_str().unwrap(), "code").unwrap())
        .collect();
    assert_eq!(codes.len(), 2, "both clicks are answered");
    assert_eq!(codes[0], codes[1]);
    pair(client.exchange(&codes[0]).await).await;
}

#[tokio::test]
async fn deny_answers_access_denied() {
    Deployment::each(Options::default(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let page = client.consent_page(&[]).await;
        let answer = client.follow(&page, &page.deny).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!(param(location, "error").unwrap(), "access_denied");
        assert_eq!(param(location, "state").unwrap(), STATE);
        assert_eq!(param(location, "iss").unwrap(), deployment.issuer());
        assert_eq!(param(location, "code"), None);
        // The ticket is used up.
        assert_ne!(client.follow(&page, &page.approve).await.status(), StatusCode::FOUND);
    })
    .await;
}

#[tokio::test]
async fn a_ticket_is_for_the_session_that_made_it_and_for_a_navigating_browser() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let (mine, theirs) = (client.consent_page(&[]).await, client.consent_page(&[]).await);
    for (name, value) in [
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-dest", "image"),
    ] {
        let answer =
            client.http.get(&mine.approve).header("cookie", &mine.cookie).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    let without = client.http.get(&mine.approve).send().await.unwrap();
    assert!(without.status().is_client_error());
    let other = client.http.get(&mine.approve).header("cookie", &theirs.cookie).send().await.unwrap();
    assert!(other.status().is_client_error());
    // None of that used the ticket up.
    assert_eq!(client.follow(&mine, &mine.approve).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn only_allowed_groups_may_approve() {
    let deployment = Deployment::embedded(Options::default()).await;
    let mut add = tokio::process::Command::new(env!("CARGO_BIN_EXE_grantd"));
    add.args(["user", "add", "guest", "--password-stdin", "--data-dir"]).arg(deployment.dir.path().join("serve"));
    add.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = add.spawn().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut child.stdin.take().unwrap(), b"guest password\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");

    let client = Client::register(deployment.issuer()).await;
    let query = client.authorize_query(&[]);
    let signed_in = client.sign_in(&query, "guest", "guest password").await;
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let answer = client.get_authorize(&query, &cookie).await;
    // The person may sign in as somebody else, or carry the refusal to the client, which is not told who they are.
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let page = answer.text().await.unwrap();
    let back = between(&page, "id=\"return\" class=\"button\" href=\"", "\"").unwrap();
    assert!(back.contains("error=access_denied") && !back.contains("guest"), "{back}");
    assert!(page.contains("Use another account"));
}

#[tokio::test]
async fn both_spellings_of_the_path_work_without_a_redirect() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let pair = client.pair().await;
    for path in ["/mcp", "/mcp/"] {
        let url = format!("{}{path}", deployment.issuer());
        assert_eq!(http().get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
        assert_eq!(http().get(&url).bearer_auth(&pair.access).send().await.unwrap().status(), StatusCode::BAD_GATEWAY);
    }
}
