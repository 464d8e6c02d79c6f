//! Thieves, forgers and followers, in numbers.

use std::time::Duration;

use grantd_oauth_types::{RefreshToken, Secret};

use super::world::{Said, World, rounds, seed};

/// Stolen refresh tokens of any age, replayed outside the overlap: each is found out, and its grant ends everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stolen_token_outside_the_overlap_is_found_out() {
    let world = World::redis(seed()).await;
    let thefts = rounds("GRANTD_TEST_THEFTS", 40);
    for n in 0..thefts {
        let party = world.party().await;
        if n % 5 == 4 {
            // A stolen code and its verifier, after their owner used them.
            let code = world.code(&party).await;
            let Said::Tokens(held) = world.exchange(&party, &code).await else { panic!("exchanged") };
            assert!(world.accepts(&held.access).await);
            assert!(matches!(world.exchange(&party, &code).await, Said::SignIn(status, _) if status == 400));
            assert!(!world.accepts(&held.access).await, "theft {n}");
            continue;
        }
        let mut held = world.signed_in(&party).await;
        let stolen = held.refresh.clone();
        // Up to 500 rotations old, mostly a few.
        let rotations = 1 + if n % 20 == 0 { world.chance.below(500) } else { world.chance.below(12) };
        for _ in 0..rotations {
            let Said::Tokens(next) = world.refresh(&party, &held.refresh).await else { panic!("theft {n}") };
            held = next;
        }
        assert!(world.accepts(&held.access).await, "its owner uses it");
        world.advance(Duration::from_secs(3600));
        let Said::Tokens(held) = world.refresh(&party, &held.refresh).await else { panic!("theft {n}") };
        assert!(world.accepts(&held.access).await);
        assert!(matches!(world.refresh(&party, &stolen).await, Said::SignIn(status, _) if status == 400), "theft {n}");
        assert!(!world.accepts(&held.access).await, "theft {n}: the grant ended, {rotations} rotations later");
        assert!(matches!(world.refresh(&party, &held.refresh).await, Said::SignIn(..)));
    }
    eprintln!("{thefts} thefts, all found out");
}

/// Tokens made up for a grant that exists, of its very generation: no grant is harmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_harm_nobody() {
    let world = World::embedded(seed()).await;
    let party = world.party().await;
    let held = world.signed_in(&party).await;
    let real = RefreshToken::parse(&held.refresh).unwrap();
    for n in 0..rounds("GRANTD_TEST_FORGERIES", 1000) {
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
    assert!(world.accepts(&held.access).await);
    assert!(matches!(world.refresh(&party, &held.refresh).await, Said::Tokens(_)));
}
