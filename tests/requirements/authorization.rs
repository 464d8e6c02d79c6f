//! 29 to 36: the authorization endpoint.

use serde_json::json;

use super::*;
use crate::harness::client::{CALLBACK, STATE, param};

#[tokio::test]
async fn requirement_29_asking_changes_nothing_and_an_unknown_client_is_400() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let query = client.authorize_query(&[]);
    for _ in 0..3 {
        assert_eq!(client.get_authorize(&query, "").await.status(), 200);
    }
    let unknown = client.authorize_query(&[("client_id", Some("unknown"))]);
    let elsewhere = client.authorize_query(&[("redirect_uri", Some("https://evil.example/"))]);
    for query in [&unknown, &elsewhere] {
        let answer = client.get_authorize(query, "").await;
        assert_eq!((answer.status().as_u16(), header(&answer, "location").as_str()), (400, ""));
    }
    let request = ask(&deployment, Method::GET, &format!("/oauth/authorize?{unknown}"));
    let answer = request.header("accept", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_client");
}

#[tokio::test]
async fn requirement_30_the_port_of_a_loopback_uri_does_not_matter() {
    let deployment = running().await;
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let metadata = json!({"redirect_uris": [format!("http://{host}:1/cb")], "token_endpoint_auth_method": "none"});
        let client = Client::register_as(deployment.issuer(), metadata).await;
        for (uri, status) in [
            (format!("http://{host}:54321/cb"), 200),
            (format!("http://{host}/cb"), 200),
            (format!("http://{host}:1/other"), 400),
            (format!("https://{host}:1/cb"), 400),
        ] {
            let query = client.authorize_query(&[("redirect_uri", Some(&uri))]);
            assert_eq!(client.get_authorize(&query, "").await.status(), status, "{uri}");
        }
    }
}

#[tokio::test]
async fn requirement_31_the_answer_is_a_302_also_to_an_app() {
    let deployment = running().await;
    for uri in [CALLBACK, "cursor://anysphere.cursor-mcp/oauth/callback"] {
        let metadata = json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none"});
        let client = Client::register_as(deployment.issuer(), metadata).await;
        let page = client.consent_page(&[("redirect_uri", Some(uri))]).await;
        let answer = client.follow(&page, &page.approve).await;
        assert_eq!(answer.status(), 302);
        assert!(header(&answer, "location").starts_with(uri));
    }
}

#[tokio::test]
async fn requirement_32_the_state_comes_back_byte_for_byte() {
    let deployment = running().await;
    let client = client(&deployment).await;
    for state in [Some(STATE), Some("+/=%"), Some("https://a.example/?x=1&y=2#z"), Some("a b"), None] {
        let page = client.consent_page(&[("state", state)]).await;
        let location = header(&client.follow(&page, &page.approve).await, "location");
        assert_eq!(param(&location, "state").as_deref(), state);
        assert!(!location.contains('+'), "a space is %20: {location}");
    }
}

#[tokio::test]
async fn requirement_33_unknown_scopes_are_passed_over() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let all = "read:articles write:articles";
    for (scope, granted) in [
        (None, all),
        (Some(""), all),
        (Some(" offline_access"), all),
        (Some("claudeai"), all),
        (Some("openid email profile"), all),
        (Some("read:articles  read:articles unknown"), "read:articles"),
    ] {
        let code = client.code_with(&[("scope", scope)]).await;
        let pair = crate::harness::client::pair(client.exchange(&code).await).await;
        assert_eq!(pair.scope, granted, "{scope:?}");
    }
}

#[tokio::test]
async fn requirement_34_spellings_of_the_resource_and_parameters_that_are_not_ours() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let resource = deployment.resource();
    for sent in [Some(resource.as_str()), Some(&format!("{resource}/")), Some(deployment.issuer()), None] {
        let query = client.authorize_query(&[("resource", sent)]);
        assert_eq!(client.get_authorize(&query, "").await.status(), 200, "{sent:?}");
    }
    let query = client.authorize_query(&[]);
    let twice = url::form_urlencoded::byte_serialize(resource.as_bytes()).collect::<String>();
    let more = format!("{query}&resource={twice}&resource={twice}&nonce=n&login_hint=l&prompt=consent&unknown=1");
    assert_eq!(client.get_authorize(&more, "").await.status(), 200);
    let query = client.authorize_query(&[("resource", Some("https://other.example/mcp"))]);
    let answer = client.get_authorize(&query, "").await;
    assert_eq!(param(&header(&answer, "location"), "error").as_deref(), Some("invalid_target"));
}

#[tokio::test]
async fn requirement_35_pkce_with_s256_is_needed() {
    let deployment = running().await;
    let client = client(&deployment).await;
    for change in [
        [("code_challenge", None), ("code_challenge_method", None)],
        [("code_challenge_method", Some("plain")), ("x", None)],
        [("code_challenge", Some("short")), ("x", None)],
    ] {
        let answer = client.get_authorize(&client.authorize_query(&change), "").await;
        assert_eq!(param(&header(&answer, "location"), "error").as_deref(), Some("invalid_request"), "{change:?}");
    }
    // The verifier of the tests has every character that one may have.
    client.pair().await;
}

#[tokio::test]
async fn requirement_36_an_error_goes_back_with_state_and_issuer() {
    let deployment = running().await;
    let client = client(&deployment).await;
    let answer = client.get_authorize(&client.authorize_query(&[("response_type", Some("token"))]), "").await;
    let location = header(&answer, "location");
    assert_eq!(param(&location, "error").as_deref(), Some("unsupported_response_type"));
    assert_eq!(param(&location, "state").as_deref(), Some(STATE));
    assert_eq!(param(&location, "iss").as_deref(), Some(deployment.issuer()));
}
