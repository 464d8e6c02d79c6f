//! How soon a revocation is everywhere.

use std::time::Duration;

use grantd_proto::{Role, v1};
use tokio::time::Instant;

use super::{
    gates::{gate, lets_through, listening, revoke},
    world::{World, rounds, seed},
};

/// Revoked at one token service; warm gates at both stop letting it through by the announcement alone. The figures are
/// printed, not judged: they are the machine's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_reaches_every_warm_gate() {
    let world = World::redis(seed()).await;
    let party = world.party().await;
    let gates = listening(&world, &party).await;
    let mut took = Vec::new();
    for _ in 0..rounds("GRANTD_TEST_REVOCATIONS", 20) {
        let held = world.signed_in(&party).await;
        for gate in &gates {
            assert!(lets_through(gate, &held.access).await, "warm");
        }
        let acknowledged = revoke(&world, &held.access).await;
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
