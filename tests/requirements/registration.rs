//! 21 to 28: registration.

use serde_json::json;

use super::*;
use crate::harness::client::{CALLBACK, refused};

#[tokio::test]
async fn requirement_21_registrations_are_read_with_tolerance() {
    let deployment = running().await;
    for extra in [
        json!({}),
        json!({"unknown": {"deep": [1]}, "jwks": {"keys": []}}),
        json!({"scope": ""}),
        json!({"scope": "openid profile unknown:scope"}),
        json!({"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]}),
        json!({"application_type": "web", "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"]}),
        json!({"redirect_uris": ["cursor://x/cb", "http://localhost:8787/callback", "https://www.cursor.com/cb"]}),
        json!({"response_types": ["code", "id_token"], "client_name": ""}),
    ] {
        let mut metadata = json!({"redirect_uris": [CALLBACK]});
        metadata.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(register(&deployment, metadata.clone()).await.status(), 201, "{metadata}");
    }
}

#[tokio::test]
async fn requirement_22_redirect_uris_of_real_clients_and_no_dangerous_ones() {
    let deployment = running().await;
    for uri in [
        "https://claude.ai/api/mcp/auth_callback",
        "http://localhost/",
        "http://127.0.0.1:33418/",
        "http://[::1]:9/x",
        "vscode-insiders://vscode.mcp/cb",
        "windsurf://x",
    ] {
        let registered =
            register(&deployment, json!({"redirect_uris": [uri], "token_endpoint_auth_method": "none"})).await;
        assert_eq!(registered.status(), 201, "{uri}");
        // What can be registered can be asked for.
        let id = registered.json::<Value>().await.unwrap()["client_id"].as_str().unwrap().to_owned();
        let client = Client { id, ..client(&deployment).await };
        let query = client.authorize_query(&[("redirect_uri", Some(uri))]);
        assert_eq!(client.get_authorize(&query, "").await.status(), 200, "{uri}");
    }
    for uri in [
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "blob:https://a/b",
        "file:///etc/passwd",
        "about:blank",
        "https://a.example/#f",
        "https://u:p@a.example/",
        "http://a.example/",
    ] {
        let answer = register(&deployment, json!({ "redirect_uris": [uri] })).await;
        refused(answer, StatusCode::BAD_REQUEST, "invalid_redirect_uri").await;
    }
}

#[tokio::test]
async fn requirement_23_the_answer_is_201_whole_and_without_null() {
    let deployment = running().await;
    for (method, secret) in [("none", false), ("client_secret_basic", true), ("client_secret_post", true)] {
        let metadata = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": method, "client_name": "A"});
        let answer = register(&deployment, metadata).await;
        assert_eq!(answer.status(), 201);
        assert!(header(&answer, "cache-control").contains("no-store"));
        let body: Value = answer.json().await.unwrap();
        assert!(!has_null(&body), "{body}");
        assert_eq!(body["redirect_uris"], json!([CALLBACK]));
        for member in ["client_id", "client_id_issued_at", "grant_types", "response_types", "client_name"] {
            assert!(body.get(member).is_some(), "{member}: {body}");
        }
        assert_eq!(body["token_endpoint_auth_method"], method);
        assert_eq!(body.get("client_secret").is_some(), secret, "{body}");
        assert_eq!(body.get("client_secret_expires_at"), secret.then_some(&json!(0)));
    }
}

#[tokio::test]
async fn requirement_24_no_method_means_basic_with_a_secret() {
    let deployment = running().await;
    let body: Value = register(&deployment, json!({"redirect_uris": [CALLBACK]})).await.json().await.unwrap();
    assert_eq!(body["token_endpoint_auth_method"], "client_secret_basic");
    assert!(body["client_secret"].is_string());
}

#[tokio::test]
async fn requirement_25_registrations_last_and_bursts_are_normal() {
    let mut deployment = running().await;
    let client = client(&deployment).await;
    for _ in 0..200 {
        assert_eq!(register(&deployment, json!({"redirect_uris": [CALLBACK]})).await.status(), 201);
    }
    deployment.processes[0].kill().await;
    deployment.restart_embedded().await;
    client.pair().await;
}

#[tokio::test]
async fn requirement_26_only_unreserved_characters() {
    let deployment = running().await;
    let client = Client::register_as(deployment.issuer(), json!({"redirect_uris": [CALLBACK]})).await;
    let code = client.code().await;
    let pair = crate::harness::client::pair(client.exchange(&code).await).await;
    for text in [&client.id, client.secret.as_ref().unwrap(), &code, &pair.access, &pair.refresh, &client.registration]
    {
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
    }
}

#[tokio::test]
async fn requirement_27_refusals_are_oauth_errors_in_json() {
    let deployment = running().await;
    for (body, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["x"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": [CALLBACK], "client_name": 1}), "invalid_client_metadata"),
        (json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "magic"}), "invalid_client_metadata"),
        (json!([]), "invalid_client_metadata"),
    ] {
        let body = refused(register(&deployment, body).await, StatusCode::BAD_REQUEST, error).await;
        assert!(body["error_description"].is_string(), "{body}");
    }
}

// 28, the metadata documents of real clients: `client_metadata.rs`, and the tables of `grantd-client-metadata`.
