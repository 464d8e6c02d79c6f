//! Siblings that share one credential: nobody is signed out, whatever is lost.

use std::time::Duration;

use grantd_core::{Event, Timestamp, exchange::Outcome, ratchet::Pair};
use grantd_oauth_types::{RefreshToken, Secret};
use proptest::prelude::*;

use crate::world::{HOUR, Store, World};

#[derive(Debug, Clone)]
enum Step {
    /// Somebody refreshes with a pair they hold, and gets the reply or not.
    Refresh { holder: usize, reply_lost: bool },
    /// Several refresh at one moment with what they hold.
    RefreshAtOnce { presenters: Vec<usize> },
    /// Somebody calls with the access token they hold.
    Use { holder: usize },
    /// Somebody takes over what another holds (a shared credential store).
    Share { from: usize, to: usize },
    /// Time passes; a step back is a clock that was set.
    Wait { seconds: i64 },
    /// A forger alters one bit of a token that somebody holds.
    Forge { holder: usize, bit: usize },
    /// The store loses its last commits of the grant.
    LoseWrite,
}

const HOLDERS: usize = 4;

fn step(longest_wait: i64) -> impl Strategy<Value = Step> {
    let holder = 0..HOLDERS;
    prop_oneof![
        6 => (holder.clone(), prop::bool::weighted(0.3)).prop_map(|(holder, reply_lost)| Step::Refresh { holder, reply_lost }),
        2 => prop::collection::vec(holder.clone(), 2..HOLDERS).prop_map(|presenters| Step::RefreshAtOnce { presenters }),
        3 => holder.clone().prop_map(|holder| Step::Use { holder }),
        2 => (holder.clone(), 0..HOLDERS).prop_map(|(from, to)| Step::Share { from, to }),
        3 => (-5..longest_wait).prop_map(|seconds| Step::Wait { seconds }),
        2 => (holder, 0_usize..448).prop_map(|(holder, bit)| Step::Forge { holder, bit }),
        1 => Just(Step::LoseWrite),
    ]
}

/// One bit of secret, mark or generation changed: never issued.
fn forge(token: &RefreshToken, bit: usize) -> RefreshToken {
    let (mut secret, mut mark, mut generation) = (*token.secret.expose(), token.mark, token.generation);
    match bit {
        0..256 => secret[bit / 8] ^= 1 << (bit % 8),
        256..384 => mark[(bit - 256) / 8] ^= 1 << (bit % 8),
        _ => generation ^= 1 << (bit - 384),
    }
    RefreshToken { grant_id: token.grant_id, generation, secret: Secret::new(secret), mark }
}

/// Who idled beyond the overlap reads the shared credential store first, as real clients do.
fn look_in(holders: &mut [(Pair, Timestamp)], holder: usize, now: Timestamp) {
    if now.since(holders[holder].1) >= Duration::from_secs(HOUR) {
        holders[holder] = holders.iter().max_by_key(|(pair, _)| pair.refresh.generation).unwrap().clone();
    }
}

fn signed_in(outcome: Outcome) -> Pair {
    match outcome.answer {
        Ok(tokens) => tokens.pair,
        Err(error) => panic!("signed out: {error} {:?}", outcome.event),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Siblings that share one credential, with lost replies and single lost writes, inside what is promised: nobody is
    /// ever signed out, everybody inside the overlap gets the one live pair, and a forged token changes nothing.
    #[test]
    fn nobody_is_signed_out(steps in prop::collection::vec(step(900), 1..60)) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let first = world.exchange(1).answer.unwrap().pair;
        let mut holders: Vec<(Pair, Timestamp)> = vec![(first, world.now); HOLDERS];
        let mut before: Option<Store> = None;
        let mut request = 10;

        for step in steps {
            request += 1;
            match step {
                Step::Refresh { holder, reply_lost } => {
                    look_in(&mut holders, holder, world.now);
                    let (held, _) = holders[holder].clone();
                    before = Some(world.store.clone());
                    let pair = signed_in(world.refresh(&held.refresh, request));
                    prop_assert!(world.accepts(&pair), "the answered pair works");
                    let head = world.grant().unwrap();
                    let live = head.live().unwrap();
                    prop_assert_eq!(live.refresh, pair.refresh.digest(), "everybody gets the head's pair");
                    prop_assert_eq!(live.access, pair.access.digest());
                    if reply_lost {
                        // Sent again by our own process, it has the same answer.
                        prop_assert_eq!(&signed_in(world.refresh(&held.refresh, request)), &pair);
                    } else {
                        holders[holder] = (pair, world.now);
                    }
                }
                Step::RefreshAtOnce { presenters } => {
                    let presented: Vec<_> = presenters
                        .iter()
                        .map(|&holder| {
                            request += 1;
                            look_in(&mut holders, holder, world.now);
                            (holders[holder].0.refresh.clone(), request)
                        })
                        .collect();
                    let live = world.live();
                    before = Some(world.store.clone());
                    for (&holder, (outcome, live_after)) in presenters.iter().zip(world.refresh_at_once(&presented)) {
                        let pair = signed_in(outcome);
                        // One may be answered the pair that was live when it asked, while another rotates.
                        let digest = Some(pair.refresh.digest());
                        prop_assert!(digest == live || digest == live_after, "an answered pair was the one that was live");
                        holders[holder] = (pair, world.now);
                    }
                }
                Step::Use { holder } => {
                    let held = holders[holder].0.clone();
                    world.use_access(&held);
                }
                // Somebody reads the shared store; nobody writes an older token over a newer one.
                Step::Share { from, to } => {
                    if holders[from].0.refresh.generation >= holders[to].0.refresh.generation {
                        holders[to] = holders[from].clone();
                    }
                }
                Step::Wait { seconds } => {
                    world.now = Timestamp(world.now.0.saturating_add_signed(seconds * 1000));
                    // Processes look in now and then; the others would have idled beyond the promise.
                    let now = world.now;
                    holders.iter_mut().filter(|(_, since)| now < *since).for_each(|(_, since)| *since = now);
                }
                Step::Forge { holder, bit } => {
                    let forged = forge(&holders[holder].0.refresh, bit);
                    let outcome = world.decide(&forged, request);
                    prop_assert!(outcome.answer.is_err());
                    prop_assert!(outcome.change.is_empty(), "a forged token changes nothing");
                    prop_assert_eq!(outcome.event, Some(Event::RefreshForged));
                }
                Step::LoseWrite => {
                    // What the look-ahead promises: up to two rotations that somebody holds.
                    let held = holders.iter().map(|(pair, _)| pair.refresh.generation).max().unwrap();
                    if let Some(saved) = before.take() {
                        let ahead = std::mem::replace(&mut world.store, saved);
                        if world.grant().unwrap().live().unwrap().generation + 2 < held {
                            world.store = ahead;
                        }
                    }
                }
            }
            // One live pair: only the head's access token is let through.
            let head = world.grant().unwrap();
            let live = head.live().expect("no history without a thief revokes").access;
            for (pair, _) in &holders {
                prop_assert!(!world.accepts(pair) || pair.access.digest() == live, "two live pairs");
            }
        }
    }
}
