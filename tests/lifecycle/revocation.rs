//! How soon a revocation is everywhere.

use std::time::Duration;

use axum::{Router, body::Body};
use grantd_gate::{Gate, GateConfig, GateResource};
use grantd_oauth_types::{PublicUrl, ScopeSet};
use grantd_proto::{Caller, Role, TokenServiceClient, v1};
use grantd_token_service::in_process;
use http::Request;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::world::{World, rounds, seed};

/// A gate that asks this service, and whose upstream is away: a call that is let through is a 502.
fn gate(world: &World, service: usize, cache_max_age: Duration) -> Gate {
    let public_url = PublicUrl::parse("https://mcp.example.com").unwrap();
    let scopes = ScopeSet::parse_lenient("mcp");
    let config = GateConfig {
        resources: vec![GateResource {
            identifier: public_url.resource("/mcp"),
            name: "mcp".into(),
            paths: vec!["/mcp".into()],
            upstream: url::Url::parse("http://127.0.0.1:9/mcp").unwrap(),
            scopes: scopes.clone(),
            default_scopes: scopes,
            required_scopes: ScopeSet::default(),
            rules: Vec::new(),
            trust_mcp_headers: false,
            hide_forbidden_tools: false,
        }],
        public_url,
        cache_max_age,
        cache_entries: 10_000,
        stream_max_age: Duration::from_secs(30),
        call_timeout: Duration::from_secs(5),
        max_calls: 1000,
        upstream_timeout: Duration::from_secs(5),
        max_body: 1024,
        allowed_origins: vec![],
    };
    let caller = Caller { name: "gate".into(), role: Role::Verify };
    Gate::start(config, TokenServiceClient::new(in_process(world.services[service].routes(), caller)))
}

async fn lets_through(gate: &Router, access: &str) -> bool {
    let request =
        Request::post("/mcp").header("authorization", format!("Bearer {access}")).body(Body::from("{}")).unwrap();
    match gate.clone().oneshot(request).await.unwrap().status().as_u16() {
        502 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

/// Revoked at one token service; warm gates at both stop letting it through by the announcement alone. The figures are
/// printed, not judged: they are the machine's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_reaches_every_warm_gate() {
    let world = World::redis(seed()).await;
    // So long that only an announcement can be the reason.
    let age = Duration::from_secs(600);
    let gates = [gate(&world, 0, age).router(), gate(&world, 1, age).router()];
    let party = world.party().await;
    let revoke = async |access: &str| {
        let grant_id = world.grant_of(access).await;
        let request = v1::RevokeGrantRequest { request_id: world.request_id(), grant_id };
        world.tokens(Role::Admin).revoke_grant(request).await.unwrap();
        Instant::now()
    };
    // Once each gate has heard of one, it listens.
    for gate in &gates {
        while {
            let held = world.signed_in(&party).await;
            assert!(lets_through(gate, &held.access).await);
            let acknowledged = revoke(&held.access).await;
            while lets_through(gate, &held.access).await && acknowledged.elapsed() < Duration::from_millis(500) {}
            lets_through(gate, &held.access).await
        } {}
    }
    let mut took = Vec::new();
    for _ in 0..rounds("GRANTD_TEST_REVOCATIONS", 20) {
        let held = world.signed_in(&party).await;
        for gate in &gates {
            assert!(lets_through(gate, &held.access).await, "warm");
        }
        let acknowledged = revoke(&held.access).await;
        for gate in &gates {
            while lets_through(gate, &held.access).await {
                assert!(acknowledged.elapsed() < Duration::from_secs(60), "the announcement was not heard");
                tokio::task::yield_now().await;
            }
        }
        took.push(acknowledged.elapsed());
    }
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    eprintln!(
        "{} revocations, from acknowledged to refused at both gates: p50 {:?}, p99 {:?}",
        took.len(),
        at(50),
        at(99)
    );
}

/// Cut off from every announcement, a gate still refuses once its answer is too old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_announcements_the_age_of_an_answer_ends_it() {
    let world = World::redis(seed()).await;
    world.loss.deafen();
    let gate = gate(&world, 1, Duration::from_secs(1)).router();
    let party = world.party().await;
    let held = world.signed_in(&party).await;
    assert!(lets_through(&gate, &held.access).await);
    let grant_id = world.grant_of(&held.access).await;
    let request = v1::RevokeGrantRequest { request_id: world.request_id(), grant_id };
    world.tokens(Role::Admin).revoke_grant(request).await.unwrap();
    let acknowledged = Instant::now();
    while lets_through(&gate, &held.access).await {
        assert!(acknowledged.elapsed() < Duration::from_secs(60), "it is let through for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eprintln!("without announcements, and an age of 1 s: refused after {:?}", acknowledged.elapsed());
}
