//! Refreshes, beside what the disk and Redis do.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use futures::future::join_all;
use http::Request;
use http_body_util::Full;

use crate::{
    TURNS, baseline,
    harness::{Client, Deployment, Options},
    heading,
    load::{CONNECTIONS, Connection, Rate, rate},
    median, row,
};

const TIME: Duration = Duration::from_secs(2);

/// As many grants as connections: each refreshes its own, with what it was given last.
struct Party {
    port: u16,
    clients: Vec<(String, Mutex<String>)>,
}

impl Party {
    async fn of(deployment: &Deployment) -> Self {
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let client = Client::register(deployment.issuer()).await;
            let tokens = client.pair().await;
            clients.push((client.id, Mutex::new(tokens.refresh)));
        }
        Self { port: url::Url::parse(deployment.issuer()).unwrap().port().unwrap(), clients }
    }

    async fn turn(&self) -> Rate {
        let began = Instant::now();
        let calls = join_all(self.clients.iter().map(|(id, held)| async move {
            let mut connection = Connection::open(self.port).await;
            let mut took = Vec::new();
            while began.elapsed() < TIME {
                let token = held.lock().unwrap().clone();
                let body = format!("grant_type=refresh_token&client_id={id}&refresh_token={token}");
                let request = Request::post("/oauth/token")
                    .header("host", "localhost")
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(Full::from(body))
                    .unwrap();
                let at = Instant::now();
                let (status, body) = connection.call(request).await;
                took.push(at.elapsed());
                assert_eq!(status, 200, "{body:?}");
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                *held.lock().unwrap() = body["refresh_token"].as_str().unwrap().to_owned();
            }
            took
        }))
        .await;
        rate(began.elapsed(), calls.concat())
    }
}

pub(crate) async fn measure() {
    let embedded = Deployment::embedded(Options::default()).await;
    let distributed = Deployment::distributed(Options::default()).await;
    let redis = distributed.redis.as_ref().unwrap().port;
    let (on_disk, on_redis) = (Party::of(&embedded).await, Party::of(&distributed).await);
    let mut rates: [Vec<Rate>; 4] = Default::default();
    for turn in 0..=TURNS {
        let turns = [
            baseline::syncs(embedded.dir.path(), TIME),
            on_disk.turn().await,
            baseline::redis_sets(redis, TIME).await,
            on_redis.turn().await,
        ];
        // The first turn warms up.
        if turn > 0 {
            for (rates, rate) in rates.iter_mut().zip(turns) {
                rates.push(rate);
            }
        }
    }
    heading("Writes", &["per second", "of the line above", "p50 ms", "p99 ms"]);
    let names = [
        "syncs of the disk, one after the other",
        "refreshes, embedded store",
        "SETs of Redis, append-only file",
        "refreshes, token service on Redis",
    ];
    let mut reference = 1.0;
    for (n, (name, rates)) in names.into_iter().zip(rates).enumerate() {
        let of = |figure: fn(&Rate) -> f64| median(rates.iter().map(figure).collect());
        let per_second = of(|rate| rate.per_second);
        let ratio = if n % 2 == 0 { String::new() } else { format!("{:.0} %", 100.0 * per_second / reference) };
        reference = per_second;
        row(
            name,
            &[
                format!("{per_second:.0}"),
                ratio,
                format!("{:.2}", of(|rate| rate.p50)),
                format!("{:.2}", of(|rate| rate.p99)),
            ],
        );
    }
}
