//! What only shows on the wire: injected headers, smuggled requests, forged log lines, and filling the store.

use std::sync::{Arc, Mutex};

use axum::{Router, body::to_bytes, extract::Request};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::harness::{
    Client, Deployment, Options,
    client::{CALLBACK, VERIFIER},
    http,
};

/// What an MCP server would have seen: the path and headers of each request, and its body.
type Seen = Arc<Mutex<Vec<(String, http::HeaderMap, Vec<u8>)>>>;

async fn upstream() -> (String, Seen) {
    let seen = Seen::default();
    let notes = seen.clone();
    let app = Router::new().fallback(move |request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap_or_default().to_vec();
        notes.lock().unwrap().push((format!("{} {}", parts.method, parts.uri), parts.headers, body));
        "{}"
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, seen)
}

#[tokio::test]
async fn requests_cannot_be_smuggled_through_the_gate() {
    let (url, seen) = upstream().await;
    let deployment = Deployment::embedded(Options { upstream: url, ..Options::default() }).await;
    let tokens = Client::register(deployment.issuer()).await.pair().await;
    let address = deployment.issuer().trim_start_matches("http://").to_owned();
    let inner = "POST /admin HTTP/1.1\r\nHost: x\r\nX-Forwarded-User: root\r\nContent-Length: 0\r\n\r\n";
    let chunked = format!("0\r\n\r\n{inner}");
    for framing in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}", chunked.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n{chunked}", chunked.len()),
        format!("Content-Length: 0\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("Content-Length: {}, 0\r\n\r\n{inner}", inner.len()),
        format!("Content-Length: +0\r\n\r\n{inner}"),
        format!("Transfer-Encoding: identity, chunked\r\nContent-Length: 3\r\n\r\n{chunked}"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("Transfer-Encoding : chunked\r\nContent-Length: {}\r\n\r\n{chunked}", chunked.len()),
        format!("Transfer-Encoding:\u{b}chunked\r\nContent-Length: {}\r\n\r\n{chunked}", chunked.len()),
        format!("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n{chunked}", chunked.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n5;ext=\n\r\nhello\r\n{chunked}"),
        format!("Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n{chunked}"),
    ] {
        let head = format!("POST /mcp HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n", tokens.access);
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // What follows the first request has no token, so the gate itself must refuse it.
        stream.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answers = Vec::new();
        let _ = stream.read_to_end(&mut answers).await;
        let answers = String::from_utf8_lossy(&answers).into_owned();
        assert!(answers.starts_with("HTTP/1.1 "), "{framing:?}");
        for (line, headers, _) in seen.lock().unwrap().drain(..) {
            assert_eq!(line, "POST /mcp", "{framing:?}");
            assert_ne!(headers["x-forwarded-user"], "root", "{framing:?}");
        }
    }
}

#[tokio::test]
async fn the_identity_cannot_be_forged_or_removed() {
    let (url, seen) = upstream().await;
    let deployment = Deployment::embedded(Options { upstream: url, ..Options::default() }).await;
    let tokens = Client::register(deployment.issuer()).await.pair().await;
    let answer = http()
        .post(deployment.resource())
        .bearer_auth(&tokens.access)
        .header("connection", "x-forwarded-user, x-forwarded-groups, x-secret")
        .header("x-secret", "for the first hop only")
        .header("x-forwarded-user", "root")
        .header("X_Forwarded_User", "root")
        .header("x-forwarded_user", "root")
        .header("x-grantd-scope", "root")
        .header("forwarded", "for=root")
        .header("x-real-ip", "root")
        .header("remote-user", "root")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let seen = seen.lock().unwrap();
    let (_, headers, _) = &seen[0];
    assert_eq!(headers["x-forwarded-preferred-username"], "owner");
    assert_eq!(headers["x-forwarded-groups"], "owner");
    assert!(headers.contains_key("x-forwarded-user") && !headers.contains_key("x-secret"));
    assert!(!headers.contains_key("authorization"));
    let claims = |name: &str| name.contains("user") || name.contains("forwarded") || name.contains("grantd");
    for (name, value) in headers.iter().filter(|(name, _)| claims(name.as_str())) {
        assert!(!value.to_str().unwrap().contains("root"), "{name}: {value:?}");
    }
}

/// At most 100 headers and 64 KiB of them; more is refused before anything is made of the request. (What comes in one piece
/// behind the 64 KiB is read with them, so a little more may pass.)
#[tokio::test]
async fn headers_without_end_are_refused() {
    let deployment = Deployment::embedded(Options::default()).await;
    let send = async |count: usize, length: usize| {
        let mut request = http().get(format!("{}/readyz", deployment.issuer()));
        for n in 0..count {
            request = request.header(format!("x-header-{n}"), "x".repeat(length));
        }
        request.send().await
    };
    // A request has some of its own.
    assert_eq!(send(90, 10).await.unwrap().status(), StatusCode::OK);
    assert_eq!(send(1, 60 << 10).await.unwrap().status(), StatusCode::OK);
    for (count, length) in [(101, 10), (1, 256 << 10), (90, 4 << 10), (5000, 1), (1, 4 << 20)] {
        // A server that hangs up on who goes on sending may be noticed before its answer.
        if let Ok(answer) = send(count, length).await {
            assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "{count} of {length}");
        }
    }
    let refused = send(101, 10).await.unwrap();
    assert_eq!(refused.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(send(1, 1).await.unwrap().status(), StatusCode::OK, "and others are served");
}

#[tokio::test]
async fn no_header_can_be_injected() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let state = "a\r\nSet-Cookie: evil=1\r\n\r\n<script>";
    let page = client.consent_page(&[("state", Some(state))]).await;
    let approved = client.follow(&page, &page.approve).await;
    let failed = client
        .get_authorize(&client.authorize_query(&[("state", Some(state)), ("response_type", Some("x\r\ny"))]), "")
        .await;
    for answer in [approved, failed] {
        let cookies: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
        assert!(cookies.iter().all(|cookie| !cookie.to_str().unwrap().contains("evil")), "{cookies:?}");
        let location = answer.headers()["location"].to_str().unwrap();
        assert!(location.contains("%0D%0A") && !location.contains('<'), "{location}");
    }
}

#[tokio::test]
async fn log_lines_cannot_be_forged() {
    let deployment = Deployment::embedded(Options::default()).await;
    let line = "x\n{\"level\":\"ERROR\",\"event\":\"forged\"}\n\u{1b}[31mred";
    let metadata = json!({"token_endpoint_auth_method": "none", "redirect_uris": [CALLBACK], "client_name": line});
    let client = Client::register_as(deployment.issuer(), metadata).await;
    let query = client.authorize_query(&[("state", Some(line)), ("scope", Some(line))]);
    client.sign_in(&query, line, line).await;
    client.sign_in(&query, "owner\n{}", "x").await;
    client.token(&[("grant_type", line), ("code", line)]).await;
    client.call("x\u{85}{forged}").await;
    let _ = http().get(format!("{}/%0aforged", deployment.issuer())).header("user-agent", "x\u{9b}31m").send().await;
    client.pair().await;
    for line in deployment.logs().lines() {
        let read: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_ne!(read["event"], "forged");
        assert!(!line.contains('\u{1b}') && !line.contains('\u{9b}'), "{line}");
    }
}

#[tokio::test]
async fn nobody_grows_the_store_without_signing_in() {
    let deployment = Deployment::distributed(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let redis = deployment.redis.as_ref().unwrap();
    let before = redis.keys("*").await;
    for n in 0..50 {
        let state = format!("state {n}");
        client.get_authorize(&client.authorize_query(&[("state", Some(&state))]), "grantd-session=gds_x").await;
        client.sign_in(&client.authorize_query(&[]), &format!("nobody{n}"), "wrong").await;
        client.exchange(&format!("gdc_{n}")).await;
        client.refresh(&format!("gdr_{n}")).await;
        client.token(&[("grant_type", "authorization_code"), ("code", "x"), ("code_verifier", VERIFIER)]).await;
        client.call("gda_x").await;
    }
    assert_eq!(redis.keys("*").await, before);
}

#[tokio::test]
async fn nobody_registers_without_end() {
    let config = "[http]\ntrusted_proxies = [\"127.0.0.1\"]\n".to_owned();
    let mut deployment = Deployment::embedded(Options { config, ..Options::default() }).await;
    let issuer = deployment.issuer().to_owned();
    let register = async |address: &str| {
        http()
            .post(format!("{issuer}/oauth/register"))
            .header("x-forwarded-for", address)
            .json(&json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"}))
            .send()
            .await
            .unwrap()
    };
    // A burst as large as a hosted client's is let in, and then there is an end.
    let mut last = register("203.0.113.9").await;
    let mut registered = 0;
    while last.status() == StatusCode::CREATED && registered < 5000 {
        registered += 1;
        last = register("203.0.113.9").await;
    }
    assert!((300..5000).contains(&registered), "{registered}");
    assert_eq!(last.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(last.headers().contains_key("retry-after"));
    let body: Value = last.json().await.unwrap();
    assert_eq!(body["error"], "temporarily_unavailable");
    deployment.processes[0].until_output("\"client.registration_refused\"").await;
    let logs = deployment.logs();
    let event = logs.lines().find(|line| line.contains("\"client.registration_refused\"")).unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!((&event["level"], &event["remote_address"]), (&json!("WARN"), &json!("203.0.113.9")));
    // Others are not concerned, and neither is anybody at the token endpoint.
    assert_eq!(register("203.0.113.10").await.status(), StatusCode::CREATED);
    Client::register(deployment.issuer()).await.pair().await;
}
