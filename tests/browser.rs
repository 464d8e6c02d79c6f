//! A real Chromium: sign-in form, consent page, approve, deny, double click, wrong password. Screenshots are left in
//! `tests/output`, light, dark, phone-wide and without JavaScript.

use serde_json::Value;

use crate::harness::{
    Client, Deployment, Options, PASSWORD,
    client::{STATE, pair},
    free_port,
    programs::{output_dir, run},
};

struct Visit {
    body: Value,
    client: Client,
    redirect_uri: String,
}

async fn visit(deployment: &Deployment, shape: &str, scenario: &str) -> Visit {
    let redirect_uri = format!("http://localhost:{}/callback", free_port());
    let metadata = serde_json::json!({
        "token_endpoint_auth_method": "none", "redirect_uris": [redirect_uri], "client_name": "Claude Code (articles)",
    });
    let client = Client::register_as(deployment.issuer(), metadata).await;
    let query = client.authorize_query(&[("redirect_uri", Some(&redirect_uri))]);
    let url = format!("{}/oauth/authorize?{query}", deployment.issuer());
    let out = output_dir(&format!("{shape}-{scenario}"));
    let args =
        [scenario, "--authorize-url", &url, "--user", "owner", "--password", PASSWORD, "--out", out.to_str().unwrap()];
    let body = run("clients/browser.mjs", &args).await;
    assert_eq!(body["failures"], serde_json::json!([]), "{body}");
    Visit { body, client, redirect_uri }
}

async fn exchange(visit: &Visit) {
    let callbacks = visit.body["callbacks"].as_array().unwrap();
    let code = callbacks[0]["code"].as_str().unwrap();
    assert_eq!(callbacks[0]["state"], STATE);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", visit.redirect_uri.as_str()),
        ("code_verifier", crate::harness::client::VERIFIER),
    ];
    pair(visit.client.token(&form).await).await;
}

async fn every_scenario(deployment: Deployment, shape: &str) {
    exchange(&visit(&deployment, shape, "approve").await).await;
    exchange(&visit(&deployment, shape, "double-click").await).await;
    let denied = visit(&deployment, shape, "deny").await;
    assert_eq!(denied.body["callbacks"][0]["error"], "access_denied", "{}", denied.body);
    visit(&deployment, shape, "wrong-password").await;
    visit(&deployment, shape, "screenshots").await;
}

#[tokio::test]
async fn on_the_embedded_store() {
    every_scenario(Deployment::embedded(Options::default()).await, "embedded").await;
}

#[tokio::test]
async fn on_two_facades_and_redis() {
    every_scenario(Deployment::distributed(Options::default()).await, "distributed").await;
}
