//! 37 to 48: the token endpoint.

use serde_json::json;

use super::*;
use crate::harness::client::{CALLBACK, VERIFIER, pair, refused};

#[tokio::test]
async fn requirement_37_the_answer_is_200_whole_and_without_null() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let code = client.code().await;
    let answer = client.exchange(&code).await;
    assert_eq!(answer.status(), 200);
    assert!(header(&answer, "content-type").starts_with("application/json"));
    assert!(header(&answer, "cache-control").contains("no-store"));
    let body: Value = answer.json().await.unwrap();
    assert!(!has_null(&body) && body["token_type"] == "Bearer" && body["expires_in"].is_u64(), "{body}");
    assert!(body["refresh_token"].is_string() && body["scope"] == "read:articles write:articles", "{body}");
    let wrong = ask(&deployment, Method::POST, "/oauth/token").json(&json!({"grant_type": "refresh_token"}));
    refused(wrong.send().await.unwrap(), StatusCode::BAD_REQUEST, "invalid_request").await;
}

#[tokio::test]
async fn requirement_38_every_way_that_clients_authenticate_in() {
    let deployment = running().await;
    let public = client(&deployment).await;
    let secret = Client::register_as(deployment.issuer(), json!({"redirect_uris": [CALLBACK]})).await;
    let (mut one, mut other) = (public.pair().await, secret.pair().await);
    let known = secret.secret.clone().unwrap();
    let grant = |token: &str| vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
    let send = async |form: &[(&str, String)], basic: Option<(&str, &str)>| {
        let mut request = ask(&deployment, Method::POST, "/oauth/token").form(form);
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        pair(request.send().await.unwrap()).await
    };
    let with = |mut form: Vec<(&'static str, String)>, more: &[(&'static str, &str)]| {
        form.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        form
    };
    // Public: in the body, with an empty secret, by Basic with an empty secret (also beside the body).
    one = send(&with(grant(&one.refresh), &[("client_id", &public.id)]), None).await;
    one = send(&with(grant(&one.refresh), &[("client_id", &public.id), ("client_secret", "")]), None).await;
    one = send(&grant(&one.refresh), Some((&public.id, ""))).await;
    send(&with(grant(&one.refresh), &[("client_id", &public.id)]), Some((&public.id, ""))).await;
    // With a secret: by Basic, with the id in the body too, in the body, whatever was registered.
    other = send(&grant(&other.refresh), Some((&secret.id, &known))).await;
    other = send(&with(grant(&other.refresh), &[("client_id", &secret.id)]), Some((&secret.id, &known))).await;
    send(&with(grant(&other.refresh), &[("client_id", &secret.id), ("client_secret", &known)]), None).await;
}

#[tokio::test]
async fn requirement_39_the_client_first_and_a_failure_costs_no_code() {
    let deployment = running().await;
    let client = Client::register_as(deployment.issuer(), json!({"redirect_uris": [CALLBACK]})).await;
    let code = client.code().await;
    let wrong = Client { secret: Some("gdk_wrong".into()), ..client.clone() };
    let answer = wrong.exchange(&code).await;
    assert!(header(&answer, "www-authenticate").starts_with("Basic"));
    refused(answer, StatusCode::UNAUTHORIZED, "invalid_client").await;
    let form = |uri: &'static str, resource: &'static str| {
        [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
            ("resource", resource),
        ]
    };
    refused(client.token(&form("http://localhost:1/other", "")).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    let elsewhere = client.token(&form(CALLBACK, "https://other.example/")).await;
    refused(elsewhere, StatusCode::BAD_REQUEST, "invalid_target").await;
    pair(client.exchange(&code).await).await;
}

#[tokio::test]
async fn requirement_40_what_is_over_is_invalid_grant() {
    let deployment = running().await;
    let client = client(&deployment).await;
    for token in ["", "x", "gdr_AAAA"] {
        refused(client.refresh(token).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        refused(client.exchange(token).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    }
    let code = client.code().await;
    let pair = pair(client.exchange(&code).await).await;
    refused(client.exchange(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    refused(client.refresh(&pair.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
}

#[tokio::test]
async fn requirement_41_a_refresh_keeps_the_grant_whatever_scope_it_asks_for() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let code = client.code_with(&[("scope", Some("read:articles"))]).await;
    let mut held = pair(client.exchange(&code).await).await;
    for more in [vec![], vec![("scope", "read:articles")], vec![("scope", "read:articles write:articles admin")]] {
        let form = [vec![("grant_type", "refresh_token"), ("refresh_token", held.refresh.as_str())], more].concat();
        let next = pair(client.token(&form).await).await;
        assert_eq!(next.scope, "read:articles");
        held = next;
    }
}

#[tokio::test]
async fn requirement_42_a_client_that_never_named_the_refresh_grant_refreshes() {
    let deployment = running().await;
    let metadata = json!({
        "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"],
    });
    let client = Client::register_as(deployment.issuer(), metadata).await;
    let held = client.pair().await;
    pair(client.refresh(&held.refresh).await).await;
}

#[tokio::test]
async fn requirement_43_many_processes_with_one_credential_are_all_answered() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let held = client.pair().await;
    let answers = futures::future::join_all((0..10).map(|_| client.refresh(&held.refresh))).await;
    for answer in answers {
        let next = pair(answer).await;
        assert!(client.is_accepted(&next.access).await);
    }
}

#[tokio::test]
async fn requirement_44_an_access_token_lives_an_hour() {
    let deployment = running().await;
    let held = client(&deployment).await.pair().await;
    assert!((3590..=3600).contains(&held.expires_in), "{}", held.expires_in);
}

#[tokio::test]
async fn requirement_45_there_is_always_a_refresh_token() {
    let deployment = running().await;
    let client = client(&deployment).await;
    for scope in [None, Some("read:articles"), Some("offline_access")] {
        let code = client.code_with(&[("scope", scope)]).await;
        let held = pair(client.exchange(&code).await).await;
        pair(client.refresh(&held.refresh).await).await;
    }
}

#[tokio::test]
async fn requirement_46_while_the_store_is_away_it_is_503_with_retry_after() {
    let mut deployment = Deployment::distributed(Options::default()).await;
    let client = client(&deployment).await;
    let held = client.pair().await;
    deployment.redis.as_mut().unwrap().stop().await;
    let answer = client.refresh(&held.refresh).await;
    assert!(!header(&answer, "retry-after").is_empty());
    refused(answer, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable").await;
    deployment.redis.as_mut().unwrap().start_again().await;
}

#[tokio::test]
async fn requirement_47_a_replayed_code_is_refused_and_revokes() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let code = client.code().await;
    let held = pair(client.exchange(&code).await).await;
    refused(client.exchange(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    refused(client.refresh(&held.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
}

#[tokio::test]
async fn requirement_48_nobody_waits_as_long_as_clients_would() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let all = async {
        for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp", "/mcp"] {
            get(&deployment, path).await;
        }
        let held = client.pair().await;
        pair(client.refresh(&held.refresh).await).await;
    };
    // Of the clients that were measured the least patient waits five seconds for each; this is for all together.
    tokio::time::timeout(std::time::Duration::from_secs(5), all).await.expect("an answer in time");
}
