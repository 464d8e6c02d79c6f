//! What grantd is compared with: a server that answers at once, a proxy that checks nothing, a disk, a Redis.

use std::{
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use axum::{Router, body::Body, extract::State, http::Request, response::Response, routing::any};
use futures::future::join_all;
use http::Uri;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::{
    harness::{Process, free_port},
    load::{CONNECTIONS, Rate, rate},
};

/// Set in the process that is to be the proxy, to the port of its upstream.
pub(crate) const PROXY_OF: &str = "GRANTD_BENCH_PROXY_OF";

/// A server that reads the body and answers; or, to a GET, opens an event stream and says nothing on it.
pub(crate) async fn upstream() -> u16 {
    let app = Router::new().route(
        "/mcp",
        any(|request: Request<Body>| async move {
            if request.method() == http::Method::GET {
                let silence = futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
                let stream = Response::builder().header("content-type", "text/event-stream");
                return stream.body(Body::from_stream(silence)).unwrap();
            }
            axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let answer = Response::builder().header("content-type", "application/json");
            answer.body(Body::from(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).unwrap()
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    port
}

/// Starts this program once more, as the proxy.
pub(crate) async fn start_proxy(upstream: u16) -> (u16, Process) {
    let port = free_port();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PROXY_OF, upstream.to_string()).env("PORT", port.to_string());
    let mut process = Process::start("proxy", &mut command);
    process.until_output("listening").await;
    (port, process)
}

/// The least that a proxy must do: both ways streamed, over kept connections.
pub(crate) async fn proxy(upstream: &str) {
    type Upstream = (Client<HttpConnector, Body>, String);
    let app = Router::new()
        .fallback(any(|State((client, upstream)): State<Upstream>, mut request: Request<Body>| async move {
            *request.uri_mut() = format!("http://127.0.0.1:{upstream}{}", request.uri().path()).parse::<Uri>().unwrap();
            client.request(request).await.unwrap().map(Body::new)
        }))
        .with_state((Client::builder(TokioExecutor::new()).build_http(), upstream.to_owned()));
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    println!("listening");
    axum::serve(listener, app).await.unwrap();
}

/// Appends 4 KiB and syncs, one after the other.
pub(crate) fn syncs(dir: &Path, time: Duration) -> Rate {
    let mut file = std::fs::File::create(dir.join("syncs")).unwrap();
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let at = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        took.push(at.elapsed());
    }
    rate(began.elapsed(), took)
}

/// `SET`s of 512 bytes over as many connections as the load has.
pub(crate) async fn redis_sets(port: u16, time: Duration) -> Rate {
    let command = format!("*3\r\n$3\r\nSET\r\n$5\r\nbench\r\n$512\r\n{}\r\n", "x".repeat(512));
    let mut connections =
        join_all((0..CONNECTIONS).map(|_| async { TcpStream::connect(("127.0.0.1", port)).await.unwrap() })).await;
    let began = Instant::now();
    let calls = join_all(connections.iter_mut().map(|connection| async {
        let mut took = Vec::new();
        let mut answer = [0; 5];
        while began.elapsed() < time {
            let at = Instant::now();
            connection.write_all(command.as_bytes()).await.unwrap();
            connection.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"+OK\r\n");
            took.push(at.elapsed());
        }
        took
    }))
    .await;
    rate(began.elapsed(), calls.concat())
}
