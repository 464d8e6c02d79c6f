//! A hop is cut without a word: what was taken back elsewhere is let through no longer than an answer is trusted, open
//! streams end, and all is well again once the hop is mended.
//!
//! Two token services on one Redis. One takes back; the other, and the facade that asks it, do not hear of it.
//!
//! The hop between client and facade needs no test of its own: who is cut off from the facade is let through nowhere.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Body, http::Response, routing::get};
use futures::{StreamExt as _, stream};
use tokio::time::Instant;

use crate::{
    binary::ran,
    harness::{Client, Options, Process, Redis, client::Pair, deployment, free_port, http, relay::Relay},
};

/// What is promised: an answer about a token is trusted for this long (`gate.cache_max_age`), and an open stream goes on for
/// this long without its grant being confirmed. These are bounds of safety, not of speed: a slow machine refuses no later,
/// because both are counted from a question that was asked before the cut.
const TRUSTED: Duration = Duration::from_secs(5);
const UNCONFIRMED: Duration = Duration::from_secs(30);
/// How late the end of a stream may reach a client on a machine that has much else to do.
const SLACK: Duration = Duration::from_secs(3);

/// Calls are answered, and a standing stream never ends by itself.
async fn upstream() -> SocketAddr {
    let standing = async || {
        let body = stream::iter([Ok::<_, std::io::Error>("data: {}\n\n")]).chain(stream::pending());
        Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(body)).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/mcp", get(standing).post(async || "{}"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

struct Halves {
    client: Client,
    /// Where `grantd grant` reaches the token service that is not cut off.
    data: String,
    store: Relay,
    service: Relay,
    _processes: [Process; 3],
    _redis: Redis,
    _dir: tempfile::TempDir,
}

impl Halves {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let dir = tempfile::tempdir().unwrap();
        let options = Options { upstream: format!("http://{}/mcp", upstream().await), ..Options::default() };
        let [near, far, web] = [free_port(), free_port(), free_port()];
        let issuer = format!("http://localhost:{web}");
        let store = Relay::to(redis.port).await;
        let service = Relay::to(far).await;
        // Both must know the same issuer.
        let start = async |name: &str, store: u16, grpc: u16| {
            let folder = dir.path().join(name);
            tokio::fs::create_dir(&folder).await.unwrap();
            let config = format!(
                "[store]\nurl = \"redis://127.0.0.1:{store}\"\n[token_service]\nlisten = \"127.0.0.1:{grpc}\"\n"
            );
            let config = deployment::config(&options, &issuer, &config);
            let mut process = deployment::start(&folder, "token-service", &config, 0, &options).await;
            let listens = || async { tokio::net::TcpStream::connect(("127.0.0.1", grpc)).await.is_ok() };
            process.until("a listener", listens).await;
            process
        };
        let first = start("near", redis.port, near).await;
        let second = start("far", store.port, far).await;
        let config = format!("[token_service]\nurl = \"http://127.0.0.1:{}\"\n", service.port);
        let config = deployment::config(&options, &issuer, &config);
        let mut facade = deployment::start(dir.path(), "facade", &config, web, &options).await;
        let ready = format!("{issuer}/readyz");
        facade
            .until("readiness", || async {
                http().get(&ready).send().await.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        let client = Client::register(&issuer).await;
        let data = dir.path().join("near/token-service").to_str().unwrap().to_owned();
        Self { client, data, store, service, _processes: [first, second, facade], _redis: redis, _dir: dir }
    }

    async fn lets_through(&self, pair: &Pair) -> bool {
        self.client.call(&pair.access).await.status().is_success()
    }

    async fn taken_back_behind_a_cut(&self, hop: &str, cut: &Relay) {
        let pair = self.client.pair().await;
        assert!(self.lets_through(&pair).await, "warm");
        let stream = self.client.http.get(format!("{}/mcp", self.client.base)).timeout(Duration::from_secs(120));
        let stream = stream.bearer_auth(&pair.access).header("accept", "text/event-stream").send().await.unwrap();
        assert!(stream.status().is_success());
        let mut stream = stream.bytes_stream();
        stream.next().await.unwrap().unwrap();

        cut.cut();
        ran(&["grant", "revoke", "--client", &self.client.id], &self.data).await;
        let acknowledged = Instant::now();
        let calls = async {
            // When the last call was begun that was let through.
            let mut last = Duration::ZERO;
            loop {
                let begun = acknowledged.elapsed();
                if !self.lets_through(&pair).await {
                    return last;
                }
                last = begun;
                assert!(last < TRUSTED, "{hop}: let through {last:?} after it was taken back");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ends = async {
            let end = loop {
                match stream.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Err(error),
                    None => break Ok(acknowledged.elapsed()),
                }
            };
            // A stream that is ended ends well, so that its client connects again. One that only this client gave up is an
            // error, and the promise is not kept.
            end.unwrap_or_else(|error| panic!("{hop}: the stream was not ended but failed: {error:?}"))
        };
        let (calls, ends) = tokio::join!(calls, ends);
        eprintln!("{hop} cut: last let through {calls:?} after the revocation, the stream ended after {ends:?}");
        assert!(ends < UNCONFIRMED + SLACK, "{hop}: the stream went on for {ends:?}");

        cut.mend();
        let mended = Instant::now();
        while self.client.call(&pair.access).await.status() != 401 {
            assert!(mended.elapsed() < Duration::from_secs(60), "{hop}: it does not come back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pair = self.client.pair().await;
        assert!(self.lets_through(&pair).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_facade_is_cut_off_from_its_token_service() {
    let halves = Halves::start().await;
    halves.taken_back_behind_a_cut("facade to token service", &halves.service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_service_is_cut_off_from_redis() {
    let halves = Halves::start().await;
    halves.taken_back_behind_a_cut("token service to Redis", &halves.store).await;
}
