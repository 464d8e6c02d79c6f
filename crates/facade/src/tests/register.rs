//! Registration: what real clients send, and what breaks them.

use grantd_proto::{error, v1};
use http::Request;
use serde_json::json;
use tonic::Code;

use super::{Call, Facade, Reply, alone, client, facade};

/// A service that registers what it gets, as the contract says.
fn registering(secret: &'static str) -> Facade {
    facade(move |call| {
        let Call::Register(request) = call else { panic!("{call:?}") };
        let mut metadata = request.metadata.clone().unwrap();
        metadata.token_endpoint_auth_method =
            if secret.is_empty() { "none".to_owned() } else { "client_secret_basic".to_owned() };
        metadata.grant_types = vec!["authorization_code".to_owned(), "refresh_token".to_owned()];
        metadata.response_types = vec!["code".to_owned()];
        let client = v1::Client { metadata: Some(metadata), ..client("") };
        let response =
            v1::RegisterClientResponse { client: Some(client), client_secret: secret.to_owned(), ..Default::default() };
        Ok(Reply::Registered(Box::new(response)))
    })
}

async fn post(facade: &Facade, body: impl Into<axum::body::Body>) -> super::Answer {
    facade.send(Request::post("/oauth/register").header("content-type", "application/json"), body).await
}

#[tokio::test]
async fn a_public_client_gets_no_secret() {
    let facade = registering("");
    let body = json!({
        "client_name": "Claude Code (t)",
        "redirect_uris": ["http://localhost:3118/callback", "cursor://x/cb"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "unknown": null,
        "scope": "",
    });
    let answer = post(&facade, body.to_string()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.json(),
        json!({
            "client_id": "gdcl_abc",
            "client_id_issued_at": 1_700_000_000,
            "redirect_uris": ["http://localhost:3118/callback", "cursor://x/cb"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "client_name": "Claude Code (t)",
            "application_type": "native",
        })
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let calls = facade.calls();
    let [Call::Register(request)] = calls.as_slice() else { panic!() };
    assert_eq!(request.request_id.len(), 32);
}

#[tokio::test]
async fn a_confidential_client_gets_its_secret_once() {
    let answer = post(&registering("gdk_s"), r#"{"redirect_uris":["https://a.example/cb"]}"#).await;
    let json = answer.json();
    assert_eq!((&json["client_secret"], &json["client_secret_expires_at"]), (&json!("gdk_s"), &json!(0)));
    assert!(json.get("client_name").is_none());
}

#[tokio::test]
async fn bad_bodies() {
    let facade = alone();
    for body in ["", "{", "[]", "null", r#"{"client_name":{}}"#, r#"{"redirect_uris":"x"}"#, "client_name=x"] {
        post(&facade, body).await.is_error(400, "invalid_client_metadata");
    }
    post(&facade, vec![b' '; 65 * 1024]).await.is_error(413, "invalid_request");
    let many = json!({ "redirect_uris": vec!["https://a.example/"; 101] }).to_string();
    post(&facade, many).await.is_error(400, "invalid_redirect_uri");
    let many = json!({ "redirect_uris": vec!["https://a.example/"; 10_000] }).to_string();
    post(&facade, many).await.is_error(413, "invalid_request");
}

#[tokio::test]
async fn refusals_of_the_service() {
    for (code, reason, status, error) in [
        (Code::InvalidArgument, "invalid_redirect_uri", 400, "invalid_redirect_uri"),
        (Code::InvalidArgument, "invalid_client_metadata", 400, "invalid_client_metadata"),
        (Code::ResourceExhausted, "slow_down", 429, "temporarily_unavailable"),
        (Code::ResourceExhausted, "temporarily_unavailable", 503, "temporarily_unavailable"),
    ] {
        let facade = facade(move |_| Err(error::status(code, reason, "why")));
        let answer = post(&facade, "{}").await;
        answer.is_error(status, error);
        assert_eq!(answer.headers.contains_key("retry-after"), status != 400);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn the_alias() {
    let answer = registering("").send(Request::post("/register"), "{}").await;
    assert_eq!(answer.status, 201);
}
