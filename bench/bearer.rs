//! The bearer check, beside no check.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::{
    TURNS, baseline,
    harness::{Client, Deployment, Options},
    heading, load, median, row,
};

/// A contender's port, and the token it wants.
struct Contender {
    name: &'static str,
    port: u16,
    token: String,
}

fn call(token: &str) -> Request<Full<Bytes>> {
    Request::post("/mcp")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::from(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}"#))
        .unwrap()
}

fn port(url: &str) -> u16 {
    url::Url::parse(url).unwrap().port().unwrap()
}

pub(crate) async fn measure() {
    let upstream = baseline::upstream().await;
    let (proxy, _proxy) = baseline::start_proxy(upstream).await;
    let options = |config: &str| Options {
        upstream: format!("http://127.0.0.1:{upstream}/mcp"),
        config: config.to_owned(),
        ..Options::default()
    };
    let cached = Deployment::embedded(options("")).await;
    let asking = Deployment::embedded(options("[gate]\ncache_max_age = \"0s\"")).await;
    let facade = Deployment::distributed(options("")).await;
    let facade_asking = Deployment::distributed(options("[gate]\ncache_max_age = \"0s\"")).await;
    let mut contenders = vec![
        Contender { name: "the server itself", port: upstream, token: "none".into() },
        Contender { name: "a proxy that checks nothing", port: proxy, token: "none".into() },
    ];
    for (name, deployment) in [
        ("serve, answer at hand", &cached),
        ("serve, asks each time", &asking),
        ("facade on Redis, answer at hand", &facade),
        ("facade on Redis, asks each time", &facade_asking),
    ] {
        let token = Client::register(deployment.issuer()).await.pair().await.access;
        contenders.push(Contender { name, port: port(deployment.issuer()), token });
    }
    let mut rates: Vec<[Vec<f64>; 3]> = contenders.iter().map(|_| Default::default()).collect();
    for turn in 0..=TURNS {
        for (contender, [per_second, p50, p99]) in contenders.iter().zip(&mut rates) {
            let rate = load::run(contender.port, Duration::from_secs(2), || call(&contender.token)).await;
            // The first turn warms up.
            if turn > 0 {
                per_second.push(rate.per_second);
                p50.push(rate.p50);
                p99.push(rate.p99);
            }
        }
    }
    heading("Calls through", &["calls/s", "of the proxy's", "p50 ms", "p99 ms"]);
    let reference = median(rates[1][0].clone());
    for (contender, [per_second, p50, p99]) in contenders.iter().zip(rates) {
        let per_second = median(per_second);
        row(
            contender.name,
            &[
                format!("{per_second:.0}"),
                format!("{:.0} %", 100.0 * per_second / reference),
                format!("{:.2}", median(p50)),
                format!("{:.2}", median(p99)),
            ],
        );
    }
}
