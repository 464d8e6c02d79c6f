//! Every security event is in the log, by its name, with what an operator needs to look into it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    binary::ran,
    harness::{
        Client, Deployment, Options,
        client::{Pair, pair, refused},
    },
};

/// The events of a log.
fn events(logs: &str) -> Vec<Value> {
    let lines = logs.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "grantd::security").collect()
}

/// Waits until an event of this name was logged last, and gives it.
async fn logged(deployment: &mut Deployment, name: &str) -> Value {
    let text = format!("\"{name}\"");
    deployment.processes[0].until_output(&text).await;
    let event = events(&deployment.logs()).into_iter().rev().find(|event| event["event"] == name);
    event.unwrap_or_else(|| panic!("{name} is no security event:\n{}", deployment.logs()))
}

/// Sends a superseded token until it is answered otherwise than with the current pair.
async fn until_refused(client: &Client, token: &str) {
    loop {
        let answer = client.refresh(token).await;
        if answer.status() == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        refused(answer, StatusCode::BAD_REQUEST, "invalid_grant").await;
        return;
    }
}

fn options() -> Options {
    // Short, so that a test can wait for its end.
    Options { config: "[tokens]\nrefresh_overlap = \"1s\"\n".into(), ..Options::default() }
}

fn is_about(event: &Value, client: &Client) {
    assert_eq!(event["client_id"], client.id.as_str(), "{event}");
    assert_eq!(event["grant_id"].as_str().map(str::len), Some(22), "{event}");
    assert_eq!(event["username"], "owner", "{event}");
    assert!(event["subject"].as_str().is_some_and(|subject| !subject.is_empty()), "{event}");
}

#[tokio::test]
async fn a_clients_and_a_persons_steps_are_logged() {
    let mut deployment = Deployment::embedded(options()).await;
    let client = Client::register(deployment.issuer()).await;
    let event = logged(&mut deployment, "client.registered").await;
    assert_eq!(
        (event["client_id"].as_str(), event["remote_address"].as_str()),
        (Some(&client.id[..]), Some("127.0.0.1"))
    );

    let query = client.authorize_query(&[]);
    client.sign_in(&query, "owner", "wrong").await;
    let event = logged(&mut deployment, "sign_in.failed").await;
    assert_eq!((event["username"].as_str(), event["remote_address"].as_str()), (Some("owner"), Some("127.0.0.1")));
    let page = client.consent_page(&[]).await;
    let event = logged(&mut deployment, "sign_in.succeeded").await;
    assert_eq!((event["username"].as_str(), event["remote_address"].as_str()), (Some("owner"), Some("127.0.0.1")));
    client.follow(&page, &page.deny).await;
    is_about(&logged(&mut deployment, "consent.denied").await, &client);

    let code = client.code().await;
    is_about(&logged(&mut deployment, "consent.given").await, &client);
    let first = pair(client.exchange(&code).await).await;
    is_about(&logged(&mut deployment, "tokens.issued").await, &client);
    let second = pair(client.refresh(&first.refresh).await).await;
    let event = logged(&mut deployment, "refresh.rotated").await;
    is_about(&event, &client);
    assert_eq!(event["remote_address"], "127.0.0.1");

    let id = event["grant_id"].as_str().unwrap().to_owned();
    let data = deployment.dir.path().join("serve");
    ran(&["grant", "revoke", &id], data.to_str().unwrap()).await;
    let event = logged(&mut deployment, "grant.revoked").await;
    assert_eq!((event["grant_id"].as_str(), event["revoked"].as_bool()), (Some(&id[..]), Some(true)));
    refused(client.refresh(&second.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
}

#[tokio::test]
async fn what_a_sibling_and_what_a_thief_does_is_logged() {
    let mut deployment = Deployment::embedded(options()).await;
    let client = Client::register(deployment.issuer()).await;
    let first = client.pair().await;
    // The answer of this rotation is lost, so nobody ever uses its pair.
    pair(client.refresh(&first.refresh).await).await;
    while !deployment.logs().contains("\"refresh.reply_lost\"") {
        pair(client.refresh(&first.refresh).await).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    is_about(&logged(&mut deployment, "refresh.converged").await, &client);
    is_about(&logged(&mut deployment, "refresh.reply_lost").await, &client);

    // Its owner uses the pair, and goes on; then the first token is a replay.
    let second = pair(client.refresh(&first.refresh).await).await;
    let third = pair(client.refresh(&second.refresh).await).await;
    assert!(client.is_accepted(&third.access).await);
    let mut forged = third.refresh.clone().into_bytes();
    forged[60] = if forged[60] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    refused(client.refresh(&forged).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    let event = logged(&mut deployment, "refresh.forged").await;
    is_about(&event, &client);
    assert_eq!((event["level"].as_str(), event["revoked"].as_bool()), (Some("WARN"), Some(false)));
    until_refused(&client, &first.refresh).await;
    let event = logged(&mut deployment, "refresh.replayed").await;
    is_about(&event, &client);
    assert_eq!((event["level"].as_str(), event["revoked"].as_bool()), (Some("WARN"), Some(true)));
    assert_eq!(event["remote_address"], "127.0.0.1");

    let code = client.code().await;
    pair(client.exchange(&code).await).await;
    refused(client.exchange(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    let event = logged(&mut deployment, "code.replayed").await;
    is_about(&event, &client);
    assert_eq!((event["level"].as_str(), event["revoked"].as_bool()), (Some("WARN"), Some(true)));
}

#[tokio::test]
async fn what_a_store_lost_and_what_a_grant_lost_is_logged() {
    let mut deployment = Deployment::embedded(options()).await;
    let client = Client::register(deployment.issuer()).await;
    let Pair { refresh, .. } = client.pair().await;
    let file = deployment.dir.path().join("serve/grantd.redb");
    let kept = deployment.dir.path().join("kept.redb");
    deployment.processes[0].kill().await;
    tokio::fs::copy(&file, &kept).await.unwrap();
    deployment.restart_embedded().await;
    let ahead = pair(client.refresh(&refresh).await).await;
    // The store goes back to before.
    deployment.processes[0].kill().await;
    tokio::fs::copy(&kept, &file).await.unwrap();
    deployment.restart_embedded().await;
    assert!(client.is_accepted(&ahead.access).await);
    let event = logged(&mut deployment, "store.rollback_repaired").await;
    is_about(&event, &client);
    assert_eq!((event["level"].as_str(), event["remote_address"].as_str()), (Some("WARN"), Some("")));
    let followed = pair(client.refresh(&ahead.refresh).await).await;
    let by_refresh =
        |event: &Value| event["event"] == "store.rollback_repaired" && event["remote_address"] == "127.0.0.1";
    let event = loop {
        if let Some(event) = events(&deployment.logs()).into_iter().find(by_refresh) {
            break event;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    is_about(&event, &client);
    assert_eq!(event["level"], "WARN");

    // Whom the resource does not admit any more has nothing left.
    deployment.processes[0].kill().await;
    let port = deployment.issuer().rsplit(':').next().unwrap().to_owned();
    let file = deployment.dir.path().join(format!("serve-{port}.toml"));
    let config = tokio::fs::read_to_string(&file).await.unwrap();
    let changed = config.replacen("[[resource]]\n", "[[resource]]\nallow_groups = [\"staff\"]\n", 1);
    assert_ne!(changed, config);
    tokio::fs::write(&file, changed).await.unwrap();
    deployment.restart_embedded().await;
    refused(client.refresh(&followed.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    let event = logged(&mut deployment, "grant.orphaned").await;
    is_about(&event, &client);
    assert_eq!(event["revoked"], true);
}
