//! One credential, several processes: the loudest complaint of this field.

use std::time::Duration;

use futures::future::join_all;

use super::world::{Held, Said, World, rounds, seed};

const SIBLINGS: usize = 8;

/// Each sibling refreshes when it feels like it, with what it holds: up to 50 minutes and several rotations old. A fifth of
/// the answers is lost on each hop. Whoever is told to try again does. Nobody is ever told to sign in.
async fn nobody_must_sign_in_again(world: World, rounds: u64) {
    let party = world.party().await;
    let mut asked_anew = 0;
    let mut held: Vec<(Held, u64)> = vec![];
    let mut now = 0;
    let (mut refreshes, mut laters, mut lost) = (0_u64, 0_u64, 0_u64);
    for round in 0..rounds {
        if round % 100 == 0 {
            // Another grant now and then: the exchange of its code loses answers on the inner hops, too.
            let first = loop {
                world.loss.set(0);
                let code = world.code(&party).await;
                world.loss.set(20);
                match world.exchange(&party, &code).await {
                    Said::Tokens(first) => break first,
                    // A client cannot send a code twice, so the person is asked once more. Counted, not hidden.
                    Said::Later => asked_anew += 1,
                    Said::SignIn(status, body) => panic!("round {round}: {status} {body}"),
                }
            };
            held = vec![(first, now); SIBLINGS];
        }
        // From seconds to ten minutes; nobody holds a token for longer than 50 minutes without looking at it.
        let pause = [1, 30, 240, 600][usize::try_from(world.chance.below(4)).unwrap()];
        now += pause;
        world.advance(Duration::from_secs(pause));
        let mut presenters: Vec<usize> = (0..SIBLINGS).filter(|_| world.chance.percent(25)).collect();
        presenters.extend((0..SIBLINGS).filter(|sibling| now - held[*sibling].1 >= 2400));
        presenters.sort_unstable();
        presenters.dedup();
        let answers = join_all(presenters.iter().map(|&sibling| {
            let token = held[sibling].0.refresh.clone();
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
                        Said::SignIn(status, body) => panic!("round {round}, sibling {sibling}: {status} {body}"),
                    }
                };
                (sibling, pair, attempts, laters, lost)
            }
        }))
        .await;
        for (sibling, pair, attempts, later, lost_here) in answers {
            held[sibling] = (pair, now);
            refreshes += attempts;
            laters += later;
            lost += lost_here;
        }
        if round % 10 == 0 {
            // Without loss every answer works everywhere, at once.
            world.loss.set(0);
            for sibling in &mut held {
                let Said::Tokens(pair) = world.refresh(&party, &sibling.0.refresh).await else {
                    panic!("round {round}")
                };
                assert!(world.accepts(&pair.access).await, "round {round}");
                *sibling = (pair, now);
            }
            world.loss.set(20);
        }
    }
    eprintln!(
        "{rounds} rounds, {refreshes} refreshes ({laters} answered 503, {lost} answers lost to the client), \
         {asked_anew} code exchanges ended in 503"
    );
    assert!(laters > 0 && lost > 0, "the hops did lose answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_store() {
    nobody_must_sign_in_again(World::embedded(seed()).await, rounds("GRANTD_TEST_ROUNDS", 100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_token_services_and_redis() {
    nobody_must_sign_in_again(World::redis(seed()).await, rounds("GRANTD_TEST_ROUNDS", 100)).await;
}
