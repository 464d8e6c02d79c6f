//! The operations listener and the steps of stopping, in every role.

use std::time::Duration;

use reqwest::StatusCode;
use tokio::{net::TcpStream, time::Instant};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::harness::{
    Client, Deployment, Options, Process,
    client::pair,
    fleet::{Fleet, Member},
    free_port, http,
};

fn with_delay(delay: &str) -> Options {
    Options { config: format!("[shutdown]\ndelay = \"{delay}\"\ndeadline = \"20s\"\n"), ..Options::default() }
}

async fn page(operations: &str, page: &str) -> (StatusCode, String) {
    let answer = http().get(format!("{operations}/{page}")).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn connected(port: u16) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

async fn health(port: u16, service: &str) -> ServingStatus {
    let mut client = connected(port).await;
    let request = HealthCheckRequest { service: service.to_owned() };
    client.check(request).await.unwrap().into_inner().status()
}

/// Told to stop, with a long delay: not ready, and alive.
async fn is_stopping(process: &mut Process, operations: &str) {
    process.signal("TERM").await;
    process.until_output("not ready any more").await;
    let (status, body) = page(operations, "readyz").await;
    assert_eq!((status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"stopping\"}"));
    assert_eq!(page(operations, "healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn told_to_stop_all_in_one_is_not_ready_and_still_serves() {
    let port = free_port();
    let operations = format!("http://127.0.0.1:{port}");
    let mut options = with_delay("5m");
    options.env.push(("GRANTD_OPERATIONS__LISTEN".into(), format!("127.0.0.1:{port}")));
    let mut deployment = Deployment::embedded(options).await;
    assert_eq!(page(&operations, "readyz").await, (StatusCode::OK, "{\"status\":\"ready\"}".to_owned()));
    assert_eq!(page(&operations, "mcp").await.0, StatusCode::NOT_FOUND, "nothing else is served there");
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;

    is_stopping(&mut deployment.processes[0], &operations).await;
    // On a new connection, and on the public listener too.
    let public = http().get(format!("{}/readyz", deployment.issuer())).send().await.unwrap();
    assert_eq!(public.status(), StatusCode::SERVICE_UNAVAILABLE);
    pair(client.at(deployment.issuer()).refresh(&tokens.refresh).await).await;

    // A second signal ends the delay too.
    deployment.processes[0].signal("TERM").await;
    assert!(deployment.processes[0].wait().await.success());
}

#[tokio::test]
async fn told_to_stop_each_half_is_not_ready_and_still_serves() {
    let mut fleet = Fleet::start(with_delay("5m"), 1).await;
    let client = Client::register(&fleet.issuer).await;
    let tokens = client.pair().await;
    let Fleet { services, facade, .. } = &mut fleet;
    let service = &mut services[0];
    for name in ["", "grantd.v1.TokenService", "grantd.v1.IdentityService"] {
        assert_eq!(health(service.port, name).await, ServingStatus::Serving, "{name:?}");
    }
    is_stopping(&mut service.process, &service.operations).await;
    for name in ["", "grantd.v1.TokenService", "grantd.v1.IdentityService"] {
        let port = service.port;
        let off = || async move { health(port, name).await == ServingStatus::NotServing };
        service.process.until("NOT_SERVING", off).await;
    }
    is_stopping(&mut facade.process, &facade.operations).await;
    let tokens = pair(client.refresh(&tokens.refresh).await).await;
    assert!(client.is_accepted(&tokens.access).await);
    for Member { process, .. } in [facade, service] {
        process.signal("TERM").await;
        assert!(process.wait().await.success());
    }
}

#[tokio::test]
async fn listeners_close_after_the_delay_and_not_before() {
    let mut fleet = Fleet::start(with_delay("2s"), 1).await;
    // A watcher of the health status, which never hangs up by itself, does not hold the stop up.
    let mut watched =
        connected(fleet.services[0].port).await.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let Fleet { services, facade, .. } = &mut fleet;
    for member in [facade, &mut services[0]] {
        let told = Instant::now();
        member.process.signal("TERM").await;
        let port = member.port;
        let refused = || async move { TcpStream::connect(("127.0.0.1", port)).await.is_err() };
        member.process.until("a closed listener", refused).await;
        assert!(told.elapsed() >= Duration::from_secs(2), "{:?}", told.elapsed());
        assert!(member.process.wait().await.success());
        assert!(told.elapsed() < Duration::from_secs(20), "nothing was in flight: {:?}", told.elapsed());
    }
    // The status is said again and again; the last word is that it does not serve.
    let mut last = ServingStatus::Serving;
    while let Ok(Some(said)) = watched.message().await {
        last = said.status();
    }
    assert_eq!(last, ServingStatus::NotServing);
}

#[tokio::test]
async fn each_half_is_ready_when_the_store_answers() {
    let mut fleet = Fleet::start(Options::default(), 1).await;
    fleet.redis.stop().await;
    for member in [&mut fleet.services[0], &mut fleet.facade] {
        member.until_ready_is(503).await;
        assert_eq!(member.ask("healthz").await.unwrap().0, 200);
    }
    fleet.redis.start_again().await;
    for member in [&mut fleet.services[0], &mut fleet.facade] {
        member.until_ready_is(200).await;
    }
}
