//! Gates before the token services, warm or cut off.

use std::time::Duration;

use axum::{Router, body::Body};
use grantd_gate::{Gate, GateConfig, GateResource};
use grantd_oauth_types::{PublicUrl, ScopeSet};
use grantd_proto::{Caller, Role, TokenServiceClient, v1};
use grantd_token_service::in_process;
use http::Request;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::world::{Party, World};

/// A gate that asks this service, and whose upstream is away: a call that is let through is a 502.
pub(crate) fn gate(world: &World, service: usize, cache_max_age: Duration) -> Gate {
    let public_url = PublicUrl::parse("https://mcp.example.com").unwrap();
    let scopes = ScopeSet::parse_lenient("mcp");
    let config = GateConfig {
        resources: vec![GateResource {
            identifier: public_url.resource("/mcp"),
            name: "mcp".into(),
            paths: vec!["/mcp".into()],
            upstream: url::Url::parse("http://127.0.0.1:9/mcp").unwrap(),
            upstream_tls: None,
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

pub(crate) async fn lets_through(gate: &Router, access: &str) -> bool {
    let request =
        Request::post("/mcp").header("authorization", format!("Bearer {access}")).body(Body::from("{}")).unwrap();
    match gate.clone().oneshot(request).await.unwrap().status().as_u16() {
        502 => true,
        401 => false,
        status => panic!("{status}"),
    }
}

/// Revokes the grant of an access token, at the first token service; gives when that was acknowledged.
pub(crate) async fn revoke(world: &World, access: &str) -> Instant {
    let grant_id = world.grant_of(access).await;
    let request = v1::RevokeGrantRequest { request_id: world.request_id(), grant_id };
    world.tokens(Role::Admin).revoke_grant(request).await.unwrap();
    Instant::now()
}

/// A gate at each token service, which hears announcements. Answers are trusted for so long that only an announcement can be
/// the reason why they are not.
pub(crate) async fn listening(world: &World, party: &Party) -> [Router; 2] {
    let age = Duration::from_secs(600);
    let gates = [gate(world, 0, age).router(), gate(world, 1, age).router()];
    // Once each gate has heard of one, it listens.
    for gate in &gates {
        while {
            let held = world.signed_in(party).await;
            assert!(lets_through(gate, &held.access).await);
            let acknowledged = revoke(world, &held.access).await;
            while lets_through(gate, &held.access).await && acknowledged.elapsed() < Duration::from_millis(500) {}
            lets_through(gate, &held.access).await
        } {}
    }
    gates
}
