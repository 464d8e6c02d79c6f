//! Real MCP servers that others wrote, behind the gate: streaming, sessions, resumption, identity, and what must not
//! reach them.

use serde_json::{Value, json};

use crate::harness::{
    Deployment, Options, PASSWORD,
    programs::{Upstream, run},
};

const OWNER: [&str; 4] = ["--user", "owner", "--password", PASSWORD];

async fn behind(upstream: &Upstream) -> Deployment {
    Deployment::embedded(Options { upstream: upstream.url.clone(), ..Options::default() }).await
}

async fn drive(client: &str, deployment: &Deployment, args: &[&str]) -> Value {
    let resource = deployment.resource();
    run(client, &[&["--url", resource.as_str()], &OWNER[..], args].concat()).await
}

fn text(result: &Value) -> Value {
    serde_json::from_str(result["result"]["content"][0]["text"].as_str().unwrap()).unwrap()
}

async fn everything(upstream: Upstream) {
    let deployment = behind(&upstream).await;
    for client in ["clients/typescript-v2.mjs", "clients/python_v2.py"] {
        eprintln!("-- {client}");
        let who = text(&drive(client, &deployment, &["--tool", "whoami"]).await);
        assert_eq!(who["preferred_username"], "owner", "{who}");
        assert_eq!(who["groups"], "owner", "{who}");
        assert!(!who["user"].as_str().unwrap_or_default().is_empty(), "{who}");

        let counted =
            drive(client, &deployment, &["--tool", "countdown", "--args", r#"{"n": 3, "delay_ms": 50}"#]).await;
        assert_eq!(counted["progress"].as_array().unwrap().len(), 3, "{counted}");
        // The server cuts its own stream; the client resumes it by Last-Event-ID.
        let args = r#"{"n": 4, "delay_ms": 50, "drop_at": 2}"#;
        let resumed = drive(client, &deployment, &["--tool", "countdown", "--args", args]).await;
        assert_eq!(resumed["progress"].as_array().unwrap().len(), 4, "{resumed}");
    }
    let seen: Vec<Value> = reqwest::get(upstream.url.replace("/mcp", "/__seen")).await.unwrap().json().await.unwrap();
    assert!(!seen.is_empty());
    for request in seen {
        let headers = request["headers"].as_object().unwrap();
        for forbidden in ["authorization", "cookie", "origin"] {
            assert!(!headers.contains_key(forbidden), "{forbidden} reached the upstream: {request}");
        }
        assert!(headers.contains_key("x-forwarded-user"), "{request}");
    }
}

#[tokio::test]
async fn a_typescript_server() {
    everything(Upstream::typescript().await).await;
}

#[tokio::test]
async fn a_python_server() {
    everything(Upstream::python().await).await;
}

#[tokio::test]
async fn the_standalone_stream_delivers_notifications() {
    let upstream = Upstream::typescript().await;
    let deployment = behind(&upstream).await;
    let args = ["--listen", "--tool", "publish_article", "--args", r#"{"title": "News"}"#];
    let published = drive("clients/typescript-v2.mjs", &deployment, &args).await;
    assert!(!published["notifications"].as_array().unwrap().is_empty(), "{published}");
    assert!(published["session_id"].is_string(), "{published}");
}

#[tokio::test]
async fn nobody_can_claim_to_be_somebody_else() {
    let upstream = Upstream::typescript().await;
    let deployment = behind(&upstream).await;
    let client = crate::harness::Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let answer = client
        .http
        .post(deployment.resource())
        .bearer_auth(&tokens.access)
        .header("accept", "application/json, text/event-stream")
        .header("x-forwarded-user", "mallory")
        .header("X-Forwarded-Email", "mallory@evil.example")
        .header("x_forwarded_groups", "admins")
        .header("X-Forwarded_Preferred-Username", "mallory")
        .header("cookie", "grantd-session=x")
        .header("x-harmless", "kept")
        .json(&initialize)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let seen: Vec<Value> = reqwest::get(upstream.url.replace("/mcp", "/__seen")).await.unwrap().json().await.unwrap();
    let headers = seen.last().unwrap()["headers"].as_object().unwrap();
    let shown = Value::Object(headers.clone()).to_string();
    assert!(!shown.contains("mallory") && !shown.contains("admins"), "{shown}");
    assert!(!shown.contains(&tokens.access) && !shown.contains("grantd-session"), "{shown}");
    assert_eq!(headers["x-harmless"], "kept");
    assert_eq!(headers["x-forwarded-preferred-username"], "owner");
}
