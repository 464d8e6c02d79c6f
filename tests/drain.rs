//! Stopping under load: what was accepted is finished, and the next instance takes over.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response};
use futures::StreamExt as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::harness::{Client, Deployment, Options, client::pair, http};

const CALLS: usize = 40;

/// An MCP server whose calls wait until the test lets them go on, and whose GET is an endless stream.
async fn upstream() -> (String, Arc<Semaphore>, Arc<Semaphore>) {
    let (arrived, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (in_flight, gate) = (arrived.clone(), release.clone());
    let app = Router::new().fallback(move |request: Request| {
        let (in_flight, gate) = (in_flight.clone(), gate.clone());
        async move {
            in_flight.add_permits(1);
            if request.method() == "GET" {
                let events = futures::stream::iter([Ok::<_, std::io::Error>("data: 1\n\n")]);
                let body = Body::from_stream(events.chain(futures::stream::pending()));
                return Response::builder().header("content-type", "text/event-stream").body(body).unwrap();
            }
            gate.acquire().await.unwrap().forget();
            Response::new(Body::from("{\"done\":true}"))
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, arrived, release)
}

#[tokio::test]
async fn what_was_accepted_is_finished_and_the_next_instance_takes_over() {
    let (url, arrived, release) = upstream().await;
    let mut deployment = Deployment::embedded(Options { upstream: url, ..Options::default() }).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;

    let resource = deployment.resource();
    let stream = http().get(&resource).bearer_auth(&tokens.access).send().await.unwrap();
    let mut events = stream.bytes_stream();
    assert_eq!(events.next().await.unwrap().unwrap(), "data: 1\n\n");
    let calls: Vec<_> = (0..CALLS)
        .map(|_| tokio::spawn(http().post(&resource).bearer_auth(&tokens.access).body("{}").send()))
        .collect();
    let _all = arrived.acquire_many(u32::try_from(CALLS).unwrap() + 1).await.unwrap();

    deployment.processes[0].signal("TERM").await;
    let address = deployment.issuer().trim_start_matches("http://").to_owned();
    let refused = || async { TcpStream::connect(&address).await.is_err() };
    deployment.processes[0].until("a closed listener", refused).await;
    assert!(events.next().await.is_none(), "a standing stream ends, and its client connects again");
    release.add_permits(CALLS);
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "{\"done\":true}");
    }
    assert!(deployment.processes[0].wait().await.success());

    // On the same data, at the same address: nobody notices but for the pause.
    deployment.restart_embedded().await;
    release.add_permits(CALLS);
    let again = http().post(&resource).bearer_auth(&tokens.access).body("{}").send().await.unwrap();
    assert_eq!(again.status(), 200);
    pair(client.refresh(&tokens.refresh).await).await;
}

#[tokio::test]
async fn who_never_finishes_does_not_hold_the_stop_up() {
    let (url, arrived, _release) = upstream().await;
    let mut deployment = Deployment::embedded(Options { upstream: url, ..Options::default() }).await;
    let tokens = Client::register(deployment.issuer()).await.pair().await;
    let call = tokio::spawn(http().post(deployment.resource()).bearer_auth(&tokens.access).body("{}").send());
    let _one = arrived.acquire().await.unwrap();
    deployment.processes[0].signal("TERM").await;
    // A second signal ends the wait.
    deployment.processes[0].until_output("stopping").await;
    deployment.processes[0].signal("TERM").await;
    assert!(deployment.processes[0].wait().await.success());
    let answered = tokio::time::timeout(Duration::from_secs(20), call).await.unwrap().unwrap();
    assert!(answered.is_err() || !answered.unwrap().status().is_success());
}
