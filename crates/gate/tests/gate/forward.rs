//! What passes through, in both directions.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Response, StatusCode},
};
use futures::StreamExt as _;
use grantd_proto::v1::TokenAllowed;
use reqwest::Method;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    script::{allow, person},
    support::{Running, config, listen, ok, token},
};

/// The requests an upstream got.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>);

impl Seen {
    async fn note(self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
        self.0.lock().unwrap().push((format!("{} {}", parts.method, parts.uri), parts.headers, body));
        Response::new(Body::from("{}"))
    }

    fn last(&self) -> (String, HeaderMap, Bytes) {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

async fn noting() -> (Running, Seen) {
    let seen = Seen::default();
    let notes = seen.clone();
    (Running::before(move |request| notes.clone().note(request)).await, seen)
}

#[tokio::test]
async fn method_query_headers_and_body_reach_the_upstream() {
    let (running, seen) = noting().await;
    for (path, target) in [
        ("/mcp", "/upstream"),
        ("/mcp/", "/upstream"),
        ("/mcp?a=1&b=%2F", "/upstream?a=1&b=%2F"),
        ("/messages", "/messages"),
        ("/messages/?session=1", "/messages/?session=1"),
    ] {
        for method in [Method::POST, Method::GET, Method::DELETE, Method::PATCH] {
            let answer = running
                .request(method.clone(), path)
                .bearer_auth(token(1))
                .header("mcp-protocol-version", "2025-06-18")
                .header("mcp-session-id", "s")
                .header("last-event-id", "41")
                .header("accept", "application/json, text/event-stream")
                .header("content-type", "application/json")
                .body("{\"a\":1}")
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            let (line, headers, body) = seen.last();
            assert_eq!(line, format!("{method} {target}"));
            assert_eq!(body, "{\"a\":1}");
            for (name, value) in [
                ("mcp-protocol-version", "2025-06-18"),
                ("mcp-session-id", "s"),
                ("last-event-id", "41"),
                ("accept", "application/json, text/event-stream"),
                ("content-type", "application/json"),
                ("x-forwarded-user", "subject"),
                ("x-forwarded-preferred-username", "owner"),
                ("x-forwarded-email", "owner@example.com"),
                ("x-forwarded-groups", "owner,editors"),
                ("x-grantd-client-id", "client"),
                ("x-grantd-scope", "read"),
                ("x-forwarded-host", "mcp.example.com"),
                ("x-forwarded-proto", "https"),
            ] {
                assert_eq!(headers[name], value, "{name}");
            }
            assert!(!headers.contains_key("authorization"));
            assert!(headers["host"].to_str().unwrap().starts_with("127.0.0.1:"));
        }
    }
}

#[tokio::test]
async fn an_odd_name_is_written_so_that_everybody_reads_it_alike() {
    let (running, seen) = noting().await;
    running.script.tokens(|| {
        allow(TokenAllowed {
            username: " j\u{f6}rg\r\nX-Forwarded-Groups: root ".into(),
            groups: vec!["a".into(), "100%".into(), "b,owner".into(), "two words".into()],
            email: String::new(),
            ..person()
        })
    });
    assert_eq!(running.status(1).await, 200);
    let (_, headers, _) = seen.last();
    assert_eq!(headers["x-forwarded-preferred-username"], "%20j%C3%B6rg%0D%0AX-Forwarded-Groups: root%20");
    assert_eq!(headers["x-forwarded-groups"], "a,100%25,b%2Cowner,two words");
    assert!(!headers.contains_key("x-forwarded-email"));
}

#[tokio::test]
async fn nothing_forged_reaches_the_upstream() {
    let (running, seen) = noting().await;
    let names = [
        "x-forwarded-user",
        "x-forwarded-groups",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-access-token",
        "x_forwarded_user",
        "x-forwarded_email",
        "x.forwarded.user",
        "x~forwarded~groups",
        "x-grantd-scope",
        "x_grantd_client_id",
        "x-auth-request-email",
        "x-real-ip",
        "x-remote-user",
        "x-remote-group",
        "remote-user",
        "remote_groups",
        "remote-email",
        "forwarded",
        "cookie",
        "origin",
        "proxy-authorization",
        "te",
        "keep-alive",
        "x-hop",
        "x_hop",
    ];
    let mut call = running.call(1).header("connection", "X-Hop, close").header("connection", "x_hop, x-forwarded-user");
    for name in names {
        call = call.header(name, if name == "origin" { "http://localhost/mallory" } else { "mallory" });
    }
    assert_eq!(call.header("x-other", "passes").header("x_other", "too").send().await.unwrap().status(), 200);
    let (_, headers, _) = seen.last();
    assert!(!format!("{headers:?}").contains("mallory"), "{headers:?}");
    assert_eq!((&headers["x-other"], &headers["x_other"]), (&"passes".parse().unwrap(), &"too".parse().unwrap()));
    assert_eq!(
        (&headers["x-forwarded-user"], headers.get_all("x-forwarded-user").iter().count()),
        (&"subject".parse().unwrap(), 1)
    );
}

#[tokio::test]
async fn a_session_is_its_persons() {
    let running = Running::before(|_| async {
        Response::builder().header("mcp-session-id", "session-1").body(Body::from("{}")).unwrap()
    })
    .await;
    assert_eq!(running.call(1).send().await.unwrap().headers()["mcp-session-id"], "session-1");
    let with = |n| running.call(n).header("mcp-session-id", "session-1").send();
    assert_eq!(with(1).await.unwrap().status(), 200);
    running.script.tokens(|| allow(TokenAllowed { grant_id: "g2".into(), ..person() }));
    assert_eq!(with(2).await.unwrap().status(), 200, "the same person with another grant");
    running.script.tokens(|| allow(TokenAllowed { subject: "mallory".into(), grant_id: "g3".into(), ..person() }));
    let foreign = with(3).await.unwrap();
    assert_eq!(foreign.status(), 404, "as the transport has it for a session that is not there");
    assert_eq!(running.status(3).await, 200);
}

#[tokio::test]
async fn a_body_is_bounded_whether_it_says_its_length_or_not() {
    let (running, seen) = noting().await;
    for (size, status) in [(64 * 1024, 200), (64 * 1024 + 1, 413), (1 << 20, 413)] {
        let body = vec![b'x'; size];
        let told = running.call(1).body(body.clone()).send().await.unwrap();
        assert_eq!(told.status(), status, "{size}");
        let pieces: Vec<_> = body.chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let streamed = running.call(1).body(reqwest::Body::wrap_stream(futures::stream::iter(pieces))).send().await;
        let streamed = streamed.unwrap();
        assert_eq!(streamed.status(), status, "{size} in pieces");
        if status == 413 {
            let body: serde_json::Value = streamed.json().await.unwrap();
            assert_eq!(body["error"], "invalid_request");
        } else {
            assert_eq!(seen.last().2.len(), size);
        }
    }
}

#[tokio::test]
async fn a_body_streams_to_the_upstream_while_it_comes() {
    let (first, mut arrived) = mpsc::unbounded_channel();
    let running = Running::before(move |request: Request| {
        let first = first.clone();
        async move {
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(piece)) = body.next().await {
                let _ = first.send(piece);
            }
            Response::new(Body::from("{}"))
        }
    })
    .await;
    let (feed, body) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
    let body = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(body));
    let call = tokio::spawn(running.call(1).body(body).send());
    for text in ["one", "two"] {
        feed.send(Ok(Bytes::from(text))).unwrap();
        assert_eq!(arrived.recv().await.unwrap(), text);
    }
    drop(feed);
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn what_the_upstream_answers_passes_but_what_would_mislead_a_client() {
    for (status, headers, seen) in [
        (200, &[][..], 200),
        (202, &[], 202),
        (400, &[], 400),
        (404, &[], 404),
        (405, &[("allow", "POST")], 405),
        (403, &[], 403),
        (500, &[], 500),
        (503, &[("retry-after", "7")], 503),
        // Its own sign-in: a client would go and look for it.
        (401, &[], 502),
        (401, &[("www-authenticate", "Bearer resource_metadata=\"https://evil.example\"")], 502),
        (403, &[("www-authenticate", "Bearer error=\"insufficient_scope\"")], 502),
        // Clients drop the token on a redirect.
        (307, &[("location", "/elsewhere")], 502),
        (301, &[("location", "https://evil.example/")], 502),
    ] {
        let running = Running::before(move |_| async move {
            let mut answer = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers.iter().chain(&[
                ("set-cookie", "evil=1"),
                ("clear-site-data", "*"),
                ("alt-svc", "h3=\"evil.example:443\""),
                ("strict-transport-security", "max-age=1"),
                ("access-control-allow-origin", "https://only.example"),
                ("x-own", "kept"),
                ("connection", "x-hop"),
                ("x-hop", "dropped"),
            ]) {
                answer = answer.header(*name, *value);
            }
            answer.body(Body::from("{}")).unwrap()
        })
        .await;
        let answer = running.call(1).send().await.unwrap();
        assert_eq!(answer.status(), seen, "{status} {headers:?}");
        let got = answer.headers();
        for name in ["set-cookie", "clear-site-data", "alt-svc", "strict-transport-security", "x-hop"] {
            assert!(!got.contains_key(name), "{name}");
        }
        assert_eq!(got["access-control-allow-origin"], "*");
        if seen == 502 {
            assert!(!got.contains_key("location") && !got.contains_key("www-authenticate"));
            let body = answer.text().await.unwrap();
            assert!(body.contains("upstream_unavailable") && !body.contains("evil"), "{body}");
        } else {
            assert_eq!(got["x-own"], "kept");
            assert!(headers.iter().all(|(name, value)| got[*name] == *value));
        }
    }
}

#[tokio::test]
async fn an_upstream_that_is_away_or_slow_is_told_without_internals() {
    let mut away = config("http://127.0.0.1:9/secret-path");
    away.upstream_timeout = Duration::from_millis(50);
    let mut slow = config(&listen(|_| std::future::pending::<Response<Body>>()).await);
    slow.upstream_timeout = Duration::from_millis(50);
    for (config, status, error) in [(away, 502, "upstream_unavailable"), (slow, 504, "upstream_timeout")] {
        let running = Running::with(config).await;
        let answer = running.call(1).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body = answer.text().await.unwrap();
        assert!(body.contains(error) && !body.contains("127.0.0.1") && !body.contains("secret"), "{body}");
    }
}

/// The kernel would try for two minutes; and the upstream may take five to answer.
#[tokio::test]
async fn an_upstream_that_nobody_can_connect_to_is_given_up_soon() {
    // Nobody accepts, and once its queue is full it does not answer a SYN.
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = silent.listen(0).unwrap();
    let address = silent.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
    }
    let mut config = config(&format!("http://{address}/"));
    config.upstream_timeout = Duration::from_secs(300);
    let running = Running::with(config).await;
    let answer = timeout(Duration::from_secs(20), running.call(1).send()).await.expect("it is given up").unwrap();
    assert_eq!(answer.status(), 504);
    assert!(answer.text().await.unwrap().contains("upstream_timeout"));
}

#[tokio::test]
async fn upgrades_are_refused() {
    let running = Running::before(ok).await;
    let answer = running.call(1).header("connection", "upgrade").header("upgrade", "websocket").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn an_upstream_may_answer_before_the_body_is_there() {
    let running = Running::before(|_| async {
        Response::builder().status(422).header("mcp-session-id", "s").body(Body::from("enough")).unwrap()
    })
    .await;
    let (feed, body) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
    feed.send(Ok(Bytes::from_static(b"{"))).unwrap();
    let body = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(body));
    let answer = running.call(1).body(body).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["mcp-session-id"]), (422, &"s".parse().unwrap()));
    assert_eq!(answer.text().await.unwrap(), "enough");
    drop(feed);
}
