//! One credential, several processes: the loudest complaint of this field.
//!
//! A fifth of the answers is lost on each hop. What is lost behind the facade is mended by it, or by the client that tries
//! again. Between facade and client that is so for refreshes only: a code that comes twice is denied (RFC 6749 §4.1.2), so
//! there no exchange is lost.

use std::time::Duration;

use futures::future::join_all;
use grantd_oauth_types::RefreshToken;

use super::world::{Held, Said, World, rounds, seed};

const SIBLINGS: usize = 8;
/// The first sibling sleeps for so long, while the others go on..
const FIFTY_MINUTES: u64 = 3000;
/// ..unless it falls behind by so many rotations: a chain keeps sixteen.
const FAR_BEHIND: u64 = 12;
/// Nobody else holds a token for longer than this without looking at it.
const FORTY_MINUTES: u64 = 2400;
const TEN_MINUTES: u64 = 600;

/// What a sibling holds, and since when.
#[derive(Clone)]
struct Sibling {
    held: Held,
    since: u64,
}

impl Sibling {
    fn generation(&self) -> u64 {
        RefreshToken::parse(&self.held.refresh).unwrap().generation
    }
}

/// How often siblings came back that had slept for long, or whose token was old.
#[derive(Debug, Default)]
struct CameBack {
    after_ten_minutes: u64,
    after_fifty_minutes: u64,
    three_rotations_behind: u64,
}

/// Each sibling refreshes when it feels like it, with what it holds. Whoever is told to try again does. Nobody is ever told
/// to sign in.
async fn nobody_must_sign_in_again(world: World, rounds: u64) {
    let party = world.party().await;
    let mut siblings: Vec<Sibling> = vec![];
    let mut now = 0;
    let (mut exchanges, mut refreshes, mut laters, mut lost) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut came_back = CameBack::default();
    for round in 0..rounds {
        if round % 100 == 0 {
            // Another grant now and then: the exchange of its code loses answers on the inner hops, too.
            world.calm().await;
            let code = world.code(&party).await;
            world.loss.set(20);
            // A client cannot send a code twice, so no other answer will do.
            let first = match world.exchange(&party, &code).await {
                Said::Tokens(first) => first,
                said => panic!("round {round}: the person must sign in again: {said:?}"),
            };
            exchanges += 1;
            siblings = vec![Sibling { held: first, since: now }; SIBLINGS];
        }
        // Whoever wakes late wakes within the hour of the overlap, and the time that the test itself takes counts as well.
        let pause = [1, 30, 240, 480, 480][usize::try_from(world.chance.below(5)).unwrap()];
        now += pause;
        world.advance(Duration::from_secs(pause));
        let newest = siblings.iter().map(Sibling::generation).max().unwrap();
        let wakes = |(place, sibling): (usize, &Sibling)| {
            let slept = now - sibling.since;
            let wakes = match place {
                0 => slept >= FIFTY_MINUTES || newest - sibling.generation() >= FAR_BEHIND,
                _ => slept >= FORTY_MINUTES || world.chance.percent(25),
            };
            wakes.then_some(place)
        };
        let presenters: Vec<usize> = siblings.iter().enumerate().filter_map(wakes).collect();
        for &place in &presenters {
            let slept = now - siblings[place].since;
            came_back.after_ten_minutes += u64::from(slept >= TEN_MINUTES);
            came_back.after_fifty_minutes += u64::from(slept >= FIFTY_MINUTES);
            came_back.three_rotations_behind += u64::from(newest - siblings[place].generation() >= 3);
        }
        let answers = join_all(presenters.iter().map(|&place| {
            let token = siblings[place].held.refresh.clone();
            let (world, party) = (&world, &party);
            async move {
                let (mut attempts, mut laters, mut lost) = (0, 0, 0);
                let pair = loop {
                    attempts += 1;
                    match world.refresh(party, &token).await {
                        // The answer gets lost between the facade and the client, which tries again with what it holds.
                        Said::Tokens(_) if world.loss.strikes() => lost += 1,
                        Said::Tokens(pair) => break pair,
                        Said::Later => laters += 1,
                        Said::SignIn(status, body) => panic!("round {round}, sibling {place}: {status} {body}"),
                    }
                };
                (place, pair, attempts, laters, lost)
            }
        }))
        .await;
        for (place, held, attempts, later, lost_here) in answers {
            siblings[place] = Sibling { held, since: now };
            refreshes += attempts;
            laters += later;
            lost += lost_here;
        }
        if round % 10 == 0 {
            // Without loss every answer works everywhere, at once. The first sibling sleeps on.
            world.calm().await;
            for sibling in &mut siblings[1..] {
                let held = world.refreshed(&party, &sibling.held.refresh).await;
                assert!(world.accepts(&held.access).await, "round {round}");
                *sibling = Sibling { held, since: now };
            }
            world.loss.set(20);
        }
    }
    eprintln!(
        "{rounds} rounds, {exchanges} exchanges, {refreshes} refreshes ({laters} answered 503, {lost} answers lost to the \
         client, {} commands lost before Redis or replies behind it), {came_back:?}: nobody had to sign in",
        world.relay.as_ref().map_or(0, |relay| relay.lost())
    );
    assert!(laters > 0 && lost > 0, "the hops did lose answers");
    assert!(world.relay.as_ref().is_none_or(|relay| relay.lost() > rounds), "and so did the wire");
    let CameBack { after_ten_minutes, after_fifty_minutes, three_rotations_behind } = came_back;
    assert!(after_ten_minutes > 0 && after_fifty_minutes > 0 && three_rotations_behind > 0, "{came_back:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_store() {
    nobody_must_sign_in_again(World::embedded(seed()).await, rounds("GRANTD_TEST_ROUNDS", 100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_token_services_and_redis() {
    nobody_must_sign_in_again(World::redis(seed()).await, rounds("GRANTD_TEST_ROUNDS", 100)).await;
}

/// The last hop loses what really goes over it: a command or a reply of Redis, and the connection with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_token_services_and_a_wire_to_redis_that_loses() {
    nobody_must_sign_in_again(World::redis_by_wire(seed()).await, rounds("GRANTD_TEST_ROUNDS_BY_WIRE", 60)).await;
}
