//! Redis, the TokenService or the upstream away: quick 503s, never a 500, never let through, and back by itself.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{Client, Deployment, Options, client::pair, http};

async fn quickly<T>(what: &str, work: impl Future<Output = T>) -> T {
    // A bound on patience, not a measurement: far above what it takes, far below a client's own.
    tokio::time::timeout(Duration::from_secs(10), work).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

async fn all_say_503(client: &Client, access: &str, refresh: &str) {
    for answer in [
        quickly("token", client.refresh(refresh)).await,
        quickly("mcp", client.call(access)).await,
        quickly(
            "register",
            client
                .http
                .post(format!("{}/oauth/register", client.base))
                .json(&serde_json::json!({"redirect_uris": ["http://localhost/"]}))
                .send(),
        )
        .await
        .unwrap(),
    ] {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{}", answer.url());
        assert!(answer.headers().contains_key("retry-after"));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"], "temporarily_unavailable", "{body}");
    }
    let page = quickly("authorize", client.get_authorize(&client.authorize_query(&[]), "")).await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp"] {
        let answer = quickly(path, http().get(format!("{}{path}", client.base)).send()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(http().get(format!("{}/mcp", client.base)).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(http().get(format!("{}/healthz", client.base)).send().await.unwrap().status(), StatusCode::OK);
}

/// Which of the two answers a prober gets, once the last one is a second old.
async fn readiness_says(client: &Client, query: &str, expected: StatusCode) {
    let url = format!("{}/readyz{query}", client.base);
    let waiting = async {
        while http().get(&url).send().await.unwrap().status() != expected {
            tokio::task::yield_now().await;
        }
    };
    quickly(&format!("/readyz{query} says {expected}"), waiting).await;
}

/// No cache, so that every call must ask.
fn exact() -> Options {
    Options { config: "[gate]\ncache_max_age = \"0s\"".into(), ..Options::default() }
}

async fn works_again(deployment: &mut Deployment, client: &Client, refresh: &str) {
    let url = format!("{}/readyz", client.base);
    let process = deployment.processes.last_mut().unwrap();
    process
        .until("readiness", || async { http().get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) })
        .await;
    let tokens = pair(client.refresh(refresh).await).await;
    assert!(client.is_accepted(&tokens.access).await);
}

#[tokio::test]
async fn redis_away_and_back() {
    let mut deployment = Deployment::distributed(exact()).await;
    let client = Client::register(deployment.other()).await;
    let tokens = client.pair().await;
    deployment.redis.as_mut().unwrap().stop().await;
    all_say_503(&client, &tokens.access, &tokens.refresh).await;
    readiness_says(&client, "", StatusCode::SERVICE_UNAVAILABLE).await;
    // What a proxy asks that would else take out every facade, and answer with a page of its own.
    readiness_says(&client, "?exclude=store", StatusCode::OK).await;
    deployment.redis.as_mut().unwrap().start_again().await;
    works_again(&mut deployment, &client, &tokens.refresh).await;
}

#[tokio::test]
async fn token_service_away_and_back() {
    let mut deployment = Deployment::distributed(exact()).await;
    let client = Client::register(deployment.other()).await;
    let tokens = client.pair().await;
    deployment.processes[0].kill().await;
    all_say_503(&client, &tokens.access, &tokens.refresh).await;
    for query in ["", "?exclude=store"] {
        readiness_says(&client, query, StatusCode::SERVICE_UNAVAILABLE).await;
    }
    deployment.restart_token_service().await;
    works_again(&mut deployment, &client, &tokens.refresh).await;
}

#[tokio::test]
async fn upstream_away_is_502_without_internals() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    let answer = quickly("mcp", client.call(&tokens.access)).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let text = answer.text().await.unwrap();
    let _: Value = serde_json::from_str(&text).unwrap();
    assert!(!text.contains("127.0.0.1") && !text.to_lowercase().contains("connect"), "{text}");
    // The token is none the worse for it.
    pair(client.refresh(&tokens.refresh).await).await;
}
