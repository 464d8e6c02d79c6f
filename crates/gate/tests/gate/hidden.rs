//! Lists of tools without those that the token may not call, as JSON and in streams.

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::Response,
};
use futures::StreamExt as _;
use grantd_gate::GateRule;
use grantd_oauth_types::ScopeSet;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::support::{Running, config, listen, token};

async fn hiding<F>(upstream: impl Fn(Request) -> F + Clone + Send + Sync + 'static) -> Running
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut config = config(&listen(upstream).await);
    let rule = GateRule {
        methods: vec!["tools/call".into()],
        names: vec!["write_*".into()],
        scopes: ScopeSet::parse_lenient("write"),
    };
    config.resources[0].rules = vec![rule];
    config.resources[0].hide_forbidden_tools = true;
    Running::with(config).await
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

async fn ask(running: &Running, body: &'static str) -> reqwest::Response {
    let request = running.request(Method::POST, "/mcp").bearer_auth(token(1)).header("accept-encoding", "gzip");
    request.header("content-type", "application/json").body(body).send().await.unwrap()
}

fn list(extra: &str) -> String {
    format!(
        r#"{{"id":1,"result":{{{extra}"tools":[{{"name":"read","n":1e400}},{{"name":"write_a"}},{{"title":"x"}}],"nextCursor":"c"}}}}"#
    )
}

#[tokio::test]
async fn in_json() {
    for (upstream, expected) in [
        (list(""), Some(r#"[{"name":"read","n":1e400},{"title":"x"}]"#)),
        (format!("[{}, {{\"id\":2,\"result\":{{}}}}]", list("")), Some(r#"[{"name":"read","n":1e400},{"title":"x"}]"#)),
        (list("\"cacheScope\":\"public\","), Some(r#""cacheScope":"private""#)),
        (list("").replace("write_a", "echo"), None),
        (r#"{"id":1,"error":{"code":1,"message":"no \"tools\""}}"#.to_owned(), None),
        (r#"{"id":1,"result":{"tools":"none"}}"#.to_owned(), None),
        ("no JSON with \"tools\"".to_owned(), None),
    ] {
        let answer = upstream.clone();
        let running = hiding(move |request: Request| {
            assert!(!request.headers().contains_key("accept-encoding"));
            let body = answer.clone();
            async move { Response::builder().header("content-type", "application/json").body(Body::from(body)).unwrap() }
        })
        .await;
        let answer = ask(&running, LIST).await;
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        match expected {
            Some(part) => {
                assert!(text.contains(part) && !text.contains("write_a"), "{text}");
                assert!(text.contains("\"nextCursor\":\"c\""), "{text}");
            }
            None => assert_eq!(text, upstream, "byte for byte"),
        }
    }
}

#[tokio::test]
async fn in_streams_as_they_come() {
    for method in [Method::POST, Method::GET] {
        let (feed, pieces) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
        let body =
            std::sync::Arc::new(std::sync::Mutex::new(Some(Body::from_stream(UnboundedReceiverStream::new(pieces)))));
        let running = hiding(move |_| {
            let body = body.lock().unwrap().take().unwrap();
            async move { Response::builder().header("content-type", "text/event-stream").body(body).unwrap() }
        })
        .await;
        let request = running.request(method.clone(), "/mcp").bearer_auth(token(1));
        let request = match method {
            Method::POST => request.header("content-type", "application/json").body(LIST),
            _ => request,
        };
        let mut reading = request.send().await.unwrap().bytes_stream();
        let mut next = async || String::from_utf8(reading.next().await.unwrap().unwrap().to_vec()).unwrap();
        let say = |text: &str| feed.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).unwrap();
        let progress = "id: 1\ndata: {\"method\":\"notifications/progress\"}\n\n";
        say(progress);
        assert_eq!(next().await, progress, "before the next is sent");
        let whole = list("");
        let (half, other) = whole.split_at(40);
        say(&format!("id: 2\nevent: message\ndata: {half}"));
        say(&format!("{other}\n\n: sign of life\n\n"));
        let mut event = next().await;
        while !event.ends_with("life\n\n") {
            event.push_str(&next().await);
        }
        assert!(event.starts_with("id: 2\nevent: message\ndata: {"), "{event}");
        assert!(event.contains("\"read\"") && !event.contains("write_a"), "{event}");
        let data = event.split("data: ").nth(1).unwrap().split('\n').next().unwrap();
        assert!(data.contains("\"nextCursor\":\"c\""), "{data}");
        say("data: not complete");
        drop(feed);
        assert_eq!(next().await, "data: not complete");
        assert!(reading.next().await.is_none());
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_not_passed_on() {
    let running = hiding(|_| async {
        let encoded = Response::builder().header("content-type", "application/json").header("content-encoding", "gzip");
        encoded.body(Body::from(list(""))).unwrap()
    })
    .await;
    let answer = ask(&running, LIST).await;
    assert_eq!(answer.status(), 502);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], json!("upstream_unavailable"));
}
