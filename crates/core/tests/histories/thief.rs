//! Thieves, and what a dump of the store is worth to them.

use std::time::Duration;

use grantd_core::{Event, ratchet::Pair};
use grantd_oauth_types::{RefreshToken, Secret};
use hkdf::Hkdf;
use proptest::prelude::*;
use sha2::Sha256;

use crate::world::{HOUR, World};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A thief with a token of any age, outside the overlap, after its successor was used: always detected, the grant
    /// revoked, its tokens dead for good.
    #[test]
    fn a_thief_outside_the_overlap_is_caught(rotations in 1_usize..40, stolen in 0_usize..40, later in 0_u64..HOUR) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let mut pairs = vec![world.exchange(1).answer.unwrap().pair];
        for n in 0..rotations {
            world.now = world.now.plus(Duration::from_secs(60));
            let last = pairs.last().unwrap().refresh.clone();
            pairs.push(world.refresh(&last, 100 + n as u64).answer.unwrap().pair);
        }
        let current = pairs.last().unwrap().clone();
        world.use_access(&current);
        world.now = world.now.plus(Duration::from_secs(HOUR + later));
        let token = pairs[stolen % rotations].refresh.clone();
        let outcome = world.refresh(&token, 9999);
        prop_assert!(outcome.answer.is_err());
        prop_assert_eq!(outcome.event, Some(Event::RefreshReplayed));
        prop_assert!(world.grant().unwrap().live().is_none());
        for (n, pair) in pairs.iter().enumerate() {
            prop_assert!(!world.accepts(pair), "a revoked grant verifies nothing");
            prop_assert!(world.refresh(&pair.refresh, 20_000 + n as u64).answer.is_err());
        }
    }

    /// A dump of everything, beside any spent token whose generation has left the overlap: no salt in it leads to a token
    /// that works.
    #[test]
    fn a_dump_beside_a_spent_token_derives_nothing(rotations in 2_usize..20) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let mut pairs = vec![world.exchange(1).answer.unwrap().pair];
        for n in 0..rotations {
            world.now = world.now.plus(Duration::from_secs(HOUR + 1));
            let last = pairs.last().unwrap().refresh.clone();
            pairs.push(world.refresh(&last, 100 + n as u64).answer.unwrap().pair);
        }
        // The newest superseded generation may keep its salt; every older one is worthless.
        prop_assert!(!derives(&world, &pairs[..pairs.len() - 2]));
    }

    /// Without an overlap a dump is worthless beside any spent token, as soon as the pair after it was used.
    #[test]
    fn a_dump_of_a_strict_store_derives_nothing_at_all(rotations in 1_usize..20) {
        let mut world = World::new(Duration::ZERO);
        let mut pairs = vec![world.exchange(1).answer.unwrap().pair];
        for n in 0..rotations {
            let last = pairs.last().unwrap().refresh.clone();
            pairs.push(world.refresh(&last, 100 + n as u64).answer.unwrap().pair);
        }
        let current = pairs.last().unwrap().clone();
        prop_assert!(derives(&world, &pairs[..rotations]), "until then our own reply may have been lost");
        world.use_access(&current);
        prop_assert!(!derives(&world, &pairs[..rotations]));
    }

    /// Nothing outlives its `expires_at`.
    #[test]
    fn nothing_outlives_its_end(seconds in 0_u64..40 * 24 * HOUR) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let pair = world.exchange(1).answer.unwrap().pair;
        world.now = world.now.plus(Duration::from_secs(seconds));
        prop_assert_eq!(world.accepts(&pair), seconds < HOUR);
        prop_assert_eq!(world.refresh(&pair.refresh, 2).answer.is_ok(), seconds < 30 * 24 * HOUR);
    }
}
/// Whether all that is stored, beside these tokens, gives a token that works.
fn derives(world: &World, spent: &[Pair]) -> bool {
    let head = world.grant().unwrap();
    let live = head.live().unwrap();
    let mut salts: Vec<[u8; 32]> = live.recent.iter().map(|old| old.salt.0).collect();
    salts.extend([live.salt.0, live.next_salt.0, live.mark_key.0]);
    spent.iter().any(|pair| {
        salts.iter().any(|salt| {
            ["refresh", "access"].iter().any(|kind| {
                let digest = Secret::new(derive(&pair.refresh, salt, kind)).digest();
                digest == live.refresh || digest == live.access
            })
        })
    })
}

/// The derivation, written again: what an attacker would compute.
fn derive(token: &RefreshToken, salt: &[u8; 32], kind: &str) -> [u8; 32] {
    let info =
        [b"grantd/1 ", kind.as_bytes(), token.grant_id.as_bytes(), &(token.generation + 1).to_be_bytes()].concat();
    let mut out = [0; 32];
    Hkdf::<Sha256>::new(Some(salt), token.secret.expose()).expand(&info, &mut out).unwrap();
    out
}

#[test]
fn the_attacker_computes_what_the_chain_does() {
    // Otherwise the dump test would prove nothing.
    let mut world = World::new(Duration::from_secs(HOUR));
    let first = world.exchange(1).answer.unwrap().pair;
    let second = world.refresh(&first.refresh, 2).answer.unwrap().pair;
    let head = world.grant().unwrap();
    let salt = head.live().unwrap().recent.last().unwrap().salt.0;
    assert_eq!(&derive(&first.refresh, &salt, "refresh"), second.refresh.secret.expose());
    assert_eq!(&derive(&first.refresh, &salt, "access"), second.access.secret.expose());
}
