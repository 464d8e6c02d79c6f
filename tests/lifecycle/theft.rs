//! Thieves and forgers, in numbers. Those who follow inside the overlap are seen in `refresh`.

use std::{sync::atomic::Ordering, time::Duration};

use axum::Router;
use grantd_oauth_types::{RefreshToken, Secret};
use tokio::time::Instant;

use super::{
    events::{self, Logged},
    gates::{lets_through, listening},
    world::{Said, World, rounds, seed},
};

/// A theft was found out: the event says so, and that it revoked the grant; and gates that let its token through a moment
/// ago, and would trust their answer for ten minutes, hear of it.
async fn found_out(world: &World, gates: &[Router; 2], grant_id: &str, access: &str, event: &str, theft: u64) {
    let seen = Logged { name: event.to_owned(), revoked: true };
    assert_eq!(events::of(grant_id).iter().filter(|logged| **logged == seen).count(), 1, "theft {theft}");
    assert!(!world.accepts(access).await, "theft {theft}: the grant ended");
    let begin = Instant::now();
    for gate in gates {
        while lets_through(gate, access).await {
            assert!(begin.elapsed() < Duration::from_secs(60), "theft {theft}: a warm gate did not hear of it");
            tokio::task::yield_now().await;
        }
    }
}

/// Stolen refresh tokens of any age, and codes, replayed outside the overlap: each is found out, and its grant ends everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stolen_token_outside_the_overlap_is_found_out() {
    let world = World::redis(seed()).await;
    let gates = listening(&world, &world.party().await).await;
    let warm = async |access: &str| {
        for gate in &gates {
            assert!(lets_through(gate, access).await, "its owner uses it");
        }
    };
    let thefts = rounds("GRANTD_TEST_THEFTS", 40);
    let mut oldest = 0;
    for n in 0..thefts {
        let party = world.party().await;
        if n % 5 == 4 {
            // A stolen code and its verifier, after their owner used them.
            let code = world.code(&party).await;
            let Said::Tokens(held) = world.exchange(&party, &code).await else { panic!("exchanged") };
            let grant_id = world.grant_of(&held.access).await;
            warm(&held.access).await;
            assert!(matches!(world.exchange(&party, &code).await, Said::SignIn(status, _) if status == 400));
            found_out(&world, &gates, &grant_id, &held.access, "code.replayed", n).await;
            continue;
        }
        let mut held = world.signed_in(&party).await;
        let grant_id = world.grant_of(&held.access).await;
        let stolen = held.refresh.clone();
        // Up to 500 rotations old, mostly a few.
        let rotations = 1 + if n % 20 == 0 { world.chance.below(500) } else { world.chance.below(12) };
        oldest = oldest.max(rotations);
        for _ in 0..rotations {
            held = world.refreshed(&party, &held.refresh).await;
        }
        assert!(world.accepts(&held.access).await, "its owner uses it");
        world.advance(Duration::from_secs(3600));
        let held = world.refreshed(&party, &held.refresh).await;
        warm(&held.access).await;
        assert!(matches!(world.refresh(&party, &stolen).await, Said::SignIn(status, _) if status == 400), "theft {n}");
        found_out(&world, &gates, &grant_id, &held.access, "refresh.replayed", n).await;
        assert!(matches!(world.refresh(&party, &held.refresh).await, Said::SignIn(..)));
    }
    eprintln!("{thefts} thefts, up to {oldest} rotations old, all seen and refused at both gates");
}

/// Tokens made up for a grant that exists, of its very generation: no grant is harmed. Each costs two reads (client and head,
/// then the person) and no write, so it is forgotten as soon as it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_harm_nobody() {
    let world = World::embedded(seed()).await;
    let party = world.party().await;
    let held = world.signed_in(&party).await;
    let real = RefreshToken::parse(&held.refresh).unwrap();
    let grant_id = world.grant_of(&held.access).await;
    let asked = || [&world.asked.reads, &world.asked.writes].map(|count| count.load(Ordering::Relaxed));
    // What goes on behind the answers has ended when nothing is asked any more.
    let mut before = asked();
    while {
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::mem::replace(&mut before, asked()) != before
    } {}
    let forgeries = rounds("GRANTD_TEST_FORGERIES", 1000);
    for n in 0..forgeries {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&n.to_be_bytes());
        let mut mark = real.mark;
        mark[usize::try_from(n % 16).unwrap()] ^= 1;
        let forged = RefreshToken {
            grant_id: real.grant_id,
            generation: real.generation + n % 3,
            secret: if n % 2 == 0 { Secret::new(secret) } else { real.secret.clone() },
            mark,
        };
        assert!(matches!(world.refresh(&party, &forged.to_text()).await, Said::SignIn(status, _) if status == 400));
    }
    let [reads, writes] = asked();
    assert_eq!((reads - before[0], writes - before[1]), (2 * forgeries, 0));
    assert_eq!(events::count(&grant_id, "refresh.forged"), usize::try_from(forgeries).unwrap());
    assert!(world.accepts(&held.access).await);
    assert!(matches!(world.refresh(&party, &held.refresh).await, Said::Tokens(_)));
}
