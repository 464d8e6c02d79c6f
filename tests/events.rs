//! Every security event is in the log, by its name, with what an operator needs to look into it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    binary::{grantd, ran},
    harness::{
        Client, Deployment, Options,
        client::{CALLBACK, Pair, pair, refused},
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

/// What an operator and a client do to what is kept: who did it, and nothing that is secret or personal beside the names.
#[tokio::test]
async fn an_operators_steps_are_logged_and_a_clients_own() {
    let mut deployment = Deployment::embedded(Options::default()).await;
    let data = deployment.dir.path().join("serve").to_str().unwrap().to_owned();
    let first = logged(&mut deployment, "user.created").await;
    assert_eq!((first["username"].as_str(), first["caller"].as_str()), (Some("owner"), Some("grantd")));

    let with_password = async |args: &[&str]| {
        let output =
            grantd(&[args, &["--password-stdin", "--data-dir", &data]].concat(), &[], "not to be logged").await;
        assert!(output.status.success(), "{output:?}");
    };
    with_password(&["user", "add", "alice", "--email", "alice@secret.example"]).await;
    let created = logged(&mut deployment, "user.created").await;
    let subject = created["subject"].as_str().unwrap().to_owned();
    assert_eq!(subject.len(), 22);
    let is_by_operator = |event: &Value| {
        assert_eq!(
            (event["username"].as_str(), event["caller"].as_str()),
            (Some("alice"), Some("operator")),
            "{event}"
        );
        assert_eq!((event["subject"].as_str(), event["level"].as_str()), (Some(&subject[..]), Some("INFO")), "{event}");
    };
    is_by_operator(&created);
    ran(&["user", "set", "alice", "--no-email", "--group", "staff"], &data).await;
    let updated = logged(&mut deployment, "user.updated").await;
    is_by_operator(&updated);
    assert_eq!(updated["fields"], "email,groups");
    // Nothing differs, so nothing was done.
    ran(&["user", "set", "alice", "--no-email"], &data).await;
    with_password(&["user", "passwd", "alice"]).await;
    is_by_operator(&logged(&mut deployment, "user.password_changed").await);
    ran(&["user", "remove", "alice"], &data).await;
    is_by_operator(&logged(&mut deployment, "user.removed").await);

    let client = Client::register(deployment.issuer()).await;
    let (one, other) = (&client.id, Client::register(deployment.issuer()).await.id);
    let at = format!("{}/oauth/register/{one}", deployment.issuer());
    let update = json!({"client_id": one, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
    let answer = client.http.put(&at).bearer_auth(&client.registration).json(&update).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let updated = logged(&mut deployment, "client.updated").await;
    assert_eq!((updated["client_id"].as_str(), updated["by_client"].as_bool()), (Some(&one[..]), Some(true)));
    let answer = client.http.delete(&at).bearer_auth(&client.registration).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let removed = logged(&mut deployment, "client.removed").await;
    assert_eq!((removed["client_id"].as_str(), removed["by_client"].as_bool()), (Some(&one[..]), Some(true)));
    assert_eq!(removed["caller"], "in-process");
    ran(&["client", "remove", &other], &data).await;
    deployment.processes[0].until_output_times("\"client.removed\"", 2).await;
    let removed = logged(&mut deployment, "client.removed").await;
    assert_eq!((removed["client_id"].as_str(), removed["by_client"].as_bool()), (Some(&other[..]), Some(false)));
    assert_eq!(removed["caller"], "operator");

    let logs = deployment.logs();
    for (name, times) in [("user.created", 2), ("user.updated", 1), ("user.password_changed", 1), ("user.removed", 1)] {
        assert_eq!(events(&logs).iter().filter(|event| event["event"] == name).count(), times, "{name}");
    }
    for secret in ["not to be logged", "secret.example", "argon2", &client.registration] {
        assert!(!logs.contains(secret), "{secret} is in the log");
    }
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
