//! Requests and answers that no HTTP library would write.

use std::sync::{Arc, Mutex};

use grantd_proto::v1::TokenAllowed;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    script::{allow, person},
    support::{Running, config, ok, token, until},
};

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.base.trim_start_matches("http://")).await.unwrap()
}

/// Sends a request with a token; `rest` is its headers and body. The whole answer.
async fn send(running: &Running, line: &str, rest: &str) -> String {
    let mut stream = connect(running).await;
    let head = format!("{line}\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n", token(1));
    stream.write_all(format!("{head}{rest}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

/// An upstream that answers each connection with these bytes and closes it. What it got, up to the end of each head.
async fn scripted(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/upstream", listener.local_addr().unwrap());
    let heads = Arc::<Mutex<Vec<String>>>::default();
    let noted = heads.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            noted.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (url, heads)
}

#[tokio::test]
async fn methods_that_are_not_about_a_resource_go_no_further() {
    let (url, heads) = scripted(OK).await;
    let running = Running::with(config(&url)).await;
    for method in ["CONNECT", "TRACE"] {
        let answer = send(&running, &format!("{method} /mcp HTTP/1.1"), "\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer} {:?}", heads.lock().unwrap());
        assert!(answer.contains("allow: GET, POST, DELETE, OPTIONS"), "{answer}");
    }
    assert!(heads.lock().unwrap().is_empty(), "{:?}", heads.lock().unwrap());
}

#[tokio::test]
async fn an_absolute_target_changes_neither_upstream_nor_path() {
    let (url, heads) = scripted(OK).await;
    let running = Running::with(config(&url)).await;
    let answer = send(&running, "POST http://evil.example/mcp?a=1 HTTP/1.1", "Content-Length: 2\r\n\r\n{}").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let head = heads.lock().unwrap().concat().to_lowercase();
    assert!(head.starts_with("post /upstream?a=1 http/1.1\r\n") && !head.contains("evil"), "{head}");
}

#[tokio::test]
async fn a_request_without_a_body_is_forwarded_without_one() {
    let (url, heads) = scripted(OK).await;
    let running = Running::with(config(&url)).await;
    for method in ["GET", "DELETE", "POST"] {
        assert!(send(&running, &format!("{method} /mcp HTTP/1.1"), "\r\n").await.starts_with("HTTP/1.1 200 "));
        let head = heads.lock().unwrap().pop().unwrap().to_lowercase();
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}

#[tokio::test]
async fn answers_that_break_the_protocol_are_502() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        // Nobody asked to upgrade, and the connection to the client must stay HTTP.
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let (url, _) = scripted(answer).await;
        let running = Running::with(config(&url)).await;
        let got = send(&running, "POST /mcp HTTP/1.1", "Content-Length: 2\r\n\r\n{}").await;
        assert!(got.starts_with("HTTP/1.1 502 "), "{answer:?}: {got}");
        assert!(got.contains("upstream_unavailable"), "{got}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    for head in ["Content-Length: 9", "Transfer-Encoding: chunked\r\nContent-Type: text/event-stream"] {
        let answer: &'static str = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\n{{}}\r\n").leak();
        let (url, _) = scripted(answer).await;
        let running = Running::with(config(&url)).await;
        let answer = running.call(1).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.is_err(), "{head}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_clients_fault() {
    let running = Running::before(|request: axum::extract::Request| async {
        let _ = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        ok(axum::extract::Request::default()).await
    })
    .await;
    for body in ["2\r\n{}\r\nnot a length\r\n", "2\r\n{}oops\r\n"] {
        let answer = send(&running, "POST /mcp HTTP/1.1", &format!("Transfer-Encoding: chunked\r\n\r\n{body}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert!(answer.contains("invalid_request"), "{answer}");
    }
}

#[tokio::test]
async fn who_hangs_up_while_the_upstream_thinks_takes_the_call_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = Running::with(config(&format!("http://{}/", listener.local_addr().unwrap()))).await;
    let mut stream = connect(&running).await;
    let head = format!("GET /mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", token(1));
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    drop(stream);
    // Its end comes after the request, without an answer.
    let mut request = Vec::new();
    upstream.read_to_end(&mut request).await.unwrap();
    assert!(request.starts_with(b"GET / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_strangers_big_body_is_not_read() {
    let running = Running::before(ok).await;
    let mut stream = connect(&running).await;
    // It waits for leave to send, and gets the challenge instead.
    let head = "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_session_cannot_be_presented_beside_another() {
    let (url, heads) =
        scripted("HTTP/1.1 200 OK\r\nConnection: close\r\nMcp-Session-Id: victims\r\nContent-Length: 2\r\n\r\n{}")
            .await;
    let running = Running::with(config(&url)).await;
    assert_eq!(running.status(2).await, 200);
    until(|| heads.lock().unwrap().len() == 1).await;
    running.script.tokens(|| allow(TokenAllowed { subject: "mallory".into(), ..person() }));
    for names in
        [["Mcp-Session-Id: own", "Mcp-Session-Id: victims"], ["Mcp-Session-Id: victims", "Mcp-Session-Id: own"]]
    {
        let headers = format!("{}\r\nContent-Length: 2\r\n\r\n{{}}", names.join("\r\n"));
        let answer = send(&running, "POST /mcp HTTP/1.1", &headers).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_eq!(heads.lock().unwrap().len(), 1, "nothing of that reaches the upstream");
    // Spellings that many servers read as the same name do not pass.
    for name in ["Mcp_Session_Id", "Mcp-Session_Id", "Mcp.Session.Id"] {
        let headers = format!("{name}: victims\r\nContent-Length: 2\r\n\r\n{{}}");
        let answer = send(&running, "POST /mcp HTTP/1.1", &headers).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let head = heads.lock().unwrap().pop().unwrap();
        assert!(!head.contains("victims"), "{head}");
    }
}

/// A client that sends its body after its headers is refused, and goes on with the same connection.
#[tokio::test]
async fn a_refusal_leaves_the_connection_usable() {
    let running = Running::before(ok).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    let arrived = || running.arrived() == 1;
    until(arrived).await;
    stream.write_all(b"{}GET /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 401 ").count(), 2, "{answers}");
}

/// One whose body never comes is told that the connection ends.
#[tokio::test]
async fn a_refusal_does_not_wait_for_a_body_that_never_comes() {
    let running = Running::before(ok).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("connection: close"), "{answer}");
}
