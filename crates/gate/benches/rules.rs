//! What rules cost: the same calls through two resources of one gate, with rules and without, alternately, in one run.
//!
//! `cargo bench -p grantd-gate` prints the median time of a call to each, over loopback sockets with an upstream that answers
//! at once, and their ratio. Only the ratio means something on another machine.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    reason = "a measurement, with the helpers of the tests"
)]

#[path = "../tests/gate/script.rs"]
mod script;
#[path = "../tests/gate/support.rs"]
mod support;

use std::time::{Duration, Instant};

use axum::{body::Body, extract::Request, http::Response};
use grantd_gate::GateRule;
use grantd_oauth_types::ScopeSet;
use http_body_util::BodyExt as _;
use support::{Running, config, listen, token};

const ROUNDS: usize = 3000;

async fn reads(request: Request) -> Response<Body> {
    request.into_body().collect().await.unwrap();
    Response::new(Body::from("{}"))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::main]
async fn main() {
    let mut config = config(&listen(reads).await);
    config.max_body = 4 << 20;
    let mut ruled = config.resources[0].clone();
    ruled.paths = vec!["/ruled".into()];
    ruled.identifier = config.public_url.resource("/ruled");
    ruled.rules = ["write_*", "delete_*", "admin_*", "!read_*"]
        .map(|name| GateRule {
            methods: vec!["tools/call".into()],
            names: vec![name.into()],
            scopes: ScopeSet::parse_lenient("read"),
        })
        .into();
    config.resources.push(ruled);
    let running = Running::with(config).await;
    println!("{:>10}  {:>12}  {:>12}  {:>6}", "arguments", "without", "with rules", "ratio");
    for size in [100, 10_000, 100_000, 1_000_000] {
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "write_article", "arguments": {"text": "0123456789".repeat(size / 10)}}});
        let body = bytes::Bytes::from(call.to_string());
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS.min(300_000_000 / size) {
            for (path, times) in ["/mcp", "/ruled"].iter().zip(&mut times) {
                let request = running.request(reqwest::Method::POST, path).bearer_auth(token(1));
                let request = request.header("content-type", "application/json").body(body.clone());
                let began = Instant::now();
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 200);
                answer.bytes().await.unwrap();
                // The first ones fill caches and open connections.
                if round >= 100 {
                    times.push(began.elapsed());
                }
            }
        }
        let [without, with] = times.each_mut().map(|times| median(times));
        println!("{size:>10}  {without:>12.1?}  {with:>12.1?}  {:>6.2}", with.as_secs_f64() / without.as_secs_f64());
    }
}
