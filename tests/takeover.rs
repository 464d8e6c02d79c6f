//! A process of a distributed deployment is told to stop while tokens are refreshed: what it has accepted it finishes, another
//! instance takes over, and nobody is signed out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::StatusCode;
use serde_json::Value;
use tokio::{task::JoinSet, time::Instant};

use crate::harness::{Client, Deployment, Options, client::Pair};

const CLIENTS: usize = 6;

/// Clients that refresh again and again, each at one facade until that is gone, and then at the other.
struct Load {
    clients: JoinSet<(Client, Pair)>,
    stop: Arc<AtomicBool>,
    answered: Vec<Arc<AtomicUsize>>,
    /// Requests that were begun and got no answer.
    unanswered: Arc<AtomicUsize>,
}

impl Load {
    async fn begin(deployment: &Deployment) -> Self {
        let mut all = Self {
            clients: JoinSet::new(),
            stop: Arc::default(),
            answered: (0..CLIENTS).map(|_| Arc::default()).collect(),
            unanswered: Arc::default(),
        };
        for answered in &all.answered {
            let mut client = Client::register(deployment.issuer()).await;
            // A connection for each request, so that none is closed idle just when it is used.
            client.http = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .pool_max_idle_per_host(0)
                .build()
                .unwrap();
            let mut held = client.pair().await;
            let (stop, answered, unanswered) = (all.stop.clone(), answered.clone(), all.unanswered.clone());
            let facades = deployment.facades.clone();
            all.clients.spawn(async move {
                let mut at = facades.len() - 1;
                while !stop.load(Ordering::Relaxed) {
                    let form =
                        [("grant_type", "refresh_token"), ("client_id", &client.id), ("refresh_token", &held.refresh)];
                    let sent = client.http.post(format!("{}/oauth/token", facades[at])).form(&form).send().await;
                    let answer = match sent {
                        Ok(answer) => answer,
                        Err(error) => {
                            if !error.is_connect() {
                                unanswered.fetch_add(1, Ordering::Relaxed);
                            }
                            at = (at + 1) % facades.len();
                            continue;
                        }
                    };
                    let status = answer.status();
                    let body: Value = answer.json().await.unwrap();
                    match status {
                        StatusCode::OK => {
                            held = Pair::of(&body);
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        StatusCode::SERVICE_UNAVAILABLE => tokio::time::sleep(Duration::from_millis(20)).await,
                        _ => panic!("signed out: {status} {body}"),
                    }
                }
                (client, held)
            });
        }
        all
    }

    /// Waits until each was answered so much more often.
    async fn goes_on(&self, more: usize) {
        let goal: Vec<_> = self.answered.iter().map(|n| n.load(Ordering::Relaxed) + more).collect();
        let begin = Instant::now();
        while self.answered.iter().zip(&goal).any(|(n, goal)| n.load(Ordering::Relaxed) < *goal) {
            assert!(begin.elapsed() < Duration::from_secs(60), "it does not go on");
            assert_eq!(self.clients.len(), CLIENTS);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What each was answered last works.
    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            let (client, held) = ended.unwrap();
            assert!(client.is_accepted(&held.access).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_facade_that_stops_finishes_what_it_accepted_and_another_takes_over() {
    let mut deployment = Deployment::distributed(Options::default()).await;
    let load = Load::begin(&deployment).await;
    load.goes_on(20).await;
    let stopping = deployment.processes.last_mut().unwrap();
    stopping.signal("TERM").await;
    assert!(stopping.wait().await.success());
    load.goes_on(20).await;
    // The kernel may have taken a connection that the process had not: it is reset, and was not accepted.
    let unanswered = load.unanswered.load(Ordering::Relaxed);
    assert!(unanswered <= CLIENTS, "{unanswered} requests were accepted and dropped");
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_service_that_stops_finishes_its_rotations_and_the_next_takes_over() {
    let mut deployment = Deployment::distributed(Options::default()).await;
    let load = Load::begin(&deployment).await;
    load.goes_on(20).await;
    deployment.processes[0].signal("TERM").await;
    assert!(deployment.processes[0].wait().await.success());
    let logs = deployment.processes[0].output();
    deployment.restart_token_service().await;
    load.goes_on(20).await;
    assert_eq!(load.unanswered.load(Ordering::Relaxed), 0, "the facades answered all the while");
    load.end().await;
    // What was rotated was answered: nobody had to come back for it.
    let lost = deployment.logs().matches("\"refresh.converged\"").count();
    eprintln!(
        "{} rotations by the first instance, {lost} of them answered by the next",
        logs.matches("\"refresh.rotated\"").count()
    );
    assert_eq!(lost, 0, "a rotation that was begun was not answered");
}
