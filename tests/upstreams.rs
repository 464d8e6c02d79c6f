//! Real MCP servers that others wrote, behind the gate: streaming, sessions, resumption, identity, and what must not
//! reach them.

use futures::StreamExt as _;
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
    for client in ["clients/typescript.mjs", "clients/python.py"] {
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
    let published = drive("clients/typescript.mjs", &deployment, &args).await;
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

/// Reads events of a stream until one holds this text; gives that one.
async fn event_with(
    stream: &mut (impl futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    text: &str,
) -> String {
    let mut read = String::new();
    loop {
        let piece = tokio::time::timeout(std::time::Duration::from_secs(20), stream.next()).await.unwrap();
        read.push_str(std::str::from_utf8(&piece.unwrap().unwrap()).unwrap());
        if let Some(event) = read.split("\n\n").find(|event| event.contains(text))
            && read.ends_with("\n\n")
        {
            return event.to_owned();
        }
    }
}

#[tokio::test]
async fn http_sse_has_sessions_rules_and_hidden_tools_too() {
    let upstream = Upstream::http_sse().await;
    let config = format!(
        "[[resource]]\npaths = [\"/sse\", \"/messages\"]\nupstream = \"{}\"\nhide_forbidden_tools = true\n\
         [[resource.rule]]\nmethods = [\"tools/call\"]\nnames = [\"write_*\"]\nscopes = [\"write\"]\n\
         [scopes]\nread = \"Read\"\nwrite = \"Write\"\n",
        upstream.url.replace("/mcp", "/sse")
    );
    let deployment = Deployment::embedded(Options { config, ..Options::default() }).await;
    let issuer = deployment.issuer();
    let mut add = tokio::process::Command::new(env!("CARGO_BIN_EXE_grantd"));
    add.args(["user", "add", "alice", "--group", "owner", "--password-stdin", "--data-dir"]);
    add.arg(deployment.dir.path().join("serve"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut child = add.spawn().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut child.stdin.take().unwrap(), b"alice's password\n").await.unwrap();
    assert!(child.wait().await.unwrap().success());
    let client = crate::harness::Client::register(issuer).await;
    let mut tokens = Vec::new();
    for (name, password) in [("owner", PASSWORD), ("alice", "alice's password")] {
        let page = client.consent_page_as(&[("scope", Some("read"))], name, password).await;
        let answer = client.follow(&page, &page.approve).await;
        let code = crate::harness::client::param(answer.headers()["location"].to_str().unwrap(), "code").unwrap();
        tokens.push(crate::harness::client::pair(client.exchange(&code).await).await.access);
    }

    let stream = client.http.get(format!("{issuer}/sse")).bearer_auth(&tokens[0]).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let mut stream = Box::pin(stream.bytes_stream());
    let told = event_with(&mut stream, "event: endpoint").await;
    let address = format!("{issuer}{}", told.split("data: ").nth(1).unwrap().trim());
    assert!(address.contains("/messages?sessionId="), "{address}");
    let say = async |token: &str, address: &str, message: Value| {
        client.http.post(address).bearer_auth(token).json(&message).send().await.unwrap().status().as_u16()
    };
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    assert_eq!(say(&tokens[0], &address, initialize).await, 202);
    event_with(&mut stream, "\"id\":1").await;
    assert_eq!(say(&tokens[0], &address, json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await, 202);
    assert_eq!(say(&tokens[0], &address, json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})).await, 202);
    let list = event_with(&mut stream, "\"id\":2").await;
    assert!(list.contains("echo") && !list.contains("write_article"), "{list}");
    let call = |tool: &str| json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": tool, "arguments": {"text": "hi"}}});
    assert_eq!(say(&tokens[0], &address, call("write_article")).await, 403);
    assert_eq!(say(&tokens[0], &address, call("echo")).await, 202);
    assert!(event_with(&mut stream, "\"id\":3").await.contains("hi"));

    // The session is the owner's, however it is spelled.
    let shouted = address.rsplit_once('=').map(|(head, id)| format!("{head}[]={}", id.to_uppercase())).unwrap();
    for address in [&address, &shouted] {
        assert_eq!(say(&tokens[1], address, call("echo")).await, 404, "{address}");
    }
}
