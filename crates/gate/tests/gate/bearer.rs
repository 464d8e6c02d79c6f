//! Who is let in, and what the others are told.

use std::time::Duration;

use grantd_oauth_types::ScopeSet;
use grantd_proto::v1::token_denied::Reason;
use reqwest::{Method, Response};
use tonic::Status;

use crate::{
    script::deny,
    support::{PUBLIC, Running, config, listen, ok, token, until},
};

fn challenge(answer: &Response) -> String {
    let values: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(values.len(), 1, "one challenge");
    values[0].to_str().unwrap().to_owned()
}

async fn error(answer: Response) -> String {
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: serde_json::Value = answer.json().await.unwrap();
    body["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_a_token_everything_is_401_and_says_where_to_sign_in() {
    let running = Running::before(ok).await;
    for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT, Method::HEAD] {
        for path in ["/mcp", "/mcp/", "/messages", "/mcp?access_token=x"] {
            for (name, value) in [
                ("accept", "*/*"),
                ("mcp-protocol-version", "2024-11-05"),
                ("authorization", "Basic dXNlcjpwYXNz"),
                ("content-type", "text/plain"),
                ("mcp-session-id", "x"),
            ] {
                // A body that does not even parse: it is not looked at.
                let request = running.request(method.clone(), path).header(name, value).body("{");
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 401, "{method} {path} {name}");
                assert_eq!(
                    challenge(&answer),
                    format!(
                        "Bearer resource_metadata=\"{PUBLIC}/.well-known/oauth-protected-resource/mcp\", scope=\"read\""
                    )
                );
            }
        }
    }
    assert_eq!(running.script.asked(), 0);
}

#[tokio::test]
async fn what_is_no_token_is_refused_without_asking() {
    let running = Running::before(ok).await;
    let refresh = token(1).replacen("gda_", "gdr_", 1);
    let longer = format!("{}A", token(1));
    let in_query = format!("/mcp?access_token={}", token(1));
    assert_eq!(running.request(Method::POST, &in_query).send().await.unwrap().status(), 401);
    for text in ["", "x", "gda_", "eyJhbGciOiJub25lIn0.e30.", "gda_%00", refresh.as_str(), longer.as_str(), "\u{e9}"] {
        let answer = running.request(Method::POST, "/mcp").bearer_auth(text).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{text}");
        assert!(challenge(&answer).starts_with("Bearer error=\"invalid_token\", resource_metadata="), "{text}");
        assert_eq!(error(answer).await, "invalid_token");
    }
    let twice = running.call(1).header("authorization", format!("Bearer {}", token(2))).send().await.unwrap();
    assert_eq!((twice.status().as_u16(), error(twice).await.as_str()), (400, "invalid_request"));
    assert_eq!(running.script.asked(), 0);
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case() {
    let running = Running::before(ok).await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let value = format!("{scheme} {}", token(1));
        let answer = running.request(Method::POST, "/mcp").header("authorization", value).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{scheme}");
    }
    let question = &running.script.questions()[0];
    assert_eq!(question.resource, format!("{PUBLIC}/mcp"));
    assert_eq!(question.access_token, token(1));
}

#[tokio::test]
async fn each_refusal_has_its_challenge() {
    let mut config = config(&listen(ok).await);
    config.resources[0].required_scopes = ScopeSet::parse_lenient("admin");
    let running = Running::with(config).await;
    for (reason, scope, status, says) in [
        (Reason::Inactive, "", 401, "error=\"invalid_token\""),
        (Reason::WrongResource, "", 401, "error=\"invalid_token\""),
        (Reason::Malformed, "", 401, "error=\"invalid_token\""),
        (Reason::Unspecified, "", 401, "error=\"invalid_token\""),
        (Reason::InsufficientScope, "read write", 403, "error=\"insufficient_scope\""),
    ] {
        running.script.tokens(move || deny(reason, scope));
        let answer = running.call(1).send().await.unwrap();
        assert_eq!(answer.status(), status, "{reason:?}");
        let challenge = challenge(&answer);
        assert!(challenge.contains(says) && challenge.contains("resource_metadata="), "{challenge}");
        if status == 403 {
            // All of it: some clients ask for just what is listed.
            let scope = challenge.split("scope=\"").last().unwrap().trim_end_matches('"');
            assert_eq!(ScopeSet::parse_lenient(scope), ScopeSet::parse_lenient("admin read write"));
        }
    }
    assert_eq!(running.script.questions()[0].required_scopes, ["admin"]);
}

#[tokio::test]
async fn token_service_away_or_slow_is_503_and_lets_nobody_through() {
    let mut config = config(&listen(|_| async { panic!("nobody is let through") }).await);
    config.call_timeout = Duration::from_millis(50);
    let running = Running::with(config).await;
    for n in 0..3 {
        match n {
            0 => running.script.tokens(|| Err(Status::unavailable("connection refused to 10.0.0.3"))),
            1 => running.script.tokens_later(std::future::pending),
            _ => running.script.tokens(|| Ok(Default::default())),
        }
        let answer = running.call(n).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after") && !answer.headers().contains_key("www-authenticate"));
        assert_eq!(error(answer).await, "temporarily_unavailable");
    }
}

#[tokio::test]
async fn too_many_questions_at_once_are_503() {
    let mut config = config(&listen(ok).await);
    config.max_calls = 1;
    let running = Running::with(config).await;
    running.script.tokens_later(std::future::pending);
    let waiting = tokio::spawn(running.call(1).send());
    let script = running.script.clone();
    until(move || script.asked() == 1).await;
    let answer = running.call(2).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("retry-after")), (503, true));
    waiting.abort();
}
