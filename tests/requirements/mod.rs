//! What MCP clients need of a server, as they were measured: one test for each of 48 numbered requirements. Many things are
//! tested more deeply elsewhere; here each stands by itself, against the real binary.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::harness::{Client, Deployment, Options, http};

mod authorization;
mod gate;
mod metadata;
mod registration;
mod token;

/// A running grantd whose upstream is away, which shows as 502 to who is let in.
async fn running() -> Deployment {
    Deployment::embedded(Options::default()).await
}

fn ask(deployment: &Deployment, method: Method, path: &str) -> RequestBuilder {
    http().request(method, format!("{}{path}", deployment.issuer()))
}

async fn get(deployment: &Deployment, path: &str) -> Response {
    ask(deployment, Method::GET, path).send().await.unwrap()
}

async fn json(deployment: &Deployment, path: &str) -> Value {
    let answer = get(deployment, path).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    assert!(header(&answer, "content-type").starts_with("application/json"), "{path}");
    answer.json().await.unwrap()
}

fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn register(deployment: &Deployment, metadata: Value) -> Response {
    ask(deployment, Method::POST, "/oauth/register").json(&metadata).send().await.unwrap()
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

async fn client(deployment: &Deployment) -> Client {
    Client::register(deployment.issuer()).await
}
