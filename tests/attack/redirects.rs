//! Sending an answer, or a person, to a place that nobody registered.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Client, Deployment, Options, client::CALLBACK, http};

const WEB: &str = "https://app.example/cb";

#[tokio::test]
async fn an_open_redirect_is_refused_however_it_is_spelled() {
    let deployment = Deployment::embedded(Options::default()).await;
    let metadata =
        json!({"token_endpoint_auth_method": "none", "redirect_uris": [CALLBACK, WEB, "com.example.app:/cb"]});
    let client = Client::register_as(deployment.issuer(), metadata).await;
    let page = client.consent_page(&[]).await;
    for trick in [
        "https://evil.example/cb",
        "https://app.example@evil.example/cb",
        "https://evil.example@app.example/cb",
        "https://app.example.evil.example/cb",
        "https://app.example:8443/cb",
        "https://APP.example/cb",
        "HTTPS://app.example/cb",
        "https://app.example/cb/",
        "https://app.example/cb/../cb",
        "https://app.example/x/../cb",
        "https://app.example/%2e%2e/cb",
        "https://app.example/c%62",
        "https://app.example/cb%2F..",
        "https://app.example/cb?next=https://evil.example",
        "https://app.example/cb#@evil.example",
        "https://app.example\\@evil.example/cb",
        "https:/app.example/cb",
        "https:app.example/cb",
        "//app.example/cb",
        "/cb",
        " https://app.example/cb",
        "https://app.example/cb\n",
        "https://app.example/cb\0",
        "http://app.example/cb",
        // Look-alikes of loopback.
        "http://localhost.evil.example:3118/callback",
        "http://localhost@evil.example:3118/callback",
        "http://localhost:3118@evil.example/callback",
        "http://127.0.0.1.evil.example:3118/callback",
        "http://127.0.0.1:3118/callback",
        "http://[::1]:3118/callback",
        "http://0x7f000001:3118/callback",
        "http://2130706433:3118/callback",
        "http://127.1:3118/callback",
        "http://0.0.0.0:3118/callback",
        "http://localhost.:3118/callback",
        "http://LOCALHOST:3118/callback/../x",
        "https://localhost:3118/callback",
        "http://localhost:3118/callback%00",
        "http://localhost:99999/callback",
        "http://localhost:3118:80/callback",
        // And of a private-use scheme.
        "com.example.app://evil.example/cb",
        "com.example.app:/cb/",
        "javascript:alert(1)//com.example.app:/cb",
    ] {
        // Signed in or not, with an error or without.
        for (cookie, response_type) in [("", "code"), (page.cookie.as_str(), "code"), (page.cookie.as_str(), "token")] {
            let change = [("redirect_uri", Some(trick)), ("response_type", Some(response_type))];
            let answer = client.get_authorize(&client.authorize_query(&change), cookie).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{trick}");
            assert!(answer.headers().get("location").is_none(), "{trick}");
            let html = answer.text().await.unwrap();
            assert!(!html.contains("href=\"http") && !html.contains("href=\"java"), "{trick}: {html}");
        }
    }
}

#[tokio::test]
async fn redirect_uris_that_run_or_leak_are_not_registered() {
    let deployment = Deployment::embedded(Options::default()).await;
    for trick in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "blob:https://app.example/1",
        "file:///etc/passwd",
        "about:blank",
        "view-source:https://app.example",
        "http://app.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost@evil.example/cb",
        "https://user:password@app.example/cb",
        "https://app.example/cb#fragment",
        "https:///cb",
        "https://",
        "//app.example/cb",
        "/cb",
        "",
        "https://app.example/c\nb",
        "https://app.example/\u{202e}bc",
    ] {
        let metadata = json!({"token_endpoint_auth_method": "none", "redirect_uris": [WEB, trick]});
        let register = format!("{}/oauth/register", deployment.issuer());
        let answer = http().post(register).json(&metadata).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{trick}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"], "invalid_redirect_uri", "{trick}: {body}");
    }
}
